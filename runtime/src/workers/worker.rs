//! The other side of a process pool: this program, run again to do jobs.
//!
//! Facts. A process that runs a loop must not be forked, so a worker is a fresh start of the same program, and
//! has nothing of its parent but the program itself: no memory, no closures. A job is therefore the *name* of
//! a function that both know, and bytes. A job may print, read, panic, end the process, or never end.
//!
//! What follows. `main` calls [`serve`] before anything else. A worker finds a socket as its stdin, and its number
//! in the environment; both together say that this is a worker (a program that a job starts has only the
//! second). The socket is moved away from stdin, so that a job may read and print as it likes. One thread
//! listens, so that a worker whose parent is gone is gone, too, also in the middle of a job.
//!
//! What it does not know: who sends jobs, and how many workers there are.

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};

use rustix::process::{Signal, getpid, kill_process};

use crate::core::panics::contain;
use crate::error;
use crate::workers::frames::{self, HEAD, HELLO, Kind};

/// A function that a worker can run.
pub type Job = fn(&[u8]) -> Result<Vec<u8>, String>;

/// The variable by which a worker knows its socket.
pub(crate) const MARK: &str = "ROUNDEL_WORKER";

/// Whether `serve` was called, so that this program can be its own worker.
static SERVES: AtomicBool = AtomicBool::new(false);

pub(crate) fn serves() -> bool {
    SERVES.load(Ordering::SeqCst)
}

/// What [`MARK`] is set to for a worker with this stdin.
pub(crate) fn mark(stdin: &File) -> io::Result<String> {
    let stdin = stdin.metadata()?;
    Ok(format!("{}:{}", stdin.dev(), stdin.ino()))
}

/// Does jobs, if this process was started as a worker, and ends it when its parent needs it no more; returns at
/// once in any other process. To be called first in `main`: what comes before it is done by each worker.
///
/// See [`ProcessPool`](crate::workers::ProcessPool) for an example.
pub fn serve(jobs: &[(&str, Job)]) {
    SERVES.store(true, Ordering::SeqCst);
    let Some(stdin) = socket() else { return };
    // From here on this is a worker: it must not get back to `main`.
    if let Err(error) = work(stdin, jobs) {
        // Not by `eprintln`, which panics if standard error cannot be written to.
        let _ = writeln!(io::stderr(), "a worker cannot go on: {error}");
        exit(1);
    }
    exit(0);
}

/// The socket to our parent, if we are a worker.
fn socket() -> Option<File> {
    let expected = env::var(MARK).ok()?;
    let stdin = File::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    (mark(&stdin).ok()? == expected).then_some(stdin)
}

fn work(stdin: File, jobs: &[(&str, Job)]) -> io::Result<()> {
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let mut socket = UnixStream::from(OwnedFd::from(stdin));
    let listener = socket.try_clone()?;
    let (sender, receiver) = channel();
    let busy = Arc::new(AtomicBool::new(false));
    let listens = Arc::clone(&busy);
    std::thread::Builder::new().spawn(move || listen(listener, &sender, &listens))?;
    socket.write_all(&frames::frame(Kind::Hello, &[HELLO])?)?;
    let begun = frames::frame(Kind::Begun, &[])?;
    for body in receiver {
        // From here on the pool does not give the job to another worker.
        socket.write_all(&begun)?;
        let answer = answer(jobs, &body)?;
        // Before the answer: the next job may be here as soon as that is sent.
        busy.store(false, Ordering::SeqCst);
        socket.write_all(&answer)?;
    }
    Ok(())
}

/// Hands on what comes. When nothing comes any more, the parent is gone, and we go with it: at once, if a job
/// is under way, of which nobody will hear.
fn listen(mut socket: UnixStream, jobs: &Sender<Vec<u8>>, busy: &AtomicBool) {
    while let Ok(Some(body)) = read(&mut socket) {
        busy.store(true, Ordering::SeqCst);
        if jobs.send(body).is_err() {
            return;
        }
    }
    if busy.load(Ordering::SeqCst) {
        let _ = kill_process(getpid(), Signal::KILL);
    }
}

/// The body of the next job; `None` at the end.
fn read(socket: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut first = [0; HEAD];
    match socket.read_exact(&mut first) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    }
    let (_, length) = frames::head(first)?;
    let mut body = vec![0; length];
    socket.read_exact(&mut body)?;
    Ok(Some(body))
}

/// Does a job; the answer as a frame.
fn answer(jobs: &[(&str, Job)], body: &[u8]) -> io::Result<Vec<u8>> {
    let (name, input) = frames::parse_job(body)?;
    let Some((_, job)) = jobs.iter().find(|(known, _)| *known == name) else {
        let names: Vec<&str> = jobs.iter().map(|(name, _)| *name).collect();
        return frames::frame(Kind::Unknown, &[names.join(", ").as_bytes()]);
    };
    let (kind, said) = match contain(|| job(input)) {
        Ok(Ok(output)) => (Kind::Done, output),
        Ok(Err(error)) => (Kind::Failed, error.into_bytes()),
        Err(payload) => (Kind::Panicked, error::message(&*payload).as_bytes().to_vec()),
    };
    // Too long to be sent: that is a failure of the job, of which its sender should hear.
    frames::frame(kind, &[&said])
        .or_else(|error| frames::frame(Kind::Failed, &[error.to_string().as_bytes()]))
}
