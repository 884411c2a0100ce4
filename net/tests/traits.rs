//! What code that knows only the traits of others can do with a stream or a socket: several buffers at once, waiting in a
//! `poll`, the descriptor, and the standard library's types.

#![forbid(unsafe_code)]
#![cfg(all(unix, not(miri)))]

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use futures_io::{AsyncRead, AsyncWrite};
use roundel::spawn;
use roundel::testing::settle;
use roundel_net::io::Reader;
use roundel_net::testing::duplex;
use roundel_net::{
    TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream, pipe,
};

use common::really;

async fn write(mut writer: impl AsyncWrite + Unpin, parts: &[&[u8]]) -> io::Result<usize> {
    let parts: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    poll_fn(|cx| Pin::new(&mut writer).poll_write_vectored(cx, &parts)).await
}

/// Reads into three buffers, of which one has no room. Returns what came, one after the other.
async fn read(mut reader: impl AsyncRead + Unpin) -> io::Result<Vec<u8>> {
    let (mut one, mut two) = ([0; 3], [0; 100]);
    let mut parts = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut []), IoSliceMut::new(&mut two)];
    let count = poll_fn(|cx| Pin::new(&mut reader).poll_read_vectored(cx, &mut parts)).await?;
    Ok(one.into_iter().chain(two).take(count).collect())
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (ours, listener.accept().await.unwrap().0)
}

/// All parts arrive in order, with one write and one read.
async fn assert_vectored(writer: impl AsyncWrite + Unpin, reader: impl AsyncRead + Unpin) {
    assert_eq!(write(writer, &[b"he", b"", b"llo", b", you"]).await.unwrap(), 10);
    assert_eq!(read(reader).await.unwrap(), b"hello, you");
}

#[test]
fn several_buffers_go_in_one_operation_through_every_stream() {
    really(async |_| {
        let (one, two) = tcp().await;
        assert_vectored(&one, &two).await;
        assert_vectored(two, one).await;
        let (one, two) = UnixStream::pair().unwrap();
        assert_vectored(&one, &two).await;
        assert_vectored(two, one).await;
        let (sender, receiver) = pipe().unwrap();
        assert_vectored(sender, receiver).await;
        let (one, two) = duplex(100);
        assert_vectored(&one, &two).await;
        assert_vectored(two, one).await;
    });
}

#[test]
fn a_reader_gives_what_it_has_buffered_to_several_buffers() {
    really(async |_| {
        let (one, two) = duplex(100);
        let mut reader = Reader::new(two);
        assert_eq!(write(&one, &[b"a line\nand", b" the rest"]).await.unwrap(), 19);
        assert_eq!(reader.read_line().await.unwrap(), Some("a line"));
        assert_eq!(read(&mut reader).await.unwrap(), b"and the rest");
        // With nothing buffered, it passes the buffers on.
        assert_vectored(&one, &mut reader).await;
    });
}

#[test]
fn more_buffers_than_the_kernel_takes_are_no_error() {
    really(async |_| {
        let (one, two) = UnixStream::pair().unwrap();
        let many: Vec<&[u8]> = vec![b"x"; 5000];
        assert_eq!(write(&one, &many).await.unwrap(), 1024);
        let mut bytes = vec![[0; 1]; 5000];
        let mut parts: Vec<IoSliceMut<'_>> = bytes.iter_mut().map(|byte| IoSliceMut::new(byte)).collect();
        let count = poll_fn(|cx| Pin::new(&mut &two).poll_read_vectored(cx, &mut parts)).await;
        assert_eq!(count.unwrap(), 1024);
    });
}

#[test]
fn a_vectored_write_waits_for_room_and_a_vectored_read_for_bytes() {
    really(async |_| {
        let (one, two) = tcp().await;
        let reading = spawn(async move { (read(&one).await, one) });
        settle().await;
        assert!(!reading.is_finished());
        two.write_all(b"at last").await.unwrap();
        let (read_bytes, one) = reading.await.unwrap();
        assert_eq!(read_bytes.unwrap(), b"at last");

        // Fill the connection, then free it.
        let part = [7_u8; 65_536];
        let mut wrote = 0;
        loop {
            let mut cx = Context::from_waker(Waker::noop());
            match Pin::new(&mut &one).poll_write_vectored(&mut cx, &[IoSlice::new(&part); 2]) {
                Poll::Ready(count) => wrote += count.unwrap(),
                Poll::Pending => break,
            }
        }
        let writing = spawn(async move { (write(&one, &[b"the ", b"end"]).await.unwrap(), one) });
        let mut bytes = vec![0; wrote];
        two.read_exact(&mut bytes).await.unwrap();
        assert!(bytes.iter().all(|byte| *byte == 7));
        assert_eq!(writing.await.unwrap().0, 7);
        let mut end = [0; 7];
        two.read_exact(&mut end).await.unwrap();
        assert_eq!(&end, b"the end");
    });
}

#[test]
fn a_vectored_write_to_a_peer_that_is_gone_is_an_error_and_no_signal() {
    really(async |_| {
        let (one, two) = UnixStream::pair().unwrap();
        drop(two);
        let error = write(&one, &[b"x", b"y"]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_duplex_takes_no_more_than_its_capacity_of_several_buffers() {
    really(async |_| {
        let (one, two) = duplex(4);
        assert_eq!(write(&one, &[b"abc", b"", b"def"]).await.unwrap(), 4);
        assert_eq!(read(&two).await.unwrap(), b"abcd");
        assert_eq!(write(&one, &[b"", b""]).await.unwrap(), 0);
    });
}

#[test]
fn poll_readable_and_poll_writable_wait_for_the_report() {
    really(async |_| {
        let (one, two) = tcp().await;
        poll_fn(|cx| two.poll_writable(cx)).await.unwrap();
        // Whether it says yes at first is not promised. After a `WouldBlock` it waits.
        assert_eq!(one.try_read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let waiting = spawn(async move {
            poll_fn(|cx| one.poll_readable(cx)).await.unwrap();
            one.try_read(&mut [0; 10]).unwrap()
        });
        settle().await;
        assert!(!waiting.is_finished());
        two.write_all(b"ping").await.unwrap();
        assert_eq!(waiting.await.unwrap(), 4);
    });
}

#[test]
fn poll_readable_and_poll_writable_work_for_datagrams() {
    really(async |_| {
        let one = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let two = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        assert_eq!(one.try_recv(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let to = one.local_addr().unwrap();
        let waiting = spawn(async move {
            poll_fn(|cx| one.poll_readable(cx)).await.unwrap();
            one.try_recv(&mut [0; 10]).unwrap()
        });
        poll_fn(|cx| two.poll_writable(cx)).await.unwrap();
        two.try_send_to(b"ping", to).unwrap();
        assert_eq!(waiting.await.unwrap(), 4);

        let (one, two) = UnixDatagram::pair().unwrap();
        assert_eq!(one.try_recv(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let waiting = spawn(async move {
            one.readable().await.unwrap();
            poll_fn(|cx| one.poll_readable(cx)).await.unwrap();
            one.try_recv(&mut [0; 10]).unwrap()
        });
        two.writable().await.unwrap();
        poll_fn(|cx| two.poll_writable(cx)).await.unwrap();
        two.try_send(b"ping").unwrap();
        assert_eq!(waiting.await.unwrap(), 4);
    });
}

/// The two ways to a descriptor agree, and it is one.
fn descriptor(socket: &(impl AsFd + AsRawFd)) -> i32 {
    assert_eq!(socket.as_fd().as_raw_fd(), socket.as_raw_fd());
    assert!(rustix::fs::fcntl_getfl(socket).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
    socket.as_raw_fd()
}

#[test]
fn every_socket_lends_its_descriptor() {
    really(async |_| {
        let path = std::env::temp_dir().join(format!("roundel-traits-{}", std::process::id()));
        let (tcp_one, tcp_two) = tcp().await;
        let (sender, receiver) = pipe().unwrap();
        let (unix, _other) = UnixStream::pair().unwrap();
        let (datagram, _other) = UnixDatagram::pair().unwrap();
        let mut all = [
            descriptor(&tcp_one),
            descriptor(&tcp_two),
            descriptor(&TcpListener::bind("127.0.0.1:0").await.unwrap()),
            descriptor(&sender),
            descriptor(&receiver),
            descriptor(&unix),
            descriptor(&datagram),
        ];
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{all:?}");
        descriptor(&TcpSocket::new_v4().unwrap());
        descriptor(&UdpSocket::bind("127.0.0.1:0").await.unwrap());
        descriptor(&UnixListener::bind(path).unwrap());
    });
}

#[test]
fn a_tcp_socket_goes_to_the_standard_library_and_back() {
    really(async |_| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_nodelay(true).unwrap();
        let plain = socket.into_std().unwrap();
        assert!(!rustix::fs::fcntl_getfl(&plain).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
        let socket = TcpSocket::from_std(plain).unwrap();
        let stream = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(stream.nodelay().unwrap());
        let (mut plain, (other, _)) = (stream.into_std().unwrap(), listener.accept().await.unwrap());
        plain.write_all(b"ping").unwrap();
        other.write_all(b"pong").await.unwrap();
        plain.read_exact(&mut [0; 4]).unwrap();
        other.read_exact(&mut [0; 4]).await.unwrap();
    });
}

#[test]
fn read_buf_appends_into_the_room_there_is() {
    really(async |_| {
        let (one, two) = tcp().await;
        let mut bytes = Vec::with_capacity(8);
        let room = bytes.capacity();
        bytes.extend(b"> ");
        two.write_all(b"0123456789").await.unwrap();
        // No more than there is room for, and no move of the vector.
        let first = bytes.as_ptr();
        assert_eq!(one.read_buf(&mut bytes).await.unwrap(), room - 2);
        assert_eq!((&bytes[..], bytes.as_ptr()), (&b"> 012345"[..], first));
        // A full vector gets room, so that zero can mean only the end.
        assert_eq!(one.read_buf(&mut bytes).await.unwrap(), 4);
        assert_eq!(bytes, b"> 0123456789");
        drop(two);
        assert_eq!(one.read_buf(&mut bytes).await.unwrap(), 0);
        assert_eq!(bytes, b"> 0123456789");
    });
}

#[test]
fn read_buf_waits_for_bytes_and_leaves_the_vector_alone_after_an_error() {
    really(async |_| {
        let (one, two) = tcp().await;
        let waiting = spawn(async move {
            let mut bytes = Vec::new();
            one.read_buf(&mut bytes).await.unwrap();
            assert_eq!(bytes, b"late");
            let error = one.read_buf(&mut bytes).await.unwrap_err();
            (error.kind(), bytes)
        });
        settle().await;
        two.write_all(b"late").await.unwrap();
        settle().await;
        two.options().set_linger(Some(std::time::Duration::ZERO)).unwrap();
        // Once the other end has read, a close resets the connection.
        roundel::time::sleep(std::time::Duration::from_millis(20)).await;
        drop(two);
        let (kind, bytes) = waiting.await.unwrap();
        assert_eq!((kind, &bytes[..]), (io::ErrorKind::ConnectionReset, &b"late"[..]));
    });
}
