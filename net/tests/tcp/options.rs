//! The options of a socket, and the texts of its errors.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use roundel_net::{TcpListener, TcpSocket, TcpStream};

use super::common::really;

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn expect<T>(result: io::Result<T>, kind: ErrorKind, begin: &str) {
    let Err(error) = result else { panic!("{begin}: there was no error") };
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().starts_with(begin), "{error}");
}

#[test]
fn options_can_be_read_back() {
    for socket in [TcpSocket::new_v4().unwrap(), TcpSocket::new_v6().unwrap()] {
        for on in [true, false] {
            socket.set_reuse_address(on).unwrap();
            socket.set_reuse_port(on).unwrap();
            socket.set_nodelay(on).unwrap();
            let said =
                (socket.reuse_address().unwrap(), socket.reuse_port().unwrap(), socket.nodelay().unwrap());
            assert_eq!(said, (on, on, on));
            let linger = on.then_some(Duration::from_secs(7));
            socket.set_linger(linger).unwrap();
            assert_eq!(socket.linger().unwrap(), linger);
        }
        socket.set_ttl(17).unwrap();
        socket.set_tos(16).unwrap();
        assert_eq!((socket.ttl().unwrap(), socket.tos().unwrap()), (17, 16));
        socket.set_recv_buffer_size(30_000).unwrap();
        socket.set_send_buffer_size(40_000).unwrap();
        assert!(socket.recv_buffer_size().unwrap() >= 30_000);
        assert!((40_000..=80_000).contains(&socket.send_buffer_size().unwrap()));
    }
    let socket = TcpSocket::new_v6().unwrap();
    for on in [true, false] {
        socket.set_only_v6(on).unwrap();
        assert_eq!(socket.only_v6().unwrap(), on);
    }
}

#[test]
fn accepted_connections_inherit_keepalive() {
    really(async |_| {
        let socket = TcpSocket::new_v4().unwrap();
        assert!(!socket.keepalive().unwrap());
        socket.set_keepalive_retries(Duration::from_secs(5), 3).unwrap();
        assert!(socket.keepalive().unwrap());
        socket.set_keepalive(Some(Duration::from_secs(40))).unwrap();
        socket.bind(loopback()).unwrap();
        let listener = socket.listen(8).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let options = server.options();
        assert!(options.keepalive().unwrap());
        assert_eq!(options.tcp_keepalive_time().unwrap(), Duration::from_secs(40));
        assert_eq!(options.tcp_keepalive_interval().unwrap(), Duration::from_secs(5));
        assert_eq!(options.tcp_keepalive_retries().unwrap(), 3);
        assert!(!client.options().keepalive().unwrap());
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_keepalive(Some(Duration::from_secs(40))).unwrap();
        socket.set_keepalive(None).unwrap();
        assert!(!socket.keepalive().unwrap());
    });
}

#[cfg(target_os = "linux")]
#[test]
fn options_that_only_linux_has() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_user_timeout(Some(Duration::from_millis(1234))).unwrap();
    assert_eq!(socket.user_timeout().unwrap(), Some(Duration::from_millis(1234)));
    socket.set_user_timeout(None).unwrap();
    match socket.bind_device(Some("lo")) {
        Ok(()) => assert_eq!(socket.options().device().unwrap().unwrap(), b"lo"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::PermissionDenied),
    }
    assert!(socket.bind_device(Some("no such thing")).is_err());
}

#[test]
fn an_error_names_the_address_and_keeps_its_kind() {
    really(async |_| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        expect(TcpListener::bind(at).await, ErrorKind::AddrInUse, &format!("cannot bind {at}: "));
        let elsewhere = "192.0.2.1:0".parse().unwrap();
        let bound = TcpSocket::new_v4().unwrap().bind(elsewhere);
        expect(bound, ErrorKind::AddrNotAvailable, "cannot bind 192.0.2.1:0: ");
        // Two sockets may bind one address if both set `SO_REUSEADDR`, but only one may listen.
        let sockets = [(); 2].map(|()| TcpSocket::new_v4().unwrap());
        sockets.iter().for_each(|socket| socket.set_reuse_address(true).unwrap());
        let [one, other] = sockets;
        one.bind(loopback()).unwrap();
        let at = one.local_addr().unwrap();
        if other.bind(at).is_ok() {
            let _one = one.listen(1).unwrap();
            expect(other.listen(1), ErrorKind::AddrInUse, &format!("cannot listen on {at}: "));
        }
    });
}

#[test]
fn listening_without_bind_is_listening_everywhere() {
    really(async |_| {
        let listener = TcpSocket::new_v4().unwrap().listen(8).unwrap();
        let at = listener.local_addr().unwrap();
        assert!(at.ip().is_unspecified() && at.port() != 0, "{at}");
        let client = TcpStream::connect(("127.0.0.1", at.port())).await.unwrap();
        assert_eq!(listener.accept().await.unwrap().1, client.local_addr().unwrap());
    });
}

#[test]
fn our_own_address_can_be_chosen_before_connecting() {
    really(async |_| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(loopback()).unwrap();
        let ours = socket.local_addr().unwrap();
        let client = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        assert_eq!((client.local_addr().unwrap(), listener.accept().await.unwrap().1), (ours, ours));
    });
}

#[test]
fn a_foreign_socket_is_taken_over() {
    really(async |_| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let socket = TcpSocket::from_std(socket.into()).unwrap();
        socket.bind(loopback()).unwrap();
        let listener = socket.listen(8).unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        listener.accept().await.unwrap();
    });
}

#[test]
fn an_address_without_a_listener_refuses() {
    really(async |_| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(loopback()).unwrap();
        // The socket is bound, so that no other program gets the address, but it does not listen.
        let absent = socket.local_addr().unwrap();
        let connected = TcpSocket::new_v4().unwrap().connect(absent).await;
        expect(connected, ErrorKind::ConnectionRefused, &format!("cannot connect to {absent}: "));
    });
}
