//! The head of an HTTP/1 request: from bytes to a [`Request`], or to the [`Status`] that refuses it.
//!
//! Facts. If a server reads a message differently from the proxy in front of it, an attacker can make one of them take
//! the end of one request for the beginning of another ("request smuggling"). Such differences come from lenient
//! parsers.
//!
//! What follows. Wherever RFC 9112 leaves a choice, [`parse`] is strict:
//!
//! - A line ends with CR LF. A single CR or LF is an error (400). So is any other control character, except tabs in
//!   values: binary noise then fails at its first line.
//! - One empty line before a request is skipped, because old clients sent one after each body.
//! - A line that begins with a space would continue the line before it: 400. A space before the colon is an error, too.
//! - `Content-Length` is digits, and appears at most once. Together with `Transfer-Encoding` it is refused (400).
//! - `Transfer-Encoding` is not implemented (501). In HTTP/1.0, which does not have it, it is an error (400).
//! - HTTP/1.1 needs exactly one `Host` (400).
//!
//! Contract. `parse` is a pure function. It never panics and allocates nothing. Its answer depends on the bytes alone,
//! not on how they were split on their way: for any part of the bytes it says either "more is needed" or the same as
//! for all of them. It reads no further than [`MOST_BYTES`].
//!
//! What it does not know: connections, time, and bodies. It only tells how long a body is.

use std::fmt;

/// A longer head is refused.
pub const MOST_BYTES: usize = 8 << 10;
/// More header lines than this are refused.
pub const MOST_HEADERS: usize = 64;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// `GET`; upper and lower case differ.
    pub method: &'a str,
    /// `/index.html?page=1`, exactly as the client sent it.
    pub target: &'a str,
    /// How many bytes of a body follow the head.
    pub body: u64,
    /// Whether the client may send another request on this connection.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// 0 for HTTP/1.0.
    pub minor_version: u8,
}

/// The beginning of an answer: its number, and its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(pub u16, pub &'static str);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.1)
    }
}

/// All is well.
pub const OK: Status = Status(200, "OK");
/// The bytes are no request.
pub const BAD_REQUEST: Status = Status(400, "Bad Request");
/// There is nothing at this target.
pub const NOT_FOUND: Status = Status(404, "Not Found");
/// The target exists, but does not support this method.
pub const METHOD_NOT_ALLOWED: Status = Status(405, "Method Not Allowed");
/// The request did not arrive in time.
pub const REQUEST_TIMEOUT: Status = Status(408, "Request Timeout");
/// The body is too long.
pub const CONTENT_TOO_LARGE: Status = Status(413, "Content Too Large");
/// The first line is too long.
pub const URI_TOO_LONG: Status = Status(414, "URI Too Long");
/// There are too many header lines, or they are too long.
pub const HEADERS_TOO_LARGE: Status = Status(431, "Request Header Fields Too Large");
/// The body is encoded in a way that this server does not understand.
pub const NOT_IMPLEMENTED: Status = Status(501, "Not Implemented");
/// Neither HTTP/1.0 nor HTTP/1.1.
pub const VERSION_NOT_SUPPORTED: Status = Status(505, "HTTP Version Not Supported");

/// The request at the beginning of `bytes`, and how many of them its head takes; `None` if more are needed.
///
/// ```
/// use examples::http::{BAD_REQUEST, parse};
///
/// let bytes = b"GET / HTTP/1.1\r\nHost: me\r\n\r\nGET /ne";
/// let (request, used) = parse(bytes).unwrap().unwrap();
/// assert_eq!((request.method, request.target), ("GET", "/"));
/// assert_eq!(parse(&bytes[used..]), Ok(None));
/// assert_eq!(parse(b"hello\r\n"), Err(BAD_REQUEST));
/// ```
///
/// # Errors
///
/// The status that refuses the request. The rest of the connection cannot be understood any more.
pub fn parse(bytes: &[u8]) -> Result<Option<(Request<'_>, usize)>, Status> {
    let mut lines = Lines { rest: &bytes[..bytes.len().min(MOST_BYTES)], whole: bytes.len() <= MOST_BYTES };
    let first = match lines.next(URI_TOO_LONG)? {
        Some(b"") => lines.next(URI_TOO_LONG)?,
        first => first,
    };
    let Some(first) = first else { return Ok(None) };
    let mut head = Head::new(parse_first(first)?);
    loop {
        match lines.next(HEADERS_TOO_LARGE)? {
            None => return Ok(None),
            Some(b"") => {
                let used = bytes.len().min(MOST_BYTES) - lines.rest.len();
                return Ok(Some((head.finish()?, used)));
            }
            Some(line) => head.add(line)?,
        }
    }
}

/// The lines of a head, as far as they have arrived.
struct Lines<'a> {
    rest: &'a [u8],
    /// Whether these bytes are all that has arrived, and not just all that is allowed.
    whole: bool,
}

impl<'a> Lines<'a> {
    /// The next line, without its end. If there is none and no more bytes are allowed, the error is `too_long`.
    fn next(&mut self, too_long: Status) -> Result<Option<&'a [u8]>, Status> {
        let end = self.rest.iter().position(|byte| *byte < b' ' && *byte != b'\t' || *byte == 0x7f);
        match end.map(|end| (end, &self.rest[end..])) {
            None | Some((_, [b'\r'])) if self.whole => Ok(None),
            None | Some((_, [b'\r'])) => Err(too_long),
            Some((end, [b'\r', b'\n', rest @ ..])) => {
                let line = &self.rest[..end];
                self.rest = rest;
                Ok(Some(line))
            }
            Some(_) => Err(BAD_REQUEST),
        }
    }
}

/// `GET / HTTP/1.1`
fn parse_first(line: &[u8]) -> Result<Request<'_>, Status> {
    let line = std::str::from_utf8(line).map_err(|_| BAD_REQUEST)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(BAD_REQUEST);
    };
    let is_target = !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_token(method.as_bytes()) || !is_target {
        return Err(BAD_REQUEST);
    }
    let minor_version = match version.strip_prefix("HTTP/").map(str::as_bytes) {
        Some([b'1', b'.', minor @ b'0'..=b'9']) => minor - b'0',
        Some([b'0'..=b'9', b'.', b'0'..=b'9']) => return Err(VERSION_NOT_SUPPORTED),
        _ => return Err(BAD_REQUEST),
    };
    let keep_alive = minor_version > 0;
    Ok(Request { method, target, body: 0, keep_alive, expects_continue: false, minor_version })
}

/// The characters of names, by RFC 9110.
fn is_token(name: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !name.is_empty() && name.iter().all(is_allowed)
}

/// What the header lines have said so far.
struct Head<'a> {
    request: Request<'a>,
    headers: usize,
    hosts: usize,
    length: Option<u64>,
    has_coding: bool,
    closes: bool,
    stays: bool,
}

impl<'a> Head<'a> {
    fn new(request: Request<'a>) -> Head<'a> {
        let (closes, stays, has_coding) = (false, false, false);
        Head { request, headers: 0, hosts: 0, length: None, has_coding, closes, stays }
    }

    /// `Host: example.org`
    fn add(&mut self, line: &[u8]) -> Result<(), Status> {
        self.headers += 1;
        if self.headers > MOST_HEADERS {
            return Err(HEADERS_TOO_LARGE);
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or(BAD_REQUEST)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if !is_token(name) {
            return Err(BAD_REQUEST); // A line that begins with a space is refused here, too.
        }
        if name.eq_ignore_ascii_case(b"host") {
            self.hosts += 1;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let before = self.length.replace(parse_length(value)?);
            return before.map_or(Ok(()), |_| Err(BAD_REQUEST));
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.has_coding = true;
        } else if name.eq_ignore_ascii_case(b"connection") {
            let mut options = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            self.closes |= options.clone().any(|option| option.eq_ignore_ascii_case(b"close"));
            self.stays |= options.any(|option| option.eq_ignore_ascii_case(b"keep-alive"));
        } else if name.eq_ignore_ascii_case(b"expect") {
            self.request.expects_continue |= value.eq_ignore_ascii_case(b"100-continue");
        }
        Ok(())
    }

    /// All lines are there: do they agree?
    fn finish(self) -> Result<Request<'a>, Status> {
        let is_old = self.request.minor_version == 0;
        if self.has_coding && (self.length.is_some() || is_old) {
            return Err(BAD_REQUEST);
        }
        if self.hosts > 1 || self.hosts == 0 && !is_old {
            return Err(BAD_REQUEST);
        }
        if self.has_coding {
            return Err(NOT_IMPLEMENTED);
        }
        let keep_alive = !self.closes && (!is_old || self.stays);
        Ok(Request { body: self.length.unwrap_or(0), keep_alive, ..self.request })
    }
}

/// Digits, and few enough of them to fit the number.
fn parse_length(value: &[u8]) -> Result<u64, Status> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(BAD_REQUEST);
    }
    Ok(value.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}
