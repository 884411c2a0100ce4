//! A server for HTTP/1 and HTTP/2.
//!
//! Facts. A client of HTTP/2 begins with 24 bytes that no request of HTTP/1 begins with. A client may stay silent, or send
//! its head a byte at a time. When a server ends, a connection of HTTP/1 that waits for its next request can be closed at
//! once; one of HTTP/2 must first tell its client to begin no more requests.
//!
//! What follows. The first bytes decide which of the two is spoken, and `hyper` then gets them, too. The time for a head
//! is limited. When the server begins to end, each connection gets `hyper`'s own graceful end; what is left when the
//! grace period is over is cancelled, with its requests.
//!
//! What it does not know: TLS, and what is served.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::hyper::body::{Body, Incoming};
use ::hyper::server::conn::{http1, http2};
use ::hyper::service::Service;
use ::hyper::{Request, Response};
use futures_io::{AsyncRead, AsyncWrite};
use roundel::time;

use super::clock::Timer;
use super::io::Io;
use super::spawn::Requests;
use crate::io::{Buffers, Lent};
use crate::serve::{Accept, Guest, Handler, Serve};

/// How a client of HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How much is read at first. Nearly all heads fit.
const MOST_EARLY: usize = 8 << 10;
/// How long a client has for the head of a request, unless the program sets another time.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves HTTP/1 and HTTP/2. Each connection gets a clone of the service.
///
/// It returns a [`Serve`], so it has the limits, the graceful end and the reports of [`serve`](crate::serve()). The errors
/// are those of `hyper`, inside of an [`io::Error`]. `nodelay` is set.
///
/// ```
/// use hyper::{Request, Response, body::Incoming, service::service_fn};
/// use roundel_net::hyper::serve_http;
/// use roundel_net::{TcpListener, TcpStream};
/// use std::convert::Infallible;
///
/// async fn hello(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
///     Ok(Response::new(format!("hello from {}", request.uri().path())))
/// }
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let address = listener.local_addr()?;
///     let client = async move {
///         let stream = TcpStream::connect(address).await.unwrap();
///         stream.write_all(b"GET /here HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
///         let mut answer = Vec::new();
///         stream.read_to_end(&mut answer).await.unwrap();
///         assert!(answer.ends_with(b"\r\n\r\nhello from /here"));
///     };
///     let served = serve_http(listener, service_fn(hello)).until(client).await?;
///     assert_eq!((served.accepted, served.failed), (1, 0));
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub fn serve_http<L, S, B>(listener: L, service: S) -> Serve<L, Http<S>>
where
    L: Accept<Stream: AsyncRead + AsyncWrite + Unpin>,
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<Failure>, Future: 'static>,
    S: Clone + 'static,
    B: Body<Error: Into<Failure>> + 'static,
{
    Serve::new(listener, Http::new(service)).nodelay(true)
}

type Failure = Box<dyn Error + Send + Sync>;

type SetHttp2 = Box<dyn Fn(&mut http2::Builder<Requests>)>;

/// The handler of [`serve_http`].
pub struct Http<S> {
    service: S,
    http1: http1::Builder,
    /// Called for each connection, because each has requests of its own.
    http2: SetHttp2,
    /// How long a client may take for its first bytes. `hyper` has the same time for the rest of each head.
    header_timeout: Option<Duration>,
}

impl<S> Http<S> {
    fn new(service: S) -> Http<S> {
        let mut http1 = http1::Builder::new();
        http1.timer(Timer).header_read_timeout(HEADER_TIMEOUT);
        Http { service, http1, http2: Box::new(|_| {}), header_timeout: Some(HEADER_TIMEOUT) }
    }
}

impl<L, S, U> Serve<L, Http<S>, U> {
    /// How long a client may take for its first bytes, and after them for the head of each request of HTTP/1. A connection
    /// that waits for its next request counts as one whose client takes long. The default is 30 seconds; with `None`, a
    /// client may take for ever. Connections of HTTP/2 that are silent end by [`idle_timeout`](Serve::idle_timeout).
    pub fn header_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        let timeout = timeout.into();
        self.handler.header_timeout = timeout;
        self.handler.http1.header_read_timeout(timeout);
        self
    }

    /// Sets options of HTTP/1, for example how many headers a request may have. `hyper` explains them.
    pub fn http1(mut self, set: impl FnOnce(&mut http1::Builder)) -> Self {
        set(&mut self.handler.http1);
        self
    }

    /// Sets options of HTTP/2, for example how many requests of a connection may be under way. `hyper` explains them.
    pub fn http2(mut self, set: impl Fn(&mut http2::Builder<Requests>) + 'static) -> Self {
        self.handler.http2 = Box::new(set);
        self
    }
}

impl<T, S, B> Handler<T> for Http<S>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<Failure>, Future: 'static>,
    S: Clone + 'static,
    B: Body<Error: Into<Failure>> + 'static,
{
    type Beside = Guest;
    type Output = io::Result<()>;

    fn beside(&self, guest: Guest) -> Guest {
        guest
    }

    async fn handle(&self, mut stream: T, guest: Guest) -> io::Result<()> {
        // Which version it is. A client that says nothing until the server stops has nothing to lose.
        let Ok(begun) = guest.run(self.begin(&mut stream)).await else { return Ok(()) };
        let Some(early) = begun? else { return Ok(()) };
        // Speak it until the client or the server ends.
        let is_http2 = early.starts_with(PREFACE);
        let (io, service) = (Io::after(stream, early), self.service.clone());
        if is_http2 {
            let requests = Requests::default();
            // If this handler is cancelled, so are the requests.
            let _cancel = requests.cancel_on_drop();
            let mut builder = http2::Builder::new(requests);
            (self.http2)(builder.timer(Timer));
            speak(builder.serve_connection(io, service), &guest).await
        } else {
            speak(self.http1.serve_connection(io, service), &guest).await
        }
    }
}

impl<S> Http<S> {
    /// The first bytes of a client, as many as are needed to know the version. `None` if it leaves without a word.
    async fn begin<T: AsyncRead + Unpin>(&self, stream: &mut T) -> io::Result<Option<Vec<u8>>> {
        let first = first_bytes(stream);
        match self.header_timeout {
            None => first.await,
            Some(limit) => time::timeout(limit, first).await.unwrap_or_else(|_| Err(too_slow(limit))),
        }
    }
}

fn too_slow(limit: Duration) -> io::Error {
    let text = format!("the client sent no head of a request within {limit:?}: the connection was closed");
    io::Error::new(io::ErrorKind::TimedOut, text)
}

async fn first_bytes<T: AsyncRead + Unpin>(stream: &mut T) -> io::Result<Option<Vec<u8>>> {
    let buffers = Buffers::of_thread();
    let mut early = Vec::new();
    loop {
        let count = poll_fn(|cx| poll_append(stream, cx, &buffers, &mut early)).await?;
        // Enough bytes, or one that is not of the preface. If the client ends too early, HTTP/1 says so.
        let known = early.len().min(PREFACE.len());
        if count == 0 || known == PREFACE.len() || early[..known] != PREFACE[..known] {
            return Ok((!early.is_empty()).then_some(early));
        }
    }
}

/// Reads into a buffer of the thread, and appends what came.
fn poll_append<T: AsyncRead + Unpin>(
    stream: &mut T,
    cx: &mut Context<'_>,
    buffers: &Buffers,
    early: &mut Vec<u8>,
) -> Poll<io::Result<usize>> {
    let mut lent = Lent::new(Some(buffers));
    let room = lent.size().min(MOST_EARLY);
    let count = ready!(Pin::new(stream).poll_read(cx, &mut lent.room()[..room]))?;
    early.extend_from_slice(&lent.room()[..count]);
    Poll::Ready(Ok(count))
}

/// A connection of either version.
trait Connection: Future<Output = ::hyper::Result<()>> {
    /// Answers what is under way, and then ends.
    fn end(self: Pin<&mut Self>);
}

impl<T, S, B> Connection for http1::Connection<Io<T>, S>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<Failure>>,
    B: Body<Error: Into<Failure>> + 'static,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<T, S, B> Connection for http2::Connection<Io<T>, S, Requests>
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<Failure>, Future: 'static>,
    B: Body<Error: Into<Failure>> + 'static,
{
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Polls a connection to its end, and begins that end when the server stops.
async fn speak(connection: impl Connection, guest: &Guest) -> io::Result<()> {
    let (mut connection, mut stopping) = (pin!(connection), pin!(guest.stopping()));
    let mut is_told = false;
    let ended = poll_fn(|cx| {
        if !is_told && stopping.as_mut().poll(cx).is_ready() {
            is_told = true;
            connection.as_mut().end();
        }
        connection.as_mut().poll(cx)
    });
    ended.await.map_err(io::Error::other)
}

impl<S> fmt::Debug for Http<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("header_timeout", &self.header_timeout).finish_non_exhaustive()
    }
}
