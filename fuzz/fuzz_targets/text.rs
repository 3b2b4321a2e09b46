//! The parser: any bytes give a program or an error with a place, never a panic; what is read survives printing.
#![no_main]

use ksplat_harness::program::{check, parse, parse_bytes, print};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    match parse_bytes("input.splat", data) {
        Ok(program) => {
            assert!(
                check(&program).is_empty(),
                "the parser accepts what the checker refuses"
            );
            let text = print(&program);
            let again = parse("printed.splat", &text).expect("what is printed is read");
            assert_eq!(again, program, "printing loses something");
            assert_eq!(print(&again), text, "printing is not stable");
        }
        Err(error) => {
            assert!(!error.problems.is_empty(), "refused without a reason");
            for problem in &error.problems {
                assert!(
                    problem.at.is_known(),
                    "a problem without a place: {problem}"
                );
                let end = problem.at.offset as usize + problem.at.len as usize;
                assert!(
                    end <= data.len().max(String::from_utf8_lossy(data).len()),
                    "a place outside of the text"
                );
            }
        }
    }
});
