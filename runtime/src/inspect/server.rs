//! The thread that answers other processes.
//!
//! Facts. A loop that is held by a task cannot answer, and just then its user wants to ask. A process that is killed leaves the
//! file of its socket behind. Between the `bind` of a socket and its `listen`, a client is refused, as by a socket that
//! was left behind. Two processes have the same number if they are in different containers that share the folder.
//!
//! What follows. A thread of its own, which reads the tables of the loops and waits for no loop. It answers one client at a
//! time, and all waits for a client together have a limit. The socket is made under another name and renamed when it listens.
//! So a file that has the right name and refuses clients was left behind, and the next socket of that name replaces it. One
//! that takes clients belongs to another process: it stays, and this process has no socket.
//!
//! ```text
//!   bind .PID ──► mode 0600 ──► listen ──► rename to PID ──► accept, answer, accept, … ──► remove PID, if it is ours
//! ```
//!
//! What it does not know: what it says.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::core::clock::Stopwatch;
use crate::inspect::answer;
use crate::inspect::folder::folder;

/// A client has to send its question in this time, and to read each part of the answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// The answer waits no longer than this for its client, all parts together.
const ALL_PATIENCE: Duration = Duration::from_secs(10);
/// After an error, such as too many open files, this much later the next client may be taken.
const PAUSE: Duration = Duration::from_millis(100);
/// The kernel cuts a longer write into several, and waits for each of them as long as for one.
const ONE_WRITE: usize = 4096;
/// No question is longer than this.
const LONGEST: usize = 64;

const CLIENT: Token = Token(0);
const END: Token = Token(1);

/// Ends the thread when it is dropped.
pub(super) struct Server {
    path: PathBuf,
    /// What tells our file from another one of the same name.
    file: FileNumber,
    end: Waker,
    process: u32,
}

impl Server {
    /// Makes the socket and starts the thread.
    pub(super) fn start() -> io::Result<Server> {
        let (folder, process) = (folder()?, std::process::id());
        let (path, first) = (folder.join(process.to_string()), folder.join(format!(".{process}")));
        if UnixStream::connect(&path).is_ok() {
            let error = io::Error::other("another process with this number answers there");
            return Err(about(&path, &error));
        }
        let listener = listen(&first).map_err(|error| about(&first, &error))?;
        let poll = Poll::new()?;
        poll.registry().register(&mut SourceFd(&listener.as_raw_fd()), CLIENT, Interest::READABLE)?;
        let end = Waker::new(poll.registry(), END)?;
        fs::rename(&first, &path).map_err(|error| about(&path, &error))?;
        let file = file_number(&path).map_err(|error| about(&path, &error))?;
        let server = Server { path, file, end, process };
        thread::Builder::new().name("roundel-inspect".into()).spawn(move || serve(poll, &listener))?;
        Ok(server)
    }

    /// Whether this is the copy of a server in a forked child.
    pub(super) fn is_forked(&self) -> bool {
        self.process != std::process::id()
    }
}

impl Drop for Server {
    /// The file goes now, and the thread when it has heard of it.
    fn drop(&mut self) {
        if !self.is_forked() {
            if file_number(&self.path).is_ok_and(|file| file == self.file) {
                let _ = fs::remove_file(&self.path);
            }
            let _ = self.end.wake();
        }
    }
}

/// The device of a file, and its number there.
type FileNumber = (u64, u64);

fn file_number(path: &Path) -> io::Result<FileNumber> {
    path.symlink_metadata().map(|file| (file.dev(), file.ino()))
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // A process with this number may have been killed just here.
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// The life of the thread.
fn serve(mut poll: Poll, listener: &UnixListener) {
    let (mut events, mut limit) = (Events::with_capacity(4), None);
    loop {
        match poll.poll(&mut events, limit) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
            Ok(()) if events.iter().any(|event| event.token() == END) => return,
            Ok(()) => limit = serve_all(listener),
        }
    }
}

/// Answers all clients that are there. Returns when to look again, if that will not be reported.
fn serve_all(listener: &UnixListener) -> Option<Duration> {
    loop {
        match listener.accept() {
            // A client that goes away harms no other.
            Ok((client, _)) => _ = serve_one(client),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Some(PAUSE),
        }
    }
}

/// Reads a line, and answers it.
fn serve_one(stream: UnixStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    let mut client = Client { stream, left: ALL_PATIENCE };
    let question = client.question()?;
    answer::answer(&question, |text| client.say(text))
}

/// A client, and how much longer the answer may wait for it.
struct Client {
    stream: UnixStream,
    left: Duration,
}

impl Client {
    /// Reads the line that it sends.
    fn question(&mut self) -> io::Result<String> {
        let (mut question, mut length, began) = ([0; LONGEST], 0, Stopwatch::now());
        while !question[..length].contains(&b'\n') && length < LONGEST {
            self.stream.set_read_timeout(Some(rest(PATIENCE, &began)?))?;
            match self.stream.read(&mut question[length..]) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let question = String::from_utf8_lossy(&question[..length]);
        Ok(question.lines().next().unwrap_or_default().trim().to_owned())
    }

    /// Sends a part of the answer.
    fn say(&mut self, text: &str) -> io::Result<()> {
        let (mut text, began) = (text.as_bytes(), Stopwatch::now());
        while !text.is_empty() {
            self.stream.set_write_timeout(Some(rest(PATIENCE.min(self.left), &began)?))?;
            match self.stream.write(&text[..text.len().min(ONE_WRITE)]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => text = &text[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.left = self.left.saturating_sub(began.elapsed());
        Ok(())
    }
}

/// What is left of a time. It is an error if nothing is.
fn rest(of: Duration, began: &Stopwatch) -> io::Result<Duration> {
    let left = of.saturating_sub(began.elapsed());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    /// What a client does that sends, or reads, a little from time to time, until it is disconnected.
    fn little_by_little(pause: Duration, mut step: impl FnMut() -> io::Result<usize>) {
        while step().is_ok_and(|count| count > 0) {
            thread::sleep(pause);
        }
    }

    #[test]
    fn a_client_that_sends_its_question_little_by_little_is_disconnected() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        // The longest question would take it six times the patience.
        let slow = thread::spawn(move || {
            let mut question = io::Cursor::new([b'x'; LONGEST - 1]);
            little_by_little(PATIENCE / 10, || {
                let mut next = [0];
                let count = question.read(&mut next)?;
                theirs.write(&next[..count])
            });
        });
        assert!(serve_one(ours).is_err());
        slow.join().unwrap();
    }

    #[test]
    fn a_client_that_reads_little_by_little_is_disconnected() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let pause = PATIENCE / 50;
        let slow = thread::spawn(move || little_by_little(pause, || theirs.read(&mut [0; 1000])));
        let mut client = Client { stream: ours, left: ALL_PATIENCE };
        // It would take more than three minutes.
        assert!(client.say(&"x".repeat(10_000_000)).is_err());
        drop(client);
        slow.join().unwrap();
    }

    #[test]
    fn all_parts_of_an_answer_together_have_a_limit() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut client = Client { stream: ours, left: ALL_PATIENCE };
        client.say("short enough not to wait").unwrap();
        assert!(client.left < ALL_PATIENCE);
        client.left = Duration::ZERO;
        assert_eq!(client.say("x").unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
