//! Tests that need a separate process, or start others: hazards 36, 40, 41, 42.
//!
//! They are in one file, because a new child has copies of all descriptors of its parent until it runs its
//! program. That includes descriptors that other tests have just closed. Meanwhile such a stream has not
//! ended, and its port is not free. On a virtual clock, a test cannot wait for that.

#![forbid(unsafe_code)]
#![cfg(all(unix, not(miri)))]

mod common;

use std::io::{ErrorKind, IoSlice, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use roundel::{time, yield_now};
use roundel_net::{TcpListener, TcpStream, UnixDatagram, UnixListener, UnixStream, pipe};

use common::{alone, has, is_alone, noise, nothing_starts, path, really, rerun, spawn, tcp};

/// Within one batch of reports, the task of the first stream closes the second, and a new connection gets
/// its descriptor number.
#[test]
fn hazard_36_a_report_for_a_reused_descriptor_number() {
    const NAME: &str = "hazard_36_a_report_for_a_reused_descriptor_number";
    alone(NAME, || {
        really(async |_| {
            for _ in 0..20 {
                a_descriptor_number_is_reused().await;
            }
        });
    });
}

async fn a_descriptor_number_is_reused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let pair = async || {
        let client = TcpStream::connect(at).await.unwrap();
        (listener.accept().await.unwrap().0, client)
    };
    let ((one, one_peer), (two, two_peer)) = (pair().await, pair().await);
    // The kernel has already established the third connection. It gets the number of `two` when `two` is
    // closed.
    let waiting = std::net::TcpStream::connect(at).unwrap();
    let number = two.options().as_raw_fd();
    let replaced = roundel::spawn(async move {
        let mut buffer = [0; 10];
        assert_eq!(one.read(&mut buffer).await.unwrap(), 1);
        drop(two);
        let (fresh, _) = listener.accept().await.unwrap();
        assert_eq!(fresh.options().as_raw_fd(), number);
        let read = time::timeout(Duration::from_millis(5), fresh.read(&mut buffer)).await;
        assert!(read.is_err(), "{read:?}: nothing was sent to the new one");
        fresh
    });
    yield_now().await;
    one_peer.write_all(b"x").await.unwrap();
    two_peer.write_all(b"for the old owner of the number").await.unwrap();
    let fresh = replaced.await.unwrap();
    (&waiting).write_all(b"yes").unwrap();
    assert_eq!(fresh.read(&mut [0; 10]).await.unwrap(), 3);
}

/// The usual client that has sent everything: `printf question | nc -N`.
#[test]
fn hazard_40_a_client_that_closes_its_half_gets_the_whole_reply() {
    let name = "hazard_40_a_client_that_closes_its_half_gets_the_whole_reply";
    if !has(name, "nc", &["-h"]) {
        return;
    }
    really(async |_| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let mut nc = Command::new("nc");
        nc.args(["-N", "127.0.0.1", &port]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut nc = spawn(&mut nc).unwrap();
        nc.stdin.take().unwrap().write_all(b"question").unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        server.read_to_end(&mut asked).await.unwrap();
        assert_eq!(asked, b"question");
        let reply = noise(8, 2_000_000);
        let reader = roundel::blocking::unblock(move || nc.wait_with_output().unwrap());
        server.write_all(&reply).await.unwrap();
        drop(server);
        assert!(reader.await.unwrap().stdout == reply);
    });
}

/// The signal is caught, so that it can be counted. A pipe shows that the test would notice it.
#[test]
fn hazard_41_no_socket_raises_sigpipe() {
    alone("hazard_41_no_socket_raises_sigpipe", || {
        let raised = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGPIPE, Arc::clone(&raised)).unwrap();
        really(async |_| {
            let both = [IoSlice::new(b"one"), IoSlice::new(b"two")];
            let (ours, theirs) = tcp().await;
            theirs.options().set_linger(Some(Duration::ZERO)).unwrap();
            drop(theirs);
            // The reset may take its time. When it has come, no write succeeds.
            assert_eq!(ours.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
            for _ in 0..3 {
                assert_eq!(ours.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
                assert_eq!(ours.write_vectored(&both).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
                assert_eq!(ours.try_write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
            }
            let (ours, theirs) = UnixStream::pair().unwrap();
            drop(theirs);
            assert_eq!(ours.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            assert_eq!(ours.write_vectored(&both).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            assert_eq!(ours.try_write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
            let (ours, theirs) = UnixDatagram::pair().unwrap();
            drop(theirs);
            ours.send(b"x").await.unwrap_err();
            let (ours, _theirs) = UnixDatagram::pair().unwrap();
            ours.options().shutdown(Shutdown::Both).unwrap();
            ours.send(b"x").await.unwrap_err();
            assert!(!raised.load(SeqCst), "a socket has raised SIGPIPE");
            let (sender, receiver) = pipe().unwrap();
            drop(receiver);
            assert_eq!(sender.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            assert!(raised.load(SeqCst), "this test would not notice the signal");
        });
    });
}

#[cfg(target_os = "linux")]
#[test]
fn hazard_42_a_child_inherits_no_descriptor_of_ours() {
    alone("hazard_42_a_child_inherits_no_descriptor_of_ours", || {
        let list = || {
            let output = Command::new("ls").arg("/proc/self/fd").output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let before = list();
        really(async |_| {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let server = listener.accept().await.unwrap();
            let socket = roundel_net::TcpSocket::new_v6().unwrap();
            let udp = roundel_net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let path = path();
            let unix = UnixListener::bind(&path).unwrap();
            let unix_client = UnixStream::connect(&path).await.unwrap();
            let unix_server = unix.accept().await.unwrap();
            let pairs = (UnixStream::pair().unwrap(), UnixDatagram::pair().unwrap(), pipe().unwrap());
            let datagram = UnixDatagram::unbound().unwrap();
            assert_eq!(list(), before);
            drop((listener, client, server, socket, udp, unix, unix_client, unix_server, pairs, datagram));
        });
    });
}

const PLACE: &str = "ROUNDEL_TEST_PLACE";

/// A killed server leaves its file and can start again. A second server beside it is refused.
#[test]
fn a_server_that_was_killed_can_start_again() {
    const NAME: &str = "a_server_that_was_killed_can_start_again";
    if is_alone(NAME) {
        let path = std::env::var(PLACE).unwrap();
        return really(async |_| {
            let listener = UnixListener::bind(&path).unwrap();
            loop {
                // A program that only checks whether the server runs closes at once, and this write may
                // fail.
                let _ = listener.accept().await.unwrap().0.write_all(b"served").await;
            }
        });
    }
    let path = path();
    for _ in 0..3 {
        let mut command = Command::new("env");
        rerun(&mut command, NAME);
        let mut server = spawn(command.env(PLACE, &path.0).stdout(Stdio::null())).unwrap();
        really(async |_| {
            let mut answer = Vec::new();
            while answer.is_empty() {
                time::sleep(Duration::from_millis(1)).await;
                if let Ok(client) = UnixStream::connect(&path).await {
                    client.read_to_end(&mut answer).await.unwrap();
                }
            }
            assert_eq!(answer, b"served");
            // A process that starts meanwhile would keep the lock of the folder, and the next server needs it.
            let _nothing_starts = nothing_starts();
            assert_eq!(UnixListener::bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        });
        server.kill().unwrap();
        server.wait().unwrap();
        assert!(path.0.exists(), "a killed server cannot remove its file");
    }
}

/// A child gets an end that blocks, as children expect.
#[test]
fn a_child_gets_an_end_of_a_pipe() {
    really(async |_| {
        let (sender, receiver) = pipe().unwrap();
        let theirs = Stdio::from(sender.into_owned_fd().unwrap());
        let mut child = spawn(Command::new("echo").arg("hello").stdout(theirs)).unwrap();
        child.wait().unwrap();
        let mut said = Vec::new();
        receiver.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"hello\n");
    });
}
