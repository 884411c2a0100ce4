//! The server for HTTP, and what `hyper` needs of a loop. The clients are written by hand, from the two protocols: they
//! share no code with the server.

#![forbid(unsafe_code)]
#![cfg(not(miri))]

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use roundel::channel::oneshot;
use roundel::testing::settle;
use roundel::{JoinHandle, spawn, time};
use roundel_net::hyper::{Http, Io, serve_http};
use roundel_net::io::Reader;
use roundel_net::serve::{Handler, Serve, Served};
use roundel_net::testing::{Duplex, Evil, duplex};
use roundel_net::{UnixListener, UnixStream};

use common::{really, virtually};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const GET: &[u8] = b"GET /one HTTP/1.1\r\nhost: x\r\n\r\n";
const SECOND: Duration = Duration::from_secs(1);

/// All bytes of a body.
async fn bytes(mut body: Incoming) -> Result<Vec<u8>, hyper::Error> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        bytes.extend_from_slice(&frame?.into_data().unwrap_or_default());
    }
    Ok(bytes)
}

/// Answers with the path and the body. What is under `/slow` takes a second.
async fn echo(request: Request<Incoming>) -> Result<Response<String>, hyper::Error> {
    let path = request.uri().path().to_owned();
    if path == "/slow" {
        time::sleep(SECOND).await;
    }
    let body = bytes(request.into_body()).await?;
    Ok(Response::new(format!("{path}:{}", String::from_utf8(body).unwrap())))
}

/// A listener at a path of its own.
fn listener() -> (UnixListener, PathBuf) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("roundel-hyper-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
    let path = std::env::temp_dir().join(name);
    (UnixListener::bind(&path).unwrap(), path)
}

/// A server that runs, and what stops it.
struct Fixture {
    path: PathBuf,
    server: JoinHandle<io::Result<Served>>,
    stop: roundel::channel::OneshotSender<()>,
    errors: Rc<RefCell<Vec<String>>>,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture::with(service_fn(echo), |server| server)
    }

    fn with<S>(
        service: S,
        set: impl FnOnce(Serve<UnixListener, Http<S>>) -> Serve<UnixListener, Http<S>>,
    ) -> Fixture
    where
        Http<S>: Handler<UnixStream, Output = io::Result<()>>,
        S: hyper::service::Service<Request<Incoming>, Response = Response<String>> + Clone + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (listener, path) = listener();
        let (stop, stopped) = oneshot();
        let errors = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::clone(&errors);
        let server = set(serve_http(listener, service))
            .on_error(move |_, error: &io::Error| told.borrow_mut().push(format!("{error:?}")))
            .until(stopped);
        Fixture { path, server: spawn(server.into_future()), stop, errors }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.unwrap()
    }

    async fn http1(&self) -> Client1 {
        Client1 { reader: Reader::new(self.connect().await) }
    }

    async fn http2(&self) -> Client2 {
        let client = Client2 { reader: Reader::new(self.connect().await) };
        client.send(PREFACE).await;
        client.send(&frame(SETTINGS, 0, 0, &[])).await;
        client
    }

    /// Stops the server. Returns what it has done, and how long its end took.
    async fn stop(self) -> (Served, Duration) {
        let start = time::now();
        self.stop.send(()).unwrap();
        let served = self.server.await.unwrap().unwrap();
        (served, time::now() - start)
    }
}

struct Client1 {
    reader: Reader<UnixStream>,
}

impl Client1 {
    async fn send(&self, bytes: &[u8]) {
        self.reader.get_ref().write_all(bytes).await.unwrap();
    }

    /// The headers of an answer, in one line, and its body. `None` at the end.
    async fn answer(&mut self) -> Option<(String, String)> {
        let head = self.reader.read_until(b"\r\n\r\n").await.unwrap()?.to_vec();
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let body = self.reader.read_exact(length.unwrap().parse().unwrap()).await.unwrap();
        Some((head, String::from_utf8(body.to_vec()).unwrap()))
    }

    async fn is_closed(&mut self) -> bool {
        matches!(self.reader.fill().await, Ok(0))
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

struct Client2 {
    reader: Reader<UnixStream>,
}

impl Client2 {
    async fn send(&self, bytes: &[u8]) {
        self.reader.get_ref().write_all(bytes).await.unwrap();
    }

    /// `GET /` of the host `x`, as HPACK writes it.
    async fn get(&self, stream: u32) {
        self.send(&frame(HEADERS, END_STREAM | END_HEADERS, stream, &[0x82, 0x86, 0x84, 0x41, 1, b'x']))
            .await;
    }

    /// The next frame: its kind, flags, stream and payload. Settings and pings are answered. `None` at the end.
    async fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let head = self.reader.read_exact(9).await.ok()?.to_vec();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let payload = self.reader.read_exact(length as usize).await.unwrap().to_vec();
        let (kind, flags) = (head[3], head[4]);
        if flags & ACK == 0 && kind == SETTINGS {
            self.send(&frame(SETTINGS, ACK, 0, &[])).await;
        } else if flags & ACK == 0 && kind == PING {
            self.send(&frame(PING, ACK, 0, &payload)).await;
        }
        Some((kind, flags, u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
    }

    /// The body of the answer.
    async fn answer(&mut self, wanted: u32) -> String {
        let mut body = Vec::new();
        loop {
            let (kind, flags, stream, payload) = self.next().await.expect("an answer");
            match kind {
                // `:status: 200` comes first.
                HEADERS if stream == wanted => assert_eq!(payload[0], 0x88),
                DATA if stream == wanted => body.extend(payload),
                _ => continue,
            }
            if flags & END_STREAM != 0 {
                return String::from_utf8(body).unwrap();
            }
        }
    }
}

#[test]
fn both_versions_are_answered_at_one_address() {
    virtually(async |_| {
        let fixture = Fixture::new();
        let mut one = fixture.http1().await;
        one.send(GET).await;
        assert_eq!(one.answer().await.unwrap().1, "/one:");
        one.send(b"POST /two HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody").await;
        assert_eq!(one.answer().await.unwrap().1, "/two:body");
        let mut two = fixture.http2().await;
        for stream in [1, 3, 5] {
            two.get(stream).await;
            assert_eq!(two.answer(stream).await, "/:");
        }
        drop(one);
        spawn(async move { while two.next().await.is_some() {} }).detach();
        let errors = Rc::clone(&fixture.errors);
        let (served, _) = fixture.stop().await;
        assert_eq!((served.accepted, served.failed, served.cut_off), (2, 0, 0), "{:?}", errors.borrow());
    });
}

#[test]
fn the_first_bytes_may_come_one_by_one() {
    virtually(async |_| {
        let fixture = Fixture::new();
        // Both begin with the same byte.
        let mut one = fixture.http1().await;
        for byte in b"PUT /put HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n" {
            one.send(&[*byte]).await;
            time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(one.answer().await.unwrap().1, "/put:");
        let mut two = Client2 { reader: Reader::new(fixture.connect().await) };
        for byte in PREFACE.iter().chain(&frame(SETTINGS, 0, 0, &[])) {
            two.send(&[*byte]).await;
            time::sleep(Duration::from_millis(1)).await;
        }
        two.get(1).await;
        assert_eq!(two.answer(1).await, "/:");
    });
}

#[test]
fn a_body_of_a_megabyte_goes_both_ways_unchanged() {
    really(async |_| {
        let fixture = Fixture::new();
        let mut client = fixture.http1().await;
        let body: String = (0..200_000).map(|number| format!("{number:05}")).collect();
        let head = format!("POST /big HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
        client.send(head.as_bytes()).await;
        client.send(body.as_bytes()).await;
        client.reader = client.reader.with_limit(2 << 20);
        assert!(client.answer().await.unwrap().1 == format!("/big:{body}"));
    });
}

#[test]
fn a_client_that_sends_no_head_is_closed_in_time() {
    virtually(async |_| {
        for (sent, limit) in [(&b""[..], 1), (b"P", 1), (b"GET / HTTP/1.1\r\nhos", 1), (b"", 30)] {
            let fixture = Fixture::with(service_fn(echo), |server| {
                if limit == 30 { server } else { server.header_timeout(SECOND * limit) }
            });
            let (mut client, start) = (fixture.http1().await, time::now());
            client.send(sent).await;
            assert!(client.is_closed().await);
            assert_eq!((time::now() - start).as_secs(), u64::from(limit), "{sent:?}");
            assert_eq!(fixture.errors.borrow().len(), 1, "{sent:?}");
        }
    });
}

#[test]
fn without_a_header_timeout_a_client_may_take_for_ever() {
    virtually(async |_| {
        let fixture = Fixture::with(service_fn(echo), |server| server.header_timeout(None));
        let mut client = fixture.http1().await;
        for part in GET.chunks(10) {
            time::sleep(1000 * SECOND).await;
            client.send(part).await;
        }
        assert_eq!(client.answer().await.unwrap().1, "/one:");
    });
}

#[test]
fn options_of_each_version_are_hypers() {
    virtually(async |_| {
        let fixture = Fixture::with(service_fn(echo), |server| {
            let server = server.http1(|http1| {
                http1.keep_alive(false);
            });
            server.http2(|http2| {
                http2.max_concurrent_streams(7);
            })
        });
        let mut one = fixture.http1().await;
        one.send(GET).await;
        assert_eq!(one.answer().await.unwrap().1, "/one:");
        assert!(one.is_closed().await);
        // The setting 3 is the number of streams.
        let (kind, _, _, settings) = fixture.http2().await.next().await.unwrap();
        assert_eq!(kind, SETTINGS);
        assert!(settings.chunks(6).any(|setting| setting == [0, 3, 0, 0, 0, 7]), "{settings:?}");
    });
}

#[test]
fn idle_connections_of_both_versions_do_not_hold_up_the_end() {
    virtually(async |_| {
        let fixture = Fixture::new();
        let (mut silent, mut one, mut two) =
            (fixture.http1().await, fixture.http1().await, fixture.http2().await);
        one.send(GET).await;
        one.answer().await.unwrap();
        two.get(1).await;
        two.answer(1).await;
        // It answers the last ping of the server.
        let leaving = spawn(async move {
            let mut told = false;
            while let Some((kind, ..)) = two.next().await {
                told |= kind == GO_AWAY;
            }
            told
        });
        let (served, took) = fixture.stop().await;
        assert_eq!((took, served.cut_off, served.failed), (Duration::ZERO, 0, 0));
        assert!(leaving.await.unwrap() && one.is_closed().await && silent.is_closed().await);
    });
}

#[test]
fn a_request_under_way_is_answered_before_the_end() {
    virtually(async |_| {
        let fixture = Fixture::new();
        let mut client = fixture.http1().await;
        client.send(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
        settle().await;
        let (served, took) = fixture.stop().await;
        assert_eq!((took, served.cut_off), (SECOND, 0));
        let (head, body) = client.answer().await.unwrap();
        assert!(head.contains("connection: close") && body == "/slow:", "{head}");
        assert!(client.is_closed().await);
    });
}

/// Counts how often it was dropped.
struct Counted(Rc<Cell<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// A server that never answers, with three seconds of grace. It has one request of HTTP/1 and three of HTTP/2, and counts
/// those that are dropped. (The service holds an `Rc`, so this also shows that it need not be `Send`.)
async fn four_requests() -> (Fixture, Rc<Cell<usize>>, (Client1, Client2)) {
    let dropped = Rc::<Cell<usize>>::default();
    let counter = Rc::clone(&dropped);
    let never = service_fn(move |_: Request<Incoming>| {
        let counted = Counted(Rc::clone(&counter));
        async move {
            pending::<()>().await;
            drop(counted);
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let fixture = Fixture::with(never, |server| server.grace(3 * SECOND));
    let (one, two) = (fixture.http1().await, fixture.http2().await);
    one.send(GET).await;
    for stream in [1, 3, 5] {
        two.get(stream).await;
    }
    settle().await;
    assert_eq!(dropped.get(), 0);
    (fixture, dropped, (one, two))
}

#[test]
fn a_server_that_is_dropped_leaves_no_request() {
    virtually(async |_| {
        let (fixture, dropped, _clients) = four_requests().await;
        fixture.server.cancel();
        assert_eq!(dropped.get(), 4, "at once, without another turn of the loop");
    });
}

#[test]
fn requests_that_outlast_the_grace_are_cancelled_with_their_connection() {
    virtually(async |_| {
        let (fixture, dropped, _clients) = four_requests().await;
        let tasks = roundel::task::count();
        let (served, took) = fixture.stop().await;
        assert_eq!((took, served.cut_off, dropped.get()), (3 * SECOND, 2, 4));
        // The server, two connections, and three requests have ended.
        assert_eq!(roundel::task::count(), tasks - 6);
    });
}

#[test]
fn a_client_that_leaves_takes_its_requests_with_it() {
    virtually(async |_| {
        let fixture = Fixture::new();
        let (one, two) = (fixture.http1().await, fixture.http2().await);
        settle().await;
        let before = roundel::task::count();
        one.send(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
        two.get(1).await;
        drop((one, two));
        time::sleep(2 * SECOND).await;
        assert_eq!(roundel::task::count(), before - 2);
    });
}

#[test]
fn an_error_of_the_service_is_reported() {
    virtually(async |_| {
        let fails = async |_: Request<Incoming>| Err::<Response<String>, _>("it broke");
        let fixture = Fixture::with(service_fn(fails), |server| server);
        let mut client = fixture.http1().await;
        client.send(GET).await;
        assert!(client.is_closed().await);
        let errors = Rc::clone(&fixture.errors);
        let (served, _) = fixture.stop().await;
        assert_eq!(served.failed, 1);
        assert!(errors.borrow()[0].contains("it broke"), "{errors:?}");
    });
}

#[test]
fn whatever_pieces_a_stream_comes_in_the_answers_are_the_same() {
    virtually(async |_| {
        for seed in 0..50 {
            let (client, server) = duplex(100);
            let io = Io::new(Evil::new(server, seed));
            let serving = spawn(http1::Builder::new().serve_connection(io, service_fn(echo)));
            // The last request ends the connection.
            let requests = [
                GET,
                b"POST /two HTTP/1.1\r\nconnection: close\r\ncontent-length: 300\r\n\r\n",
                &[b'b'; 300],
            ];
            let (sent, got) =
                roundel::group::join!(roundel_net::io::copy(&requests.concat()[..], &client), async {
                    let mut got = Vec::new();
                    roundel_net::io::copy(&client, &mut got).await.unwrap();
                    String::from_utf8(got).unwrap()
                });
            sent.unwrap();
            serving.await.unwrap().unwrap();
            assert_eq!(got.matches("HTTP/1.1 200 OK").count(), 2, "seed {seed}: {got}");
            assert!(got.contains("\r\n\r\n/one:HTTP/1.1 "), "seed {seed}: {got}");
            assert!(got.ends_with(&format!("/two:{}", "b".repeat(300))), "seed {seed}: {got}");
        }
    });
}

/// Notes how many buffers each write had.
struct Watched {
    inner: Duplex,
    writes: Rc<RefCell<Vec<usize>>>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_read(cx, room)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.borrow_mut().push(1);
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes.borrow_mut().push(parts.iter().filter(|part| !part.is_empty()).count());
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

#[test]
fn a_head_and_its_body_are_one_write_of_two_buffers() {
    virtually(async |_| {
        let (client, inner) = duplex(1 << 20);
        let writes = Rc::<RefCell<Vec<usize>>>::default();
        let io = Io::new(Watched { inner, writes: Rc::clone(&writes) });
        let large = async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new("x".repeat(100_000)));
        let serving = spawn(http1::Builder::new().keep_alive(false).serve_connection(io, service_fn(large)));
        roundel_net::io::copy(GET, &client).await.unwrap();
        let mut answer = Vec::new();
        roundel_net::io::copy(&client, &mut answer).await.unwrap();
        serving.await.unwrap().unwrap();
        assert!(answer.ends_with(&[b'x'; 100_000]));
        assert_eq!(*writes.borrow(), [2]);
    });
}
