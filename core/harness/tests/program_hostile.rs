//! Texts that are made to exhaust memory, stack or patience are refused with a place like any others.

use ksplat_harness::program::{limits, parse};

/// The text is refused, and each problem has a place; what the first one says.
fn refused(text: &str) -> String {
    let error = parse("hostile.splat", text).expect_err("refused");
    assert!(error.problems.iter().all(|p| p.at.is_known()));
    assert!(error.problems.len() <= limits::ERRORS);
    error.problems[0].message.clone()
}

fn program(body: &str) -> String {
    format!("splat x\ntask t on cpu0 {{\n{body}\n}}\n")
}

#[test]
fn braces_without_end() {
    refused(&"{".repeat(limits::TEXT));
    refused(&"}".repeat(limits::TEXT));
    refused(&program(&"nofs {".repeat(100_000)));
    refused(&program(&"if maybe { } else ".repeat(50_000)));
}

#[test]
fn signs_without_end() {
    refused(&program(&format!("if {}maybe {{ }}", "!".repeat(200_000))));
    refused(&program(&format!(
        "if maybe{} {{ }}",
        " && maybe".repeat(100_000)
    )));
    let long = program(&format!(
        "might_alloc GFP_KERNEL{}",
        "|__GFP_FS".repeat(100_000)
    ));
    assert!(parse("long.splat", &long).is_ok(), "long, but right");
    refused(&program(&format!(
        "might_alloc GFP_KERNEL & ~({}",
        "(".repeat(100_000)
    )));
}

#[test]
fn long_names_and_long_lists() {
    let a = "a".repeat(400_000);
    let b = "b".repeat(400_000);
    assert_eq!(
        refused(&format!(
            "splat x\nmutex {a}\n{}",
            program(&format!("lock {b}"))
        )),
        "the name is too long"
    );
    let names: Vec<String> = (0..100_000).map(|i| format!("n{i}")).collect();
    let message = refused(&format!(
        "splat x\nmutex {}\ntask t on cpu0 {{ }}\n",
        names.join(",")
    ));
    assert_eq!(message, "too many declarations of one kind");
}

#[test]
fn many_operations_and_many_variables() {
    let message = refused(&program(&"cond_resched\n".repeat(limits::OPERATIONS + 1)));
    assert_eq!(message, "the program has too many operations");
    let lines: Vec<String> = (0..4000)
        .map(|i| format!("p{i} = kmalloc GFP_KERNEL"))
        .collect();
    assert_eq!(refused(&program(&lines.join("\n"))), "too many variables");
}

#[test]
fn too_much_text_and_too_many_mistakes() {
    assert!(refused(&"#".repeat(limits::TEXT + 1)).contains("bytes"));
    refused(&"@".repeat(limits::TEXT));
    refused(&program(&"wrong\n".repeat(10_000)));
    refused(&"wrong\n".repeat(100_000));
    refused(&"expect {\n".repeat(50_000));
    refused(&format!(
        "splat x\nschedule {{ {} }}\n",
        "0*1048576 ".repeat(1000)
    ));
}
