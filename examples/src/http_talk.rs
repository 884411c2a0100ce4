//! One connection of `http_hello`: from the bytes that came to the bytes that go out. No I/O, no time.
//!
//! Contract. Requests are answered in the order in which they came, also when many come at once. After an answer that says
//! `Connection: close`, nothing more is read. Bodies are thrown away; the answer does not wait for them.
//!
//! Memory. Between two calls there is less of a request here than a head may be long, and of a body nothing. The answers to
//! what came at once are up to twenty times as long as that was; whoever calls sends them before it reads on.

use std::io::Write;

use crate::http::{CONTENT_TOO_LARGE, METHOD_NOT_ALLOWED, NOT_FOUND, OK, Request, Status, parse};

/// Bodies are read and thrown away; longer ones are refused.
const LONGEST_BODY: u64 = 1 << 20;

/// What has come of a request that is not complete, and the answers to those that are.
#[derive(Debug, Default)]
pub struct Talk {
    input: Vec<u8>,
    /// So much of what comes next is a body.
    body: usize,
    /// What is to be sent.
    pub output: Vec<u8>,
    /// Whether the connection is to end when that has been sent.
    pub is_over: bool,
}

impl Talk {
    /// Answers every request whose head is complete; says how many those were. If `last`, the first of them is the last.
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
            // Who has an answer before it has sent its body may send it or not: then nobody knows what comes next.
            self.is_over = last || !request.keep_alive || request.expects_continue;
            answer(&request, !self.is_over, &mut self.output);
            (used, self.body, answered) = (used + head, request.body as usize, answered + 1);
        }
        self.input.drain(..used);
        answered
    }

    /// Says why nothing more will be answered. In the middle of a body there is nobody to say it to: its request has had
    /// its answer.
    pub fn refuse(&mut self, status: Status) -> usize {
        self.is_over = true;
        if !self.input.is_empty() {
            write_head(status, 0, false, &mut self.output);
        }
        0
    }

    /// How many bytes wait for the rest of their request.
    #[must_use]
    pub fn held(&self) -> usize {
        self.input.len()
    }

    /// Whether everything that has come has been answered.
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
