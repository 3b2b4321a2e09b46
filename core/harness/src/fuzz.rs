//! Fuzz inputs: bytes to a program and a schedule, run, judged. The fuzz targets are thin shells around this.

use crate::explore::Bytes;
use crate::finding::{Signature, signatures};
use crate::program::{Program, RulesText, binary, repair};
use crate::rules::{laid_over, machine_rules};
use crate::run::{Litmus, executable};
use arbitrary::{Arbitrary as _, Unstructured};
use ksplat_kernel::rt::{Deterministic, Outcome};

/// What a fuzz input stands for.
#[derive(Clone, Debug)]
pub struct Input {
    /// The program, legal and executable.
    pub program: Program,
    /// Bytes that drive the decisions; undisturbed when they run out.
    pub schedule: Vec<u8>,
}

impl Input {
    /// Decodes bytes: the binary form of a program with a schedule after it, or else the raw material of a random one.
    /// Any bytes give an input, unless they are too few to mean anything.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let stored = binary::from_prefix(bytes)
            .ok()
            .map(|(program, rest)| (program, rest.to_vec()));
        let (mut program, schedule) = stored.or_else(|| arbitrary_program(bytes))?;
        repair(&mut program);
        executable(&mut program);
        program.schedule = None;
        program.expects.clear();
        Some(Self { program, schedule })
    }

    /// The binary form, which [`Input::decode`] reads back.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = binary::to_bytes(&self.program);
        bytes.extend_from_slice(&self.schedule);
        bytes
    }
}

fn arbitrary_program(bytes: &[u8]) -> Option<(Program, Vec<u8>)> {
    let mut source = Unstructured::new(bytes);
    let program = Program::arbitrary(&mut source).ok()?;
    Some((program, source.take_rest().to_vec()))
}

/// One executed input.
#[derive(Debug)]
pub struct Executed {
    /// The machine it ran on.
    pub litmus: Litmus,
    /// What it showed.
    pub outcome: Outcome,
    /// Its decisions.
    pub choices: Vec<u32>,
    /// Signatures of what it showed.
    pub signatures: Vec<Signature>,
}

/// Runs an input once under the program's rules with `over` laid over them.
#[must_use]
pub fn execute(input: &Input, over: &RulesText, executor: &mut Deterministic) -> Option<Executed> {
    let rules = machine_rules(&laid_over(&input.program.rules, over));
    let litmus = Litmus::new(&input.program, &rules).ok()?;
    let outcome = litmus.run(executor, &mut Bytes::new(&input.schedule));
    let choices = litmus.machine().choices();
    let signatures = signatures(litmus.machine(), &outcome);
    Some(Executed {
        litmus,
        outcome,
        choices,
        signatures,
    })
}

/// Broken invariants that no program can be blamed for: the machine's own books are wrong.
const OUR_FAULT: [&str; 1] = ["state/mm-"];

/// What must hold of every execution, whatever the program.
///
/// # Errors
/// Which of it does not hold.
pub fn oracle(executed: &Executed) -> Result<(), String> {
    if let Some(fault) = &executed.outcome.fault {
        return Err(format!("internal fault: {fault}"));
    }
    let ours = executed
        .signatures
        .iter()
        .find(|s| OUR_FAULT.iter().any(|o| s.0.starts_with(o)));
    if let Some(ours) = ours {
        return Err(format!("the machine's own invariant is broken: {ours}"));
    }
    if let Some(stop) = &executed.outcome.stop
        && (stop.stuck == 0 || stop.waits.is_empty())
    {
        return Err("a stop without anybody stuck".to_owned());
    }
    Ok(())
}
