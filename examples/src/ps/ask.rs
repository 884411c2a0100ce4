//! Asks a process about its loops.
//!
//! Facts. The socket of a process is a file with the process's number as its name. If the process was killed, the file is left
//! behind and refuses clients. A process that is stopped takes a client, and never answers.
//!
//! Contract. An answer is read line by line, as it comes. Every error is one sentence that says what to do. A file that was
//! left behind is removed. No wait is longer than [`PATIENCE`].

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use roundel::inspect;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::ps::value::Value;

/// A process answers in less time than this, or not at all.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The version of the questions and answers that this program knows.
const VERSION: u64 = 1;

/// The answer of a process, as far as it has been read.
#[derive(Debug)]
pub struct Answer {
    pid: u32,
    lines: BufReader<UnixStream>,
    /// The line that was read last.
    line: String,
    /// The first line: it tells of the process.
    pub head: Value,
}

impl Answer {
    /// Asks a process, and reads the first line of its answer.
    ///
    /// # Errors
    ///
    /// If there is no such process, or if it does not answer.
    pub fn of(pid: u32, patience: Duration) -> io::Result<Answer> {
        let mut stream = connect(pid)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.write_all(format!("ps {VERSION}\n").as_bytes()).map_err(|error| broken(pid, &error))?;
        let lines = BufReader::new(stream);
        let mut answer = Answer { pid, lines, line: String::new(), head: Value::Null };
        answer.head = answer.read()?;
        match answer.head.number("roundel") {
            VERSION if answer.head.get("error").is_none() => Ok(answer),
            version => Err(other_version(pid, version, answer.head.text("error"))),
        }
    }

    /// The next line, or `None` after the last one.
    ///
    /// # Errors
    ///
    /// If the answer is cut short, or is no answer.
    pub fn next_line(&mut self) -> io::Result<Option<Value>> {
        let value = self.read()?;
        Ok(Some(value).filter(|value| value.get("end").is_none()))
    }

    /// The line that was read last, as it came.
    #[must_use]
    pub fn raw(&self) -> &str {
        self.line.trim_end()
    }

    fn read(&mut self) -> io::Result<Value> {
        self.line.clear();
        let count = self.lines.read_line(&mut self.line).map_err(|error| broken(self.pid, &error))?;
        let pid = self.pid;
        if count == 0 {
            return Err(io::Error::other(format!("process {pid} has ended while it answered")));
        }
        let no_answer = || io::Error::other(format!("process {pid} has sent something that is no answer"));
        Value::read(&self.line).ok_or_else(no_answer)
    }
}

fn broken(pid: u32, error: &io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            io::Error::other(format!("process {pid} does not answer: it may be stopped"))
        }
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
            io::Error::other(format!("process {pid} has ended while it answered"))
        }
        _ => io::Error::new(error.kind(), format!("process {pid}: {error}")),
    }
}

fn other_version(pid: u32, version: u64, why: &str) -> io::Error {
    let why = if why.is_empty() { format!("it speaks version {version}") } else { why.to_owned() };
    io::Error::other(format!("process {pid} uses another version of roundel than this `ps`: {why}"))
}

fn connect(pid: u32) -> io::Result<UnixStream> {
    let path = inspect::folder()?.join(pid.to_string());
    match UnixStream::connect(&path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            // A socket gets its name when it listens, so this one was left behind.
            let _ = std::fs::remove_file(&path);
            Err(missing(pid))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Err(missing(pid)),
        result => result.map_err(|error| broken(pid, &error)),
    }
}

/// Why a process has no socket.
fn missing(pid: u32) -> io::Error {
    let found = i32::try_from(pid).ok().and_then(Pid::from_raw).map(test_kill_process);
    io::Error::other(match found {
        Some(Ok(())) => {
            format!("process {pid} has no loop that can be asked: start it with ROUNDEL_INSPECT=1")
        }
        Some(Err(Errno::PERM)) => {
            format!("process {pid} belongs to another user, and only that user may ask")
        }
        _ => format!("there is no process {pid}"),
    })
}

/// The processes of this user that have a socket, in order.
///
/// # Errors
///
/// If the folder of the sockets cannot be read.
pub fn processes() -> io::Result<Vec<u32>> {
    let folder: PathBuf = inspect::folder()?;
    let files = std::fs::read_dir(&folder)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", folder.display())))?;
    let mut found: Vec<u32> =
        files.filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok()).collect();
    found.sort_unstable();
    Ok(found)
}
