//! `chat` with its guests: polite ones, rude ones, and one that does not listen.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};

use rustix::net::sockopt;

use crate::common::{Program, has, noise, shell, watchdog};

struct Guest {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Guest {
    /// A guest that has not said its name yet.
    fn at_the_door(program: &Program) -> Guest {
        let stream = program.connect();
        let lines = BufReader::new(stream.try_clone().unwrap());
        let mut guest = Guest { stream, lines };
        assert_eq!(guest.hears(), "* your name?");
        guest
    }

    fn enters(program: &Program, name: &str) -> Guest {
        let mut guest = Guest::at_the_door(program);
        guest.says(name);
        let here = guest.hears();
        assert!(here.starts_with("* here are: ") && here.contains(name), "{here}");
        guest
    }

    fn says(&mut self, line: &str) {
        self.stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn hears(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert!(line.pop() == Some('\n'), "the end, after {line:?}");
        line
    }
}

fn chat(args: &[&str]) -> Program {
    Program::start("chat", &[&["--addr", "127.0.0.1:0"], args].concat())
}

#[test]
fn all_hear_what_one_says_and_when_guests_come_and_go() {
    let _watchdog = watchdog();
    let program = chat(&[]);
    let mut anna = Guest::enters(&program, "anna");
    let mut boris = Guest::enters(&program, "boris");
    assert_eq!(anna.hears(), "* boris is here");
    let mut clara = Guest::enters(&program, "clara");
    assert_eq!((anna.hears(), boris.hears()), ("* clara is here".into(), "* clara is here".into()));

    anna.says("hello");
    assert_eq!((boris.hears(), clara.hears()), ("anna: hello".into(), "anna: hello".into()));
    boris.says("one\ntwo");
    for guest in [&mut anna, &mut clara] {
        assert_eq!((guest.hears(), guest.hears()), ("boris: one".into(), "boris: two".into()));
    }
    drop(boris);
    assert_eq!((anna.hears(), clara.hears()), ("* boris has left".into(), "* boris has left".into()));
    // The name is free again.
    let _boris = Guest::enters(&program, "boris");
    assert_eq!(anna.hears(), "* boris is here");
}

#[test]
fn a_name_is_refused_until_it_can_be_used() {
    let _watchdog = watchdog();
    let program = chat(&[]);
    let _anna = Guest::enters(&program, "anna");
    let mut other = Guest::at_the_door(&program);
    for (name, why) in [
        ("", "* a name has 1 to 20 bytes; your name?"),
        ("   ", "* a name has 1 to 20 bytes; your name?"),
        (&"n".repeat(21), "* a name has 1 to 20 bytes; your name?"),
        (&"n".repeat(100_000), "* a name has 1 to 20 bytes; your name?"),
        ("anna", "* that name is taken; your name?"),
        (" an\x1bna\r", "* that name is taken; your name?"),
    ] {
        other.says(name);
        assert_eq!(other.hears(), why, "{name:?}");
    }
    other.says("n".repeat(20).as_str());
    assert_eq!(other.hears(), format!("* here are: anna, {}", "n".repeat(20)));
}

/// Hazard 54, for lines: whatever a guest sends is cut to a line that does nothing to other terminals.
#[test]
fn hazard_54_what_is_no_text_or_too_long_does_no_harm() {
    let _watchdog = watchdog();
    let program = chat(&[]);
    let (mut anna, mut boris) = (Guest::enters(&program, "anna"), Guest::enters(&program, "boris"));
    assert_eq!(anna.hears(), "* boris is here");
    boris.says("\x1b[2J\x07clear\r");
    assert_eq!(anna.hears(), "boris: [2Jclear");
    boris.stream.write_all(b"caf\xe9 \xff\n").unwrap();
    assert_eq!(anna.hears(), "boris: caf\u{fffd} \u{fffd}");
    boris.says(&"x".repeat(1_000_000));
    assert_eq!(anna.hears(), format!("boris: {}…", "x".repeat(1000)));
    let mut noise = noise(200_000);
    noise.retain(|byte| *byte != b'\n');
    noise.push(b'\n');
    boris.stream.write_all(&noise).unwrap();
    let heard = anna.hears();
    assert!(heard.len() <= 3 * 1000 + 20 && !heard.contains(|c: char| c.is_control()), "{heard:?}");
    boris.says("sorry");
    assert_eq!(anna.hears(), "boris: sorry");
}

/// One guest does not read. The others talk on, more than the kernel buffers for it, and hear everything. It hears how
/// much it has missed.
#[test]
fn a_slow_guest_misses_lines_and_delays_no_other() {
    let _watchdog = watchdog();
    let program = chat(&["--keep", "10"]);
    let mut slow = Guest::enters(&program, "slow");
    // Otherwise the two kernels' buffers may hold everything, where they may grow further than usual.
    sockopt::set_socket_recv_buffer_size(&slow.stream, 1 << 16).unwrap();
    let (mut anna, mut boris) = (Guest::enters(&program, "anna"), Guest::enters(&program, "boris"));
    assert_eq!((anna.hears(), slow.hears()), ("* boris is here".into(), "* anna is here".into()));
    assert_eq!(slow.hears(), "* boris is here");

    let (lines, text) = (16_000, "x".repeat(900));
    for number in 0..lines {
        anna.says(&format!("{number} {text}"));
        assert_eq!(boris.hears(), format!("anna: {number} {text}"));
    }
    #[cfg(target_os = "linux")]
    assert!(program.memory() < 20 << 20, "{} bytes for ten lines", program.memory());

    // Every line is either there, in order, or among those that the guest has missed.
    let (mut next, mut missed) = (0, 0);
    while next < lines {
        let line = slow.hears();
        if let Some(count) = line.strip_prefix("* you are slow: ") {
            let count: usize = count.strip_suffix(" lines are lost").unwrap().parse().unwrap();
            (next, missed) = (next + count, missed + count);
        } else {
            assert_eq!(line, format!("anna: {next} {text}"));
            next += 1;
        }
    }
    assert!(missed > 0, "14 MB were kept for a guest that did not read");
    anna.says("are you there?");
    assert_eq!(slow.hears(), "anna: are you there?");
}

#[test]
fn at_the_end_all_guests_are_told() {
    let _watchdog = watchdog();
    let program = chat(&[]);
    let (mut anna, mut door) = (Guest::enters(&program, "anna"), Guest::at_the_door(&program));
    program.signal(rustix::process::Signal::TERM);
    assert_eq!((anna.hears(), door.hears()), ("* the chat is over".into(), "* the chat is over".into()));
    drop((anna, door));
    let ended = program.end();
    assert!(ended.status.success() && ended.complaints.is_empty(), "{ended:?}");
}

#[test]
fn netcat_can_join() {
    let _watchdog = watchdog();
    let program = chat(&[]);
    let mut anna = Guest::enters(&program, "anna");
    let (host, port) = program.address.rsplit_once(':').unwrap();
    for (tool, script) in [
        ("nc", "printf 'nc\\nhello\\n' | nc -N \"$1\" \"$2\""),
        ("ncat", "printf 'ncat\\nhello\\n' | ncat \"$1\" \"$2\""),
        ("socat", "printf 'socat\\nhello\\n' | socat -t 100 - TCP:\"$1\":\"$2\""),
    ] {
        if has(tool, "netcat_can_join") {
            let said = shell(script, &[host, port]);
            assert!(said.starts_with("* your name?"), "{said:?}");
            assert_eq!(anna.hears(), format!("* {tool} is here"));
            assert_eq!(anna.hears(), format!("{tool}: hello"));
            assert_eq!(anna.hears(), format!("* {tool} has left"));
        }
    }
    anna.stream.shutdown(Shutdown::Write).unwrap();
    program.stop();
}
