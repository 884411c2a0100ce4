//! Any descriptor, made awaitable: what asyncio calls `add_reader`.
//!
//! Facts. A descriptor of the standard library is read and written by its own methods, which tell nobody what they have
//! found. And some descriptors, of files on disk, `epoll` refuses: the kernel never makes anybody wait for them.
//!
//! What follows. [`AsyncFd`] asks the kernel anew before it waits, so that it does not matter who has read; and what
//! cannot be waited for counts as always ready.
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
/// The descriptor should be non-blocking, or every operation on it may block the whole loop. A file on
/// disk, or `/dev/null`, of which `epoll` says that it cannot wait for it, counts as always ready: its
/// operations run at once, as the kernel would have them.
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
    /// What the kernel says, for example `EMFILE` or `EBADF`.
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
        Ok(AsyncFd { source: Source::registered(io, reactor, registration) })
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

    /// Waits until reading is worth a try. The kernel is asked anew each time (one system call), so the
    /// descriptor may be read in any way.
    ///
    /// # Errors
    ///
    /// What the kernel says; or that the loop is gone.
    pub async fn readable(&self) -> io::Result<()> {
        self.ask_again(Direction::Read)?;
        self.source.readable().await
    }

    /// Waits until writing is worth a try. The kernel is asked anew each time, as in
    /// [`readable`](AsyncFd::readable).
    ///
    /// # Errors
    ///
    /// What the kernel says; or that the loop is gone.
    pub async fn writable(&self) -> io::Result<()> {
        self.ask_again(Direction::Write)?;
        self.source.writable().await
    }

    fn ask_again(&self, direction: Direction) -> io::Result<()> {
        let raw = self.source.get_ref().raw();
        self.source.ask_again(&mut SourceFd(&raw), direction)
    }

    /// Tries `operation` until it says something else than `WouldBlock`, waiting in between.
    ///
    /// # Errors
    ///
    /// The operation's.
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
