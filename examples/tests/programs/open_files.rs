//! The limit of open files: a program that needs many raises it, or says before it begins that the limit is too low.

use std::process::Command;

use crate::common::{Ended, Program, path_of, watchdog};

/// A program that a shell starts under a limit, `-Sn 64` or `-n 64`.
fn start_under(limit: &str, name: &str, args: &[&str]) -> Program {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit {limit}; exec \"$@\""), "sh"]).arg(path_of(name)).args(args);
    Program::launch(&mut shell)
}

/// A server that opens a file for each connection must not stop at the soft limit.
#[test]
fn every_server_raises_the_limit() {
    let _watchdog = watchdog();
    let (path, to) =
        (std::env::temp_dir().join(format!("roundel-files-{}", std::process::id())), "127.0.0.1:1");
    let servers: [(&str, &[&str]); 7] = [
        ("echo", &["--addr", "127.0.0.1:0"]),
        ("unix_echo", &["--path", path.to_str().unwrap()]),
        ("chat", &["--addr", "127.0.0.1:0"]),
        ("proxy", &["--listen", "127.0.0.1:0", "--to", to]),
        ("chaos", &["--listen", "127.0.0.1:0", "--to", to]),
        ("http_hello", &["--addr", "127.0.0.1:0"]),
        ("delay_server", &["--addr", "127.0.0.1:0"]),
    ];
    for (name, args) in servers {
        let server = start_under("-Sn 64", name, args);
        assert!(server.next_line().is_some(), "{name}");
        let (soft, hard) = server.open_files();
        assert_eq!(soft, hard, "{name}");
        server.stop();
        let ended = start_under("-n 5", name, args).end();
        let said = ended.complaints.trim_end();
        assert_eq!((ended.code(), said.lines().count()), (Some(1), 1), "{name}: {said}");
        assert!(said.starts_with(&format!("{name}: ")), "{name}: {said}");
    }
}

/// The program ended before it began, with one sentence that says what it needs and what is allowed.
fn is_refused(ended: &Ended, name: &str, says: &str) {
    let said = ended.complaints.trim_end();
    assert_eq!((ended.code(), ended.text().as_str(), said.lines().count()), (Some(1), "", 1), "{said}");
    assert!(said.starts_with(&format!("{name}: {says} need ")), "{said}");
    assert!(said.contains("64 are allowed") && said.contains("`ulimit -n "), "{said}");
}

#[test]
fn load_raises_the_limit_for_its_connections_or_says_that_it_cannot() {
    let _watchdog = watchdog();
    let echo = Program::start("echo", &["--addr", "127.0.0.1:0"]);
    let options = ["--addr", &*echo.address, "--connections", "60", "--seconds", "0.1"];
    let ended = start_under("-Sn 64", "load", &options).end();
    assert_eq!((ended.code(), &*ended.complaints), (Some(0), ""), "{ended:?}");
    assert!(ended.text().ends_with("errors 0"), "{ended:?}");
    is_refused(&start_under("-n 64", "load", &options).end(), "load", "60 connections");
    // As many connections as are allowed are possible.
    let options = ["--addr", &*echo.address, "--connections", "48", "--seconds", "0.1"];
    let ended = start_under("-n 64", "load", &options).end();
    assert_eq!((ended.code(), &*ended.complaints), (Some(0), ""), "{ended:?}");
    echo.stop();
}

#[test]
fn echo_raises_the_limit_for_its_loops_or_says_that_it_cannot() {
    let _watchdog = watchdog();
    let options = ["--addr", "127.0.0.1:0", "--threads", "20"];
    let echo = start_under("-Sn 64", "echo", &options);
    let first = echo.next_line().expect("it listens");
    assert!(first.starts_with("listening on "), "{first}");
    echo.stop();
    is_refused(&start_under("-n 64", "echo", &options).end(), "echo", "20 loops");
    // As many loops as are allowed are possible.
    let echo = start_under("-n 64", "echo", &["--addr", "127.0.0.1:0", "--threads", "4"]);
    assert!(echo.next_line().is_some());
    echo.stop();
}
