//! Text, value and binary form say the same; repair makes anything legal and leaves the legal alone.

use arbitrary::{Arbitrary, Unstructured};
use ksplat_harness::program::{Program, binary, check, parse, print, repair};
use proptest::prelude::*;

fn generated(bytes: &[u8]) -> Program {
    Program::arbitrary(&mut Unstructured::new(bytes))
        .expect("a generator that reads zeros at the end never fails")
}

/// A legal value damaged in its binary form, where it still decodes.
fn damaged(program: &Program, at: prop::sample::Index, byte: u8) -> Option<Program> {
    let mut bytes = binary::to_bytes(program);
    let at = 1 + at.index(bytes.len() - 1);
    bytes[at] = byte;
    binary::from_bytes(&bytes).ok()
}

fn assert_legal(program: &Program) {
    let problems = check(program);
    assert!(problems.is_empty(), "{problems:?}\n{}", print(program));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_printed_is_read_back(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let program = generated(&bytes);
        assert_legal(&program);
        let text = print(&program);
        let again = parse("printed.splat", &text).map_err(|e| TestCaseError::fail(format!("{}\n{text}", e)))?;
        prop_assert_eq!(&again, &program, "{}", text);
        prop_assert_eq!(print(&again), text);
    }

    #[test]
    fn the_binary_form_is_read_back(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let program = generated(&bytes);
        prop_assert_eq!(binary::from_bytes(&binary::to_bytes(&program)), Ok(program));
    }

    #[test]
    fn repair_leaves_a_legal_program_alone(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let program = generated(&bytes);
        let mut repaired = program.clone();
        repair(&mut repaired);
        prop_assert_eq!(repaired, program);
    }

    #[test]
    fn repair_makes_a_damaged_program_legal(
        bytes in prop::collection::vec(any::<u8>(), 0..1000),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let mut program = generated(&bytes);
        for (at, byte) in damage {
            program = damaged(&program, at, byte).unwrap_or(program);
        }
        repair(&mut program);
        assert_legal(&program);
        let text = print(&program);
        prop_assert_eq!(parse("repaired.splat", &text).ok(), Some(program), "{}", text);
    }

    #[test]
    fn any_bytes_decode_or_say_why(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        let versioned = [&[binary::VERSION][..], &bytes].concat();
        for bytes in [bytes, versioned] {
            match binary::from_bytes(&bytes) {
                Ok(mut program) => {
                    repair(&mut program);
                    assert_legal(&program);
                }
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }
}
