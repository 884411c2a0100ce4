//! TCP: its surprises, and the faults that must not happen: hazards 32 to 35, 40, 43.
//!
//! Each of the facts in the header of `src/tcp.rs` has a test of its name in `facts`.

#![forbid(unsafe_code)]
#![cfg(all(unix, not(miri)))]

mod common;
#[path = "tcp/facts.rs"]
mod facts;
#[path = "tcp/hazards.rs"]
mod hazards;
#[path = "tcp/options.rs"]
mod options;
#[cfg(target_os = "linux")]
#[path = "tcp/shared_port.rs"]
mod shared_port;

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, IoSlice};
use std::net::Shutdown;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use roundel::group::gather;
use roundel::{spawn, time, yield_now};
use roundel_net::{TcpListener, TcpSocket, TcpStream};

use common::{noise, really, settle, tcp};

#[test]
fn a_byte_at_a_time() {
    really(async |_| {
        let (server, client) = tcp().await;
        client.set_nodelay(true).unwrap();
        let bytes = noise(1, 3000);
        let expected = bytes.clone();
        let writer = spawn(async move {
            for byte in bytes {
                assert_eq!(client.write(&[byte]).await.unwrap(), 1);
            }
        });
        let mut got = Vec::new();
        let mut byte = [0];
        while server.read(&mut byte).await.unwrap() == 1 {
            got.push(byte[0]);
        }
        writer.await.unwrap();
        assert!(got == expected);
    });
}

/// Only as many bytes are on the way as the kernel holds, however slow the reader is and however much is
/// written.
#[test]
fn five_megabytes_through_a_slow_reader_and_flat_memory() {
    const TOTAL: usize = 5 << 20;
    really(async |_| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(32 << 10).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(8).unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(32 << 10).unwrap();
        let client = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let (written, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let count = Rc::clone(&written);
        let writer = spawn(async move {
            let piece = noise(2, 10_000);
            let mut at = 0;
            while at < TOTAL {
                let end = piece.len().min(at % piece.len() + (TOTAL - at));
                at += client.write(&piece[at % piece.len()..end]).await.unwrap();
                count.set(at);
            }
        });
        let (expected, mut at, mut buffer) = (noise(2, 10_000), 0, [0; 4096]);
        loop {
            let read = server.read(&mut buffer).await.unwrap();
            if read == 0 {
                break;
            }
            for byte in &buffer[..read] {
                assert_eq!(*byte, expected[at % expected.len()]);
                at += 1;
            }
            most.set(most.get().max(written.get() - at));
            yield_now().await;
        }
        writer.await.unwrap();
        assert_eq!(at, TOTAL);
        assert!(most.get() < TOTAL / 5, "{} bytes were on the way", most.get());
    });
}

#[test]
fn a_reader_that_is_dropped_in_the_middle_loses_nothing() {
    really(async |_| {
        let (server, client) = tcp().await;
        let bytes = noise(3, 200_000);
        let expected = bytes.clone();
        let writer = spawn(async move {
            for piece in bytes.chunks(777) {
                client.write_all(piece).await.unwrap();
                yield_now().await;
            }
        });
        let (mut got, mut buffer, mut cut) = (Vec::new(), [0; 1000], 0);
        loop {
            // The first one that is ready wins. The other one is dropped.
            match time::timeout(Duration::ZERO, server.read(&mut buffer)).await {
                Ok(read) => match read.unwrap() {
                    0 => break,
                    count => got.extend_from_slice(&buffer[..count]),
                },
                Err(_) => {
                    cut += 1;
                    yield_now().await;
                }
            }
        }
        writer.await.unwrap();
        assert!(cut > 0, "no read was ever dropped");
        assert!(got == expected);
    });
}

#[test]
fn peeking_consumes_nothing() {
    really(async |_| {
        let (server, client) = tcp().await;
        client.write_all(b"hello").await.unwrap();
        let mut buffer = [0; 10];
        for _ in 0..3 {
            assert_eq!(server.peek(&mut buffer[..2]).await.unwrap(), 2);
            assert_eq!(&buffer[..2], b"he");
        }
        assert_eq!(server.read(&mut buffer).await.unwrap(), 5);
    });
}

#[test]
fn each_direction_is_closed_by_itself() {
    really(async |_| {
        let (server, client) = tcp().await;
        client.write_all(b"question").await.unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut asked = Vec::new();
        server.read_to_end(&mut asked).await.unwrap();
        assert_eq!(asked, b"question");
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0, "the end stays the end");
        // The opposite direction is still open, for much more than a buffer.
        let answer = noise(4, 3_000_000);
        let expected = answer.clone();
        let answering = spawn(async move {
            server.write_all(&answer).await.unwrap();
            server.shutdown(Shutdown::Write).unwrap();
            server
        });
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        assert!(got == expected);
        let error = client.write(b"more").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        drop(answering.await.unwrap());
    });
}

#[test]
fn several_tasks_accept_and_each_connection_is_accepted_once() {
    really(async |_| {
        let listener = Rc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let at = listener.local_addr().unwrap();
        let seen = Rc::new(RefCell::new(Vec::new()));
        let mut accepters = Vec::new();
        for _ in 0..5 {
            let (listener, seen) = (Rc::clone(&listener), Rc::clone(&seen));
            accepters.push(spawn(async move {
                loop {
                    let (stream, peer) = listener.accept().await.unwrap();
                    let mut byte = [0];
                    stream.read_exact(&mut byte).await.unwrap();
                    seen.borrow_mut().push((byte[0], peer));
                }
            }));
        }
        let clients = gather((0..100_u8).map(|number| async move {
            let client = TcpStream::connect(at).await.unwrap();
            client.write_all(&[number]).await.unwrap();
            let address = client.local_addr().unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
            (number, address)
        }));
        let mut expected = clients.await;
        accepters.iter().for_each(|accepter| accepter.cancel());
        seen.borrow_mut().sort_unstable();
        expected.sort_unstable();
        assert_eq!(*seen.borrow(), expected);
    });
}

#[test]
fn an_accept_that_is_dropped_loses_no_connection() {
    really(async |_| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        {
            let mut accept = pin!(listener.accept());
            assert!(time::timeout(Duration::ZERO, accept.as_mut()).await.is_err());
            let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            settle().await;
        }
        listener.accept().await.unwrap();
    });
}

#[test]
fn streams_of_the_standard_library_come_and_go() {
    really(async |_| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let client = TcpStream::from_std(std::net::TcpStream::connect(at).unwrap()).unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(at, client.peer_addr().unwrap());
        client.write_vectored(&[IoSlice::new(b"a"), IoSlice::new(b"b")]).await.unwrap();
        let blocking = |fd: &dyn std::os::fd::AsFd| {
            !rustix::fs::fcntl_getfl(fd.as_fd()).unwrap().contains(rustix::fs::OFlags::NONBLOCK)
        };
        let (server, client) = (server.into_std().unwrap(), client.into_std().unwrap());
        assert!(blocking(&server) && blocking(&client) && blocking(&listener.into_std().unwrap()));
        let mut buffer = [0; 2];
        std::io::Read::read_exact(&mut &server, &mut buffer).unwrap();
        assert_eq!(&buffer, b"ab");
    });
}
