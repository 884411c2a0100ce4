//! The thread that answers other processes.
//!
//! Facts. A loop that is held by a task cannot answer, and that is when one wants to ask. A process that is killed leaves the
//! file of its socket behind. Between the `bind` of a socket and its `listen`, a client is refused, as by a socket that
//! was left behind.
//!
//! What follows. A thread of its own, which reads the tables of the loops and waits for no loop. It answers one client at a
//! time, with a limit on how long a client may keep it. The socket is made under another name and renamed when it listens.
//! So a file that has the right name and refuses clients was left behind, and the next socket of that name replaces it.
//!
//! ```text
//!   bind .PID ──► mode 0600 ──► listen ──► rename to PID ──► accept, answer, accept, … ──► remove PID
//! ```
//!
//! What it does not know: what it says.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::inspect::answer;
use crate::inspect::folder::folder;

/// A client that neither reads nor writes for this long is disconnected.
const PATIENCE: Duration = Duration::from_secs(1);
/// After an error, such as too many open files, this much later the next client may be taken.
const PAUSE: Duration = Duration::from_millis(100);
/// No question is longer than this.
const LONGEST: usize = 64;

const CLIENT: Token = Token(0);
const END: Token = Token(1);

/// Ends the thread when it is dropped.
pub(super) struct Server {
    path: PathBuf,
    end: Waker,
    process: u32,
}

impl Server {
    /// Makes the socket and starts the thread.
    pub(super) fn start() -> io::Result<Server> {
        let (folder, process) = (folder()?, std::process::id());
        let (path, first) = (folder.join(process.to_string()), folder.join(format!(".{process}")));
        let listener = listen(&first).map_err(|error| about(&first, &error))?;
        let poll = Poll::new()?;
        poll.registry().register(&mut SourceFd(&listener.as_raw_fd()), CLIENT, Interest::READABLE)?;
        let end = Waker::new(poll.registry(), END)?;
        fs::rename(&first, &path).map_err(|error| about(&path, &error))?;
        let server = Server { path, end, process };
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
            let _ = fs::remove_file(&self.path);
            let _ = self.end.wake();
        }
    }
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
fn serve_one(mut client: UnixStream) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let (mut question, mut length) = ([0; LONGEST], 0);
    while !question[..length].contains(&b'\n') && length < LONGEST {
        match client.read(&mut question[length..])? {
            0 => break,
            count => length += count,
        }
    }
    let question = String::from_utf8_lossy(&question[..length]);
    let question = question.lines().next().unwrap_or_default();
    answer::answer(question.trim(), |text| client.write_all(text.as_bytes()))
}
