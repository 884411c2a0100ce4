//! The client, against servers that are threads: a good one, and some bad ones.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use super::*;

const LONG: Duration = Duration::from_secs(100);

/// A server that does this with each connection, in a thread of its own; the test does not wait for it.
fn server(converse: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, converse) = (listener.local_addr().unwrap(), Arc::new(converse));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let converse = Arc::clone(&converse);
            thread::spawn(move || converse(stream.unwrap()));
        }
    });
    address
}

/// Echoes each piece, after changing it.
fn echo(with: impl Fn(u64, &mut Vec<u8>) + Send + Sync + 'static) -> SocketAddr {
    server(move |mut stream| {
        stream.set_nodelay(true).unwrap();
        let (mut buffer, mut pieces) = (vec![0; 64 << 10], 0);
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            let mut piece = buffer[..count].to_vec();
            with(pieces, &mut piece);
            pieces += 1;
            if stream.write_all(&piece).is_err() {
                return;
            }
        }
    })
}

fn ran(to: SocketAddr, connections: usize, size: usize, each: u64, pace: Pace) -> Result<Outcome, Miss> {
    Client::connect(to, connections, Words::echo(size), LONG)?.run(each, pace)
}

fn wrong(result: Result<Outcome, Miss>) -> String {
    match result {
        Err(Miss::Wrong(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn everything_is_asked_and_answered_and_no_more() {
    for (size, in_flight) in [(64, 1), (64, 16), (100 << 10, 1), (100 << 10, 8)] {
        let bytes = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&bytes);
        let to = echo(move |_, piece| _ = seen.fetch_add(piece.len() as u64, SeqCst));
        let outcome = ran(to, 3, size, 50, Pace::InFlight(in_flight)).unwrap();
        assert_eq!((outcome.answered, outcome.latencies.len()), (150, 150));
        // One more for each connection, before the clock started.
        assert_eq!(bytes.load(SeqCst), (150 + 3) * size as u64);
    }
}

#[test]
fn a_client_may_run_again() {
    let mut client = Client::connect(echo(|_, _| ()), 2, Words::echo(10), LONG).unwrap();
    for pace in [Pace::InFlight(1), Pace::PerSecond(10_000), Pace::InFlight(4)] {
        assert_eq!(client.run(7, pace).unwrap().answered, 14);
    }
}

/// Every message that was due while a server stood still for 200 ms is late, although it could not be sent. However
/// slow the machine is, those that were due in the first 150 ms took 50 ms or longer. This is the test for coordinated
/// omission: a client that waits before it asks again sees one such message.
#[test]
fn a_stall_is_in_all_messages_that_were_due_meanwhile() {
    let stalls = echo(|piece, _| {
        if piece == 2 {
            thread::sleep(Duration::from_millis(200));
        }
    });
    let outcome = ran(stalls, 1, 10, 500, Pace::PerSecond(1_000)).unwrap();
    assert_eq!(outcome.answered, 500);
    let seen = outcome.latencies.count_between(50_000_000, u64::MAX);
    assert!(seen >= 145, "only {seen} messages were late");
}

#[test]
fn a_message_is_never_sent_before_it_is_due() {
    let outcome = ran(echo(|_, _| ()), 5, 10, 20, Pace::PerSecond(1_000)).unwrap();
    assert!(outcome.took >= Duration::from_millis(99), "{:?}", outcome.took);
}

#[test]
fn another_byte_is_an_error() {
    let to = echo(|piece, bytes| bytes[7] ^= u8::from(piece == 30));
    let why = wrong(ran(to, 1, 64, 100, Pace::InFlight(1)));
    assert_eq!(why, "the answer to message 30 is wrong");
}

#[test]
fn a_byte_too_many_is_an_error() {
    let to = echo(|piece, bytes| {
        if piece == 5 {
            bytes.push(bytes[0]);
        }
    });
    assert_eq!(wrong(ran(to, 1, 64, 100, Pace::InFlight(1))), "it answers more than it was asked");
}

#[test]
fn a_server_that_hangs_up_is_an_error() {
    let to = server(|mut stream| {
        let mut message = [0; 64];
        for _ in 0..3 {
            stream.read_exact(&mut message).unwrap();
            stream.write_all(&message).unwrap();
        }
        let _ = stream.read_exact(&mut message);
        stream.shutdown(Shutdown::Both).unwrap();
    });
    let why = wrong(ran(to, 1, 64, 100, Pace::InFlight(1)));
    assert_eq!(why, "it ends a connection before it has answered");
}

#[test]
fn a_silent_server_is_absent() {
    let patience = Duration::from_millis(50);
    let absent = Miss::Absent("no answer within 50ms".into());
    let silent = || server(|_stream| thread::sleep(LONG));
    let first = Client::connect(silent(), 1, Words::echo(64), patience);
    assert_eq!(first.unwrap_err(), absent);
    assert_eq!(storm(silent(), 2, 5, &Words::echo(64), patience).unwrap_err(), absent);
    // A server that falls silent later. (If the server is late, messages that are sent by the clock may arrive in one
    // piece.)
    for (pace, last) in [(Pace::InFlight(1), 5), (Pace::PerSecond(1_000), 1)] {
        let to = echo(move |piece, _| {
            if piece == last {
                thread::sleep(LONG);
            }
        });
        // On a busy machine, the first answer may be too late already.
        let mut clients = (0..9).map(|_| Client::connect(to, 1, Words::echo(64), patience));
        let mut client = clients.find_map(Result::ok).expect("an answer in time");
        assert_eq!(client.run(20, pace).unwrap_err(), absent);
    }
}

#[test]
fn a_storm_is_as_many_connections_as_were_asked_for() {
    let connections = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&connections);
    let to = server(move |mut stream| {
        seen.fetch_add(1, SeqCst);
        let mut message = [0; 64];
        stream.read_exact(&mut message).unwrap();
        stream.write_all(&message).unwrap();
        let _ = stream.read(&mut message);
    });
    storm(to, 10, 203, &Words::echo(64), LONG).unwrap();
    assert_eq!(connections.load(SeqCst), 203);
}
