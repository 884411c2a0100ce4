//! A small HTTP client: it reuses connections, limits their number and the time for an answer, and returns errors as
//! values.
//!
//! Facts. A connection costs a round trip, and a server bears only so many. A connection whose answer was not read to
//! its end cannot be used again, because the next request would get the rest of that answer. The server may have closed
//! an idle connection.
//!
//! What follows. There is a [`Pool`] for each server. A connection is marked as used up when a request begins, and as
//! clean when its answer has been read. If a time limit or a cancel comes in between, the connection is not used again.
//! An idle connection is used only if the server has sent nothing on it since.
//!
//! What is not here: https, redirections, chunked answers, and a second try when the server closes a connection at the
//! very moment at which it is used.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use std::{fmt, io, str};

use roundel::sync::Pool;
use roundel::time;
use roundel_net::TcpStream;
use roundel_net::io::{ReadError, Reader};

/// The longest head of an answer, and the longest body.
const MOST_BYTES: usize = 4 << 20;

/// The server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200 for success.
    pub status: u16,
    /// The bytes after the head.
    pub body: Vec<u8>,
    keep_alive: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum FetchError {
    /// The address is not `http://HOST:PORT/TARGET`.
    NoUrl(String),
    /// No server accepts connections there.
    NoConnection(io::Error),
    /// There was no answer within this time.
    TimedOut(Duration),
    /// The answer has no end, or is too long.
    Broken(ReadError),
    /// The request could not be sent.
    NotSent(io::Error),
    /// The answer is not HTTP, or is of a kind that this client does not understand.
    NotUnderstood(&'static str),
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchError::NoUrl(url) => {
                write!(f, "{url:?} is not an address: it has to be http://HOST:PORT/TARGET")
            }
            FetchError::NoConnection(error) => write!(f, "no connection: {error}"),
            FetchError::TimedOut(limit) => write!(f, "no answer within {} ms", limit.as_millis()),
            FetchError::Broken(error) => write!(f, "the answer was cut off: {error}"),
            FetchError::NotSent(error) => write!(f, "the request was not sent: {error}"),
            FetchError::NotUnderstood(what) => write!(f, "the answer is not understood: {what}"),
        }
    }
}

impl std::error::Error for FetchError {}

/// Fetches pages. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    limit: usize,
    patience: Duration,
    servers: Rc<RefCell<BTreeMap<String, Pool<Connection>>>>,
    connected: Rc<Cell<usize>>,
}

impl Client {
    /// At most `limit` connections to each server, and at most ten seconds for an answer.
    ///
    /// # Panics
    ///
    /// At the first request, if `limit` is zero.
    #[must_use]
    pub fn new(limit: usize) -> Client {
        let patience = Duration::from_secs(10);
        Client { limit, patience, servers: Rc::default(), connected: Rc::default() }
    }

    /// Sets the time limit for an answer, including the wait for a connection.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Client {
        self.patience = patience;
        self
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.connected.get()
    }

    /// Fetches a page. The caller judges its status and what it says.
    ///
    /// # Errors
    ///
    /// If no whole answer arrives in time.
    pub async fn get(&self, url: &str) -> Result<Answer, FetchError> {
        let parts = url.strip_prefix("http://").and_then(|rest| rest.split_once('/'));
        let (host, target) = parts.ok_or_else(|| FetchError::NoUrl(url.into()))?;
        let answer = time::timeout(self.patience, self.ask(host, target)).await;
        answer.unwrap_or(Err(FetchError::TimedOut(self.patience)))
    }

    async fn ask(&self, host: &str, target: &str) -> Result<Answer, FetchError> {
        let pool = self.pool(host);
        let mut connection = pool.checkout().await.map_err(FetchError::NoConnection)?;
        connection.is_clean = false; // Until the answer has been read.
        let answer = connection.ask(host, target).await?;
        connection.is_clean = answer.keep_alive;
        Ok(answer)
    }

    fn pool(&self, host: &str) -> Pool<Connection> {
        let make = || {
            let (address, connected) = (host.to_owned(), Rc::clone(&self.connected));
            let connect = move || Connection::new(address.clone(), Rc::clone(&connected));
            Pool::new(self.limit, connect).check(Connection::is_usable)
        };
        self.servers.borrow_mut().entry(host.to_owned()).or_insert_with(make).clone()
    }
}

#[derive(Debug)]
struct Connection {
    reader: Reader<TcpStream>,
    /// The last answer was read to its end, and the server will keep the connection open.
    is_clean: bool,
}

impl Connection {
    async fn new(address: String, connected: Rc<Cell<usize>>) -> io::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        connected.set(connected.get() + 1);
        Ok(Connection { reader: Reader::new(stream).with_limit(MOST_BYTES), is_clean: true })
    }

    /// The server has sent nothing since, not even the end of the stream.
    fn is_usable(&mut self) -> bool {
        let says = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        self.is_clean && self.reader.get_ref().try_read(&mut [0]).is_err_and(says)
    }

    async fn ask(&mut self, host: &str, target: &str) -> Result<Answer, FetchError> {
        let request = format!("GET /{target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let sent = self.reader.get_ref().write_all(request.as_bytes()).await;
        sent.map_err(FetchError::NotSent)?;
        let head = self.reader.read_until(b"\r\n\r\n").await.map_err(FetchError::Broken)?;
        let (mut answer, length) = parse(head.unwrap_or_default())?;
        let body = self.reader.read_exact(length).await.map_err(FetchError::Broken)?;
        answer.body.extend_from_slice(body);
        Ok(answer)
    }
}

/// An answer without its body, and the length of that body.
fn parse(head: &[u8]) -> Result<(Answer, usize), FetchError> {
    let wrong = FetchError::NotUnderstood;
    let head = str::from_utf8(head).map_err(|_| wrong("its head is not text"))?;
    let mut lines = head.split("\r\n");
    let first = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 "));
    let status = first.and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    let status = status.ok_or(wrong("it does not begin with HTTP/1.1 and a status"))?;
    let (mut length, mut keep_alive) = (None, true);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            keep_alive = !value.trim().eq_ignore_ascii_case("close");
        }
    }
    let length = length.ok_or(wrong("it does not say how long its body is"))?;
    Ok((Answer { status, body: Vec::new(), keep_alive }, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(head: &str) -> Result<(u16, bool, usize), String> {
        let (answer, length) = parse(head.as_bytes()).map_err(|error| error.to_string())?;
        Ok((answer.status, answer.keep_alive, length))
    }

    #[test]
    fn a_head_says_how_it_goes_on() {
        let end = "\r\n\r\n";
        assert_eq!(parsed(&format!("HTTP/1.1 200 OK\r\nContent-Length: 5{end}")), Ok((200, true, 5)));
        let closes = format!("HTTP/1.1 503 \r\ncontent-length:0\r\nConnection: close{end}");
        assert_eq!(parsed(&closes), Ok((503, false, 0)));
        assert!(parsed(&format!("HTTP/1.1 200 OK{end}")).unwrap_err().ends_with("how long its body is"));
        assert!(parsed(&format!("hello{end}")).unwrap_err().contains("does not begin"));
        assert!(parsed("").unwrap_err().contains("does not begin"));
    }
}
