//! The facts that surprise, by the names that they have in `src/tcp.rs`.

use std::io::{ErrorKind, Read};
use std::net::Shutdown;
use std::time::Duration;

use roundel::{Runtime, spawn, time};
use roundel_net::{TcpListener, TcpSocket, TcpStream};

use super::common::{noise, really, settle, tcp, watchdog};

#[test]
fn nagle() {
    really(async |_| {
        let (_server, client) = tcp().await;
        assert!(!client.nodelay().unwrap(), "Nagle's algorithm is on by default");
        client.set_nodelay(true).unwrap();
        assert!(client.nodelay().unwrap());
    });
}

#[test]
fn hazard_40_closing_with_unread_bytes_resets() {
    really(async |_| {
        let (server, client) = tcp().await;
        client.write_all(b"never read").await.unwrap();
        server.readable().await.unwrap();
        while server.peek(&mut [0; 20]).await.unwrap() < 10 {}
        drop(server);
        let error = client.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        // A side that reads to the end first closes in an orderly way.
        let (server, client) = tcp().await;
        client.write_all(b"read").await.unwrap();
        server.read_exact(&mut [0; 4]).await.unwrap();
        drop(server);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    });
}

/// A close returns before the peer has read anything, and all of it arrives nevertheless.
#[test]
fn closing_is_not_delivering() {
    really(async |_| {
        let (server, client) = tcp().await;
        let mut sent = 0;
        let piece = noise(5, 10_000);
        while let Ok(count) = server.try_write(&piece[sent % piece.len()..]) {
            sent += count;
        }
        drop(server);
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        assert_eq!(got.len(), sent);
        assert!(got.iter().zip(piece.iter().cycle()).all(|(one, other)| one == other));
    });
}

/// The other half of it: to know that all was delivered, shut down writing and read until the peer has
/// closed.
#[test]
fn delivery_is_known_when_the_peer_has_closed() {
    really(async |_| {
        let (server, client) = tcp().await;
        let reader = spawn(async move {
            let mut got = Vec::new();
            client.read_to_end(&mut got).await.unwrap();
            got.len()
        });
        server.write_all(&noise(6, 1_000_000)).await.unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
        assert!(reader.is_finished(), "the end comes when the peer has everything");
        assert_eq!(reader.await.unwrap(), 1_000_000);
    });
}

#[test]
fn linger_of_zero_resets() {
    really(async |_| {
        let (server, client) = tcp().await;
        server.options().set_linger(Some(Duration::ZERO)).unwrap();
        drop(server);
        let error = client.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

/// The side that closes first keeps the addresses. So a server that did could not be started again without
/// `SO_REUSEADDR`.
#[test]
fn ephemeral_ports_and_time_wait() {
    really(async |_| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let client = TcpStream::connect(at).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        drop(server);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        drop((client, listener));
        settle().await;
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuse_address(false).unwrap();
        assert_eq!(socket.bind(at).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert_eq!(TcpListener::bind(at).await.unwrap().local_addr().unwrap(), at);
    });
}

/// On a virtual clock, an hour passes because nothing else can happen.
#[test]
fn a_dead_peer_is_silent() {
    let _watchdog = watchdog();
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    runtime.block_on(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let dead = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = TcpStream::from_std(listener.accept().unwrap().0).unwrap();
        assert!(time::timeout(Duration::from_secs(3600), stream.read(&mut [0])).await.is_err());
        dead.set_nonblocking(true).unwrap();
        assert_eq!((&dead).read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}
