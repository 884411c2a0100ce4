//! The budget of a poll, for every await of this crate: see `runtime/tests/budget.rs`.
//!
//! Each public future has a row below, which makes it ready again and again. If a future has no row, the test
//! `every_public_future_has_a_row` fails.

#![forbid(unsafe_code)]
#![allow(clippy::await_holding_refcell_ref, reason = "one task awaits, and nothing else borrows")]
#![allow(clippy::semicolon_if_nothing_returned, reason = "a row ends with what it awaits")]
#![cfg(not(miri))]

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{IoSlice, IoSliceMut};
use std::pin::Pin;

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
use roundel_net::io::{self, Reader};
use roundel_net::testing::{Evil, duplex};
use roundel_net::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream, lookup_host};
use testkit::fair::Row;
use testkit::row;

/// A stream whose other end has gone: every read returns the end.
async fn ended() -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    ours.readable().await.unwrap();
    ours
}

/// Two sockets that send to each other, with a datagram that can be peeked at again and again.
async fn letters() -> (UdpSocket, UdpSocket) {
    let (one, two) =
        (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
    one.connect(two.local_addr().unwrap()).await.unwrap();
    two.send_to(b"x", one.local_addr().unwrap()).await.unwrap();
    one.peek(&mut [0]).await.unwrap();
    (one, two)
}

/// A Unix socket with a datagram that is never received.
async fn news() -> (UnixDatagram, UnixDatagram) {
    let (one, two) = UnixDatagram::pair().unwrap();
    two.send(b"x").await.unwrap();
    (one, two)
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (ours, theirs) =
        roundel::group::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (ours, theirs) = (ours.unwrap(), theirs.unwrap().0);
    theirs.write_all(b"x").await.unwrap();
    ours.peek(&mut [0]).await.unwrap();
    (ours, theirs)
}

async fn read<R: AsyncRead + Unpin>(mut reader: R) -> std::io::Result<usize> {
    poll_fn(|cx| Pin::new(&mut reader).poll_read(cx, &mut [0])).await
}

async fn write<W: AsyncWrite + Unpin>(mut writer: W) -> std::io::Result<usize> {
    poll_fn(|cx| Pin::new(&mut writer).poll_write(cx, b"x")).await
}

/// More lines than a test reads, all of them buffered or in memory.
fn lines() -> RefCell<Reader<&'static [u8]>> {
    static LINES: &[u8] = &[b'\n'; 400_000];
    RefCell::new(Reader::new(LINES))
}

fn rows() -> Vec<Row> {
    let mut rows = sockets();
    rows.extend(streams());
    rows.extend(readers());
    rows.extend(writers());
    rows
}

fn sockets() -> Vec<Row> {
    vec![
        row!(["names::lookup_host", "names::resolve"], {}, lookup_host("127.0.0.1:1").await.unwrap()),
        row!(["udp::bind"], 10, |_| {}, UdpSocket::bind("127.0.0.1:0").await.unwrap()),
        row!(["udp::connect"], 10, |_| { it = letters().await }, it.1.connect("127.0.0.1:9").await.unwrap()),
        row!(["udp::send"], 10, |_| { it = letters().await }, it.0.send(b"x").await.unwrap()),
        row!(
            ["udp::send_to", "udp::poll_send_to"],
            10,
            |_| { it = letters().await },
            it.1.send_to(b"x", it.1.local_addr().unwrap()).await.unwrap()
        ),
        row!(["udp::peek", "udp::recv"], { it = letters().await }, it.0.peek(&mut [0]).await.unwrap()),
        row!(
            ["udp::peek_from", "udp::recv_from", "udp::poll_recv_from"],
            { it = letters().await },
            it.0.peek_from(&mut [0]).await.unwrap()
        ),
        row!(["udp::readable"], { it = letters().await }, it.0.readable().await.unwrap()),
        row!(
            ["udp::poll_readable"],
            { it = letters().await },
            poll_fn(|cx| it.0.poll_readable(cx)).await.unwrap()
        ),
        row!(
            ["udp::poll_writable"],
            { it = letters().await },
            poll_fn(|cx| it.0.poll_writable(cx)).await.unwrap()
        ),
        row!(["udp::writable"], { it = letters().await }, it.0.writable().await.unwrap()),
        row!(["tcp::bind"], 100, |_| {}, TcpListener::bind("127.0.0.1:0").await.unwrap()),
        row!(["tcp::bind_shared"], 100, |_| {}, TcpListener::bind_shared("127.0.0.1:0").await.unwrap()),
        row!(["tcp::peek"], { it = tcp().await }, it.0.peek(&mut [0]).await.unwrap()),
        row!(
            ["connect::connect", "tcp::accept", "tcp::poll_accept", "tcp::next", "tcp::Incoming"],
            1000,
            |_| {},
            tcp().await
        ),
        row!(["unix::connect"], {}, UnixStream::connect("/nothing/is/here").await.unwrap_err()),
        row!(
            ["unix::accept", "unix::poll_accept", "unix::next", "unix::UnixIncoming"],
            1000,
            |_| {
                at = std::env::temp_dir().join(format!("roundel-budget-{}", std::process::id())),
                it = {
                    let _ = std::fs::remove_file(&*at);
                    UnixListener::bind(&*at).unwrap()
                }
            },
            {
                let (one, two) = roundel::group::join!(UnixStream::connect(&*at), it.accept());
                (one.unwrap(), two.unwrap())
            }
        ),
        row!(["datagram::writable", "datagram::poll_writable"], { it = UnixDatagram::pair().unwrap() }, {
            it.0.writable().await.unwrap();
            poll_fn(|cx| it.0.poll_writable(cx)).await.unwrap()
        }),
        row!(["datagram::readable", "datagram::poll_readable"], { it = news().await }, {
            it.0.readable().await.unwrap();
            poll_fn(|cx| it.0.poll_readable(cx)).await.unwrap()
        }),
        row!(["datagram::send"], 100, |_| { it = UnixDatagram::pair().unwrap() }, {
            it.0.send(b"x").await.unwrap();
            it.1.recv(&mut [0]).await.unwrap()
        }),
    ]
}

fn streams() -> Vec<Row> {
    vec![
        row!(["stream::readable"], { it = ended().await }, it.readable().await.unwrap()),
        row!(["stream::poll_readable", "stream::poll_writable"], { it = ended().await }, {
            poll_fn(|cx| it.poll_readable(cx)).await.unwrap();
            poll_fn(|cx| it.poll_writable(cx)).await.unwrap()
        }),
        row!(["stream::writable"], { it = tcp().await }, it.0.writable().await.unwrap()),
        row!(["stream::read"], { it = ended().await }, it.read(&mut [0]).await.unwrap()),
        row!(
            ["stream::read_vectored"],
            { it = ended().await },
            it.read_vectored(&mut [IoSliceMut::new(&mut [0])]).await.unwrap()
        ),
        row!(["stream::read_buf"], { it = ended().await }, it.read_buf(&mut Vec::new()).await.unwrap()),
        row!(
            ["stream::read_chunk"],
            { it = ended().await, buffers = io::Buffers::default() },
            it.read_chunk(&buffers).await.unwrap().len()
        ),
        row!(["stream::read_exact"], { it = ended().await }, it.read_exact(&mut [0]).await.unwrap_err()),
        row!(["stream::read_exact"], { it = ended().await }, it.read_exact(&mut []).await.unwrap()),
        row!(["stream::read_to_end"], { it = ended().await }, it.read_to_end(&mut Vec::new()).await.unwrap()),
        row!(["stream::write"], { it = ended().await }, it.write(b"x").await.unwrap_err()),
        row!(
            ["stream::write_vectored"],
            { it = ended().await },
            it.write_vectored(&[IoSlice::new(b"x")]).await.unwrap_err()
        ),
        row!(["stream::write_all"], { it = ended().await }, it.write_all(b"x").await.unwrap_err()),
        row!(["stream::write_all"], { it = ended().await }, it.write_all(b"").await.unwrap()),
        row!(["traits::ByteStream"], { it = ended().await }, {
            read(&*it).await.unwrap();
            write(&*it).await.unwrap_err()
        }),
        row!(
            ["input::read", "input::Stdin"],
            10,
            |_| {},
            roundel_net::stdio::stdin().read(&mut []).await.unwrap()
        ),
    ]
}

fn readers() -> Vec<Row> {
    vec![
        row!(["reader::read_until"], { it = lines() }, {
            let mut reader = it.borrow_mut();
            reader.read_until(b"\n").await.unwrap().unwrap().len()
        }),
        row!(["reader::read_until_any"], { it = lines() }, {
            let mut reader = it.borrow_mut();
            reader.read_until_any(&[b"\n"]).await.unwrap().unwrap().len()
        }),
        row!(["reader::read_line"], { it = lines() }, {
            let mut reader = it.borrow_mut();
            reader.read_line().await.unwrap().unwrap().len()
        }),
        row!(["reader::read_exact"], { it = lines() }, {
            let mut reader = it.borrow_mut();
            reader.read_exact(1).await.unwrap().len()
        }),
        row!(["reader::read"], { it = lines() }, {
            let mut reader = it.borrow_mut();
            reader.read(&mut [0]).await.unwrap()
        }),
        row!(["reader::fill"], { it = RefCell::new(Reader::new(&b""[..])) }, {
            let mut reader = it.borrow_mut();
            reader.fill().await.unwrap()
        }),
        row!(["reader::Reader"], { it = lines() }, {
            let mut reader = it.borrow_mut();
            poll_fn(|cx| Pin::new(&mut *reader).poll_fill_buf(cx).map_ok(<[u8]>::len)).await.unwrap();
            read(&mut *reader).await.unwrap()
        }),
        row!(["lines::next", "lines::Lines"], { it = lines() }, {
            let mut reader = it.borrow_mut();
            reader.lines().next().await.unwrap().unwrap()
        }),
    ]
}

fn writers() -> Vec<Row> {
    vec![
        row!(
            ["writer::write_all", "writer::flush"],
            { it = RefCell::new(io::BufWriter::new(Vec::new())) },
            {
                let mut writer = it.borrow_mut();
                writer.write_all(b"x").await.unwrap();
                writer.flush().await.unwrap()
            }
        ),
        row!(["writer::BufWriter"], { it = RefCell::new(io::BufWriter::new(Vec::new())) }, {
            write(&mut *it.borrow_mut()).await.unwrap()
        }),
        row!(["copy::copy"], {}, io::copy(&b"x"[..], &mut Vec::new()).await.unwrap()),
        row!(
            ["copy::copy_with"],
            { buffers = io::Buffers::default() },
            io::copy_with(&b"x"[..], &mut Vec::new(), &buffers).await.unwrap()
        ),
        row!(["both::copy_bidirectional", "both::copy_bidirectional_with"], 10, |_| {}, {
            let (one, two) = duplex(8);
            let (three, four) = duplex(8);
            drop((one, four));
            let _ = io::copy_bidirectional(two, three).await;
        }),
        row!(["testing::Duplex"], { it = duplex(8) }, {
            write(&it.0).await.unwrap();
            read(&it.1).await.unwrap()
        }),
        row!(
            ["testing::Evil"],
            10,
            |_| { it = RefCell::new(Evil::new(&b""[..], 1)) },
            read(&mut *it.borrow_mut()).await.unwrap()
        ),
    ]
}

/// Futures that cannot be ready again and again, or that other rows cover, and why.
const EXEMPT: &[(&str, &str)] = &[
    ("datagram::send_to", "the same operation as `send`"),
    ("datagram::recv", "the row of `send` receives, too"),
    ("datagram::recv_from", "the same operation as `recv`"),
    ("serve::Serving", "ends once"),
    ("guest::run", "it is `CancelToken::run`"),
    ("guest::stopping", "it is `CancelToken::cancelled`"),
    ("handler::", "the methods of a trait, which only call the program's function"),
    ("clock::Place", "it is a `time::Sleep`, which ends once"),
    ("output::write", "each is a job of another thread"),
    ("output::write_all", "each is a job of another thread"),
    ("output::Output", "each is a job of another thread"),
];

testkit::fairness_tests!(rows, EXEMPT);
