//! How the copies are measured: as processes, by the clock, by the kernel's accounts, and with tools that count.
//!
//! Facts. What a process takes to start is not the cost of an operation. strace and valgrind slow a process down, but
//! do not change what it does, unless that depends on time.
//!
//! What follows. A program prints how long it took. A count is a *slope*: the difference between a long run and a short
//! one, divided by the number of additional operations. If the two differ only by chance, it is zero. A server is asked
//! for its processor time before and after.
//!
//! What it does not know: which copy is which.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use crate::faceoff::counting::clients::Clients;

/// A single connection rests for this long between two messages, so that the loop goes to sleep.
const REST: Duration = Duration::from_micros(200);

/// A tool that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Allocations.
    Memcheck,
    /// User instructions.
    Callgrind,
    /// System calls.
    Strace,
}

impl Counter {
    /// The words before those of the program; the count goes into `file`.
    fn words(self, file: &str) -> Vec<String> {
        let words = match self {
            Counter::Memcheck => "valgrind --leak-check=no --log-file=",
            Counter::Callgrind => "valgrind --tool=callgrind --callgrind-out-file=",
            Counter::Strace => "strace -f -c -U calls -o",
        };
        let mut words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        words.last_mut().expect("there are some").push_str(file);
        words
    }

    fn find(self, text: &str) -> Option<f64> {
        let number = match self {
            Counter::Memcheck => text.split_once("total heap usage: ")?.1,
            Counter::Callgrind => text.split_once("totals: ")?.1,
            Counter::Strace => text.lines().last()?.trim_start(),
        };
        let digits = number.chars().take_while(|c| c.is_ascii_digit() || *c == ',').filter(|c| *c != ',');
        digits.collect::<String>().parse().ok()
    }
}

/// Nanoseconds per operation of a program.
pub fn time(copy: &Path, program: &str, work: u64) -> Result<f64, String> {
    let mut command = Command::new(copy);
    let said = run(command.args([program, &work.to_string()]))?;
    said.trim().parse().map_err(|_| format!("{program} said {said}"))
}

/// The count for each operation of a program.
pub fn count(copy: &Path, program: &str, work: u64, counter: Counter) -> Result<f64, String> {
    let counted = |work: u64| {
        let file = file();
        let words = counter.words(&file.to_string_lossy());
        run(Command::new(&words[0]).args(&words[1..]).arg(copy).args([program, &work.to_string()]))?;
        read(&file, counter)
    };
    let short = work / 10;
    Ok((counted(work)? - counted(short)?).max(0.0) / (work - short) as f64)
}

/// The count for each message of an echo.
pub fn count_echo(copy: &Path, connections: usize, messages: u64, counter: Counter) -> Result<f64, String> {
    let counted = |rounds: u64| {
        let file = file();
        let server = Server::start(copy, 0, &counter.words(&file.to_string_lossy()))?;
        server.talk(connections, rounds)?;
        drop(server);
        read(&file, counter)
    };
    let rounds = messages / connections as u64;
    let more = (rounds - rounds / 10) * connections as u64;
    Ok((counted(rounds)? - counted(rounds / 10)?).max(0.0) / more as f64)
}

/// A file that no other process writes.
fn file() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    env::temp_dir().join(format!("faceoff-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed)))
}

fn read(file: &Path, counter: Counter) -> Result<f64, String> {
    let text =
        fs::read_to_string(file).map_err(|error| format!("{counter:?} has written nothing: {error}"))?;
    let _ = fs::remove_file(file);
    counter.find(&text).ok_or(format!("{counter:?} has not counted"))
}

/// What a program prints.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// An echo server; it ends with this.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts it under a tool, whose words come first, with tasks that never rest.
    pub fn start(copy: &Path, hot: usize, tool: &[String]) -> Result<Server, String> {
        let copy = copy.to_string_lossy().into_owned();
        let words: Vec<String> =
            tool.iter().cloned().chain([copy, "serve".into(), hot.to_string()]).collect();
        let mut command = Command::new(&words[0]);
        let command = command.args(&words[1..]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("cannot run {words:?}: {error}"))?;
        let mut line = String::new();
        let _ = child.stdout.as_mut().map(|said| BufReader::new(said).read_line(&mut line));
        match line.trim().parse() {
            Ok(address) => Ok(Server { child, address }),
            Err(_) => {
                let _ = child.kill().and_then(|()| child.wait());
                Err(format!("{words:?} does not serve"))
            }
        }
    }

    /// How long each round of messages took.
    pub fn talk(&self, connections: usize, rounds: u64) -> Result<Vec<Duration>, String> {
        let rest = if connections == 1 { REST } else { Duration::ZERO };
        let why = |error| format!("the server does not answer: {error}");
        let mut clients = Clients::new(self.address, connections).map_err(why)?;
        let round = |_| {
            thread::sleep(rest);
            let start = Instant::now();
            clients.rounds(1, Duration::ZERO).map(|()| start.elapsed()).map_err(why)
        };
        (0..rounds).map(round).collect()
    }

    /// The processor time that it has used so far, in nanoseconds.
    pub fn cpu(&self) -> Result<f64, String> {
        let text = fs::read_to_string(format!("/proc/{}/schedstat", self.child.id())).unwrap_or_default();
        let number = text.split_whitespace().next().and_then(|word| word.parse().ok());
        number.ok_or("this system does not say how much processor time a process has used".into())
    }
}

impl Drop for Server {
    /// Ends it gently, so that a tool can write its count.
    fn drop(&mut self) {
        // The tool is the child. The server has the child's process id, or is the child's only child.
        let tool = self.child.id();
        let children = fs::read_to_string(format!("/proc/{tool}/task/{tool}/children")).unwrap_or_default();
        let server = children.split_whitespace().next().map_or(tool.to_string(), str::to_owned);
        let _ = Command::new("kill").args(["-TERM", &server]).status();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_found_in_what_the_tools_write() {
        let memcheck = "==7== HEAP SUMMARY:\n==7==   total heap usage: 1,234 allocs, 56 frees, 78 bytes\n";
        assert_eq!(Counter::Memcheck.find(memcheck), Some(1234.0));
        assert_eq!(Counter::Callgrind.find("summary: 1\n\ntotals: 56789\n"), Some(56789.0));
        assert_eq!(
            Counter::Strace.find("    calls\n---------\n        3 read\n      321 total\n"),
            Some(321.0)
        );
        assert_eq!(Counter::Strace.find("no such process"), None);
    }
}
