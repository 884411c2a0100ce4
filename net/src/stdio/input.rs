//! Standard input: one thread that reads when a task asks it to.
//!
//! ```text
//!  a task (on any loop)                     the thread `roundel-stdin`
//!  finds nothing: asks, waits    ──────►    read(0), as long as that takes
//!  takes what was found          ◄──────    stores it, wakes all that wait
//! ```
//!
//! Invariant. The thread reads only while nothing is stored, so it never overwrites anything. No waker is
//! called while the lock is held.
//!
//! What it does not know: what is read.

use std::future::poll_fn;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::thread;

use futures_io::AsyncRead;
use roundel::task::poll_budget;
use rustix::event::PollFlags;

use super::retry::retry;

/// The most that is read at once.
const MOST: usize = 64 << 10;

static INPUT: Mutex<Input> = Mutex::new(Input {
    found: None,
    taken: 0,
    buffer: Vec::new(),
    waiting: Vec::new(),
    wanted: false,
    running: false,
});
/// Wakes the thread after `wanted` was set.
static ASKED: Condvar = Condvar::new();

/// What the thread and the tasks share.
struct Input {
    /// What the last read gave: how many bytes of `buffer`, or an error. `None` once all of it has been taken.
    found: Option<io::Result<usize>>,
    /// How many of those bytes have been taken.
    taken: usize,
    buffer: Vec<u8>,
    /// The tasks that found nothing.
    waiting: Vec<Waker>,
    /// Set by a task that found nothing, cleared when the thread has read.
    wanted: bool,
    /// Set once the thread has been started. It is never cleared, because the thread ends with the process.
    running: bool,
}

fn lock() -> MutexGuard<'static, Input> {
    INPUT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Input {
    /// Takes some of what was found, if there is anything.
    fn take(&mut self, into: &mut [u8]) -> Option<io::Result<usize>> {
        let end = match self.found.take()? {
            Ok(end) => end,
            Err(error) => return Some(Err(error)),
        };
        let count = into.len().min(end - self.taken);
        into[..count].copy_from_slice(&self.buffer[self.taken..self.taken + count]);
        self.taken += count;
        if self.taken < end {
            self.found = Some(Ok(end));
        }
        Some(Ok(count))
    }

    fn start(&mut self) -> io::Result<()> {
        if !self.running {
            thread::Builder::new().name("roundel-stdin".into()).spawn(serve)?;
            self.running = true;
        }
        Ok(())
    }
}

/// What the thread does. It ends with the process.
fn serve() {
    loop {
        // Wait until a task asks. It asks only when all has been taken.
        let mut state = lock();
        while !state.wanted {
            state = ASKED.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        // Read without the lock, because that may take long.
        let mut buffer = std::mem::take(&mut state.buffer);
        drop(state);
        buffer.resize(MOST, 0);
        let found = retry(io::stdin(), PollFlags::IN, || io::stdin().read(&mut buffer));
        // Store it, and wake without the lock.
        let mut state = lock();
        (state.found, state.taken, state.buffer, state.wanted) = (Some(found), 0, buffer, false);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// The standard input of the process.
///
/// ```no_run
/// roundel::run(async {
///     let input = roundel_net::stdio::stdin();
///     let mut buffer = [0; 1024];
///     while let count @ 1.. = input.read(&mut buffer).await? {
///         println!("{count} bytes");
///     }
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
#[must_use]
pub fn stdin() -> Stdin {
    Stdin { _private: () }
}

/// See [`stdin`]. All of these read the same input.
#[derive(Debug)]
pub struct Stdin {
    _private: (),
}

impl Stdin {
    /// Reads some bytes. Returns zero at the end. A closed descriptor is at its end.
    ///
    /// # Errors
    ///
    /// The error of the system call; or that the reading thread could not be started.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| Pin::new(&mut &*self).poll_read(cx, buffer)).await
    }
}

impl AsyncRead for &Stdin {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(poll_budget(cx));
        if into.is_empty() {
            return Poll::Ready(Ok(0));
        }
        // The waker is cloned before the lock, because cloning runs foreign code.
        let waker = cx.waker().clone();
        let mut state = lock();
        if let Some(found) = state.take(into) {
            return Poll::Ready(found);
        }
        // Nothing is stored: ask the thread, and wait.
        state.start()?;
        state.wanted = true;
        if !state.waiting.iter().any(|other| other.will_wake(&waker)) {
            state.waiting.push(waker);
        }
        ASKED.notify_one();
        Poll::Pending
    }
}

impl AsyncRead for Stdin {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read(cx, into)
    }
}
