//! Any descriptor, made awaitable: what asyncio calls `add_reader`.
//!
//! Facts. A type of the standard library has its own methods to read and write, and they do not report to us what they
//! found. And `epoll` refuses some descriptors, such as those of files on disk, because the kernel treats them as
//! always ready.
//!
//! What follows. [`AsyncFd`] asks the kernel again each time before it waits, so it does not matter which code has
//! read. Descriptors that cannot be waited for count as always ready.
//!
//! What it does not know: what the descriptor is.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::rc::Rc;
use std::task::{Context, Poll};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::registered::Source;
use crate::core::context;
use crate::core::reactor::Direction;

/// A descriptor of any kind, registered with the running loop: what asyncio calls `add_reader`.
///
/// The descriptor should be non-blocking, or every operation on it may block the whole loop. `epoll` refuses a file on
/// disk and `/dev/null`. They count as always ready, and their operations run at once, as the kernel treats them.
///
/// ```
/// use std::io::Read;
/// use roundel::source::AsyncFd;
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let (mut ours, theirs) = std::os::unix::net::UnixStream::pair()?;
///     ours.set_nonblocking(true)?;
///     drop(theirs);
///     let fd = AsyncFd::new(&ours)?;
///     fd.readable().await?;
///     drop(fd);
///     assert_eq!(ours.read(&mut [0])?, 0, "the other end is closed");
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub struct AsyncFd<T: AsFd> {
    source: Source<Descriptor<T>>,
}

impl<T: AsFd> AsyncFd<T> {
    /// Registers the descriptor with the running loop.
    ///
    /// # Errors
    ///
    /// The kernel's error, for example `EMFILE` or `EBADF`.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn new(inner: T) -> io::Result<AsyncFd<T>> {
        let reactor = Rc::clone(&context::expect("AsyncFd::new").reactor);
        let mut io = Descriptor(inner);
        let registration = match reactor.register(&mut io) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => reactor.always_ready(),
            result => result?,
        };
        let raw = io.raw();
        Ok(AsyncFd { source: Source::registered(io, reactor, registration, || Some(raw)) })
    }

    /// The object inside.
    #[must_use]
    pub fn get_ref(&self) -> &T {
        &self.source.get_ref().0
    }

    /// Deregisters, and gives the object back.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.source.into_inner().0
    }

    /// Waits until reading is worth a try. This asks the kernel each time (one system call), so the descriptor may be
    /// read in any way.
    ///
    /// # Errors
    ///
    /// The kernel's error; an error if the loop is gone.
    pub async fn readable(&self) -> io::Result<()> {
        self.ask_again(Direction::Read)?;
        self.source.readable().await
    }

    /// Waits until writing is worth a try. This asks the kernel each time, as [`readable`](AsyncFd::readable) does.
    ///
    /// # Errors
    ///
    /// The kernel's error; an error if the loop is gone.
    pub async fn writable(&self) -> io::Result<()> {
        self.ask_again(Direction::Write)?;
        self.source.writable().await
    }

    fn ask_again(&self, direction: Direction) -> io::Result<()> {
        let raw = self.source.get_ref().raw();
        self.source.ask_again(&mut SourceFd(&raw), direction)
    }

    /// Tries `operation` until it returns something other than `WouldBlock`, and waits in between.
    ///
    /// # Errors
    ///
    /// The error of the operation.
    pub async fn io<R>(
        &self,
        direction: Direction,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        self.source.io(direction, |inner: &Descriptor<T>| operation(&inner.0)).await
    }

    /// One try of [`io`](AsyncFd::io); see [`Source::poll_io`].
    pub fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut operation: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.source.poll_io(cx, direction, |inner| operation(&inner.0))
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncFd").field(self.get_ref()).finish()
    }
}

/// Lets mio register a descriptor by its number.
struct Descriptor<T>(T);

impl<T: AsFd> Descriptor<T> {
    fn raw(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl<T: AsFd> mio::event::Source for Descriptor<T> {
    fn register(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        SourceFd(&self.raw()).register(registry, token, interest)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        SourceFd(&self.raw()).reregister(registry, token, interest)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        SourceFd(&self.raw()).deregister(registry)
    }
}
