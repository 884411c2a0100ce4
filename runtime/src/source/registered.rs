//! An I/O object that is registered with a loop.
//!
//! Facts. A non-blocking operation either does its work or says `WouldBlock`. To try costs one system call;
//! to ask first costs one more.
//!
//! What follows. An operation is tried first ([`Source::attempt`]). Only after `WouldBlock` does the task join the waiters
//! of the registration, and the kernel's next report wakes it. A task that is woken tries again, and waits again if
//! another one was faster.
//!
//! Invariants. 7 and 8 of the reactor.
//!
//! What it does not know: sockets.

use std::any::type_name;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use crate::core::context::{self, budget};
use crate::core::probe::{Details, Event, Resource};
use crate::core::reactor::{Direction, Place, Reactor, Registration, gone};
use crate::core::waker::{number, waker};
use crate::task;
use crate::waits;

/// A direction, known when the program runs ([`Direction`]) or already when it is written ([`Reading`], [`Writing`]):
/// then nothing has to be asked for while it runs.
pub trait Way: Copy + Unpin {
    /// Which way the bytes go.
    fn direction(self) -> Direction;
}

impl Way for Direction {
    #[inline]
    fn direction(self) -> Direction {
        self
    }
}

/// Always [`Direction::Read`].
#[derive(Clone, Copy, Debug)]
pub struct Reading;

impl Way for Reading {
    #[inline]
    fn direction(self) -> Direction {
        Direction::Read
    }
}

/// Always [`Direction::Write`].
#[derive(Clone, Copy, Debug)]
pub struct Writing;

impl Way for Writing {
    #[inline]
    fn direction(self) -> Direction {
        Direction::Write
    }
}

/// An I/O object registered with the running loop.
///
/// Made from anything that implements [`mio::event::Source`]. For a plain descriptor, see
/// [`AsyncFd`](crate::source::AsyncFd).
///
/// ```
/// use std::io::Read;
/// use roundel::source::{Direction, Source};
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let (ours, theirs) = mio::net::UnixStream::pair()?;
///     let (ours, theirs) = (Source::new(ours)?, Source::new(theirs)?);
///     let reader = roundel::spawn(async move {
///         let mut byte = [0];
///         ours.io(Direction::Read, |mut stream| stream.read(&mut byte)).await?;
///         std::io::Result::Ok(byte)
///     });
///     theirs.io(Direction::Write, |mut stream| std::io::Write::write(&mut stream, b"x")).await?;
///     assert_eq!(reader.await.unwrap()?, *b"x");
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub struct Source<S: mio::event::Source> {
    /// `None` only after `into_inner`.
    io: Option<S>,
    reactor: Rc<Reactor>,
    registration: Rc<Registration>,
}

impl<S: mio::event::Source> Source<S> {
    /// Registers with the running loop.
    ///
    /// # Errors
    ///
    /// What the kernel says: `EPERM` for a file on disk (which [`AsyncFd`](crate::source::AsyncFd) takes), `EBADF` for a
    /// descriptor that is closed.
    ///
    /// # Panics
    ///
    /// Outside a loop.
    #[track_caller]
    pub fn new(mut io: S) -> io::Result<Source<S>> {
        let reactor = Rc::clone(&context::expect("Source::new").reactor);
        let registration = reactor.register(&mut io)?;
        Ok(Source::registered(io, reactor, registration, || None))
    }

    /// With a registration that was made elsewhere.
    pub(crate) fn registered(
        io: S,
        reactor: Rc<Reactor>,
        registration: Rc<Registration>,
        descriptor: impl FnOnce() -> Option<i32>,
    ) -> Source<S> {
        reactor.probe.emit(|| Event::SourceOpened {
            source: registration.number(),
            what: type_name::<S>(),
            descriptor: descriptor(),
        });
        Source { io: Some(io), reactor, registration }
    }

    /// Says what people want to know of this source: `details` is called only if the loop is watched, so it may ask the kernel.
    /// It may be said again, when more is known.
    ///
    /// ```
    /// use std::os::fd::AsRawFd;
    /// use roundel::source::{Details, Source};
    ///
    /// # #[cfg(not(miri))]
    /// roundel::run(async {
    ///     let source = Source::new(mio::net::UdpSocket::bind("127.0.0.1:0".parse().unwrap())?)?;
    ///     source.describe(|socket| Details {
    ///         descriptor: Some(socket.as_raw_fd()),
    ///         local: socket.local_addr().ok().map(|address| address.to_string()),
    ///         peer: None,
    ///     });
    ///     std::io::Result::Ok(())
    /// })
    /// .unwrap();
    /// ```
    #[inline]
    pub fn describe(&self, details: impl FnOnce(&S) -> Details) {
        if self.reactor.probe.is_on() {
            self.tell_details(details(self.get_ref()));
        }
    }

    #[cold]
    fn tell_details(&self, details: Details) {
        let probe = &self.reactor.probe;
        *probe.details.borrow_mut() = details;
        probe.emit(|| Event::SourceNamed { source: self.registration.number() });
    }

    /// Asks the kernel for a new report, because other code may have read or written.
    pub(crate) fn ask_again(
        &self,
        source: &mut impl mio::event::Source,
        direction: Direction,
    ) -> io::Result<()> {
        self.reactor.ask_again(source, &self.registration, direction)
    }

    /// The object inside. Code that reads or writes it directly has to report a `WouldBlock` with
    /// [`would_block`](Source::would_block), or `readable` and `writable` will go on saying yes.
    #[must_use]
    #[inline]
    pub fn get_ref(&self) -> &S {
        self.io.as_ref().expect("a source holds its object until `into_inner`")
    }

    /// Deregisters, and gives the object back.
    #[must_use]
    pub fn into_inner(mut self) -> S {
        self.leave().expect("a source holds its object until `into_inner`")
    }

    /// Invariant 8: out of the poll first, closed afterwards.
    fn leave(&mut self) -> Option<S> {
        let mut io = self.io.take()?;
        self.reactor.probe.emit(|| Event::SourceClosed { source: self.registration.number() });
        self.reactor.deregister(&mut io, &self.registration);
        Some(io)
    }

    /// Waits until reading is worth a try.
    pub fn readable(&self) -> Ready<'_, S, Reading> {
        Ready { waiting: Waiting::new(self, Reading) }
    }

    /// Waits until writing is worth a try.
    pub fn writable(&self) -> Ready<'_, S, Writing> {
        Ready { waiting: Waiting::new(self, Writing) }
    }

    /// Tries `operation` until it says something other than `WouldBlock`, and waits in between.
    #[inline]
    pub fn io<R, Op, W: Way>(&self, way: W, operation: Op) -> Io<'_, S, Op, W>
    where
        Op: FnMut(&S) -> io::Result<R>,
    {
        Io { waiting: Waiting::new(self, way), operation }
    }

    /// One try of [`io`](Source::io), to implement a `poll` with.
    ///
    /// The next report wakes the task even if it has lost interest, because a waker is kept, not a future.
    pub fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut operation: impl FnMut(&S) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.attempt(cx, direction, None, &mut operation)
    }

    /// Tells that a transfer moved fewer bytes than it could have, so the next one would block. This saves a system
    /// call. It is ignored when the kernel has reported more than data, because the end of the stream may follow.
    #[inline]
    pub fn fell_short(&self, direction: Direction) {
        self.registration.fell_short(direction);
    }

    /// Tells that an operation on [`get_ref`](Source::get_ref) said `WouldBlock`: the next report is news.
    #[inline]
    pub fn would_block(&self, direction: Direction) {
        self.registration.would_block(direction);
    }

    #[inline]
    fn attempt<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut place: Option<&mut Option<Place>>,
        operation: &mut impl FnMut(&S) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        // Not ready: wait, and do not even try.
        if !self.registration.is_ready(direction) {
            return match place {
                Some(place @ None) if !self.reactor.is_closed() => self.wait_anew(cx, direction, place),
                place => self.wait(cx, direction, place),
            }
            .map(Err);
        }
        // Ready, as far as is known. The report that made it ready has woken all who waited, so a place is spent.
        if let Some(place) = place.as_deref_mut()
            && let Some(spent) = *place
        {
            debug_assert!(self.is_spent(direction, spent), "no task waits for a source that is ready");
            *place = None;
            self.report(direction, spent, false);
        }
        // Try, and wait only if the kernel says so.
        ready!(budget::spend(cx.waker()));
        loop {
            match operation(self.get_ref()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.registration.would_block(direction);
                    return self.wait(cx, direction, place).map(Err);
                }
                result => return Poll::Ready(result),
            }
        }
    }

    /// The common case of [`wait`](Source::wait): a future that begins to wait.
    #[inline(always)]
    fn wait_anew(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        place: &mut Option<Place>,
    ) -> Poll<io::Error> {
        // A waker of ours is copied without a call.
        let original = cx.waker();
        let waker = number(original).map_or_else(|| original.clone(), |id| waker(id, false));
        let new = self.registration.join_waiters(direction).borrow_mut().add(waker);
        *place = Some(new);
        self.report(direction, new, true);
        Poll::Pending
    }

    /// Leaves word to be woken at the next report. Ready, with an error, only if there will be none.
    #[cold]
    fn wait(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        place: Option<&mut Option<Place>>,
    ) -> Poll<io::Error> {
        // Without a loop no report would come.
        if self.reactor.is_closed() {
            return Poll::Ready(gone());
        }
        // Without a place, at the place of the last poll, or as a new waiter.
        let Some(place) = place else {
            self.leave_word(cx.waker(), direction);
            return Poll::Pending;
        };
        match *place {
            Some(held) if !self.is_spent(direction, held) => {
                self.wait_on(cx.waker(), direction, held);
                return Poll::Pending;
            }
            // A report has woken this waiter, and then another task was faster.
            Some(spent) => self.report(direction, spent, false),
            None => {}
        }
        self.wait_anew(cx, direction, place)
    }

    /// Waits without a place: the waker stays until the next report, and is kept once.
    fn leave_word(&self, waker: &Waker, direction: Direction) {
        let registration = &self.registration;
        if registration.waiters(direction).borrow().has_word(waker) {
            return;
        }
        let waker = waker.clone();
        registration.join_waiters(direction).borrow_mut().leave_word(waker, task::is_gone);
        let probe = &self.reactor.probe;
        if probe.is_on() {
            let place = waits::word(direction, probe.next_number());
            waits::tell(probe, self.resource(), place, None, true);
        }
    }

    /// Goes on waiting at its place, perhaps in another task than before.
    fn wait_on(&self, waker: &Waker, direction: Direction, place: Place) {
        let waiters = self.registration.waiters(direction);
        if !waiters.borrow().holds(place, waker) {
            let waker = waker.clone();
            let old = waiters.borrow_mut().renew(place, waker);
            drop(old);
            self.report(direction, place, true);
        }
    }

    /// Whether a report has woken the waiter at this place.
    fn is_spent(&self, direction: Direction, place: Place) -> bool {
        self.registration.waiters(direction).borrow().has_woken(place)
    }

    #[inline]
    fn report(&self, direction: Direction, place: Place, begins: bool) {
        if self.reactor.probe.is_on() {
            self.report_to_watcher(direction, place, begins);
        }
    }

    #[cold]
    fn report_to_watcher(&self, direction: Direction, place: Place, begins: bool) {
        let place = waits::place(direction, place.number());
        waits::tell(&self.reactor.probe, self.resource(), place, None, begins);
    }

    fn resource(&self) -> Resource {
        Resource::Source(self.registration.number())
    }
}

impl<S: mio::event::Source> Drop for Source<S> {
    fn drop(&mut self) {
        drop(self.leave());
    }
}

impl<S: mio::event::Source + fmt::Debug> fmt::Debug for Source<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("io", &self.io).finish_non_exhaustive()
    }
}

/// A future's place among the waiters, given up when the future is dropped.
struct Waiting<'a, S: mio::event::Source, W: Way> {
    source: &'a Source<S>,
    way: W,
    place: Option<Place>,
}

impl<'a, S: mio::event::Source, W: Way> Waiting<'a, S, W> {
    fn new(source: &'a Source<S>, way: W) -> Waiting<'a, S, W> {
        Waiting { source, way, place: None }
    }

    #[cold]
    #[inline(never)]
    fn give_up(&self, place: Place) {
        let waker = self.source.registration.waiters(self.way.direction()).borrow_mut().remove(place);
        drop(waker);
        self.source.report(self.way.direction(), place, false);
    }
}

impl<S: mio::event::Source, W: Way> Drop for Waiting<'_, S, W> {
    #[inline]
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.give_up(place);
        }
    }
}

/// See [`Source::readable`] and [`Source::writable`].
#[must_use = "futures do nothing unless awaited"]
pub struct Ready<'a, S: mio::event::Source, W: Way> {
    waiting: Waiting<'a, S, W>,
}

impl<S: mio::event::Source, W: Way> Future for Ready<'_, S, W> {
    type Output = io::Result<()>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Waiting { source, way, place } = &mut self.waiting;
        source.attempt(cx, way.direction(), Some(place), &mut |_| Ok(()))
    }
}

/// See [`Source::io`].
#[must_use = "futures do nothing unless awaited"]
pub struct Io<'a, S: mio::event::Source, Op, W: Way> {
    waiting: Waiting<'a, S, W>,
    operation: Op,
}

// The operation is called, never polled: it does not have to stay where it is.
impl<S: mio::event::Source, Op, W: Way> Unpin for Io<'_, S, Op, W> {}

impl<R, S, Op, W> Future for Io<'_, S, Op, W>
where
    S: mio::event::Source,
    Op: FnMut(&S) -> io::Result<R>,
    W: Way,
{
    type Output = io::Result<R>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        let Io { waiting: Waiting { source, way, place }, operation } = &mut *self;
        source.attempt(cx, way.direction(), Some(place), operation)
    }
}

impl<S: mio::event::Source, W: Way> fmt::Debug for Ready<'_, S, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").field("direction", &self.waiting.way.direction()).finish_non_exhaustive()
    }
}

impl<S: mio::event::Source, Op, W: Way> fmt::Debug for Io<'_, S, Op, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Io").field("direction", &self.waiting.way.direction()).finish_non_exhaustive()
    }
}
