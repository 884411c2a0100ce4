//! A pool of processes, for jobs that compute for long or may crash.
//!
//! Facts. A loop has one thread, and a thread that crashes ends its process. A process takes milliseconds to start and
//! microseconds to send a message to, so jobs that take less are better sent in batches.
//!
//! What follows. A worker is this program, run again, which calls [`serve`] and waits for jobs on a socket. A job is
//! the name of a function, and bytes (see `worker`), because nothing else can be sent from one process to another. (No
//! closures, no locks, no open files; how values become bytes is up to you.) Workers are started when there are jobs
//! for them, and kept. `Ctrl-C` reaches only the parent, which decides what to do.
//!
//! Contract. The pool runs at most as many jobs at a time as it has workers. The others wait in the order in which they
//! were first polled. If a worker dies, only the job that it was doing fails; the next job gets a new worker. A worker
//! reports when it begins a job. If it dies before that, the job is given to another worker, and it is tried as many
//! times as the pool has workers, and two more. A job that is dropped while it runs cannot be asked to stop, so its
//! worker is killed, and replaced when needed. When the pool is dropped, or this process ends for any reason, the
//! workers end, too. A pool belongs to the loop in which it is first used.
//!
//! | method | cancel safe |
//! |---|---|
//! | `run`, `run_timeout`, `map` | no: jobs that have begun are killed. Jobs that wait are forgotten |
//!
//! What it does not know: what the jobs are.

mod frames;
mod worker;

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitStatus;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::join::JoinHandle;
use crate::process::{Child, Command};
use crate::source::{AsyncFd, Direction};
use crate::sync::permits::{Held, Permits};
use crate::task::{spawn, spend_budget};
use crate::time;
use crate::workers::frames::{HEAD, HELLO, Kind};
pub use crate::workers::worker::{Job, serve};

/// A number of processes that do jobs. Cheap to clone.
///
/// ```no_run
/// use roundel::workers::{self, ProcessPool};
///
/// fn shout(input: &[u8]) -> Result<Vec<u8>, String> {
///     let text = std::str::from_utf8(input).map_err(|error| error.to_string())?;
///     Ok(text.to_uppercase().into_bytes())
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     // Comes first: in a worker this does not return.
///     workers::serve(&[("shout", shout)]);
///     roundel::run(async {
///         let pool = ProcessPool::new(4)?;
///         let job = roundel::spawn(pool.run("shout", "hello"));
///         assert_eq!(job.await??, b"HELLO");
///         Ok(())
///     })
/// }
/// ```
#[derive(Clone)]
pub struct ProcessPool {
    workers: Rc<Workers>,
}

/// What the clones of a pool share.
struct Workers {
    /// The path of this program.
    program: PathBuf,
    /// Called with the command of each worker before it is started.
    arrange: Box<dyn Fn(&mut Command)>,
    size: usize,
    /// One permit for each worker that is doing no job, started or not.
    seats: Permits,
    /// The workers that have been started and have no job; the one that was busy last is at the end.
    idle: RefCell<Vec<Worker>>,
}

impl ProcessPool {
    /// A pool of up to `size` workers. None is started before there is a job for it.
    ///
    /// # Errors
    ///
    /// If `size` is zero, if [`serve`] was not called first, or if the path of this program is not known.
    pub fn new(size: usize) -> io::Result<ProcessPool> {
        ProcessPool::with(size, |_| {})
    }

    /// The same, but `arrange` can change the command of each worker before it is started: more arguments, another
    /// directory, another place to print to.
    ///
    /// # Errors
    ///
    /// As [`new`](ProcessPool::new).
    pub fn with(size: usize, arrange: impl Fn(&mut Command) + 'static) -> io::Result<ProcessPool> {
        if size == 0 {
            return Err(io::Error::new(ErrorKind::InvalidInput, "a pool needs one worker at least"));
        }
        if !worker::serves() {
            return Err(io::Error::other(
                "a worker is this program, run again: call `workers::serve` with its jobs first in `main`",
            ));
        }
        let (program, seats) = (std::env::current_exe()?, Permits::new(size, &"process pool"));
        let workers = Workers { program, arrange: Box::new(arrange), size, seats, idle: RefCell::default() };
        Ok(ProcessPool { workers: Rc::new(workers) })
    }

    /// The largest number of workers that the pool has at a time.
    #[must_use]
    pub fn size(&self) -> usize {
        self.workers.size
    }

    /// Runs the job that [`serve`] was given under this name. It begins when it is first polled. If it is dropped, it
    /// kills the worker that does the job.
    pub fn run(&self, name: &str, input: impl Into<Vec<u8>>) -> Running {
        let (workers, name, input) = (Rc::clone(&self.workers), name.to_owned(), input.into());
        Running { future: Box::pin(async move { workers.run(&name, input).await }) }
    }

    /// Runs a job, and kills its worker if it is not done after `limit`, which includes the wait for a worker.
    pub fn run_timeout(&self, limit: Duration, name: &str, input: impl Into<Vec<u8>>) -> Running {
        let run = self.run(name, input);
        let timed = async move { time::timeout(limit, run).await.unwrap_or(Err(JobError::TimedOut(limit))) };
        Running { future: Box::pin(timed) }
    }

    /// Runs the job for each input, as many at a time as there are workers. The results are in the order of the inputs.
    pub async fn map<I: Into<Vec<u8>>>(
        &self,
        name: &str,
        inputs: impl IntoIterator<Item = I>,
    ) -> Vec<Result<Vec<u8>, JobError>> {
        spend_budget().await;
        let jobs: Vec<Task> = inputs.into_iter().map(|input| Task(spawn(self.run(name, input)))).collect();
        let mut results = Vec::with_capacity(jobs.len());
        for mut job in jobs {
            match (&mut job.0).await {
                Ok(result) => results.push(result),
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        results
    }
}

impl fmt::Debug for ProcessPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPool").field("size", &self.size()).finish_non_exhaustive()
    }
}

/// A job of a `map`, which is cancelled together with it.
struct Task(JoinHandle<Result<Vec<u8>, JobError>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// See [`ProcessPool::run`].
#[must_use = "futures do nothing unless awaited"]
pub struct Running {
    future: Pin<Box<dyn Future<Output = Result<Vec<u8>, JobError>>>>,
}

impl Future for Running {
    type Output = Result<Vec<u8>, JobError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.future.as_mut().poll(cx)
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

impl Workers {
    /// Has a worker do a job: waits for a seat, gives the job to a worker, and waits for its answer.
    async fn run(&self, name: &str, input: Vec<u8>) -> Result<Vec<u8>, JobError> {
        let job = frames::job(name, &input)?;
        drop(input);
        self.seats.take(1).await;
        let _seat = Held { permits: &self.seats, n: 1 };
        // If we are dropped in one of these awaits, the worker is dropped as well, and that kills it.
        let mut worker = self.begin(&job).await?;
        let (kind, body) = worker.answer().await?;
        // It has answered, so it can do the next job.
        worker.child.kill_on_drop(false);
        self.idle.borrow_mut().push(worker);
        let text = || String::from_utf8_lossy(&body).into_owned();
        match kind {
            Kind::Done => Ok(body),
            Kind::Failed => Err(JobError::Failed(text())),
            Kind::Panicked => Err(JobError::Panicked(text())),
            _ => Err(JobError::Unknown { name: name.to_owned(), known: text() }),
        }
    }

    /// Gives a job to a worker, and returns that worker when it has begun the job. All idle workers may have died, so
    /// this tries as many as the pool can have, and two more.
    async fn begin(&self, job: &[u8]) -> Result<Worker, JobError> {
        let mut tries = self.size + 2;
        loop {
            let mut worker = self.worker().await?;
            tries -= 1;
            match worker.begin(job).await {
                Ok(()) => return Ok(worker),
                Err(JobError::WorkerDied { .. }) if tries > 0 => {}
                Err(JobError::WorkerDied { status }) => return Err(never_begun(self.size + 2, status)),
                Err(error) => return Err(error),
            }
        }
    }

    /// An idle worker, or a new one. It is killed if it is dropped.
    async fn worker(&self) -> Result<Worker, JobError> {
        loop {
            let idle = self.idle.borrow_mut().pop();
            let Some(mut worker) = idle else { return self.start().await };
            // A worker that has died while it was idle is skipped: that is not an error of this job.
            if let Ok(None) = worker.child.try_wait() {
                worker.child.kill_on_drop(true);
                return Ok(worker);
            }
        }
    }

    /// Starts a worker, and waits until it is ready.
    async fn start(&self) -> Result<Worker, JobError> {
        // A socket, whose other end becomes the worker's stdin.
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let socket = AsyncFd::new(ours)?;
        let stdin = File::from(OwnedFd::from(theirs));
        let mut command = Command::new(&self.program);
        (self.arrange)(&mut command);
        command.env(worker::MARK, worker::mark(&stdin)?).stdin(stdin).kill_on_drop(true);
        // A process group of its own, so that a Ctrl-C in the terminal does not reach it.
        command.as_std_mut().process_group(0);
        let child = command.spawn()?;
        drop(command); // This closes our copy of the worker's end.
        let mut worker = Worker { child, socket };
        match worker.listen().await {
            Ok((Kind::Hello, body)) if body == HELLO => Ok(worker),
            Ok(_) => Err(not_ready("did not say hello")),
            Err(JobError::WorkerDied { status }) => Err(not_ready(&format!("ended ({status})"))),
            Err(error) => Err(error),
        }
    }
}

fn not_ready(what: &str) -> JobError {
    JobError::Io(io::Error::other(format!(
        "a worker {what} before it was ready: is `workers::serve` the first thing that this program does, with the \
         arguments that the pool gives?"
    )))
}

fn never_begun(tries: usize, last: ExitStatus) -> JobError {
    JobError::Io(io::Error::other(format!(
        "{tries} workers, one after the other, ended before they had begun the job (the last one: {last}): look for what \
         kills them"
    )))
}

fn misunderstood(kind: Kind) -> JobError {
    let reason = format!("a worker and its pool do not understand one another: {kind:?} is no answer");
    JobError::Io(io::Error::new(ErrorKind::InvalidData, reason))
}

struct Worker {
    child: Child,
    socket: AsyncFd<UnixStream>,
}

impl Worker {
    /// Sends a job, and waits until the worker has begun it.
    async fn begin(&mut self, job: &[u8]) -> Result<(), JobError> {
        let sent = self.send(job).await;
        if let Err(error) = sent {
            return Err(self.broken(error).await);
        }
        match self.listen().await? {
            (Kind::Begun, _) => Ok(()),
            (kind, _) => Err(misunderstood(kind)),
        }
    }

    /// Waits for the answer to the job that the worker has begun.
    async fn answer(&mut self) -> Result<(Kind, Vec<u8>), JobError> {
        match self.listen().await? {
            (kind @ (Kind::Hello | Kind::Job | Kind::Begun), _) => Err(misunderstood(kind)),
            answer => Ok(answer),
        }
    }

    /// Receives the next frame.
    async fn listen(&mut self) -> Result<(Kind, Vec<u8>), JobError> {
        let received = self.receive().await;
        match received {
            Ok(frame) => Ok(frame),
            Err(error) => Err(self.broken(error).await),
        }
    }

    /// The error after the connection broke. If it broke because the worker has died, this finds out how.
    async fn broken(&mut self, error: io::Error) -> JobError {
        match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {}
            _ => return JobError::Io(error),
        }
        // Kill it in any case: a worker that has only closed its end is of no use, and one that is dying does not
        // notice.
        let ended = match self.child.start_kill() {
            Ok(()) => self.child.wait().await,
            Err(error) => Err(error),
        };
        ended.map_or_else(JobError::Io, |status| JobError::WorkerDied { status })
    }

    async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.socket.io(Direction::Write, |mut socket| socket.write(bytes)).await?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    async fn receive(&self) -> io::Result<(Kind, Vec<u8>)> {
        let mut first = [0; HEAD];
        self.fill(&mut first, 0).await?;
        let (kind, length) = frames::head(first)?;
        let mut body = Vec::new();
        while body.len() < length {
            // Take memory for the bytes that come, not for the length that was announced.
            let before = body.len();
            body.resize(length.min(before + CHUNK), 0);
            self.fill(&mut body, before).await?;
        }
        Ok((kind, body))
    }

    /// Reads until the buffer is full.
    async fn fill(&self, buffer: &mut [u8], mut start: usize) -> io::Result<()> {
        while start < buffer.len() {
            let rest = &mut buffer[start..];
            match self.socket.io(Direction::Read, |mut socket| socket.read(rest)).await? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => start += count,
            }
        }
        Ok(())
    }
}

/// How many bytes of memory a frame takes at a time while it comes in.
const CHUNK: usize = 1 << 20;

/// Why a job has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum JobError {
    /// The worker ended in the middle of the job: it crashed, or was killed.
    WorkerDied {
        /// How it ended.
        status: ExitStatus,
    },
    /// The job returned this error.
    Failed(String),
    /// The job panicked with this message. Its worker goes on.
    Panicked(String),
    /// No job has this name.
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names of the jobs that there are.
        known: String,
    },
    /// The job was not done within this time; see [`ProcessPool::run_timeout`].
    TimedOut(Duration),
    /// The worker could not be started or reached.
    Io(io::Error),
}

/// Each message says what happened, and what to look for.
impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JobError::WorkerDied { status } => {
                write!(
                    f,
                    "the worker ended in the middle of the job ({status}): the job crashes, or another process kills it"
                )
            }
            JobError::Failed(error) => write!(f, "the job failed: {error}"),
            JobError::Panicked(message) => write!(f, "the job panicked: {message}"),
            JobError::Unknown { name, known } => {
                write!(
                    f,
                    "no job is called {name:?}: give it to `workers::serve`, which knows these: {known}"
                )
            }
            JobError::TimedOut(limit) => write!(f, "the job was not done within {limit:?}, and was killed"),
            JobError::Io(error) => write!(f, "a worker cannot be reached: {error}"),
        }
    }
}

impl std::error::Error for JobError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            JobError::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for JobError {
    fn from(error: io::Error) -> JobError {
        JobError::Io(error)
    }
}
