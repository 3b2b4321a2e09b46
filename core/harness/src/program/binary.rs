//! The binary form, for fuzz corpora: one version byte, then postcard.
//!
//! What is committed as a case is the text. The binary form of one version of this program may mean nothing to the
//! next; the version byte says so instead of decoding to something else.

use super::Program;

/// Version of the binary form. Goes up with every change of [`Program`] or of what it contains, and of what fuzz inputs
/// put behind it. Never 0.
pub const VERSION: u8 = 2;

/// Why bytes are no program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BinaryError {
    /// There are no bytes.
    #[error("no bytes, expected a version byte and a program")]
    Empty,
    /// Another version wrote them.
    #[error(
        "binary form version {found}, expected version {VERSION}: convert the input with the ksplat that wrote it"
    )]
    Version {
        /// The version byte.
        found: u8,
    },
    /// The bytes behind the version byte do not decode.
    #[error("the bytes behind the version byte are not a program: {why}")]
    Undecodable {
        /// What the decoder says.
        why: String,
    },
    /// Bytes are left over.
    #[error("{count} bytes are left behind the program, expected none")]
    Trailing {
        /// How many.
        count: usize,
    },
}

/// The binary form of a program. Places in the text are not part of it.
pub fn to_bytes(program: &Program) -> Vec<u8> {
    let start = vec![VERSION];
    // Writing into memory what serde derives cannot fail; should it, the lone version byte does not decode.
    postcard::to_extend(program, start).unwrap_or_else(|_| vec![VERSION])
}

/// The program that `bytes` are the binary form of. It need not be legal: see [`super::repair`].
///
/// # Errors
/// When there are no bytes, when the version is another, or when the rest does not decode exactly.
pub fn from_bytes(bytes: &[u8]) -> Result<Program, BinaryError> {
    let (program, left) = from_prefix(bytes)?;
    if !left.is_empty() {
        return Err(BinaryError::Trailing { count: left.len() });
    }
    Ok(program)
}

/// The program that `bytes` begin with, and the bytes behind it. It need not be legal: see [`super::repair`].
///
/// # Errors
/// When there are no bytes, when the version is another, or when what follows does not decode.
pub fn from_prefix(bytes: &[u8]) -> Result<(Program, &[u8]), BinaryError> {
    let (&found, rest) = bytes.split_first().ok_or(BinaryError::Empty)?;
    if found != VERSION {
        return Err(BinaryError::Version { found });
    }
    postcard::take_from_bytes(rest).map_err(|why| BinaryError::Undecodable {
        why: why.to_string(),
    })
}
