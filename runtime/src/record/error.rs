//! Why a file cannot be read as a trace.
//!
//! Contract. The error names the byte at which it was noticed. A file that ends in the middle of a record is no error.

use std::fmt;
use std::io;

/// A trace cannot be read.
#[derive(Debug)]
pub struct TraceError {
    at: u64,
    kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Io(io::Error),
    NoTrace,
    Version(u64),
    Bad(&'static str),
}

impl TraceError {
    pub(crate) fn new(at: usize, kind: Kind) -> TraceError {
        TraceError { at: at as u64, kind }
    }

    /// The byte of the file at which the error was noticed.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.at
    }
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        match &self.kind {
            Kind::Io(error) => write!(f, "the trace cannot be read: {error}"),
            Kind::NoTrace => f.write_str("this is no trace of roundel: it does not begin like one"),
            Kind::Version(version) => {
                write!(f, "the trace has version {version} of the format, and this program reads version 2")
            }
            Kind::Bad(what) => write!(f, "the trace is broken at byte {at}: {what}"),
        }
    }
}

impl std::error::Error for TraceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Kind::Io(error) = &self.kind { Some(error) } else { None }
    }
}
