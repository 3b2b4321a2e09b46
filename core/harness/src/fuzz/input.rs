//! Fuzz inputs and their bytes.
//!
//! The first byte says what the rest is: [`VERSION`], a program in postcard with its decisions after it; [`RANDOM`], raw
//! material for a random program. Any other first byte belongs to another version of this program and is refused, so
//! that a stored input is never taken for something else. Behind a known first byte everything means something.

use super::decisions::Decisions;
use crate::program::binary;
use crate::program::{Program, print};
use crate::run::executable;
use arbitrary::{Arbitrary, Unstructured};
use std::cell::RefCell;
use std::sync::Arc;

/// First byte of a stored input.
pub const VERSION: u8 = binary::VERSION;
/// First byte of the raw material of a random program. The rest means what the generator of the day makes of it.
pub const RANDOM: u8 = 0;

/// Operations of one body of a fuzz input; more make executions slow without making them more interesting.
const OPERATIONS: usize = 64;
/// Tasks of a fuzz input.
const TASKS: usize = 5;
/// Locks, pages and other declarations of one kind.
const DECLARATIONS: usize = 12;
/// Pages of one zone: building and checking a machine costs as much as it has pages.
const ZONE_PAGES: u32 = 64;
/// Steps after which the execution of a fuzz input is given up. The recorded cases take at most a few hundred.
pub const STEPS: u32 = 600;

/// What a fuzz input stands for.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Input {
    /// The program: legal, executable, without schedule and expectations. Inputs that differ in decisions only share
    /// it: what was made of it serves again.
    pub program: Arc<Program>,
    /// What decides.
    pub decisions: Decisions,
}

/// Why bytes are no fuzz input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// There are none.
    #[error("no bytes; expected a version byte ({VERSION}) and a program")]
    Empty,
    /// Another version wrote them.
    #[error(
        "fuzz input of version {0}, expected version {VERSION} (or {RANDOM}: raw material): convert it with the \
         ksplat that wrote it"
    )]
    Version(u8),
}

thread_local! {
    /// What the mutator made last: most often the next thing to be decoded.
    static LAST: RefCell<Last> = RefCell::default();
}

#[derive(Default)]
struct Last {
    bytes: Vec<u8>,
    input: Input,
    /// How many of the bytes are the program.
    program: usize,
}

impl Input {
    /// Decodes bytes. Behind a known first byte any bytes give an input; what is illegal is repaired.
    ///
    /// # Errors
    /// If there are no bytes, or another version wrote them.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (&first, rest) = bytes.split_first().ok_or(DecodeError::Empty)?;
        if first == RANDOM {
            return Ok(Self::random(rest));
        }
        if first != VERSION {
            return Err(DecodeError::Version(first));
        }
        if let Some(last) = remembered(bytes) {
            return Ok(last);
        }
        Ok(match binary::from_prefix(bytes) {
            Ok((program, left)) => Self::of(program, Decisions::from_bytes(left)),
            Err(_) => Self::random(rest),
        })
    }

    /// A random input made of these bytes, whatever they are.
    #[must_use]
    pub fn random(bytes: &[u8]) -> Self {
        let mut source = Unstructured::new(bytes);
        let program = Program::arbitrary(&mut source).unwrap_or_default();
        Self::of(program, Decisions::from_bytes(source.take_rest()))
    }

    /// The input of a program, made legal and executable, and decisions.
    #[must_use]
    pub fn of(mut program: Program, mut decisions: Decisions) -> Self {
        decisions.trim();
        program.schedule = None;
        program.expects.clear();
        program.machine.steps = None;
        few(&mut program);
        executable(&mut program);
        Self {
            program: Arc::new(program),
            decisions,
        }
    }

    /// The stored form, which [`Input::decode`] reads back.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = binary::to_bytes(&self.program);
        self.decisions.write(&mut bytes);
        bytes
    }

    /// Encodes an input that will be decoded soon.
    pub(super) fn encode_and_remember(mut self) -> Vec<u8> {
        // As decoding would: what is remembered is what the bytes say.
        self.decisions.trim();
        LAST.with_borrow_mut(|last| {
            if last.program != 0 && Arc::ptr_eq(&last.input.program, &self.program) {
                last.bytes.truncate(last.program);
            } else {
                last.bytes = binary::to_bytes(&self.program);
                last.program = last.bytes.len();
            }
            self.decisions.write(&mut last.bytes);
            last.input = self;
            last.bytes.clone()
        })
    }
}

fn remembered(bytes: &[u8]) -> Option<Input> {
    LAST.with_borrow(|last| (last.bytes == bytes).then(|| last.input.clone()))
}

/// Keeps a program small enough to be run tens of thousands of times a second.
fn few(program: &mut Program) {
    for zone in &mut program.machine.zones {
        zone.pages = zone.pages.min(ZONE_PAGES);
    }
    program.tasks.0.truncate(TASKS);
    program.locks.0.truncate(DECLARATIONS);
    program.pages.0.truncate(DECLARATIONS);
    program.functions.0.truncate(DECLARATIONS);
    program.works.0.truncate(DECLARATIONS);
    for (_, body) in program.bodies_mut() {
        let mut left = OPERATIONS;
        keep(&mut body.block, &mut left);
    }
}

fn keep(block: &mut crate::program::Block, left: &mut usize) {
    block.0.truncate(*left);
    *left -= block.len();
    for inner in block.0.iter_mut().flat_map(|s| s.op.blocks_mut()) {
        keep(inner, left);
    }
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let all = u.bytes(u.len())?;
        Self::decode(all).map_err(|_| arbitrary::Error::IncorrectFormat)
    }

    fn arbitrary_take_rest(u: Unstructured<'a>) -> arbitrary::Result<Self> {
        Self::decode(u.take_rest()).map_err(|_| arbitrary::Error::IncorrectFormat)
    }
}

/// The text of the program and the decisions: what `cargo fuzz fmt` prints.
impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&print(&self.program))?;
        for p in &self.decisions.preemptions {
            writeln!(f, "# after {} decisions: candidate {}", p.after, p.to)?;
        }
        if !self.decisions.data.is_empty() {
            writeln!(f, "# other choices: {:?}", self.decisions.data)?;
        }
        Ok(())
    }
}
