//! Why a piece of a stream could not be read.
//!
//! Contract. No error loses bytes: what was read is in the error, or still in the reader, and each variant
//! says which. `?` turns it into an [`io::Error`] of a fitting kind that contains it.
//!
//! What it does not know: what the pieces are for.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::str::Utf8Error;

/// Why a [`Reader`](super::Reader) could not read a piece.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The stream has failed. What was read before is still in the reader.
    Io(io::Error),
    /// The piece is longer than the reader's limit. Its bytes stay in the reader until the next piece is
    /// read; then all of the long one is skipped.
    LimitExceeded {
        /// The longest that a piece may be.
        limit: usize,
        /// The beginning of the piece, as long as the limit. It is empty if nothing had to be read to know
        /// that the piece is too long.
        partial: Vec<u8>,
    },
    /// The stream has ended in the middle of the piece.
    Incomplete {
        /// How many bytes were asked for.
        expected: usize,
        /// The bytes that came. They are no longer in the reader.
        partial: Vec<u8>,
    },
    /// A line is not text.
    NotUtf8 {
        /// The line without its end. It is no longer in the reader.
        line: Vec<u8>,
        /// Where it is not text.
        cause: Utf8Error,
    },
}

impl ReadError {
    /// The kind that the standard library has for such errors.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            ReadError::Io(error) => error.kind(),
            ReadError::Incomplete { .. } => ErrorKind::UnexpectedEof,
            ReadError::LimitExceeded { .. } | ReadError::NotUtf8 { .. } => ErrorKind::InvalidData,
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Io(error) => error.fmt(f),
            ReadError::LimitExceeded { limit, .. } => {
                write!(f, "a piece of the stream is longer than {limit} bytes, the limit of its reader")
            }
            ReadError::Incomplete { expected, partial } => {
                write!(f, "the stream ended after {} of {expected} bytes", partial.len())
            }
            ReadError::NotUtf8 { cause, .. } => write!(f, "a line is not text: {cause}"),
        }
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            ReadError::Io(error) => error.source(),
            ReadError::NotUtf8 { cause, .. } => Some(cause),
            ReadError::LimitExceeded { .. } | ReadError::Incomplete { .. } => None,
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        ReadError::Io(error)
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> io::Error {
        match error {
            ReadError::Io(error) => error,
            error => io::Error::new(error.kind(), error),
        }
    }
}
