//! What a server says: the bytes that came, or "Hello, world!" over HTTP.
//!
//! Facts. A request may come in two pieces, and two requests in one. Runtimes that lend their buffers to the kernel write
//! what they own.
//!
//! What follows. [`Talk`] is one connection's state. It counts the empty lines that end requests, over all pieces, and
//! answers with so many copies of one response. The same for every contender, so nobody's parser is measured.

use std::sync::LazyLock;

/// As much as every server reads at once.
pub const BUFFER: usize = 16 << 10;
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";
/// No more requests than this come in one piece; the clients see to it.
const TOGETHER: usize = 256;
static RESPONSES: LazyLock<Vec<u8>> = LazyLock::new(|| RESPONSE.repeat(TOGETHER));
const END: &[u8] = b"\r\n\r\n";

/// What the clients ask of a server that says hello.
pub const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: faceoff\r\nAccept: */*\r\n\r\n";

/// How many bytes answer one request.
pub const fn response_length() -> usize {
    RESPONSE.len()
}

/// What is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The bytes that came.
    Same,
    /// These.
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

/// What one connection's server says next.
#[derive(Clone, Copy, Debug)]
pub enum Talk {
    Echo,
    /// An echo that passes on what it is told: pieces of so many bytes, which no message has.
    Told(usize, fn(&[u8])),
    /// How much of an empty line the last piece ended with.
    Hello(usize),
}

impl Talk {
    /// The talk of this name.
    pub fn named(name: &str) -> Talk {
        match name {
            "echo" => Talk::Echo,
            "hello" => Talk::Hello(0),
            other => panic!("no server talks `{other}`: echo, hello"),
        }
    }

    /// What to answer to this piece.
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
    fn an_echo_is_what_came() {
        assert_eq!(Talk::Echo.answer(b"some").bytes(b"some"), b"some");
    }
}
