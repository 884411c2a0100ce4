//! Standard input: one thread that reads when it is asked to.
//!
//! ```text
//!  reader (any loop)                        the thread `roundel-stdin`
//!  nothing there: wanted, wait   ──────►    read(0), as long as that takes
//!  take what is there            ◄──────    put it there, wake all who wait
//! ```
//!
//! Invariant. The thread reads only while nothing is there, so nothing is ever overwritten. No waker is called while
//! the lock is held.
//!
//! What it does not know: who reads.

use std::future::poll_fn;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::thread;

use futures_io::AsyncRead;
use roundel::task::poll_budget;
use rustix::event::PollFlags;

use super::insist;

/// The most that is read at once.
const MOST: usize = 64 << 10;

/// What the thread and the readers share.
static SHARED: Mutex<Shared> = Mutex::new(Shared {
    found: None,
    taken: 0,
    buffer: Vec::new(),
    waiting: Vec::new(),
    wanted: false,
    running: false,
});
/// Tells the thread that something is wanted.
static ASKED: Condvar = Condvar::new();

struct Shared {
    /// What the last read gave, until all of it has been taken.
    found: Option<io::Result<usize>>,
    /// How much of that has been taken.
    taken: usize,
    buffer: Vec<u8>,
    waiting: Vec<Waker>,
    wanted: bool,
    running: bool,
}

fn shared() -> MutexGuard<'static, Shared> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Takes some of what there is, if there is anything.
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

/// The thread. It ends with the process.
fn serve() {
    loop {
        let mut state = shared();
        while !state.wanted {
            state = ASKED.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut buffer = std::mem::take(&mut state.buffer);
        drop(state);
        buffer.resize(MOST, 0);
        let found = insist(io::stdin(), PollFlags::IN, || io::stdin().read(&mut buffer));
        let mut state = shared();
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

/// See [`stdin`]. Any number of these are one and the same.
#[derive(Debug)]
pub struct Stdin {
    _private: (),
}

impl Stdin {
    /// Reads some bytes; none (`Ok(0)`) at the end. A closed descriptor is at its end.
    ///
    /// # Errors
    ///
    /// What the system says, also that there can be no thread to read with.
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
        let waker = cx.waker().clone();
        let mut state = shared();
        if let Some(found) = state.take(into) {
            return Poll::Ready(found);
        }
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
