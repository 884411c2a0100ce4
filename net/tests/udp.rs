//! UDP: the facts that surprise, by the names that they have in the header of `src/udp.rs`, and the rest.
//!
//! Between two sockets of this machine a datagram arrives at once, unless the receiver has too many unread.

#![forbid(unsafe_code)]
#![cfg(all(unix, not(miri)))]

mod common;

use std::cell::Cell;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use roundel::{spawn, time, yield_now};
use roundel_net::UdpSocket;

use common::{really, settle};

async fn bind() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// An address where no socket is, nor will be one of another program, which may get any port that is free.
async fn absent() -> SocketAddr {
    let [.., high, middle, low] = std::process::id().to_be_bytes();
    // All of 127.0.0.0/8 is this machine's, on Linux.
    let host = Ipv4Addr::new(127, 64 | high, middle, low);
    let host = if cfg!(target_os = "linux") { host } else { Ipv4Addr::LOCALHOST };
    UdpSocket::bind((host, 0)).await.unwrap().local_addr().unwrap()
}

/// Two sockets that are connected to each other.
async fn pair() -> (UdpSocket, UdpSocket) {
    let ((one, one_address), (other, other_address)) = (bind().await, bind().await);
    one.connect(other_address).await.unwrap();
    other.connect(one_address).await.unwrap();
    (one, other)
}

#[test]
fn a_datagram_that_is_longer_than_the_buffer_is_cut() {
    really(async |_| {
        let (one, other) = pair().await;
        one.send(b"hello").await.unwrap();
        one.send(b"next").await.unwrap();
        let mut buffer = [0; 3];
        // Peeking does not cut it.
        assert_eq!(other.peek(&mut buffer).await.unwrap(), 3);
        let mut longer = [0; 10];
        assert_eq!(other.peek(&mut longer).await.unwrap(), 5);
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 3);
        assert_eq!(&buffer, b"hel");
        assert_eq!(other.recv(&mut longer).await.unwrap(), 4, "the rest is gone");
        // The longest datagram, with a byte to spare, and a longer one.
        let most = vec![7; 65_507];
        assert_eq!(one.send(&most).await.unwrap(), most.len());
        assert_eq!(other.recv(&mut vec![0; 65_508]).await.unwrap(), most.len());
        one.send(&vec![7; 65_508]).await.unwrap_err();
        one.send(b"the socket goes on").await.unwrap();
        assert_eq!(other.recv(&mut [0; 100]).await.unwrap(), 18);
    });
}

#[test]
fn an_empty_datagram_is_a_datagram() {
    really(async |_| {
        let (one, other) = pair().await;
        one.send(b"").await.unwrap();
        one.send(b"x").await.unwrap();
        assert_eq!(other.recv(&mut [0]).await.unwrap(), 0);
        assert_eq!(other.recv(&mut [0]).await.unwrap(), 1);
    });
}

/// Also hazard 34: the error wakes a task that only receives.
#[test]
fn an_absent_peer_is_an_error_of_the_next_call() {
    really(async |_| {
        let ((ours, _), absent) = (bind().await, absent().await);
        ours.connect(absent).await.unwrap();
        let ours = Rc::new(ours);
        let receiver = Rc::clone(&ours);
        let receiving = spawn(async move { receiver.recv(&mut [0]).await });
        settle().await;
        ours.send(b"question").await.unwrap();
        assert_eq!(receiving.await.unwrap().unwrap_err().kind(), ErrorKind::ConnectionRefused);
        for _ in 0..3 {
            assert_eq!(ours.send(b"question").await.unwrap(), 8, "the last refusal is over");
            assert_eq!(ours.recv(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
            assert_eq!(ours.try_recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "once for each");
        }
        ours.send(b"question").await.unwrap();
        // The refusal may take its time. It is reported, and stays for the next call.
        ours.readable().await.unwrap();
        assert_eq!(ours.send(b"hello?").await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        // When a socket listens there again, datagrams arrive.
        let there = UdpSocket::bind(absent).await.unwrap();
        ours.send(b"hello").await.unwrap();
        assert_eq!(there.recv(&mut [0; 10]).await.unwrap(), 5);
        // A socket that is not connected gets no error.
        let (free, _) = bind().await;
        drop(there);
        free.send_to(b"question", absent).await.unwrap();
        assert_eq!(free.try_recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

/// After an error, the kernel reports the source as ready for ever. A receiver that finds nothing must wait
/// all the same.
#[test]
fn hazard_35_a_refusal_does_not_make_the_loop_spin() {
    really(async |log| {
        let ((ours, _), absent) = (bind().await, absent().await);
        ours.connect(absent).await.unwrap();
        ours.send(b"question").await.unwrap();
        assert_eq!(ours.recv(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let receiving = spawn(async move { ours.recv(&mut [0]).await });
        settle().await;
        log.clear();
        time::sleep(Duration::from_millis(50)).await;
        assert_eq!(log.polls(receiving.id()), 0);
    });
}

#[test]
fn a_connected_socket_hears_its_peer_only() {
    really(async |_| {
        let (one, other) = pair().await;
        let (stranger, _) = bind().await;
        stranger.send_to(b"stranger", other.local_addr().unwrap()).await.unwrap();
        one.send(b"peer").await.unwrap();
        let mut buffer = [0; 10];
        let (count, from) = other.recv_from(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..count], from), (b"peer".as_slice(), one.local_addr().unwrap()));
        assert_eq!(other.peer_addr().unwrap(), from);
        // It may choose another peer.
        other.connect(stranger.local_addr().unwrap()).await.unwrap();
        stranger.send_to(b"stranger", other.local_addr().unwrap()).await.unwrap();
        assert_eq!(other.recv(&mut buffer).await.unwrap(), 8);
    });
}

#[test]
fn broadcasting_has_to_be_allowed_first() {
    really(async |_| {
        let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        assert!(!socket.broadcast().unwrap());
        let broadcast = SocketAddr::from((Ipv4Addr::BROADCAST, 9));
        let error = socket.send_to(b"x", broadcast).await.unwrap_err();
        // Without any network, the error is another one.
        let expected = [ErrorKind::PermissionDenied, ErrorKind::NetworkUnreachable];
        assert!(expected.contains(&error.kind()), "{error}");
        socket.set_broadcast(true).unwrap();
        assert!(socket.broadcast().unwrap());
        if let Err(error) = socket.send_to(b"x", broadcast).await {
            assert_ne!(error.kind(), ErrorKind::PermissionDenied);
        }
    });
}

#[test]
fn an_error_names_the_address() {
    really(async |_| {
        let (_there, at) = bind().await;
        let error = UdpSocket::bind(at).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().starts_with(&format!("cannot bind {at}: ")), "{error}");
        let (ours, _) = bind().await;
        let error = ours.send(b"to whom?").await.unwrap_err();
        assert!(ours.peer_addr().is_err(), "{error}");
        let v6 = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 9));
        let error = ours.connect(v6).await.unwrap_err();
        assert!(error.to_string().starts_with("cannot connect to [::1]:9: "), "{error}");
    });
}

#[test]
fn a_try_does_not_wait() {
    really(async |_| {
        let (one, other) = pair().await;
        let (from, to) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        let mut buffer = [0; 10];
        assert_eq!(other.try_recv(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(one.try_send(b"a").unwrap(), 1);
        other.readable().await.unwrap();
        assert_eq!(other.try_recv_from(&mut buffer).unwrap(), (1, from));
        // The loop knows what the tries have taken, so this waits for the next datagram.
        assert_eq!(other.try_recv_from(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(time::timeout(Duration::from_millis(1), other.readable()).await.is_err());
        let (free, _) = bind().await;
        one.writable().await.unwrap();
        assert_eq!(free.try_send_to(b"stranger", to).unwrap(), 8);
        assert_eq!(poll_fn(|cx| one.poll_send_to(cx, b"bc", to)).await.unwrap(), 2);
        assert_eq!(other.peek_from(&mut buffer).await.unwrap(), (2, from));
        assert_eq!(poll_fn(|cx| other.poll_recv_from(cx, &mut buffer)).await.unwrap(), (2, from));
    });
}

#[test]
fn a_receive_that_is_dropped_loses_nothing() {
    really(async |_| {
        let (one, other) = pair().await;
        for number in 0..500_u16 {
            let mut buffer = [0; 2];
            assert!(time::timeout(Duration::ZERO, other.recv(&mut buffer)).await.is_err());
            let waited = spawn({
                let other = UdpSocket::from_std(other.options().try_clone().unwrap().into()).unwrap();
                async move { other.recv(&mut [0; 2]).await }
            });
            yield_now().await;
            // It waits. When it is dropped, the next receive gets the report.
            waited.cancel();
            one.send(&number.to_le_bytes()).await.unwrap();
            other.recv(&mut buffer).await.unwrap();
            assert_eq!(u16::from_le_bytes(buffer), number);
        }
    });
}

/// Any number of tasks may receive. Each datagram goes to one of them.
#[test]
fn hazard_32_several_tasks_receive() {
    really(async |_| {
        let (one, other) = pair().await;
        let (other, got) = (Rc::new(other), Rc::new(Cell::new(0)));
        let receivers: Vec<_> = (0..4)
            .map(|_| {
                let (other, got) = (Rc::clone(&other), Rc::clone(&got));
                spawn(async move {
                    loop {
                        other.recv(&mut [0; 2]).await.unwrap();
                        got.set(got.get() + 1);
                    }
                })
            })
            .collect();
        for number in 1..=1000_u16 {
            one.send(&number.to_le_bytes()).await.unwrap();
            if number % 50 == 0 {
                while got.get() < usize::from(number) {
                    settle().await;
                }
            }
        }
        receivers.iter().for_each(|receiver| receiver.cancel());
        assert_eq!(got.get(), 1000);
    });
}

#[test]
fn sockets_of_the_standard_library_come_and_go() {
    really(async |_| {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let ours = UdpSocket::from_std(socket).unwrap();
        let at = ours.local_addr().unwrap();
        let (other, _) = bind().await;
        other.send_to(b"hello", at).await.unwrap();
        ours.readable().await.unwrap();
        let socket = ours.into_std().unwrap();
        assert!(!rustix::fs::fcntl_getfl(&socket).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
        assert_eq!(socket.recv(&mut [0; 10]).unwrap(), 5);
    });
}

#[test]
fn options_are_set() {
    really(async |_| {
        let (socket, _) = bind().await;
        socket.set_ttl(9).unwrap();
        assert_eq!(socket.ttl().unwrap(), 9);
        socket.options().set_recv_buffer_size(50_000).unwrap();
        assert!(socket.options().recv_buffer_size().unwrap() >= 50_000);
    });
}

/// A group on the loopback interface, where the system allows that.
#[test]
fn a_multicast_comes_back() {
    really(async |_| {
        // A group of this process: as long as any process here is in a group, its datagrams come to all.
        let [.., high, middle, low] = std::process::id().to_be_bytes();
        let (group, here) = (Ipv4Addr::new(239, 64 | high, middle, low), Ipv4Addr::LOCALHOST);
        let member = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        if let Err(error) = member.join_multicast_v4(group, here) {
            common::say(&format!(
                "SKIPPED: no multicast here ({error}); a_multicast_comes_back tested nothing"
            ));
            return;
        }
        let (sender, _) = bind().await;
        sender.set_multicast_loop_v4(true).unwrap();
        sender.set_multicast_ttl_v4(0).unwrap();
        sender.options().set_multicast_if_v4(&here).unwrap();
        let to = SocketAddr::from((group, member.local_addr().unwrap().port()));
        sender.send_to(b"all of you", to).await.unwrap();
        assert_eq!(member.recv(&mut [0; 100]).await.unwrap(), 10);
        member.leave_multicast_v4(group, here).unwrap();
        sender.send_to(b"all of you", to).await.unwrap();
        assert!(time::timeout(Duration::from_millis(20), member.recv(&mut [0; 100])).await.is_err());
    });
}
