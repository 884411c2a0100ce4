//! The prover proved: `load` against servers that are wrong in one byte. One that finds nothing wrong with them proves
//! nothing about ours.

#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

mod siege;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::thread;

use siege::example;

/// What a server sends back instead of these bytes, of which so many have come before; nothing: it closes.
type Wrong = fn(usize, &[u8]) -> Option<Vec<u8>>;

/// Far enough to be in the middle of a message.
const PLACE: usize = 100_123;

/// Has `load` talk with a server of ours that is wrong in its way.
fn load_against(wrong: Wrong) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        listener.incoming().for_each(|stream| drop(thread::spawn(move || answer(stream.unwrap(), wrong))));
    });
    let options = ["--connections", "3", "--size", "1000", "--seconds", "0.3", "--pipeline", "4"];
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

/// Whether the byte at `PLACE` is among these; where.
fn hit(before: usize, bytes: &[u8]) -> Option<usize> {
    PLACE.checked_sub(before).filter(|place| *place < bytes.len())
}

fn is_found_out(wrong: Wrong, says: &str) {
    let output = load_against(wrong);
    let (line, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{line}{errors}");
    assert!(errors.contains(says), "{errors}");
    assert!(line.trim_end().ends_with("errors 3"), "{line}");
}

#[test]
fn an_honest_server_is_not_accused() {
    let output = load_against(|_, bytes| Some(bytes.to_vec()));
    let (line, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && errors.is_empty(), "{line}{errors}");
    assert!(line.trim_end().ends_with("errors 0") && line.contains(" requests/s, p50 "), "{line}");
}

#[test]
fn a_bit_that_is_turned() {
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
    let lost: Wrong = |before, bytes| {
        let mut bytes = bytes.to_vec();
        hit(before, &bytes).map(|place| bytes.remove(place));
        Some(bytes)
    };
    is_found_out(lost, "other bytes came back than were sent");
}

#[test]
fn a_byte_that_comes_twice() {
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
    let swapped: Wrong = |before, bytes| match hit(before, bytes) {
        Some(_) => Some([&bytes[bytes.len() / 2..], &bytes[..bytes.len() / 2]].concat()),
        None => Some(bytes.to_vec()),
    };
    is_found_out(swapped, "other bytes came back than were sent");
}

#[test]
fn a_server_that_leaves() {
    is_found_out(|before, bytes| hit(before, bytes).is_none().then(|| bytes.to_vec()), "");
}

/// More than was sent: the same again, which is not what the next message begins with, if there is one.
#[test]
fn a_server_that_says_more() {
    let more: Wrong = |before, bytes| match before {
        0 => Some([bytes, bytes].concat()),
        _ => Some(bytes.to_vec()),
    };
    is_found_out(more, "came back than w");
}
