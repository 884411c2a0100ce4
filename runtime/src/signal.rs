//! Signals of the operating system, as futures and streams.
//!
//! Facts. A signal may arrive between any two instructions, on any thread, and its handler may neither lock nor
//! allocate. Two signals of one kind that arrive before the first was handled are one. Most signals end a program that
//! has not asked for them. If it asked once and no longer listens, they should end it again.
//!
//! What follows. A handler (of `signal-hook`, which also calls the handlers that were there before) sets a flag and
//! writes a byte into a socket. The loop waits for the byte and looks at the flag:
//!
//! ```text
//!   handler                          listener
//!   flag = true                      flag is set? ── yes ──► clear it: that is a signal
//!   write a byte ───── socket ─────► read the socket; empty? wait for it; look again
//! ```
//!
//! The flag is set before the byte is written, so after a listener has seen the socket empty, a byte will follow the
//! next flag. If the socket is full, the byte is not needed. Each [`Signals`] has flags and a socket of its own, so any
//! number of them, in any number of loops, receive every signal. A table of the process counts them. While there is no
//! listener for a signal, it does what it did before the first one came (`heard`).
//!
//! Contract. After a signal, at least one is delivered to every `Signals` that listened then; how many is not promised.
//! Listening begins when `ctrl_c`, `terminate`, `shutdown` or `Signals::new` is *called*, not when the result is first
//! awaited. Signals that came and were not received are dropped with the listener.
//!
//! | method | cancel safe |
//! |---|---|
//! | `ctrl_c`, `terminate`, `shutdown` | yes, while the future lives: it listens even when it is not polled |
//! | `Signals::recv`, `Signals::next` | yes: a signal that was not returned is the next one to be returned |
//!
//! What it does not know: which process sends signals, and why.

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

use crate::core::context::{self, budget};
use crate::signal::heard::Heard;
use crate::source::{AsyncFd, Direction};

/// A timer of the process has run out.
pub const ALRM: i32 = signal_hook::consts::SIGALRM;
/// A child has stopped, gone on, or ended.
pub const CHLD: i32 = signal_hook::consts::SIGCHLD;
/// The process goes on after a stop.
pub const CONT: i32 = signal_hook::consts::SIGCONT;
/// The terminal is gone. For a server, by convention: read the configuration again.
pub const HUP: i32 = signal_hook::consts::SIGHUP;
/// Ctrl-C.
pub const INT: i32 = signal_hook::consts::SIGINT;
/// A write into a pipe or socket that no process can read from. Rust's runtime ignores it from the start.
pub const PIPE: i32 = signal_hook::consts::SIGPIPE;
/// Ctrl-\\.
pub const QUIT: i32 = signal_hook::consts::SIGQUIT;
/// A request to end.
pub const TERM: i32 = signal_hook::consts::SIGTERM;
/// Ctrl-Z.
pub const TSTP: i32 = signal_hook::consts::SIGTSTP;
/// Free for the program to use.
pub const USR1: i32 = signal_hook::consts::SIGUSR1;
/// Free for the program to use, too.
pub const USR2: i32 = signal_hook::consts::SIGUSR2;
/// The terminal has another size.
pub const WINCH: i32 = signal_hook::consts::SIGWINCH;

/// Waits for Ctrl-C (`SIGINT`), which until then does not end the process.
///
/// It listens from this call on. When it is over or dropped, and nothing else listens, the next Ctrl-C ends the process
/// as usual. So users can press it twice if they do not want to wait for a clean end.
///
/// ```no_run
/// roundel::run(async {
///     roundel::signal::ctrl_c().await;
///     println!("goodbye");
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

/// Waits for `SIGTERM`, which asks a service to end. Otherwise like [`ctrl_c`].
///
/// # Panics
///
/// Outside a loop; if the operating system refuses two descriptors.
#[track_caller]
pub fn terminate() -> Caught {
    Caught { first: First::of("signal::terminate", &[TERM]) }
}

/// Waits for the first of `SIGINT` and `SIGTERM`, and returns which one came. Otherwise like [`ctrl_c`].
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

/// Listens until the first signal has come; `None` after that.
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

/// An endless stream of the signals that were asked for.
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
    // The fields are dropped in this order: first the handlers, so that nothing is written into the socket any more;
    // last the count.
    handlers: Vec<Handlers>,
    /// The end of the socket into which the handlers write.
    bytes: AsyncFd<UnixStream>,
    /// The index of the signal to look at first. It moves on with each signal, so that a flood of one does not hide the
    /// others.
    next: usize,
    /// Counts us as a listener to each signal.
    _heard: Vec<Heard>,
}

/// The two handlers for one signal: one sets the flag, one writes a byte.
struct Handlers {
    signal: i32,
    /// Set by the handler, cleared when the signal is returned.
    came: Arc<AtomicBool>,
    ids: [SigId; 2],
}

impl Signals {
    /// Listens to these signals from now on: the constants of this module, or the numbers of the system.
    ///
    /// # Errors
    ///
    /// If a number is not a signal; for `SIGKILL` and `SIGSTOP`, which no process can catch; for `SIGSEGV`, `SIGILL`
    /// and `SIGFPE`, after which a program cannot go on; if no signal is given. Also if the operating system reports an
    /// error: one descriptor is needed for each signal, and one more.
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
        // The socket into which the handlers will write.
        let (read, write) = UnixStream::pair()?;
        read.set_nonblocking(true)?;
        let bytes = AsyncFd::new(read)?;
        // The count before the handlers: from here on the signals no longer have their default effect.
        let heard = numbers.iter().map(|signal| Heard::new(*signal)).collect::<io::Result<_>>()?;
        let handlers =
            numbers.iter().map(|signal| Handlers::new(*signal, &write)).collect::<io::Result<_>>()?;
        Ok(Signals { handlers, bytes, next: 0, _heard: heard })
    }

    /// Waits for the next signal.
    pub async fn recv(&mut self) -> i32 {
        std::future::poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The same in the form of a stream: always `Some`.
    pub async fn next(&mut self) -> Option<i32> {
        Some(self.recv().await)
    }

    /// The same as a poll function.
    ///
    /// # Panics
    ///
    /// If the loop in which this was made is gone.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<i32> {
        ready!(budget::spend(cx.waker()));
        // Look at the flags first. If none is set, wait for a byte and look again.
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

    /// A signal that has come, if there is one; its flag is cleared.
    fn take(&mut self) -> Option<i32> {
        let (before, after) = self.handlers.split_at(self.next);
        let handlers = after.iter().chain(before);
        let (index, one) = handlers.enumerate().find(|(_, one)| one.came.swap(false, Ordering::SeqCst))?;
        self.next = (self.next + index + 1) % self.handlers.len();
        Some(one.signal)
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
        f.debug_tuple("Signals")
            .field(&self.handlers.iter().map(|one| one.signal).collect::<Vec<_>>())
            .finish()
    }
}

impl Handlers {
    /// The system runs handlers in the order in which they are registered, so the flag is set before the byte is
    /// written.
    fn new(signal: i32, write: &UnixStream) -> io::Result<Handlers> {
        let write = write.try_clone()?;
        let came = Arc::new(AtomicBool::new(false));
        let flag =
            flag::register(signal, Arc::clone(&came)).map_err(|error| heard::explain(signal, error))?;
        match pipe::register(signal, write) {
            Ok(byte) => Ok(Handlers { signal, came, ids: [flag, byte] }),
            Err(error) => {
                unregister(flag);
                Err(error)
            }
        }
    }
}

impl Drop for Handlers {
    fn drop(&mut self) {
        for handler in self.ids {
            unregister(handler);
        }
    }
}
