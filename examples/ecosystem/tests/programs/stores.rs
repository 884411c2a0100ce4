//! `redis` with a real server, and `database` with SQLite's own shell.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::common::{Program, has, host_of_our_own, lines_of, run, shell, watchdog};

/// A Redis server that keeps nothing.
fn redis_server() -> (Program, String) {
    let host = host_of_our_own();
    let port = TcpListener::bind((&*host, 0)).unwrap().local_addr().unwrap().port().to_string();
    let mut command = Command::new("redis-server");
    command.args(["--port", &port, "--bind", &host, "--save", "", "--appendonly", "no", "--dir", "/tmp"]);
    let server = Program::launch(&mut command);
    let address = format!("{host}:{port}");
    while TcpStream::connect(&address).is_err() {
        thread::sleep(Duration::from_millis(20));
    }
    (server, address)
}

#[test]
fn redis_talks_to_a_real_server() {
    let _watchdog = watchdog();
    if !has("redis-server", "redis_talks_to_a_real_server") {
        return;
    }
    let (_server, address) = redis_server();
    let ask = |words: &[&str]| lines_of("redis", &[&["--addr", &address], words].concat());
    assert_eq!(ask(&["ping"]), ["PONG"]);
    assert_eq!(ask(&["set", "answer", "42"]), ["OK"]);
    assert_eq!(ask(&["get", "answer"]), ["42"]);
    assert_eq!(ask(&["get", "question"]), ["(nothing)"]);
    assert_eq!(ask(&["--times", "1000", "incr", "answer"]), ["1042"]);
    let long = "x".repeat(100_100);
    assert_eq!(ask(&["set", "long", &long[..100_000]]), ["OK"]);
    assert_eq!(ask(&["--times", "100", "append", "long", "x"]), ["100100"]);
    assert_eq!(ask(&["--times", "20", "get", "long"]), [long.as_str()]);
    assert_eq!(ask(&["rpush", "list", "a", "é", ""]), ["3"]);
    assert_eq!(ask(&["lrange", "list", "0", "9"]), ["a", "é", ""]);
    let refused = run("redis", &["--addr", &address, "incr", "list"]);
    assert_eq!(refused.code(), Some(1));
    assert!(refused.complaints.starts_with("redis: WRONGTYPE "), "{refused:?}");
}

/// This server reads a command only when its last answer has left, and the answers are larger than all buffers in between.
#[test]
fn redis_reads_while_it_writes() {
    let _watchdog = watchdog();
    let text = "x".repeat(100_000);
    let command = format!("*2\r\n$4\r\necho\r\n${}\r\n{text}\r\n", text.len());
    let answer = format!("${}\r\n{text}\r\n", text.len());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut bytes = vec![0; command.len()];
        while stream.read_exact(&mut bytes).is_ok() {
            assert!(bytes == command.as_bytes(), "another command came");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    assert_eq!(lines_of("redis", &["--addr", &address, "--times", "400", "echo", &text]), [text]);
    server.join().unwrap();
}

#[test]
fn redis_says_when_the_server_goes_or_talks_nonsense() {
    let _watchdog = watchdog();
    for (answer, complaint) in [
        ("", "closed the connection"),
        ("+OK", "closed the connection"),
        ("HTTP/1.1 400\r\n", "not how Redis answers"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            // The request is read, because closing a socket with unread bytes would reset the connection.
            stream.read_exact(&mut [0; b"*1\r\n$4\r\nping\r\n".len()]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let ended = run("redis", &["--addr", &address, "ping"]);
        server.join().unwrap();
        assert_eq!(ended.code(), Some(1), "{ended:?}");
        assert!(ended.complaints.contains(complaint) && ended.complaints.lines().count() == 1, "{ended:?}");
    }
}

#[test]
fn database_writes_all_notes_of_all_tasks() {
    let _watchdog = watchdog();
    let lines = lines_of("database", &[]);
    assert_eq!(lines[0], "10 tasks have written 100 notes; there are 100 now");
    assert!(lines[1].starts_with("while SQLite counted to 300000, a task of the loop ran "), "{lines:?}");
}

#[test]
fn database_leaves_a_file_that_sqlite_reads() {
    let _watchdog = watchdog();
    let file = std::env::temp_dir().join(format!("roundel-notes-{}.sqlite", std::process::id()));
    let path = file.to_str().unwrap();
    lines_of("database", &["--file", path, "--tasks", "3"]);
    let lines = lines_of("database", &["--file", path, "--tasks", "4"]);
    assert_eq!(lines[0], "4 tasks have written 40 notes; there are 70 now");
    if has("sqlite3", "database_leaves_a_file_that_sqlite_reads") {
        let query = "select count(*), count(distinct text), max(text) from notes";
        let told = shell(r#"sqlite3 "$1" "$2""#, &[path, query]);
        assert_eq!(told.trim(), "70|40|note 9 of task 3");
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn database_says_why_a_file_cannot_be_used() {
    let _watchdog = watchdog();
    for (path, complaint) in
        [("/no/such/folder/notes", "/no/such/folder/notes: unable to open"), ("/bin/sh", "not a database")]
    {
        let ended = run("database", &["--file", path]);
        assert_eq!(ended.code(), Some(1), "{ended:?}");
        assert!(ended.complaints.contains(complaint) && ended.complaints.lines().count() == 1, "{ended:?}");
    }
}
