//! What a server says: the bytes that arrived, or "Hello, world!" over HTTP.
//!
//! Facts. A request may arrive in two pieces, and two requests in one. A runtime that lends its buffers to the kernel
//! writes only bytes that it owns.
//!
//! What follows. [`Talk`] is the state of one connection. It counts the empty lines that end requests, over all pieces,
//! and answers with that many copies of one response. All contenders share it, so the face-off measures no one's
//! parser.

use std::sync::LazyLock;

/// The most that every server reads at once, unless it has the buffers of its own runtime.
pub const BUFFER: usize = 16 << 10;
/// The buffer inside the `BufReader` of tokio, of smol's parts, of monoio and of compio. They offer no other default.
const THEIRS: usize = 8 << 10;
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";
/// No more requests than this arrive in one piece; the clients make sure of it.
const TOGETHER: usize = 256;
static RESPONSES: LazyLock<Vec<u8>> = LazyLock::new(|| RESPONSE.repeat(TOGETHER));
const END: &[u8] = b"\r\n\r\n";

/// The request for a hello.
pub const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: faceoff\r\nAccept: */*\r\n\r\n";

/// How many bytes answer one request.
pub const fn response_length() -> usize {
    RESPONSE.len()
}

/// What to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The bytes that arrived.
    Same,
    /// These bytes.
    Fixed(&'static [u8]),
}

impl Answer {
    pub fn bytes(self, input: &[u8]) -> &[u8] {
        match self {
            Answer::Same => input,
            Answer::Fixed(bytes) => bytes,
        }
    }
}

/// What the server of one connection says next.
#[derive(Clone, Copy, Debug)]
pub enum Talk {
    Echo,
    /// An echo whose server has the buffers that its runtime offers when a program names no size.
    ByDefault,
    /// An echo that passes on pieces of this many bytes, with no regard to messages.
    Told(usize, fn(&[u8])),
    /// How much of an empty line was at the end of the last piece.
    Hello(usize),
}

impl Talk {
    /// The talk of this name.
    pub fn named(name: &str) -> Talk {
        match name {
            "echo" => Talk::Echo,
            "by-default" => Talk::ByDefault,
            "hello" => Talk::Hello(0),
            other => panic!("no server talks `{other}`: echo, by-default, hello"),
        }
    }

    /// The size of a connection's own buffer.
    pub fn buffer(self) -> usize {
        if matches!(self, Talk::ByDefault) { THEIRS } else { BUFFER }
    }

    /// The answer to this piece.
    pub fn answer(&mut self, input: &[u8]) -> Answer {
        if let Talk::Told(length, hear) = self
            && input.len() == *length
        {
            hear(input);
        }
        let Talk::Hello(seen) = self else { return Answer::Same };
        let mut requests = 0;
        for &byte in input {
            *seen = if byte == END[*seen] { *seen + 1 } else { usize::from(byte == END[0]) };
            if *seen == END.len() {
                (requests, *seen) = (requests + 1, 0);
            }
        }
        Answer::Fixed(&RESPONSES[..requests * RESPONSE.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_over_pieces() {
        let mut talk = Talk::named("hello");
        let (begin, end) = REQUEST.split_at(REQUEST.len() - 2);
        assert_eq!(talk.answer(begin), Answer::Fixed(b""));
        let two = [end, REQUEST].concat();
        assert_eq!(talk.answer(&two).bytes(&two).len(), 2 * response_length());
        assert!(matches!(talk, Talk::Hello(0)));
    }

    #[test]
    fn all_have_equal_buffers_unless_each_has_its_own() {
        assert_eq!([Talk::Echo, Talk::ByDefault].map(Talk::buffer), [BUFFER, THEIRS]);
    }

    #[test]
    fn an_echo_is_what_came() {
        assert_eq!(Talk::Echo.answer(b"some").bytes(b"some"), b"some");
    }
}
