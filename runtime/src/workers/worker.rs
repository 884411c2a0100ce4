//! The other side of a process pool: this program, run again to do jobs.
//!
//! Facts. A process that runs a loop must not be forked, so a worker is a fresh start of the same program. It shares
//! nothing with its parent but the program itself: no memory, no closures. So a job is the *name* of a function that
//! both know, and bytes. A job may print, read, panic, end the process, or never end.
//!
//! What follows. `main` calls [`serve`] before anything else. A worker finds a socket as its stdin, and the number of
//! that socket in the environment. Only both together say that this is a worker; a program that a job starts inherits
//! the second alone. The socket is moved away from stdin, so that a job can read and print freely. One thread listens,
//! so that a worker ends when its parent is gone, even in the middle of a job.
//!
//! What it does not know: which process sends jobs, and how many workers there are.

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

/// The environment variable that tells a worker which socket is its own.
pub(crate) const MARK: &str = "ROUNDEL_WORKER";

/// Set by `serve`, never cleared. Only a program that calls `serve` can be its own worker.
static SERVES: AtomicBool = AtomicBool::new(false);

pub(crate) fn serves() -> bool {
    SERVES.load(Ordering::SeqCst)
}

/// The value of [`MARK`] for a worker with this stdin.
pub(crate) fn mark(stdin: &File) -> io::Result<String> {
    let stdin = stdin.metadata()?;
    Ok(format!("{}:{}", stdin.dev(), stdin.ino()))
}

/// Does jobs, if this process was started as a worker, and ends it when its parent no longer needs it. In any other
/// process it returns at once. Call it first in `main`: every worker also runs the code before it.
///
/// See [`ProcessPool`](crate::workers::ProcessPool) for an example.
pub fn serve(jobs: &[(&str, Job)]) {
    SERVES.store(true, Ordering::SeqCst);
    let Some(stdin) = socket() else { return };
    // From here on this is a worker, which must not return to `main`.
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

/// Does jobs until the parent has no more.
fn work(stdin: File, jobs: &[(&str, Job)]) -> io::Result<()> {
    // Keep the socket, and give the jobs an empty stdin.
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let mut socket = UnixStream::from(OwnedFd::from(stdin));
    let listener = socket.try_clone()?;
    let (sender, receiver) = channel();
    // Set by the listening thread when a job comes, cleared here when the job is done.
    let busy = Arc::new(AtomicBool::new(false));
    let listens = Arc::clone(&busy);
    std::thread::Builder::new().spawn(move || listen(listener, &sender, &listens))?;
    // Tell the pool that we are ready, then do the jobs one after the other.
    socket.write_all(&frames::frame(Kind::Hello, &[HELLO])?)?;
    let begun = frames::frame(Kind::Begun, &[])?;
    for body in receiver {
        // After this the pool does not give the job to another worker.
        socket.write_all(&begun)?;
        let answer = answer(jobs, &body)?;
        // Cleared before the answer is sent: the next job may come as soon as it is.
        busy.store(false, Ordering::SeqCst);
        socket.write_all(&answer)?;
    }
    Ok(())
}

/// Passes on the jobs that come. The end of the stream means that the parent is gone. Then this process ends, too. If a
/// job is running, it is killed at once, because its result has no receiver.
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

/// Does a job; returns the answer as a frame.
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
    // An output that is too long to be sent is reported as a failure of the job.
    frames::frame(kind, &[&said])
        .or_else(|error| frames::frame(Kind::Failed, &[error.to_string().as_bytes()]))
}
