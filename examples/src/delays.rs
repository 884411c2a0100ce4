//! A server that gives the answer that the address asks for, after the time that it asks for. It is for programs that
//! need something to wait for.
//!
//! Facts. A program that fetches pages from strangers cannot be tested, and it bothers them. What matters about a page
//! is how long it takes, whether it fails, and what it contains; an address can say all three.
//!
//! Contract. `GET /anything?wait=100&status=503&text=busy&times=2` is answered after 100 ms with status 503 and
//! `busybusy`. Each part may be left out. The connection stays open for more requests. A request that the server does
//! not understand gets 400 and the reason.
//!
//! Within one process, [`DelayServer::start`] runs it as a task on its own port, also on a virtual clock.

use std::cell::Cell;
use std::fmt::Write;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use roundel::{JoinHandle, spawn, time};
use roundel_net::io::Reader;
use roundel_net::{TcpListener, TcpStream, serve};

use crate::http::{BAD_REQUEST, METHOD_NOT_ALLOWED, NOT_FOUND, OK, Status, parse};

/// The longest answer, in bytes.
const LONGEST: usize = 4 << 20;
const STATUSES: [Status; 6] = [
    OK,
    BAD_REQUEST,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    Status(500, "Internal Server Error"),
    Status(503, "Service Unavailable"),
];

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// How long to wait before the answer.
    pub wait: Duration,
    /// The status of the answer.
    pub status: Status,
    /// The body of the answer.
    pub body: String,
}

impl Order {
    /// Reads the target of a request.
    ///
    /// ```
    /// use examples::delays::Order;
    /// let order = Order::of("/page?wait=100&status=503&text=busy&times=2").unwrap();
    /// assert_eq!((order.wait.as_millis(), order.status.0, &*order.body), (100, 503, "busybusy"));
    /// assert!(Order::of("/page?wait=long").is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// What the server does not understand, and what it would understand.
    pub fn of(target: &str) -> Result<Order, String> {
        let (mut wait, mut code, mut text, mut times) = (0, 200, "hello\n", 1);
        let query = target.split_once('?').map_or("", |(_, query)| query);
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name {
                "wait" => wait = number(name, value)?,
                "status" => code = number(name, value)?,
                "text" => text = value,
                "times" => times = number(name, value)?,
                _ => return Err(format!("`{name}` is not one of wait, status, text and times\n")),
            }
        }
        let status = STATUSES.into_iter().find(|status| u64::from(status.0) == code);
        let status =
            status.ok_or(format!("status {code} is not one of 200, 400, 404, 405, 500 and 503\n"))?;
        let length = text.len().saturating_mul(times as usize);
        if length > LONGEST {
            return Err(format!("{length} bytes are too many: at most {LONGEST} are possible\n"));
        }
        Ok(Order { wait: Duration::from_millis(wait), status, body: text.repeat(times as usize) })
    }
}

fn number(name: &str, value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| format!("`{name}={value}` has to be a number\n"))
}

/// What the server has seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Connections that were accepted.
    pub connections: Cell<usize>,
    /// Requests that it has answered.
    pub requests: Cell<usize>,
    open: Cell<usize>,
    /// The largest number of connections that were open at the same time.
    pub most_open: Cell<usize>,
}

/// Counts a connection for as long as it is open.
struct Open<'a>(&'a Seen);

impl<'a> Open<'a> {
    fn count(seen: &'a Seen) -> Open<'a> {
        seen.connections.set(seen.connections.get() + 1);
        seen.open.set(seen.open.get() + 1);
        seen.most_open.set(seen.most_open.get().max(seen.open.get()));
        Open(seen)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

/// Answers the requests of one connection, one after the other.
async fn talk(stream: TcpStream, seen: Rc<Seen>) -> io::Result<()> {
    let _open = Open::count(&seen);
    stream.set_nodelay(true)?;
    let mut reader = Reader::new(&stream);
    loop {
        let Some((order, stays, used)) = understand(reader.buffered()) else {
            if reader.fill().await? == 0 {
                return Ok(());
            }
            continue;
        };
        reader.consume(used);
        time::sleep(order.wait).await;
        seen.requests.set(seen.requests.get() + 1);
        answer(&stream, &order, stays).await?;
        if !stays {
            return Ok(());
        }
    }
}

/// What to answer, whether the connection stays open, and how many bytes the request had. `None` if more bytes are
/// needed.
fn understand(bytes: &[u8]) -> Option<(Order, bool, usize)> {
    let (request, used) = match parse(bytes) {
        Ok(parsed) => parsed?,
        Err(status) => return Some((refusal(status, String::new()), false, 0)),
    };
    if request.method != "GET" || request.body > 0 {
        return Some((refusal(METHOD_NOT_ALLOWED, "Only GET is possible here.\n".into()), false, used));
    }
    let order = Order::of(request.target).unwrap_or_else(|why| refusal(BAD_REQUEST, why));
    Some((order, request.keep_alive, used))
}

fn refusal(status: Status, why: String) -> Order {
    Order { wait: Duration::ZERO, status, body: why }
}

async fn answer(stream: &TcpStream, order: &Order, stays: bool) -> io::Result<()> {
    let Order { status, body, .. } = order;
    let mut text =
        format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n", body.len());
    if !stays {
        text.push_str("Connection: close\r\n");
    }
    write!(text, "\r\n{body}").expect("a string has room");
    stream.write_all(text.as_bytes()).await
}

/// Serves until `until` is done.
///
/// # Errors
///
/// If the listener has failed for good.
pub async fn run(listener: TcpListener, seen: Rc<Seen>, until: impl Future<Output = ()>) -> io::Result<()> {
    let serving = serve(listener, move |stream| talk(stream, Rc::clone(&seen)));
    serving.grace(Duration::from_secs(1)).until(until).await.map(drop)
}

/// The server as a task of this process. It ends when this is dropped.
#[derive(Debug)]
pub struct DelayServer {
    address: SocketAddr,
    /// What it has seen.
    pub seen: Rc<Seen>,
    task: JoinHandle<io::Result<()>>,
}

impl DelayServer {
    /// Starts it on a free port.
    ///
    /// # Errors
    ///
    /// If no port can be had.
    pub async fn start() -> io::Result<DelayServer> {
        let (listener, seen) = (TcpListener::bind("127.0.0.1:0").await?, Rc::new(Seen::default()));
        let address = listener.local_addr()?;
        let task = spawn(run(listener, Rc::clone(&seen), std::future::pending()));
        Ok(DelayServer { address, seen, task })
    }

    /// The address of this target.
    #[must_use]
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }
}

impl Drop for DelayServer {
    fn drop(&mut self) {
        self.task.cancel();
    }
}
