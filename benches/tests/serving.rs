//! Servers as the face-off starts them: one that is no longer needed ends, and each uses the core that it was told to
//! use.
//!
//! Facts. A process that is killed cannot stop what it has started; a benchmark that is killed must not leave ten
//! servers behind.

#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// A server, and its address.
fn started(name: &str) -> (Child, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_faceoff"));
    let command = command.args(["serve", name, "echo", "0"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().to_owned())
}

#[test]
fn a_server_ends_with_its_parent() {
    for name in ["roundel", "tokio", "mio"] {
        let (mut server, address) = started(name);
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"are you there?").unwrap();
        stream.read_exact(&mut [0; 14]).unwrap();
        drop(server.stdin.take()); // The system does this for a process that is killed.
        assert!(server.wait().unwrap().success(), "{name}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_server_is_on_one_core_where_there_are_two() {
    let allowed = |process: u32| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        status.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap().to_owned()
    };
    let several = allowed(std::process::id()).contains(['-', ',']);
    let (mut server, _) = started("mio");
    assert!(!allowed(server.id()).contains(['-', ',']), "{}, of several: {several}", allowed(server.id()));
    drop(server.stdin.take());
    server.wait().unwrap();
}

#[test]
fn words_that_are_not_understood_are_said_so() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_faceoff"));
    let output = command.args(["serve", "roundel", "echo", "many"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`many`"));
}
