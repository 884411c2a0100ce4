//! What the kernel reports rarely: interruptions (hazard 31), connections that were given up before they were
//! accepted (hazard 30), no memory for a datagram (hazard 55).
//!
//! A program cannot cause that on purpose, but `strace` can answer a call in place of the kernel. Without
//! `strace`, these tests say so and pass. Each test runs itself again under `strace`, in a separate process.
//! The faults begin after some calls, because the program has to be loaded first.

#![forbid(unsafe_code)]
#![cfg(all(target_os = "linux", not(miri)))]

mod common;

use std::cell::Cell;
use std::io::{ErrorKind, IoSlice};
use std::rc::Rc;

use roundel::{spawn, yield_now};
use roundel_net::{
    ByteStream, TcpListener, TcpSocket, TcpStream, Transport, UdpSocket, UnixDatagram, UnixListener,
    UnixStream, pipe,
};
use rustix::io::Errno;

use common::{is_alone, noise, path, really, tcp, trace, watchdog};

/// Runs `body` under `strace`, which injects these faults.
fn injected(name: &str, which: &str, how: &str, least: usize, body: impl AsyncFn()) {
    if is_alone(name) {
        return really(async |_| body().await);
    }
    let _watchdog = watchdog();
    let (traced, injected) = (format!("trace={which}"), format!("inject={which}:{how}"));
    let Some(trace) = trace(name, &["-e", &traced, "-e", &injected]) else { return };
    let count = trace.matches("(INJECTED)").count();
    assert!(count >= least, "only {count} calls were answered by strace");
}

/// Sends many bytes in both directions, through all kinds of reads and writes.
async fn talk<S: Transport + 'static>(ours: ByteStream<S>, theirs: ByteStream<S>)
where
    for<'a> &'a S: std::io::Read + std::io::Write,
{
    let bytes = noise(1, 200_000);
    let expected = bytes.clone();
    let writing = spawn(async move {
        for (number, piece) in bytes.chunks(1000).enumerate() {
            match number % 3 {
                0 => ours.write_all(piece).await.unwrap(),
                1 => {
                    let count = ours.write_vectored(&[IoSlice::new(piece)]).await.unwrap();
                    ours.write_all(&piece[count..]).await.unwrap();
                }
                _ => {
                    ours.write_all(piece).await.unwrap();
                    yield_now().await;
                }
            }
        }
    });
    let mut got = Vec::new();
    let mut buffer = [0; 700];
    while let count @ 1.. = theirs.read(&mut buffer).await.unwrap() {
        got.extend_from_slice(&buffer[..count]);
        if got.len() % 3 == 0 {
            theirs.read_to_end(&mut got).await.unwrap();
        }
    }
    writing.await.unwrap();
    assert!(got == expected);
}

#[test]
fn hazard_31_streams_are_interrupted() {
    let calls = "read,write,readv,writev,recvfrom,recvmsg,sendto,sendmsg";
    injected("hazard_31_streams_are_interrupted", calls, "error=EINTR:when=60+3", 100, async || {
        let (ours, theirs) = tcp().await;
        talk(ours, theirs).await;
        let (ours, theirs) = UnixStream::pair().unwrap();
        talk(ours, theirs).await;
        let (sender, receiver) = pipe().unwrap();
        let writing = spawn(async move { sender.write_all(&noise(2, 300_000)).await });
        let mut got = Vec::new();
        receiver.read_to_end(&mut got).await.unwrap();
        writing.await.unwrap().unwrap();
        assert!(got == noise(2, 300_000));
    });
}

#[test]
fn hazard_31_datagrams_are_interrupted() {
    let calls = "write,recvfrom,recvmsg,sendto,sendmsg";
    injected("hazard_31_datagrams_are_interrupted", calls, "error=EINTR:when=20+2", 50, async || {
        let ours = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let theirs = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (one, other) = UnixDatagram::pair().unwrap();
        let path = path();
        let (named, nameless) = (UnixDatagram::bind(&path).unwrap(), UnixDatagram::unbound().unwrap());
        for _ in 0..50 {
            ours.send_to(b"hello", theirs.local_addr().unwrap()).await.unwrap();
            assert_eq!(theirs.recv_from(&mut [0; 10]).await.unwrap().0, 5);
            one.send(b"hello").await.unwrap();
            assert_eq!(other.recv(&mut [0; 10]).await.unwrap(), 5);
            nameless.send_to(b"hello", &path).await.unwrap();
            assert_eq!(named.recv(&mut [0; 10]).await.unwrap(), 5);
        }
    });
}

#[test]
fn hazard_31_connecting_and_accepting_are_interrupted() {
    let name = "hazard_31_connecting_and_accepting_are_interrupted";
    injected(name, "connect,accept4", "error=EINTR:when=1+2", 80, async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let path = path();
        let unix = UnixListener::bind(&path).unwrap();
        let at = listener.local_addr().unwrap();
        for round in 0..20 {
            let client = match round % 2 {
                0 => TcpStream::connect(at).await.unwrap(),
                _ => TcpSocket::new_v4().unwrap().connect(at).await.unwrap(),
            };
            client.write_all(b"x").await.unwrap();
            listener.accept().await.unwrap().0.read_exact(&mut [0]).await.unwrap();
            let client = UnixStream::connect(&path).await.unwrap();
            client.write_all(b"x").await.unwrap();
            unix.accept().await.unwrap().0.read_exact(&mut [0]).await.unwrap();
        }
    });
}

/// The caller gets the error, whatever its kind. The next connection is accepted as usual.
fn refused(name: &str, error: &str, code: Errno) {
    injected(name, "accept4", &format!("error={error}:when=1+2"), 10, async || {
        let listener = Rc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let at = listener.local_addr().unwrap();
        let (failed, accepted) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (failures, successes) = (Rc::clone(&failed), Rc::clone(&accepted));
        let accepting = spawn(async move {
            while successes.get() < 10 {
                match listener.accept().await {
                    Ok(_) => successes.set(successes.get() + 1),
                    Err(error) => {
                        assert_eq!(error.raw_os_error(), Some(code.raw_os_error()));
                        failures.set(failures.get() + 1);
                    }
                }
            }
        });
        for number in 1..=10 {
            let _client = TcpStream::connect(at).await.unwrap();
            while accepted.get() < number {
                roundel::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
        accepting.await.unwrap();
        assert!(failed.get() >= 5, "{failed:?}");
    });
}

#[test]
fn hazard_30_a_connection_that_was_given_up() {
    refused("hazard_30_a_connection_that_was_given_up", "ECONNABORTED", Errno::CONNABORTED);
}

#[test]
fn hazard_30_an_error_of_the_network() {
    refused("hazard_30_an_error_of_the_network", "EPROTO", Errno::PROTO);
}

#[test]
fn hazard_29_no_descriptor_is_left() {
    refused("hazard_29_no_descriptor_is_left", "EMFILE", Errno::MFILE);
}

#[test]
fn hazard_55_no_memory_for_a_datagram() {
    let name = "hazard_55_no_memory_for_a_datagram";
    injected(name, "sendto", "error=ENOBUFS:when=1+2", 10, async || {
        let ours = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let theirs = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let to = theirs.local_addr().unwrap();
        for _ in 0..10 {
            let error = ours.send_to(b"lost", to).await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::NOBUFS.raw_os_error()));
            assert_ne!(error.kind(), ErrorKind::WouldBlock);
            assert_eq!(ours.send_to(b"hello", to).await.unwrap(), 5);
            assert_eq!(theirs.recv(&mut [0; 10]).await.unwrap(), 5);
        }
    });
}
