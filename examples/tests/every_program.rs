//! What every program owes to whoever starts it: help, clear errors, codes, and an end in order.
//!
//! Contract. `--help` is answered with the usage, and code 0. What is wrong with the command line is told with the usage,
//! and code 2; what is wrong with the world, with one line that begins with the program's name, and code 1. SIGTERM and
//! Ctrl-C end it with code 0, after those who are connected have finished; a second signal ends it at once.

#![forbid(unsafe_code)]
#![cfg(all(unix, not(miri)))]

mod common;

use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;

use rustix::process::Signal;

use common::{Program, read, read_all, run, there_and_back, watchdog};

/// A TCP server, the option that tells it where to listen, and what else it needs.
const SERVERS: [(&str, &str, &[&str]); 7] = [
    ("echo", "--addr", &[]),
    ("echo", "--addr", &["--threads", "2"]),
    ("chat", "--addr", &[]),
    ("proxy", "--listen", &["--to", "127.0.0.1:1"]),
    ("chaos", "--listen", &["--to", "127.0.0.1:1", "--seed", "1"]),
    ("http_hello", "--addr", &[]),
    ("delay_server", "--addr", &[]),
];

/// All of them, and what each cannot do without.
const ALL: [(&str, &[&str]); 34] = [
    ("echo", &[]),
    ("load", &["--addr", "127.0.0.1:1"]),
    ("udp_echo", &[]),
    ("unix_echo", &[]),
    ("chat", &[]),
    ("proxy", &["--to", "127.0.0.1:1"]),
    ("chaos", &["--to", "127.0.0.1:1"]),
    ("http_hello", &[]),
    ("delay_server", &[]),
    ("connection_pool", &[]),
    ("web_scraper", &[]),
    ("hybrid_scraper", &[]),
    ("etl", &[]),
    ("hello_world", &[]),
    ("fetches", &[]),
    ("create_then_await", &[]),
    ("failures", &[]),
    ("timeouts", &[]),
    ("cancel", &[]),
    ("race", &[]),
    ("lock", &[]),
    ("semaphore", &[]),
    ("rate_limit", &[]),
    ("retry", &[]),
    ("shared", &[]),
    ("manager", &[]),
    ("pipe", &[]),
    ("pipeline", &[]),
    ("worker_pool", &[]),
    ("threads", &[]),
    ("blocking_trap", &[]),
    ("processes", &[]),
    ("shutdown", &[]),
    ("health", &[]),
];

fn start(server: (&str, &str, &[&str]), address: &str) -> Program {
    Program::start(server.0, &[&[server.1, address], server.2].concat())
}

/// A path for a socket, and nothing there.
fn socket_path(test: &str) -> PathBuf {
    std::env::temp_dir().join(format!("roundel-{test}-{}", std::process::id()))
}

#[test]
fn help_is_given() {
    let _watchdog = watchdog();
    for (name, _) in ALL {
        for option in ["--help", "-h"] {
            let ended = run(name, &[option]);
            assert_eq!((ended.code(), &*ended.complaints), (Some(0), ""), "{name} {option}");
            assert!(ended.text().starts_with(&format!("usage: {name} ")), "{name} {option}: {ended:?}");
        }
    }
}

#[test]
fn a_wrong_command_line_is_code_2_and_the_usage() {
    let _watchdog = watchdog();
    let refused = |name: &str, args: &[&str], why: &str| {
        let ended = run(name, args);
        let said = &ended.complaints;
        assert_eq!((ended.code(), ended.text().as_str()), (Some(2), ""), "{name} {args:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains(&format!("usage: {name} ")), "{name}: {said}");
        assert!(said.contains(why), "{name} {args:?}: {said}");
    };
    for (name, needs) in ALL {
        refused(name, &[needs, &["--nonsense"]].concat(), "`--nonsense`");
        refused(name, &[needs, &["stray"]].concat(), "`stray`");
    }
    for name in ["load", "proxy", "chaos"] {
        refused(name, &[], "is missing: which server?");
    }
    refused("echo", &["--addr"], "--addr needs a value");
    refused("echo", &["--threads", "0"], "`0` is no value for --threads");
    refused("echo", &["--idle-timeout", "-1"], "above zero");
    refused("echo", &["--quiet=yes"], "`--quiet=yes`");
    refused("hybrid_scraper", &["--virtual", "--processes"], "do not go together");
    refused("chat", &["--keep", "0"], "`0` is no value for --keep");
    refused("chaos", &["--to", "x:1", "--reset", "1.5"], "a number from 0 to 1");
    refused("chaos", &["--to", "x:1", "--delays", "NaN"], "a number from 0 to 1");
    refused("http_hello", &["--patience", "soon"], "`soon` is no value for --patience");
}

#[test]
fn an_address_that_cannot_be_had_is_code_1_and_a_sentence() {
    let _watchdog = watchdog();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let fails = |name: &str, args: &[&str], what: &str| {
        let ended = run(name, args);
        let said = ended.complaints.trim_end();
        assert_eq!((ended.code(), ended.text().as_str()), (Some(1), ""), "{name} {args:?}: {said}");
        assert!(said.starts_with(&format!("{name}: ")) && said.lines().count() == 1, "{name}: {said}");
        assert!(said.contains(what) && !said.contains("panicked"), "{name} {args:?}: {said}");
    };
    for (name, option, needs) in SERVERS {
        fails(name, &[&[option, &*address], needs].concat(), &address);
        fails(name, &[&[option, "nonsense"], needs].concat(), "nonsense");
        fails(name, &[&[option, "127.0.0.1:99999"], needs].concat(), "99999");
    }
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = datagrams.local_addr().unwrap().to_string();
    fails("udp_echo", &["--addr", &address], &address);
    fails("unix_echo", &["--path", "/nowhere/at/all"], "/nowhere/at/all");
    let path = socket_path("taken");
    let path = path.to_str().unwrap();
    let server = Program::start("unix_echo", &["--path", path]);
    fails("unix_echo", &["--path", path], path);
    server.stop();
}

#[test]
fn a_signal_ends_it_in_order_and_the_address_is_free_again() {
    let _watchdog = watchdog();
    for server in SERVERS {
        let mut address = "127.0.0.1:0".to_owned();
        // The second one listens where the first one did.
        for signal in [Signal::TERM, Signal::INT] {
            let program = start(server, &address);
            address = program.address.clone();
            program.signal(signal);
            let ended = program.end();
            assert_eq!((ended.code(), &*ended.complaints), (Some(0), ""), "{server:?}, {signal:?}");
        }
    }
    for signal in [Signal::TERM, Signal::INT] {
        let path = socket_path("signal");
        let unix = Program::start("unix_echo", &["--path", path.to_str().unwrap()]);
        assert!(path.exists());
        for program in [unix, Program::start("udp_echo", &["--addr", "127.0.0.1:0"])] {
            program.signal(signal);
            let ended = program.end();
            assert_eq!((ended.code(), &*ended.complaints), (Some(0), ""), "{signal:?}");
        }
        assert!(!path.exists(), "the file of the socket is left behind");
    }
}

#[test]
fn who_is_connected_may_finish() {
    let _watchdog = watchdog();
    let echo = Program::start("echo", &["--addr", "127.0.0.1:0"]);
    let more: [(&str, &str, &[&str]); 4] = [
        ("echo", "--addr", &[]),
        ("echo", "--addr", &["--threads", "2"]),
        ("proxy", "--listen", &["--to", &echo.address]),
        ("chaos", "--listen", &["--to", &echo.address]),
    ];
    for server in more {
        let program = start(server, "127.0.0.1:0");
        let mut clients = [program.connect(), program.connect(), program.connect()];
        clients.iter_mut().for_each(|client| there_and_back(client, b"before"));
        program.signal(Signal::TERM);
        program.wait_until_it_refuses();
        clients.iter_mut().for_each(|client| there_and_back(client, b"after"));
        drop(clients);
        let ended = program.end();
        assert_eq!((ended.code(), &*ended.complaints), (Some(0), ""), "{server:?}");
    }
    echo.stop();
}

/// A client with whom something is under way that will not end: half a request, or a question for a name.
fn begin(program: &Program, name: &str) -> TcpStream {
    let mut client = program.connect();
    // What comes back proves that all of that was read.
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nG").unwrap();
    let first: &[u8] = match name {
        "chat" => b"* your name?",
        "echo" => b"GET / HTTP/1.1\r\nHost: x\r\n\r\nG",
        _ => b"HTTP/1.1 200 OK",
    };
    assert_eq!(read(&mut client, first.len()), first);
    client
}

#[test]
fn who_does_not_finish_is_cut_off() {
    let _watchdog = watchdog();
    let begun = [SERVERS[0], SERVERS[1], SERVERS[2], SERVERS[5]].map(|server| {
        let program = start(server, "127.0.0.1:0");
        let client = begin(&program, server.0);
        program.signal(Signal::TERM); // All of them at once, for it takes three seconds.
        (server, program, client)
    });
    for (server, program, mut client) in begun {
        let ended = program.end();
        assert_eq!((ended.code(), &*ended.complaints), (Some(0), ""), "{server:?}");
        read_all(&mut client);
    }
}

/// The first signal begins what takes seconds here; the second does not wait for that. On a machine that is very busy,
/// those seconds may be over before the second one is sent; so there are some tries.
#[test]
fn a_second_signal_ends_it_at_once() {
    let _watchdog = watchdog();
    for server in [SERVERS[0], SERVERS[1], SERVERS[5]] {
        let killed = (0..5).any(|_| {
            let program = start(server, "127.0.0.1:0");
            let _client = begin(&program, server.0);
            program.signal(Signal::TERM);
            program.wait_until_it_refuses();
            program.signal(Signal::TERM);
            program.end().killed_by() == Some(Signal::TERM.as_raw())
        });
        assert!(killed, "{server:?} has not heard the second signal");
    }
}
