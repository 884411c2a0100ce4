//! Faults that a review found. Each of these tests failed when it was written.

#![forbid(unsafe_code)]
#![cfg(all(unix, not(miri)))]

mod common;

use std::cell::Cell;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use roundel::cancel::with_cleanup;
use roundel::time;
use roundel_net::{TcpSocket, UnixDatagram, UnixListener, UnixStream, pipe, serve};

use common::{path, virtually};

/// The kernel takes no more buffers at once.
const IOV_MAX: usize = 1024;

/// With more buffers than the kernel takes at once, some stay empty. That does not make the read "short".
#[test]
fn hazard_33_a_read_into_very_many_buffers_is_not_short() {
    virtually(async |_| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut bytes = vec![0; IOV_MAX + 10];
        theirs.write_all(&bytes).await.unwrap();
        // The loop takes the first report before the read, so that the report cannot help.
        time::sleep(Duration::from_millis(1)).await;
        let mut buffers: Vec<_> = bytes.chunks_mut(1).map(IoSliceMut::new).collect();
        assert_eq!(ours.read_vectored(&mut buffers).await.unwrap(), IOV_MAX);
        assert_eq!(ours.read(&mut [0; 100]).await.unwrap(), 10);
    });
}

#[test]
fn hazard_33_a_write_of_very_many_buffers_is_not_short() {
    virtually(async |_| {
        let bytes = [7; IOV_MAX + 10];
        let buffers: Vec<_> = bytes.chunks(1).map(IoSlice::new).collect();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (sender, receiver) = pipe::pipe().unwrap();
        time::sleep(Duration::from_millis(1)).await;
        assert_eq!(ours.write_vectored(&buffers).await.unwrap(), IOV_MAX);
        assert_eq!(ours.write_vectored(&buffers).await.unwrap(), IOV_MAX);
        assert_eq!(sender.write_vectored(&buffers).await.unwrap(), IOV_MAX);
        assert_eq!(sender.write_vectored(&buffers).await.unwrap(), IOV_MAX);
        drop((theirs, receiver));
    });
}

/// A read from a Unix socket ends at a descriptor that was sent along with the bytes, wanted or not.
#[cfg(target_os = "linux")]
#[test]
fn hazard_33_a_read_that_an_unwanted_descriptor_cut_short_is_not_the_last() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    virtually(async |_| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        time::sleep(Duration::from_millis(1)).await;
        let theirs = theirs.into_std().unwrap();
        for _ in 0..3 {
            let fds = [theirs.as_fd()];
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut along = SendAncillaryBuffer::new(&mut space);
            assert!(along.push(SendAncillaryMessage::ScmRights(&fds)));
            sendmsg(&theirs, &[IoSlice::new(b"x")], &mut along, SendFlags::empty()).unwrap();
        }
        time::sleep(Duration::from_millis(1)).await;
        for _ in 0..3 {
            assert_eq!(ours.read(&mut [0; 100]).await.unwrap(), 1);
        }
    });
}

/// A pipe whose writer has asked for packets gives one packet per read.
#[cfg(target_os = "linux")]
#[test]
fn hazard_33_a_pipe_of_packets_is_read_to_the_last_of_them() {
    use rustix::pipe::{PipeFlags, pipe_with};
    virtually(async |_| {
        let (reader, writer) = pipe_with(PipeFlags::DIRECT | PipeFlags::CLOEXEC).unwrap();
        let receiver = pipe::Receiver::from_owned_fd(reader).unwrap();
        time::sleep(Duration::from_millis(1)).await;
        for _ in 0..3 {
            rustix::io::write(&writer, b"x").unwrap();
        }
        time::sleep(Duration::from_millis(1)).await;
        for _ in 0..3 {
            assert_eq!(receiver.read(&mut [0; 100]).await.unwrap(), 1);
        }
    });
}

#[test]
fn bytes_that_read_to_end_reads_count_as_moving() {
    virtually(async |_| {
        let path = path();
        let listener = UnixListener::bind(&path).unwrap();
        let client = async {
            let stream = UnixStream::connect(&path).await.unwrap();
            for _ in 0..30 {
                stream.write_all(b"x").await.unwrap();
                time::sleep(Duration::from_secs(5)).await;
            }
        };
        let server = serve(listener, async |stream: UnixStream| stream.read_to_end(&mut Vec::new()).await)
            .idle_timeout(Duration::from_secs(20))
            .until(client);
        let served = server.await.unwrap();
        assert_eq!((served.accepted, served.idle), (1, 0));
    });
}

/// While the server waits for its handlers to end, it still cancels idle connections.
#[test]
fn an_idle_connection_is_cancelled_also_after_the_end_was_asked_for() {
    virtually(async |_| {
        let path = path();
        let listener = UnixListener::bind(&path).unwrap();
        let client = Cell::new(None);
        let connect = async {
            client.set(Some(UnixStream::connect(&path).await.unwrap()));
            time::sleep(Duration::from_secs(1)).await;
        };
        let begun = time::now();
        let server = serve(listener, async |stream: UnixStream| stream.read(&mut [0]).await)
            .idle_timeout(Duration::from_secs(8))
            .grace(Duration::from_secs(600))
            .until(connect);
        let served = server.await.unwrap();
        assert_eq!((served.idle, served.cut_off), (1, 0));
        assert!(time::now() - begun < Duration::from_secs(20));
    });
}

/// A handler that was cancelled as idle may have a cleanup to do. The server waits for it.
#[test]
fn the_cleanup_of_an_idle_handler_is_awaited() {
    virtually(async |_| {
        let path = path();
        let listener = UnixListener::bind(&path).unwrap();
        let cleaned = Rc::new(Cell::new(false));
        let client = async {
            let _stream = UnixStream::connect(&path).await.unwrap();
            time::sleep(Duration::from_secs(10)).await;
        };
        let flag = Rc::clone(&cleaned);
        let handler = move |stream: UnixStream| {
            let flag = Rc::clone(&flag);
            with_cleanup(async move { drop(stream.read(&mut [0]).await) }, async move || {
                time::sleep(Duration::from_secs(5)).await;
                flag.set(true);
            })
            .grace(Duration::from_secs(60))
        };
        let served =
            serve(listener, handler).idle_timeout(Duration::from_secs(8)).until(client).await.unwrap();
        assert_eq!(served.idle, 1);
        assert!(cleaned.get(), "the server is over, and a cleanup of its handlers is not");
    });
}

#[test]
fn a_linger_of_less_than_a_second_is_not_zero() {
    virtually(async |_| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_linger(Some(Duration::from_millis(500))).unwrap();
        assert_eq!(socket.linger().unwrap(), Some(Duration::from_secs(1)));
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        assert_eq!(socket.linger().unwrap(), Some(Duration::ZERO));
    });
}

/// `send_to` does not wait for room at the socket's own peer, or at any other receiver.
#[test]
fn a_datagram_for_one_socket_does_not_wait_for_another() {
    virtually(async |_| {
        let (full, other) = (path(), path());
        let (_full, other_end) = (UnixDatagram::bind(&full).unwrap(), UnixDatagram::bind(&other).unwrap());
        let ours = UnixDatagram::unbound().unwrap();
        ours.connect(&full).unwrap();
        while time::timeout(Duration::from_secs(1), ours.send(b"x")).await.is_ok() {}
        let sent = time::timeout(Duration::from_secs(1), ours.send_to(b"y", &other)).await;
        sent.expect("the other one has room").unwrap();
        assert_eq!(other_end.recv(&mut [0; 10]).await.unwrap(), 1);
    });
}

/// Writing zero bytes is done at once, with or without room.
#[test]
fn writing_zero_bytes_needs_no_room() {
    virtually(async |_| {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        while time::timeout(Duration::from_secs(1), ours.write(&[0; 10_000])).await.is_ok() {}
        time::timeout(Duration::from_secs(1), ours.write_all(&[]))
            .await
            .expect("there is nothing to write")
            .unwrap();
    });
}
