//! One connection of `http_hello`: from the bytes that arrive to the bytes that go out. No I/O, no time.
//!
//! Contract. Requests are answered in the order in which they arrive, also when many arrive at once. After an answer
//! with `Connection: close`, nothing more is read. Bodies are discarded; the answer does not wait for them.
//!
//! Memory. Between two calls, this holds less of a request than the longest head, and nothing of a body. The answers to
//! the bytes of one call are up to twenty times as long as those bytes; the caller must send them before it reads more.

use std::io::Write;

use crate::http::{CONTENT_TOO_LARGE, METHOD_NOT_ALLOWED, NOT_FOUND, OK, Request, Status, parse};

/// The longest body that is read and discarded. Longer ones are refused.
const LONGEST_BODY: u64 = 1 << 20;

/// The bytes of a request that is not complete, and the answers to the complete ones.
#[derive(Debug, Default)]
pub struct Talk {
    input: Vec<u8>,
    /// This many of the next bytes belong to a body.
    body: usize,
    /// The bytes to send.
    pub output: Vec<u8>,
    /// Whether the connection ends after they have been sent.
    pub is_over: bool,
}

impl Talk {
    /// Answers every request whose head is complete, and returns how many those were. If `last`, the first of them is
    /// the last one.
    pub fn hear(&mut self, bytes: &[u8], last: bool) -> usize {
        self.input.extend_from_slice(bytes);
        let (mut used, mut answered) = (0, 0);
        while !self.is_over {
            let skipped = self.body.min(self.input.len() - used);
            (used, self.body) = (used + skipped, self.body - skipped);
            let (request, head) = match parse(&self.input[used..]) {
                Ok(None) => break,
                Ok(Some((request, _))) if request.body > LONGEST_BODY => {
                    return self.refuse(CONTENT_TOO_LARGE);
                }
                Ok(Some(parsed)) => parsed,
                Err(status) => return self.refuse(status),
            };
            // A client that gets its answer before it has sent the body may send it or not, so we cannot know what the
            // next bytes are.
            self.is_over = last || !request.keep_alive || request.expects_continue;
            answer(&request, !self.is_over, &mut self.output);
            (used, self.body, answered) = (used + head, request.body as usize, answered + 1);
        }
        self.input.drain(..used);
        answered
    }

    /// Says why nothing more will be answered. In the middle of a body it says nothing, because that request has had
    /// its answer.
    pub fn refuse(&mut self, status: Status) -> usize {
        self.is_over = true;
        if !self.input.is_empty() {
            write_head(status, 0, false, &mut self.output);
        }
        0
    }

    /// How many bytes are waiting for the rest of their request.
    #[must_use]
    pub fn held(&self) -> usize {
        self.input.len()
    }

    /// Whether everything that arrived has been answered.
    pub fn is_at_rest(&self) -> bool {
        self.input.is_empty() && self.body == 0
    }
}

fn answer(request: &Request<'_>, keep_alive: bool, output: &mut Vec<u8>) {
    let path = request.target.split('?').next();
    let (status, text) = match (path, request.method) {
        (Some("/"), "GET" | "HEAD") => (OK, "Hello from a single thread.\n"),
        (Some("/"), _) => (METHOD_NOT_ALLOWED, "Only GET and HEAD are possible here.\n"),
        _ => (NOT_FOUND, "There is nothing here. Try /.\n"),
    };
    write_head(status, text.len(), keep_alive, output);
    if request.method != "HEAD" {
        output.extend_from_slice(text.as_bytes());
    }
}

fn write_head(status: Status, length: usize, keep_alive: bool, output: &mut Vec<u8>) {
    let allow = if status == METHOD_NOT_ALLOWED { "Allow: GET, HEAD\r\n" } else { "" };
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let rest = format_args!("Content-Length: {length}\r\n{allow}Connection: {connection}\r\n\r\n");
    write!(output, "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n{rest}").expect("a vector has room");
}
