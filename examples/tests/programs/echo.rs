//! `echo`, as a program: its options, and what it shows on a terminal. Tests with `load` test it under load.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::common::{
    Program, has, in_order, in_time, noise, path_of, read, read_all, shell, there_and_back,
    try_there_and_back, watchdog,
};

fn echo(args: &[&str]) -> Program {
    Program::start("echo", &[&["--addr", "127.0.0.1:0"], args].concat())
}

#[test]
fn what_is_sent_comes_back_and_the_end_after_it() {
    let _watchdog = watchdog();
    let program = echo(&[]);
    let mut client = program.connect();
    let bytes = noise(300_000);
    let mut writer = client.try_clone().unwrap();
    let sent = bytes.clone();
    let writing = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    assert!(read_all(&mut client) == (bytes, true));
    writing.join().unwrap();
    program.stop();
}

#[test]
fn with_two_threads_all_clients_are_served_and_one_signal_ends_all() {
    let _watchdog = watchdog();
    let program = echo(&["--threads", "2"]);
    let mut clients: Vec<_> = (0..20).map(|_| program.connect()).collect();
    for round in 1..20_usize {
        clients.iter_mut().for_each(|client| there_and_back(client, &noise(round * 100)));
    }
    drop(clients);
    program.stop();
}

#[test]
fn with_room_for_one_the_second_waits() {
    let _watchdog = watchdog();
    let program = echo(&["--max-connections", "1"]);
    let (mut first, mut second) = (program.connect(), program.connect());
    there_and_back(&mut first, b"first");
    second.write_all(b"second").unwrap();
    // If the second connection were served beside the first, it would have had its answer by now.
    (0..100).for_each(|_| there_and_back(&mut first, b"again"));
    second.set_nonblocking(true).unwrap();
    assert_eq!(second.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    second.set_nonblocking(false).unwrap();
    drop(first);
    assert_eq!(read(&mut second, 6), b"second");
    drop(second);
    program.stop();
}

#[test]
fn an_idle_client_is_disconnected_and_others_are_served() {
    let _watchdog = watchdog();
    let program = echo(&["--idle-timeout", "0.3"]);
    let mut used = program.connect();
    // A client that is slower than that has been idle.
    let greeted = || {
        let mut client = program.connect();
        try_there_and_back(&mut client, b"hello").map(|()| client)
    };
    let mut idle = in_time(Duration::from_millis(300), greeted);
    // Only its end distinguishes this connection from one that is not idle.
    assert_eq!(read_all(&mut idle), (Vec::new(), true));
    let later = in_time(Duration::from_millis(300), greeted);
    let _ = used.write_all(b"too late");
    drop(later);
    program.stop();
}

#[test]
fn without_a_terminal_only_the_first_line_is_printed() {
    let _watchdog = watchdog();
    let program = echo(&[]);
    let mut client = program.connect();
    there_and_back(&mut client, &noise(10_000));
    drop(client);
    assert_eq!(program.stop(), Vec::<String>::new()); // Nor on the standard error.
}

/// What a terminal shows that is made for the program, which is asked to end when `awaited` is seen; `None` without a tool
/// that makes one.
fn on_a_terminal(option: &str, awaited: &str, test: &str) -> Option<String> {
    if !has("script", test) {
        return None;
    }
    let command = format!("{} --addr 127.0.0.1:0 {option}", path_of("echo").display());
    let copy = std::env::temp_dir().join(format!("roundel-{test}-{}", std::process::id()));
    let program = Program::launch(Command::new("script").args(["-qefc", &command]).arg(&copy));
    let first = program.next_line().unwrap();
    let address = first.trim_end().strip_prefix("listening on ").unwrap_or_else(|| panic!("{first:?}"));
    let mut client = std::net::TcpStream::connect(address).unwrap();
    there_and_back(&mut client, &noise(10_000));
    drop(client);
    while !String::from_utf8_lossy(&std::fs::read(&copy).unwrap()).contains(awaited) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::fs::remove_file(copy).unwrap();
    program.signal(Signal::TERM); // The signal goes to `script`, which passes it on, and takes two seconds for that.
    Some(program.end().text())
}

#[test]
fn on_a_terminal_there_is_a_status_line() {
    let _watchdog = watchdog();
    let test = "on_a_terminal_there_is_a_status_line";
    let Some(seen) = on_a_terminal("", ", messages/s ", test) else { return };
    assert!(seen.contains("connections ") && seen.contains(", messages/s "), "{seen:?}");
}

#[test]
fn on_a_terminal_there_is_none_if_it_is_not_wanted() {
    let _watchdog = watchdog();
    let test = "on_a_terminal_there_is_none_if_it_is_not_wanted";
    let Some(seen) = on_a_terminal("--quiet", "", test) else { return };
    assert!(!seen.contains("connections"), "{seen:?}");
}

#[test]
fn netcat_gets_back_what_it_sent() {
    let _watchdog = watchdog();
    let program = echo(&[]);
    let (host, port) = program.address.rsplit_once(':').unwrap();
    let clients = [
        ("nc", "printf 'hello\nthere' | nc -N \"$1\" \"$2\""),
        ("ncat", "printf 'hello\nthere' | ncat \"$1\" \"$2\""),
        ("socat", "printf 'hello\nthere' | socat -t 100 - TCP:\"$1\":\"$2\""),
    ];
    for (tool, script) in clients {
        if has(tool, "netcat_gets_back_what_it_sent") {
            let said = shell(script, &[host, port]);
            assert!(said.starts_with("hello\nthere"), "{tool}: {said:?}");
        }
    }
    program.stop();
}

/// Its complaints go to a file, which can be read while it runs.
#[test]
fn sigusr1_says_what_each_loop_does() {
    let _watchdog = watchdog();
    let path = std::env::temp_dir().join(format!("roundel-echo-{}.said", std::process::id()));
    let file = std::fs::File::create(&path).unwrap();
    let mut command = Command::new(path_of("echo"));
    command.args(["--addr", "127.0.0.1:0", "--threads", "2"]).env("ROUNDEL_INSPECT", "1");
    command.stdout(Stdio::piped()).stderr(file);
    let mut child = testkit::alone::spawn(&mut command).unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    let pid = Pid::from_child(&child);
    // A loop that has only just begun may not listen yet. A first signal that is not heard ends no process.
    let said = loop {
        kill_process(pid, Signal::USR1).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        // It may end in the middle of a letter.
        let said = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        if ["── loop 0", "── loop 1"].iter().all(|text| said.matches(text).count() > 1) {
            break said;
        }
    };
    in_order(&said, &["now      ", "wakes    ", "polled   p50 ", "\"SIGUSR1\" (examples/examples/echo.rs:"]);
    kill_process(pid, Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    std::fs::remove_file(&path).unwrap();
}
