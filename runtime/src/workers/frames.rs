//! The messages between a process pool and its workers, as bytes.
//!
//! ```text
//!   ┌──────────────┬────────┬──────────────────────┐
//!   │ length (u32) │ kind   │ body, `length` bytes │      little-endian
//!   └──────────────┴────────┴──────────────────────┘
//!   the body of a job:  length of its name (u16), the name, the input
//!
//!   pool                     worker
//!                 ◄──────── Hello            once
//!   Job ────────►
//!                 ◄──────── Begun            from here on the job is not given to another worker
//!                 ◄──────── Done, Failed, Panicked or Unknown
//! ```
//!
//! Facts. A stream of bytes has no message bounds. The other end is a process that may have gone wrong, so a length
//! that it sends may be any number.
//!
//! Contract. A frame that is longer than [`MOST`], or of a kind that does not exist, is refused before any memory is
//! reserved for it. After such a frame, a reader should not go on reading.
//!
//! What it does not know: how the bytes travel, and which process runs the jobs.

use std::io::{self, ErrorKind};

/// The longest body.
pub(crate) const MOST: usize = 1 << 28;

/// How many bytes come before the body.
pub(crate) const HEAD: usize = 5;

/// The body of a [`Kind::Hello`].
pub(crate) const HELLO: &[u8] = b"roundel worker 2";

/// What a frame means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// From the worker, once: it is ready.
    Hello = 1,
    /// To the worker: a job.
    Job,
    /// From the worker: it begins the job now. A worker that dies before this has not begun the job.
    Begun,
    /// From the worker: the value that the job has returned.
    Done,
    /// From the worker: the error that the job has returned.
    Failed,
    /// From the worker: the message of the panic in the job.
    Panicked,
    /// From the worker: it has no job of that name. The body lists the names of the jobs that it has.
    Unknown,
}

const KINDS: [Kind; 7] =
    [Kind::Hello, Kind::Job, Kind::Begun, Kind::Done, Kind::Failed, Kind::Panicked, Kind::Unknown];

/// A whole frame. Its body is these parts, one after the other.
pub(crate) fn frame(kind: Kind, parts: &[&[u8]]) -> io::Result<Vec<u8>> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    if length > MOST {
        let reason =
            format!("{length} bytes are too many for one message to or from a worker: the most is {MOST}");
        return Err(io::Error::new(ErrorKind::InvalidInput, reason));
    }
    let mut bytes = Vec::with_capacity(HEAD + length);
    bytes.extend_from_slice(&(length as u32).to_le_bytes());
    bytes.push(kind as u8);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    Ok(bytes)
}

/// The kind of a frame and the length of its body, from the bytes before the body.
pub(crate) fn head([a, b, c, d, kind]: [u8; HEAD]) -> io::Result<(Kind, usize)> {
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    match KINDS.into_iter().find(|known| *known as u8 == kind) {
        Some(kind) if length <= MOST => Ok((kind, length)),
        _ => Err(corrupt(&format!("kind {kind}, length {length}"))),
    }
}

/// A job as a frame.
pub(crate) fn job(name: &str, input: &[u8]) -> io::Result<Vec<u8>> {
    let length = u16::try_from(name.len()).map_err(|_| {
        io::Error::new(ErrorKind::InvalidInput, "the name of a job is longer than 65,535 bytes")
    })?;
    frame(Kind::Job, &[&length.to_le_bytes(), name.as_bytes(), input])
}

/// The name and the input of a job, from its body.
pub(crate) fn parse_job(body: &[u8]) -> io::Result<(&str, &[u8])> {
    let parts = body.split_first_chunk::<2>().and_then(|(length, rest)| {
        let (name, input) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        Some((str::from_utf8(name).ok()?, input))
    });
    parts.ok_or_else(|| corrupt("a job without a name"))
}

fn corrupt(what: &str) -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        format!("a worker and its pool do not understand one another: {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_is_written_can_be_read() {
        let bytes = job("name", b"input").unwrap();
        let (first, body) = bytes.split_first_chunk().unwrap();
        assert_eq!(head(*first).unwrap(), (Kind::Job, body.len()));
        assert_eq!(parse_job(body).unwrap(), ("name", &b"input"[..]));
        for kind in KINDS {
            let bytes = frame(kind, &[]).unwrap();
            assert_eq!(head(bytes.try_into().unwrap()).unwrap(), (kind, 0));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for nonsense in
            [*b"\0\0\0\0\0", *b"\0\0\0\0\x08", *b"\xff\xff\xff\xff\x03", *b"\x01\0\0\x10\x03", *b"hello"]
        {
            assert_eq!(head(nonsense).unwrap_err().kind(), ErrorKind::InvalidData, "{nonsense:?}");
        }
        assert!(head(*b"\0\0\0\x10\x03").is_ok(), "a body of `MOST` bytes is allowed");
        for nonsense in [&b""[..], b"\x01", b"\x02\0a", b"\x01\0\xff"] {
            assert_eq!(parse_job(nonsense).unwrap_err().kind(), ErrorKind::InvalidData, "{nonsense:?}");
        }
        assert_eq!(job(&"x".repeat(65_536), b"").unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
