//! `udp_echo` and `unix_echo`, as programs.

use std::fs;
use std::io::Write;
use std::net::{Shutdown, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::common::{PATIENCE, Program, has, noise, read_all, run, shell, there_and_back, watchdog};

fn client(of: &Program) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(of.socket_address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Sends this, and returns what came back. Within one machine, one datagram at a time is not lost.
fn exchange(socket: &UdpSocket, bytes: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    socket.send(bytes).unwrap();
    let count = socket.recv(&mut buffer).unwrap();
    buffer.truncate(count);
    buffer
}

#[test]
fn a_datagram_comes_back_as_it_was() {
    let _watchdog = watchdog();
    let program = Program::start("udp_echo", &["--addr", "127.0.0.1:0"]);
    let clients = [client(&program), client(&program)];
    for size in [1, 0, 2, 1472, 1473, 9000, 65_507] {
        for socket in &clients {
            let bytes = noise(size);
            assert!(exchange(socket, &bytes) == bytes, "{size} bytes");
        }
    }
    program.stop();
}

#[test]
fn a_client_that_is_gone_ends_nothing() {
    let _watchdog = watchdog();
    let program = Program::start("udp_echo", &["--addr", "127.0.0.1:0"]);
    // It is there before the others, so that it has the port of none of them, and gets no answer that was meant for one.
    let other = client(&program);
    for _ in 0..20 {
        let gone = client(&program);
        gone.send(b"hello").unwrap();
        drop(gone); // If there is an answer, it is an error.
    }
    assert_eq!(exchange(&other, b"still there?"), b"still there?");
    program.stop();
}

#[test]
fn netcat_speaks_udp() {
    let _watchdog = watchdog();
    let program = Program::start("udp_echo", &["--addr", "127.0.0.1:0"]);
    let (host, port) = program.address.rsplit_once(':').unwrap();
    for (tool, script) in [
        ("nc", "printf hello | timeout 100 nc -u -W 1 \"$1\" \"$2\""),
        // It cannot know when all has come, and waits for so many seconds.
        (
            "socat",
            "for t in 1 9 60; do printf hello | socat -t $t - UDP:\"$1\":\"$2\" | grep . && break; done",
        ),
    ] {
        if has(tool, "netcat_speaks_udp") {
            let said = shell(script, &[host, port]);
            assert!(said.starts_with("hello"), "{tool}: {said:?}");
        }
    }
    program.stop();
}

/// A path at which there is no file.
fn place(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("roundel-{name}-{}", std::process::id()))
}

fn unix_echo(path: &Path) -> Program {
    Program::start("unix_echo", &["--path", path.to_str().unwrap()])
}

#[test]
fn bytes_come_back_and_the_file_is_gone_in_the_end() {
    let _watchdog = watchdog();
    let path = place("bytes");
    let program = unix_echo(&path);
    assert_eq!(program.address, path.to_str().unwrap());
    let mut clients: Vec<_> = (0..3).map(|_| UnixStream::connect(&path).unwrap()).collect();
    for client in &mut clients {
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        there_and_back(client, &noise(50_000));
    }
    for mut client in clients {
        client.write_all(b"goodbye").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut client), (b"goodbye".to_vec(), true));
    }
    let said = program.stop();
    assert!(!path.exists());
    let us = format!("connected: process {} of user ", std::process::id());
    if cfg!(target_os = "linux") {
        assert!(said.len() == 3 && said.iter().all(|line| line.starts_with(&us)), "{said:?}");
    }
}

#[test]
fn what_a_killed_server_left_behind_is_no_hindrance() {
    let _watchdog = watchdog();
    let path = place("killed");
    drop(unix_echo(&path)); // That kills it.
    assert!(path.exists(), "the file is still there");
    let program = unix_echo(&path);
    there_and_back(&mut UnixStream::connect(&path).unwrap(), b"hello");
    program.stop();
    assert!(!path.exists());
}

#[test]
fn what_belongs_to_others_stays() {
    let _watchdog = watchdog();
    let path = place("others");
    fs::write(&path, "precious").unwrap();
    let ended = run("unix_echo", &["--path", path.to_str().unwrap()]);
    assert_eq!(ended.code(), Some(1), "{ended:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();

    let listener = UnixListener::bind(&path).unwrap();
    let ended = run("unix_echo", &["--path", path.to_str().unwrap()]);
    assert!(ended.code() == Some(1) && ended.complaints.contains("a server is there already"), "{ended:?}");
    UnixStream::connect(&path).expect("its owner still listens");
    drop(listener);
    fs::remove_file(&path).unwrap();
}

#[test]
fn netcat_speaks_unix() {
    let _watchdog = watchdog();
    let path = place("netcat");
    let program = unix_echo(&path);
    for (tool, script) in [
        ("nc", "printf hello | nc -N -U \"$1\""),
        ("ncat", "printf hello | ncat -U \"$1\""),
        ("socat", "printf hello | socat -t 100 - UNIX-CONNECT:\"$1\""),
    ] {
        if has(tool, "netcat_speaks_unix") {
            let said = shell(script, &[path.to_str().unwrap()]);
            assert!(said.starts_with("hello"), "{tool}: {said:?}");
        }
    }
    program.stop();
}
