//! The program that counts allocations counts a known number correctly, and serves as it should.
//!
//! Facts. A counter that is wrong by a factor is wrong for all contenders, so the comparison does not show it.
//!
//! What follows. It is asked about boxes, each of which is one call and thirty-two bytes, and about tasks that wait.

#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use benches::faceoff::counting::child::{READ, Reading, STOP};

fn counts(words: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_counts"));
    command.args(words).stdout(Stdio::piped()).spawn().expect("counts")
}

/// All readings of a child that ends by itself.
fn readings(words: &[&str]) -> Vec<Reading> {
    let output = counts(words).wait_with_output().expect("an output");
    assert!(output.status.success(), "{words:?} ended with {}", output.status);
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| Reading::parse(line).expect("a reading")).collect()
}

#[test]
fn boxes_are_counted_exactly() {
    let readings = readings(&["run", "roundel", "box:1000", "box:1000", "box:11000"]);
    let [_, first, second, third] = readings[..] else { panic!("{readings:?}") };
    let (short, long) = (second.since(first), third.since(second));
    assert_eq!((long.calls - short.calls, long.bytes - short.bytes), (10_000.0, 320_000.0));
    assert_eq!(long.held, 0.0, "all of them are gone");
}

/// Each task has been polled, as the program itself asserts: a task that is read too early shows less.
#[test]
fn what_waits_is_held() {
    for (name, state) in ["roundel", "tokio", "tokio_local", "smol", "monoio", "compio"]
        .into_iter()
        .flat_map(|name| [(name, "idle"), (name, "sleeping")])
    {
        let readings = readings(&["hold", name, state, "10000"]);
        let [_, before, after] = readings[..] else { panic!("{name}: {readings:?}") };
        let held = after.since(before).held / 10_000.0;
        assert!((16.0..2_000.0).contains(&held), "{held} bytes for each {state} task of {name}");
    }
}

#[test]
fn a_server_is_told_by_messages() {
    let mut child = counts(&["serve", "mio"]);
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    let mut stream = TcpStream::connect(lines.next().expect("an address")).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(100))).expect("a limit");
    let mut echoed = [0; 4];
    for word in [b"some", READ, b"more", READ] {
        stream.write_all(word).expect("it listens");
        stream.read_exact(&mut echoed).expect("an echo");
        assert_eq!(&echoed, word);
    }
    stream.write_all(STOP).expect("it listens");
    assert_eq!(stream.read(&mut echoed).expect("its end, in time"), 0);
    assert!(child.wait().expect("it ends").success());
    let told: Vec<String> = lines.collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter().all(|line| Reading::parse(line).is_some_and(|reading| reading.calls > 1.0)),
        "{told:?}"
    );
}
