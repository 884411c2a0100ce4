//! What every program gives to its user: help, clear errors, exit codes, and an orderly end.
//!
//! Contract. `--help` prints the usage and ends with code 0. An error in the command line prints the error and the
//! usage, with code 2. If the system refuses something, the program prints one line that begins with its name, with
//! code 1. If the reader of the output has gone, the program ends with code 0 and prints nothing. SIGTERM and Ctrl-C
//! end it with code 0, after the open connections have finished; a second signal ends it at once.

use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rustix::process::Signal;

use crate::common::{
    Ended, GRACE, Program, host_of_our_own, in_time, pipe_without_a_reader, read, read_all, recorded, run,
    run_into, there_and_back, try_there_and_back, watchdog,
};

/// A TCP server, the option for its address, and its other arguments.
const SERVERS: [(&str, &str, &[&str]); 7] = [
    ("echo", "--addr", &[]),
    ("echo", "--addr", &["--threads", "2"]),
    ("chat", "--addr", &[]),
    ("proxy", "--listen", &["--to", "127.0.0.1:1"]),
    ("chaos", "--listen", &["--to", "127.0.0.1:1", "--seed", "1"]),
    ("http_hello", "--addr", &[]),
    ("delay_server", "--addr", &[]),
];

/// Every program: those that Cargo finds by itself, and those that the manifest names. A new one is tested without
/// being named here.
fn programs() -> Vec<String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = std::fs::read_dir(package.join("examples")).unwrap().map(|file| file.unwrap().path());
    let found = found.map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned());
    let manifest = std::fs::read_to_string(package.join("Cargo.toml")).unwrap();
    let named = manifest.split("{ name = \"").skip(1).map(|part| part.split('"').next().unwrap().to_owned());
    let names: Vec<String> = found.chain(named).collect();
    assert!(names.len() > 80, "{names:?}");
    names
}

/// The arguments that a program cannot do without.
fn needs(name: &str) -> &'static [&'static str] {
    match name {
        "load" => &["--addr", "127.0.0.1:1"],
        "proxy" | "chaos" => &["--to", "127.0.0.1:1"],
        "see" => &["hello.trace"],
        _ => &[],
    }
}

/// Arguments with which a program soon prints something and disturbs no other. `echo` is the address of an echo server,
/// `path` one at which there is no file.
fn runnable<'a>(name: &str, echo: &'a str, path: &'a str) -> Vec<&'a str> {
    match name {
        "load" => vec!["--addr", echo, "--connections", "1", "--seconds", "0.05"],
        "udp_echo" => vec!["--addr", "127.0.0.1:0"],
        "unix_echo" => vec!["--path", path],
        "see" => vec![trace()],
        _ => match SERVERS.iter().find(|server| server.0 == name) {
            Some((_, option, needs)) => [&[*option, "127.0.0.1:0"], *needs].concat(),
            None => Vec::new(),
        },
    }
}

/// The path of a trace.
fn trace() -> &'static str {
    static TRACE: OnceLock<String> = OnceLock::new();
    TRACE.get_or_init(|| recorded("hello_world", "every_program").to_str().unwrap().to_owned())
}

fn start(server: (&str, &str, &[&str]), address: &str) -> Program {
    Program::start(server.0, &[&[server.1, address], server.2].concat())
}

/// A path for a socket, at which there is no file. Each call gives another one.
fn socket_path(test: &str) -> PathBuf {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Relaxed);
    std::env::temp_dir().join(format!("roundel-{test}-{}-{number}", std::process::id()))
}

/// Whether a text begins with the usage of this program.
fn is_usage(text: &str, name: &str) -> bool {
    text.lines().next().is_some_and(|line| line.split(' ').take(2).eq(["usage:", name]))
}

#[test]
fn help_is_given() {
    let _watchdog = watchdog();
    for name in programs() {
        for option in ["--help", "-h"] {
            let ended = run(&name, &[option]);
            assert_eq!((ended.code(), &*ended.complaints), (Some(0), ""), "{name} {option}");
            assert!(is_usage(&ended.text(), &name), "{name} {option}: {ended:?}");
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
        assert!(said.starts_with("error: "), "{name} {args:?}: {said}");
        let usage = said.split_once("\n\n").map_or("", |(_, usage)| usage);
        assert!(is_usage(usage, name), "{name} {args:?}: {said}");
        assert!(said.contains(why), "{name} {args:?}: {said}");
    };
    for name in programs() {
        refused(&name, &[needs(&name), &["--nonsense"]].concat(), "`--nonsense`");
        refused(&name, &[needs(&name), &["stray"]].concat(), "`stray`");
    }
    for name in ["load", "proxy", "chaos"] {
        refused(name, &[], "is missing: which server?");
    }
    refused("see", &[], "is missing: which file?");
    refused("echo", &["--addr"], "--addr needs a value");
    for (name, option) in [
        ("echo", "--threads"),
        ("echo", "--max-connections"),
        ("load", "--connections"),
        ("load", "--size"),
        ("load", "--pipeline"),
        ("chat", "--keep"),
        ("chat", "--max-connections"),
        ("proxy", "--max-connections"),
        ("chaos", "--piece"),
        ("chaos", "--within"),
        ("http_hello", "--max-connections"),
    ] {
        refused(name, &[needs(name), &[option, "0"]].concat(), &format!("{option} needs at least 1"));
    }
    refused("echo", &["--idle-timeout", "-1"], "above zero");
    refused("echo", &["--quiet=yes"], "`--quiet=yes`");
    refused("hybrid_scraper", &["--virtual", "--processes"], "do not go together");
    refused("chat", &["--keep", "many"], "`many` is not a value for --keep");
    refused("chaos", &["--to", "x:1", "--reset", "1.5"], "a number from 0 to 1");
    refused("chaos", &["--to", "x:1", "--delays", "NaN"], "a number from 0 to 1");
    refused("http_hello", &["--patience", "soon"], "`soon` is not a value for --patience");
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
    fails("from_scratch_12", &["--addr", &address], &address);
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

/// Runs every program twice, with a standard output that `open` makes: with its usual arguments, and with `--help`.
fn each_into<T: Into<Stdio>>(open: impl Fn() -> T, check: impl Fn(&str, &Ended)) {
    let echo = Program::start("echo", &["--addr", "127.0.0.1:0"]);
    let path = socket_path("output");
    for name in programs() {
        for args in [runnable(&name, &echo.address, path.to_str().unwrap()), vec!["--help"]] {
            let ended = run_into(open(), &name, &args);
            assert!(!ended.complaints.contains("panicked"), "{name} {args:?}: {ended:?}");
            check(&name, &ended);
        }
    }
    assert!(!path.exists(), "the file of the socket is left behind");
    echo.stop();
}

#[test]
fn an_output_without_a_reader_ends_it_quietly() {
    let _watchdog = watchdog();
    each_into(pipe_without_a_reader, |name, ended| {
        assert_eq!((ended.code(), &*ended.complaints), (Some(0), ""), "{name}");
    });
}

#[test]
#[cfg(target_os = "linux")]
fn an_output_that_is_full_is_code_1_and_a_sentence() {
    let _watchdog = watchdog();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    each_into(full, |name, ended| {
        let said = ended.complaints.trim_end();
        assert_eq!((ended.code(), said.lines().count()), (Some(1), 1), "{name}: {said}");
        assert!(said.starts_with(&format!("{name}: the standard output ")), "{name}: {said}");
        assert!(said.contains("No space left on device"), "{name}: {said}");
    });
}

#[test]
fn a_signal_ends_it_in_order_and_the_address_is_free_again() {
    let _watchdog = watchdog();
    for server in SERVERS {
        let mut address = format!("{}:0", host_of_our_own());
        // The second program listens where the first one did.
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
fn open_connections_may_finish() {
    let _watchdog = watchdog();
    let echo = Program::start("echo", &["--addr", "127.0.0.1:0"]);
    let more: [(&str, &str, &[&str]); 4] = [
        ("echo", "--addr", &[]),
        ("echo", "--addr", &["--threads", "2"]),
        ("proxy", "--listen", &["--to", &echo.address]),
        ("chaos", "--listen", &["--to", &echo.address]),
    ];
    for server in more {
        let ended = in_time(GRACE, || {
            let program = start(server, "127.0.0.1:0");
            let mut clients = [program.connect(), program.connect(), program.connect()];
            clients.iter_mut().for_each(|client| there_and_back(client, b"before"));
            program.signal(Signal::TERM);
            program.wait_until_it_refuses();
            clients.iter_mut().try_for_each(|client| try_there_and_back(client, b"after"))?;
            drop(clients);
            Ok(program.end())
        });
        assert_eq!((ended.code(), &*ended.complaints), (Some(0), ""), "{server:?}");
    }
    echo.stop();
}

/// A client that has begun something and does not finish it: half a request, or a question for a name.
fn begin(program: &Program, name: &str) -> TcpStream {
    let mut client = program.connect();
    // The answer proves that all of that was read.
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
fn a_client_that_does_not_finish_is_cut_off() {
    let _watchdog = watchdog();
    let begun = [SERVERS[0], SERVERS[1], SERVERS[2], SERVERS[5]].map(|server| {
        let program = start(server, "127.0.0.1:0");
        let client = begin(&program, server.0);
        program.signal(Signal::TERM); // All of them at once, because it takes three seconds.
        (server, program, client)
    });
    for (server, program, mut client) in begun {
        let ended = program.end();
        assert_eq!((ended.code(), &*ended.complaints), (Some(0), ""), "{server:?}");
        read_all(&mut client);
    }
}

/// The first signal begins an end that takes seconds here; the second does not wait for it. On a very busy machine,
/// those seconds may be over before the second signal is sent, so the test tries several times.
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
