//! The child: one contender alone in a process, which says what it has used when it is asked.
//!
//! Facts. From outside, the beginning of the work cannot be seen. Callgrind can begin another part whenever the program
//! enters a certain function; strace shows every system call with its arguments.
//!
//! What follows. A *reading* is four numbers on a line of standard output: calls that took memory, the bytes that they
//! took, the bytes that are held, the bytes that are resident. The first three are zero except in `counts`. Before each
//! reading the child enters [`mark_for_tools`], and asks for the file [`MARK`]; a tool's output is cut there. So the
//! parts of a tool's output match the steps between readings.
//!
//! ```text
//! run NAME PROGRAM:N ...     runs these, one after the other; a reading before the first and after each
//! hold NAME idle|sleeping N  holds N tasks; two readings before them, and one when each has been polled
//! serve NAME                 prints its address, and echoes; a reading for each message `read`; `stop` ends it
//! ```
//!
//! A server is told by messages because a second thread that listens would be in the figures: with two threads, libc
//! takes more instructions for a system call, and valgrind cannot run one thread while the other waits in io_uring.

use std::net::TcpListener;
use std::sync::OnceLock;

use crate::contenders::{compio, monoio_epoll, monoio_uring, roundel, serve, smol, tokio, tokio_local};
use crate::parts;
use crate::server::raise_descriptor_limit;
use crate::talk::Talk;

/// A file that does not exist: a system call that asks for it is a mark.
pub const MARK: &str = "/a-mark-for-tools";

/// How many sleeps there are beside the timeouts that are counted.
const CROWD: u64 = 10_000;

/// The length of a word to a server.
pub const WORD: usize = 4;
/// Asks for a reading.
pub const READ: &[u8; WORD] = b"read";
/// Asks for the end.
pub const STOP: &[u8; WORD] = b"stop";

/// What an allocator has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Allocated {
    /// Calls that took memory, or more of it.
    pub calls: usize,
    pub bytes: usize,
    pub held: usize,
}

/// A reading.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    pub calls: f64,
    pub bytes: f64,
    pub held: f64,
    pub resident: f64,
}

impl Reading {
    /// The difference from an earlier reading.
    pub fn since(self, before: Reading) -> Reading {
        Reading {
            calls: self.calls - before.calls,
            bytes: self.bytes - before.bytes,
            held: self.held - before.held,
            resident: self.resident - before.resident,
        }
    }

    /// Reads what the child has printed.
    pub fn parse(line: &str) -> Option<Reading> {
        let numbers: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
        let [calls, bytes, held, resident] = numbers[..] else { return None };
        Some(Reading { calls, bytes, held, resident })
    }
}

/// Where tools begin another part.
#[inline(never)]
pub fn mark_for_tools() {
    let _ = std::fs::metadata(MARK);
}

/// Prints a reading.
fn read(allocated: fn() -> Allocated) {
    mark_for_tools();
    let Allocated { calls, bytes, held } = allocated();
    println!("{calls} {bytes} {held} {}", resident());
}

/// The resident bytes of this process. The kernel's ready-made sum may be wrong by some pages, so this reads another
/// file.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Does what the words say, if they are words for a child.
pub fn child(words: &[&str], allocated: fn() -> Allocated) -> bool {
    match words {
        ["run", name, loads @ ..] => run(name, loads, allocated),
        ["hold", name, state, n] => hold(name, *state == "sleeping", n.parse().expect("a number"), allocated),
        ["serve", name] => serve_until_told(name, allocated),
        _ => return false,
    }
    true
}

/// The module of a contender, under another name.
macro_rules! of {
    ($name:expr, |$it:ident| $program:expr; $($known:literal $contender:ident),*) => {
        match $name {
            $($known => { use $contender as $it; $program; })*
            other => panic!("`{other}` has no such program"),
        }
    };
}

macro_rules! of_all {
    ($name:expr, |$it:ident| $program:expr) => {
        of!($name, |$it| $program; "roundel" roundel, "tokio" tokio, "tokio_local" tokio_local, "smol" smol,
            "monoio" monoio_epoll, "monoio_uring" monoio_uring, "compio" compio)
    };
}

macro_rules! of_three {
    ($name:expr, |$it:ident| $program:expr) => {
        of!($name, |$it| $program; "roundel" roundel, "tokio" tokio, "smol" smol)
    };
}

fn run(name: &str, loads: &[&str], allocated: fn() -> Allocated) {
    read(allocated);
    for load in loads {
        let (program, n) = load.split_once(':').expect("a program and how often");
        run_one(name, program, n.parse().expect("a number"));
        read(allocated);
    }
}

/// Runs a program that does this many operations; `box` is the same for all contenders, with a known result.
fn run_one(name: &str, program: &str, n: u64) {
    match program {
        "spawn" => of_all!(name, |it| it::spawn_one(n)),
        "batch" => of_all!(name, |it| it::spawn_many(1_000, n / 1_000)),
        "self-wake" => of_all!(name, |it| it::self_wake(200, (n / 200) as usize)),
        "yield" => of_all!(name, |it| it::lone_yield(n)),
        "hop" => of_all!(name, |it| it::ping_pong(n)),
        "sleep" => of_all!(name, |it| it::sleep_churn(n)),
        "nap" => of_all!(name, |it| it::lateness(n)),
        "timeout" => of_all!(name, |it| it::timeout_yield(n)),
        "timeout-before" => of_all!(name, |it| it::timeout_in_crowd(CROWD, parts::before_all, n)),
        "timeout-after" => of_all!(name, |it| it::timeout_in_crowd(CROWD, parts::after_all, n)),
        "timeout-among" => of_all!(name, |it| it::timeout_in_crowd(CROWD, parts::long_nap, n)),
        "unbounded" => of_three!(name, |it| it::unbounded_messages(n)),
        "message" => of_three!(name, |it| it::bounded_messages(100, n)),
        "mutex" => of_three!(name, |it| it::mutex_uncontended(n)),
        "oneshot" => of!(name, |it| it::oneshot_round_trip(n); "roundel" roundel, "tokio" tokio),
        "box" => (0..n).for_each(|i| drop(std::hint::black_box(Box::new([i; 4])))),
        other => panic!("no program is called `{other}`"),
    }
}

fn hold(name: &str, asleep: bool, n: usize, allocated: fn() -> Allocated) {
    // The first reading takes memory itself, and keeps it.
    read(allocated);
    let look = || read(allocated);
    of_all!(name, |it| it::hold_tasks(n, asleep, look, look));
}

/// How to ask a server's allocator.
static SERVING: OnceLock<fn() -> Allocated> = OnceLock::new();

fn serve_until_told(name: &str, allocated: fn() -> Allocated) {
    die_with_parent();
    raise_descriptor_limit();
    SERVING.get_or_init(|| allocated);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    serve(name, listener, Talk::Told(WORD, hear), 0);
}

/// Does what a server is told.
#[inline(never)]
pub fn hear(word: &[u8]) {
    match word {
        word if word == READ => read(SERVING.get().copied().unwrap_or(Allocated::default)),
        word if word == STOP => std::process::exit(0),
        _ => {}
    }
}

/// A server whose parent has gone is not told to stop, and stops nevertheless.
fn die_with_parent() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_four_numbers() {
        let reading = Reading { calls: 1.0, bytes: 96.0, held: 64.0, resident: 4096.0 };
        assert_eq!(Reading::parse("1 96 64 4096"), Some(reading));
        assert_eq!(Reading::parse("1 96 64"), None);
        assert_eq!(Reading::parse("127.0.0.1:80"), None);
        let before = Reading { calls: 1.0, bytes: 90.0, held: 60.0, resident: 4000.0 };
        assert_eq!(reading.since(before), Reading { calls: 0.0, bytes: 6.0, held: 4.0, resident: 96.0 });
    }

    #[test]
    fn a_process_has_something_in_memory() {
        assert!(!cfg!(target_os = "linux") || resident() > 100_000);
    }

    #[test]
    fn what_is_not_for_a_child_is_left_alone() {
        assert!(!child(&["--quick"], Allocated::default));
        assert!(child(&["run", "roundel", "spawn:10", "hop:10"], Allocated::default));
    }
}
