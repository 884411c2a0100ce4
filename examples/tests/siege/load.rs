//! A test of the tester: `load` against servers that are wrong in one byte. If it finds nothing wrong with them, it
//! proves nothing about ours.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread;

use crate::common::{self, example, turn};
use socket2::{Domain, SockRef, Socket, Type};

/// What a server sends back instead of these bytes, after this many; nothing means that it closes.
type Wrong = fn(usize, &[u8]) -> Option<Vec<u8>>;

/// Far enough to be in the middle of a message.
const PLACE: usize = 100_123;

/// Long enough for each connection to get to its failure, however busy the machine is. `load` ends when all have failed.
const LONG: &str = "100";

/// Has `load` talk for this long with a server of ours that is wrong in this way.
fn load_against(wrong: Wrong, seconds: &str) -> Output {
    load_with(["1000", "4", seconds], move |stream| answer(stream, wrong))
}

/// Has `load` send messages of this size, so many at once, for so many seconds, to a server of ours that treats each
/// connection like this.
fn load_with(words: [&str; 3], treat: impl Fn(TcpStream) + Copy + Send + 'static) -> Output {
    let [size, pipeline, seconds] = words;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        listener.incoming().for_each(|stream| drop(thread::spawn(move || treat(stream.unwrap()))));
    });
    let options = ["--connections", "3", "--size", size, "--seconds", seconds, "--pipeline", pipeline];
    Command::new(example("load")).args(["--addr", &address]).args(options).output().unwrap()
}

fn answer(mut stream: TcpStream, wrong: Wrong) {
    let (mut before, mut buffer) = (0, [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        let Some(back) = wrong(before, &buffer[..count]) else { return };
        before += count;
        if stream.write_all(&back).is_err() {
            return;
        }
    }
}

/// Whether the byte at `PLACE` is among these, and where.
fn hit(before: usize, bytes: &[u8]) -> Option<usize> {
    PLACE.checked_sub(before).filter(|place| *place < bytes.len())
}

fn is_found_out(wrong: Wrong, says: &str) {
    is_failed(&load_against(wrong, LONG), says);
}

fn is_failed(output: &Output, says: &str) {
    let (line, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{line}{errors}");
    assert!(errors.contains(says), "{errors}");
    assert!(line.trim_end().ends_with("errors 3"), "{line}");
}

#[test]
fn an_honest_server_is_not_accused() {
    let _turn = turn();
    let output = load_against(|_, bytes| Some(bytes.to_vec()), "0.3");
    let (line, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && errors.is_empty(), "{line}{errors}");
    assert!(line.trim_end().ends_with("errors 0") && line.contains(" requests/s, p50 "), "{line}");
}

#[test]
fn a_bit_that_is_turned() {
    let _turn = turn();
    let turned: Wrong = |before, bytes| {
        let mut bytes = bytes.to_vec();
        if let Some(place) = hit(before, &bytes) {
            bytes[place] ^= 1;
        }
        Some(bytes)
    };
    is_found_out(turned, "other bytes came back than were sent");
}

#[test]
fn a_byte_that_is_lost() {
    let _turn = turn();
    let lost: Wrong = |before, bytes| {
        let mut bytes = bytes.to_vec();
        hit(before, &bytes).map(|place| bytes.remove(place));
        Some(bytes)
    };
    is_found_out(lost, "other bytes came back than were sent");
}

#[test]
fn a_byte_that_comes_twice() {
    let _turn = turn();
    let doubled: Wrong = |before, bytes| {
        let mut bytes = bytes.to_vec();
        if let Some(place) = hit(before, &bytes) {
            bytes.insert(place, bytes[place]);
        }
        Some(bytes)
    };
    is_found_out(doubled, "other bytes came back than were sent");
}

#[test]
fn messages_in_another_order() {
    let _turn = turn();
    let swapped: Wrong = |before, bytes| match hit(before, bytes) {
        Some(_) => Some([&bytes[bytes.len() / 2..], &bytes[..bytes.len() / 2]].concat()),
        None => Some(bytes.to_vec()),
    };
    is_found_out(swapped, "other bytes came back than were sent");
}

#[test]
fn a_server_that_leaves() {
    let _turn = turn();
    let leaves: Wrong = |before, bytes| hit(before, bytes).is_none().then(|| bytes.to_vec());
    is_found_out(leaves, "the server ended the connection early");
}

/// Sends back a hundred messages. The end of the stream arrives in one packet with the last of them, so that the client
/// finds it before it can send another.
fn hang_up_in_order(mut stream: TcpStream) {
    let mut message = [0; 64];
    for number in 1..=100 {
        stream.read_exact(&mut message).unwrap();
        SockRef::from(&stream).set_tcp_cork(number == 100).unwrap();
        stream.write_all(&message).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let _ = io::copy(&mut stream, &mut io::sink());
}

#[test]
fn a_server_that_hangs_up_in_order_between_two_messages() {
    let _turn = turn();
    let output = load_with(["64", "1", LONG], hang_up_in_order);
    is_failed(&output, "3 × the server ended the connection early, first ");
    is_failed(&output, " s after the start");
}

#[test]
fn a_server_that_is_killed() {
    let _turn = turn();
    let echo = common::Echo::start(&[]);
    let idle = echo.idle_descriptors();
    let mut load = Command::new(example("load"));
    load.args(["--addr", &echo.address().to_string(), "--connections", "3", "--seconds", "3600"]);
    let load = load.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    common::until("three connections are open", || echo.descriptors() == idle + 3);
    drop(echo);
    is_failed(&load.wait_with_output().unwrap(), " × the server ended the connection early");
}

#[test]
fn connections_that_never_come_about() {
    let _turn = turn();
    // The port is ours, so no other program gets it, but nothing listens there.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap().to_string();
    let output =
        Command::new(example("load")).args(["--addr", &address, "--connections", "3"]).output().unwrap();
    is_failed(&output, "3 × no connection: ");
}

/// More than was sent: the same again, which is not how the next message begins, if there is one.
#[test]
fn a_server_that_says_more() {
    let _turn = turn();
    let more: Wrong = |before, bytes| match before {
        0 => Some([bytes, bytes].concat()),
        _ => Some(bytes.to_vec()),
    };
    is_found_out(more, "came back than w");
}
