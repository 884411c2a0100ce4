//! Signals of the operating system, as futures and streams.
//!
//! Facts. A signal may arrive between any two instructions, on any thread, and what runs then may neither lock
//! nor allocate. Two signals of one kind that arrive before the first was handled are one. A program that has
//! not asked for a signal mostly dies of it; one that has asked once, and asks no more, should die of it again.
//!
//! What follows. A handler (of `signal-hook`, which calls those that were there before) sets a flag and writes a
//! byte into a socket; the loop waits for the byte and looks at the flag:
//!
//! ```text
//!   handler                          listener
//!   flag = true                      flag is set? ── yes ──► clear it: that is a signal
//!   write a byte ───── socket ─────► read the socket; empty? wait for it; look again
//! ```
//!
//! The flag comes before the byte, so whoever has seen the socket empty will be told of the flag. If the socket
//! is full, the byte is not needed. Each [`Signals`] has flags and a socket of its own, so any number of them,
//! in any number of loops, hear every signal. A process-wide table counts them: while nobody listens to a
//! signal, it does what it did before anybody had (`heard`).
//!
//! Contract. After a signal, at least one is delivered to every listener that listened then; how many is not
//! promised. Listening begins when `ctrl_c`, `terminate`, `shutdown` or `Signals::new` is *called*, not when
//! it is first awaited. What came and was not asked for is gone with its listener.
//!
//! | method | cancel safe |
//! |---|---|
//! | `ctrl_c`, `terminate`, `shutdown` | yes, while the future lives: it listens also when nobody polls it |
//! | `Signals::recv`, `Signals::next` | yes: a signal that was not returned is the next to be returned |
//!
//! What it does not know: who sends signals, and why.

mod heard;

use std::fmt;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use signal_hook::low_level::{pipe, unregister};
use signal_hook::{SigId, flag};

use crate::core::context;
use crate::signal::heard::Heard;
use crate::source::{AsyncFd, Direction};

/// A timer of the process has run out.
pub const ALRM: i32 = signal_hook::consts::SIGALRM;
/// A child has stopped, gone on, or ended.
pub const CHLD: i32 = signal_hook::consts::SIGCHLD;
/// The process goes on after a stop.
pub const CONT: i32 = signal_hook::consts::SIGCONT;
/// The terminal is gone; to a server, by custom: read your configuration again.
pub const HUP: i32 = signal_hook::consts::SIGHUP;
/// Ctrl-C.
pub const INT: i32 = signal_hook::consts::SIGINT;
/// Something was written that nobody will read. Rust's runtime ignores it from the start.
pub const PIPE: i32 = signal_hook::consts::SIGPIPE;
/// Ctrl-\\.
pub const QUIT: i32 = signal_hook::consts::SIGQUIT;
/// Please end.
pub const TERM: i32 = signal_hook::consts::SIGTERM;
/// Ctrl-Z.
pub const TSTP: i32 = signal_hook::consts::SIGTSTP;
/// Whatever one has agreed on.
pub const USR1: i32 = signal_hook::consts::SIGUSR1;
/// Whatever else one has agreed on.
pub const USR2: i32 = signal_hook::consts::SIGUSR2;
/// The terminal has another size.
pub const WINCH: i32 = signal_hook::consts::SIGWINCH;

/// Waits for Ctrl-C (`SIGINT`), which until then does not end the process.
///
/// It listens from this call on. When it is over or dropped, and nobody else listens, the next Ctrl-C ends the
/// process as usual: so a user who is tired of waiting for a clean end presses it twice.
///
/// ```no_run
/// roundel::run(async {
///     roundel::signal::ctrl_c().await;
///     println!("good-bye");
/// });
/// ```
///
/// # Panics
///
/// Outside a loop; if the operating system refuses two descriptors.
#[track_caller]
pub fn ctrl_c() -> Caught {
    Caught { first: First::of("signal::ctrl_c", &[INT]) }
}

/// Waits for `SIGTERM`, by which a service is asked to end. In all else as [`ctrl_c`].
///
/// # Panics
///
/// Outside a loop; if the operating system refuses two descriptors.
#[track_caller]
pub fn terminate() -> Caught {
    Caught { first: First::of("signal::terminate", &[TERM]) }
}

/// Waits for the first of `SIGINT` and `SIGTERM`, and says which it was. In all else as [`ctrl_c`].
///
/// # Panics
///
/// Outside a loop; if the operating system refuses three descriptors.
#[track_caller]
pub fn shutdown() -> Shutdown {
    Shutdown { first: First::of("signal::shutdown", &[INT, TERM]) }
}

/// See [`ctrl_c`] and [`terminate`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Caught {
    first: First,
}

impl Future for Caught {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.first.poll(cx).map(drop)
    }
}

/// See [`shutdown`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Shutdown {
    first: First,
}

impl Future for Shutdown {
    type Output = i32;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<i32> {
        self.first.poll(cx)
    }
}

/// Listens until the first signal, and no longer.
#[derive(Debug)]
struct First(Option<Signals>);

impl First {
    #[track_caller]
    fn of(what: &str, signals: &[i32]) -> First {
        context::expect(what);
        match Signals::new(signals.iter().copied()) {
            Ok(signals) => First(Some(signals)),
            Err(error) => panic!("`{what}` could not listen: {error}"),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<i32> {
        let signals = self.0.as_mut().expect("a future for one signal was polled again after it had come");
        let signal = ready!(signals.poll_recv(cx));
        self.0 = None;
        Poll::Ready(signal)
    }
}

/// A stream of the signals that were asked for; it does not end.
///
/// ```
/// use roundel::signal::{self, Signals};
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let mut signals = Signals::new([signal::HUP, signal::USR1])?;
///     // What `kill -USR1` does.
///     rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::USR1)?;
///     assert_eq!(signals.recv().await, signal::USR1);
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub struct Signals {
    // In this order they are dropped: first the handlers, so that nobody writes; last the count.
    ears: Vec<Ear>,
    bytes: AsyncFd<UnixStream>,
    /// Where to look first, so that a flood of one signal does not hide the others.
    next: usize,
    _heard: Vec<Heard>,
}

/// What one signal leaves behind.
struct Ear {
    signal: i32,
    came: Arc<AtomicBool>,
    handlers: [SigId; 2],
}

impl Signals {
    /// Listens to these signals from now on: the constants of this module, or the numbers of the system.
    ///
    /// # Errors
    ///
    /// For a number that is no signal; for `SIGKILL` and `SIGSTOP`, which no process can catch; for `SIGSEGV`,
    /// `SIGILL` and `SIGFPE`, after which a program cannot go on; if none is given. Otherwise what the
    /// operating system says: one descriptor is needed for each signal, and one more.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn new(signals: impl IntoIterator<Item = i32>) -> io::Result<Signals> {
        context::expect("Signals::new");
        let mut numbers: Vec<i32> = signals.into_iter().collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no signals to listen to: name one"));
        }
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        let bytes = AsyncFd::new(read)?;
        // The count first: from here on the signals do not do any more what they do by default.
        let heard = numbers.iter().map(|signal| Heard::new(*signal)).collect::<io::Result<_>>()?;
        let ears = numbers.iter().map(|signal| Ear::new(*signal, &write)).collect::<io::Result<_>>()?;
        Ok(Signals { ears, bytes, next: 0, _heard: heard })
    }

    /// Waits for the next signal.
    pub async fn recv(&mut self) -> i32 {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The same as the stream says it: always `Some`.
    pub async fn next(&mut self) -> Option<i32> {
        Some(self.recv().await)
    }

    /// The same by hand.
    ///
    /// # Panics
    ///
    /// If the loop that this was made in is gone.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<i32> {
        ready!(context::spend(cx.waker()));
        loop {
            if let Some(signal) = self.take() {
                return Poll::Ready(signal);
            }
            let read = |mut bytes: &UnixStream| bytes.read(&mut [0; 256]);
            if let Err(error) = ready!(self.bytes.poll_io(cx, Direction::Read, read)) {
                panic!("signals cannot be waited for: {error}");
            }
        }
    }

    /// A signal that has come.
    fn take(&mut self) -> Option<i32> {
        let (before, after) = self.ears.split_at(self.next);
        let ears = after.iter().chain(before);
        let (index, ear) = ears.enumerate().find(|(_, ear)| ear.came.swap(false, Ordering::SeqCst))?;
        self.next = (self.next + index + 1) % self.ears.len();
        Some(ear.signal)
    }
}

impl Stream for Signals {
    type Item = i32;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<i32>> {
        self.poll_recv(cx).map(Some)
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signals").field(&self.ears.iter().map(|ear| ear.signal).collect::<Vec<_>>()).finish()
    }
}

impl Ear {
    /// Handlers run in the order in which they are registered: the flag is set before the byte is written.
    fn new(signal: i32, write: &UnixStream) -> io::Result<Ear> {
        let write = write.try_clone()?;
        let came = Arc::new(AtomicBool::new(false));
        let flag =
            flag::register(signal, Arc::clone(&came)).map_err(|error| heard::explain(signal, error))?;
        match pipe::register(signal, write) {
            Ok(byte) => Ok(Ear { signal, came, handlers: [flag, byte] }),
            Err(error) => {
                unregister(flag);
                Err(error)
            }
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        for handler in self.handlers {
            unregister(handler);
        }
    }
}
