//! What the kernel says about descriptors, kept until a task asks.
//!
//! Facts about epoll (and kqueue). Registered edge-triggered, a descriptor is reported once, when it
//! *becomes* ready. What was not read stays there without another report. A report is a hint: by the
//! time we act on it, it may be wrong. A report can arrive for a descriptor that was closed, and whose
//! number was given to another one, within the same batch of events. Data and the end of the stream may be
//! reported as one event. Files on disk cannot be registered at all (`EPERM`).
//!
//! What follows. Each source is registered once, for both directions, and remembers what was reported
//! ([`Registration`]). Operations are tried first; only `WouldBlock` makes a task wait. The event's token
//! holds a generation, so an event for a registration that is gone finds none.
//!
//! ```text
//!              event: readable                 event: closed
//!   unready ───────────────────► ready       (any) ───────────► closed: never unready again by a short read
//!      ▲                           │
//!      └──── WouldBlock, short ────┘
//! ```
//!
//! Invariants. 4: the wakers are handed to a function that queues our own tasks and keeps all other wakers,
//! because the registrations are borrowed until all reports are read. 7: a bit is cleared only by
//! `WouldBlock` or a short transfer; CLOSED stays. 8: an event for a dead registration wakes nothing; a source
//! is deregistered before it is closed.
//!
//! What it does not know: tasks, timers, what a source is. It knows tokens and wakers.

mod waiters;

use std::cell::{Cell, Ref, RefCell};
use std::io;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use mio::event::Event as Report;
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;

use crate::core::alarm::Alarm;
use crate::core::clock::Nanos;
use crate::core::inbox::Bell;
use crate::core::panics::{self, contain};
use crate::core::probe::{Event, Probe};
pub(crate) use waiters::{Place, Waiters};

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the source to us: reading, accepting.
    Read,
    /// From us to the source: writing, connecting.
    Write,
}

/// How long the loop may wait for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Only look.
    No,
    /// The same, in a loop whose watcher was told that it would wait.
    Look,
    /// Until this time, `now` being the time at present.
    Until { deadline: Nanos, now: Nanos },
    /// Until something comes.
    Forever,
}

impl Wait {
    pub(crate) fn until(deadline: Nanos, now: Nanos) -> Wait {
        if deadline <= now { Wait::No } else { Wait::Until { deadline, now } }
    }
}

/// The half that handles see: where sources are registered.
pub(crate) struct Reactor {
    registry: Registry,
    registrations: RefCell<Slab<Rc<Registration>>>,
    generation: Cell<u32>,
    closed: Cell<bool>,
    /// The process that built it.
    process: u32,
    pub(crate) probe: Rc<Probe>,
}

/// The half that the loop keeps to itself: the one place that waits.
pub(crate) struct Poller {
    poll: Poll,
    events: Events,
    alarm: Alarm,
}

const BELL: Token = Token(usize::MAX);
const ALARM: Token = Token(usize::MAX - 1);
/// A table larger than this is worth being made smaller when most of it is empty.
const SHRINK_ABOVE: usize = 1024;
/// One batch of events. More only means another look.
const EVENTS: usize = 1024;

impl Poller {
    pub(crate) fn new(probe: Rc<Probe>) -> io::Result<(Poller, Reactor)> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let (alarm, events) = (Alarm::new(&registry, ALARM)?, Events::with_capacity(EVENTS));
        Ok((Poller { poll, events, alarm }, Reactor::new(registry, probe)))
    }

    /// The bell that ends a wait from another thread.
    pub(crate) fn bell(&self) -> io::Result<Arc<dyn Bell>> {
        Ok(Arc::new(mio::Waker::new(self.poll.registry(), BELL)?))
    }

    /// Waits for the kernel, notes what it reports, and hands out the wakers that waited for it. `wake` runs no foreign
    /// code. A watcher is told afterwards.
    pub(crate) fn wait(&mut self, wait: Wait, reactor: &Reactor, wake: impl FnMut(Waker)) -> io::Result<()> {
        let (limit, mut wake) = (self.limit(wait)?, wake);
        let asked = self.poll.poll(&mut self.events, limit);
        (wait != Wait::No).then(|| reactor.probe.emit(|| Event::Unpark));
        match asked {
            // A signal came: nothing was reported, and the loop will be back.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        let registrations = reactor.registrations.borrow();
        for report in &self.events {
            match find(&registrations, report) {
                Some(registration) => registration.note(report, &mut wake),
                None if report.token() == ALARM => self.alarm.rang(),
                // The bell has done its work, and a registration that is gone wakes nothing (invariant 8).
                None => {}
            }
        }
        drop(registrations);
        if reactor.probe.is_on() && !reactor.probe.skips_known.get() {
            self.events.iter().for_each(|report| reactor.tell(report));
        }
        Ok(())
    }

    /// What to tell the kernel. Its milliseconds would lose a deadline, so the alarm has a say.
    fn limit(&mut self, wait: Wait) -> io::Result<Option<Duration>> {
        match wait {
            Wait::No | Wait::Look => Ok(Some(Duration::ZERO)),
            Wait::Forever => Ok(None),
            Wait::Until { deadline, now } => self.alarm.limit(deadline, now),
        }
    }
}

impl Bell for mio::Waker {
    fn ring(&self) {
        // It fails only if the kernel has no memory for eight bytes; the loop's next look finds the mail.
        let _ = self.wake();
    }
}

impl Reactor {
    fn new(registry: Registry, probe: Rc<Probe>) -> Reactor {
        let (registrations, generation) = (RefCell::default(), Cell::default());
        let (closed, process) = (Cell::default(), std::process::id());
        Reactor { registry, registrations, generation, closed, process, probe }
    }

    /// Registers a source for both directions, for as long as it lives.
    pub(crate) fn register<S: mio::event::Source>(&self, source: &mut S) -> io::Result<Rc<Registration>> {
        if self.closed.get() {
            return Err(gone());
        }
        let registration = self.reserve();
        // Foreign code: a source may register several others, and may panic. Nothing is borrowed here.
        let result = contain(|| self.registry.register(source, registration.token, interest()));
        if matches!(result, Ok(Ok(()))) {
            return Ok(registration);
        }
        self.forget(&registration);
        result.unwrap_or_else(|payload| resume_unwind(payload)).map(|()| registration)
    }

    /// A registration for something of which the kernel says that it is always ready.
    pub(crate) fn always_ready(&self) -> Rc<Registration> {
        let registration = self.reserve();
        registration.state.set(READABLE | WRITABLE | CLOSED | ALWAYS);
        registration
    }

    /// Takes a source out. To be called before its descriptor is closed (invariant 8).
    pub(crate) fn deregister<S: mio::event::Source>(&self, source: &mut S, registration: &Registration) {
        // In a forked child the poll is still the parent's, and so is what is registered there.
        let ours = self.process == std::process::id();
        // A descriptor that is closed already has left the poll by itself. Foreign code: a source may panic.
        let left = contain(|| ours.then(|| self.registry.deregister(source)));
        self.forget(registration);
        left.err().into_iter().for_each(panics::go_on);
    }

    /// Asks the kernel for a new report of what is ready, because other code may have read or written. To register again is
    /// to be told again. There is no need to ask for what is always ready.
    pub(crate) fn ask_again<S: mio::event::Source>(
        &self,
        source: &mut S,
        registration: &Registration,
        direction: Direction,
    ) -> io::Result<()> {
        if registration.state.get() & ALWAYS != 0 {
            return Ok(());
        }
        registration.would_block(direction);
        self.registry.reregister(source, registration.token, interest())
    }

    fn reserve(&self) -> Rc<Registration> {
        let mut registrations = self.registrations.borrow_mut();
        let generation = self.generation.get();
        self.generation.set(generation.wrapping_add(1));
        let entry = registrations.vacant_entry();
        let registration = Rc::new(Registration::new(token(entry.key(), generation)));
        entry.insert(Rc::clone(&registration));
        registration
    }

    fn forget(&self, registration: &Registration) {
        let slot = registration.token.0 as u32 as usize;
        let entry = self.registrations.borrow_mut().try_remove(slot);
        drop(entry);
    }

    /// The loop is about to wait: gives back the memory that many sources have needed.
    pub(crate) fn tidy_up(&self) {
        let mut registrations = self.registrations.borrow_mut();
        if registrations.capacity() > SHRINK_ABOVE && registrations.len() < registrations.capacity() / 4 {
            registrations.shrink_to_fit();
        }
    }

    /// The sources that are registered, to be looked at.
    pub(crate) fn sources(&self) -> Ref<'_, Slab<Rc<Registration>>> {
        self.registrations.borrow()
    }

    /// Tells the probe of a report.
    #[cold]
    fn tell(&self, report: &Report) {
        let found = find(&self.registrations.borrow(), report).map(|found| found.token.0 as u64);
        let Some(source) = found else { return };
        let (readable, writable) = (readiness(report) & READABLE != 0, readiness(report) & WRITABLE != 0);
        self.probe.emit(|| Event::SourceReady { source, readable, writable });
    }

    /// The runtime is gone: no task will be woken any more, so none may start to wait.
    pub(crate) fn close(&self) {
        self.closed.set(true);
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }
}

/// The error of an operation that would have to wait for a loop that does not exist any more.
pub(crate) fn gone() -> io::Error {
    io::Error::other(
        "the runtime that this source belongs to was dropped: make the source on a runtime that lives",
    )
}

/// The registration that a report is about, if it still exists.
#[inline(always)]
fn find<'a>(registrations: &'a Slab<Rc<Registration>>, report: &Report) -> Option<&'a Rc<Registration>> {
    let token = report.token();
    registrations.get(token.0 as u32 as usize).filter(|found| found.token == token)
}

fn token(slot: usize, generation: u32) -> Token {
    Token((generation as usize) << 32 | slot)
}

fn interest() -> Interest {
    let both = Interest::READABLE | Interest::WRITABLE;
    // (Miri knows no urgent data.)
    #[cfg(all(any(target_os = "linux", target_os = "android"), not(miri)))]
    let both = both | Interest::PRIORITY;
    both
}

/// Set at first, and by a report; cleared by an operation that says `WouldBlock`, and by a short transfer unless the
/// source is closed. While it is set, operations are tried without waiting.
const READABLE: u8 = 1 << Direction::Read as u8;
/// The same for writing.
const WRITABLE: u8 = 1 << Direction::Write as u8;
/// Set by a report that the peer has closed, that the source is broken, or that urgent data has come; never cleared. From
/// then on a short transfer does not mean that the next one would block.
const CLOSED: u8 = 4;
/// Set at first, and for good, for a source that is not registered, because the kernel never makes a task wait for it.
/// Excludes any report.
const ALWAYS: u8 = 8;
/// Set when a task joins the waiters for reading, and cleared when a report takes them all; one bit higher, the same for
/// writing. When it is not set, a report need not look for waiters. It may be set while they have all left.
const AWAITED: u8 = 16;

/// One source: what the kernel has said about it, and the wakers that wait to hear more.
pub(crate) struct Registration {
    token: Token,
    state: Cell<u8>,
    /// By direction.
    waiters: [RefCell<Waiters>; 2],
}

impl Registration {
    /// A fresh source counts as ready, since trying costs less than asking.
    fn new(token: Token) -> Registration {
        let state = Cell::new(READABLE | WRITABLE);
        Registration { token, state, waiters: Default::default() }
    }

    /// The source's number for the probe.
    #[inline]
    pub(crate) fn number(&self) -> u64 {
        self.token.0 as u64
    }

    /// Notes a report, and hands out the wakers that wait for it. Mostly some wait in one direction, or none.
    #[inline(always)]
    fn note(&self, report: &Report, wake: &mut impl FnMut(Waker)) {
        let ready = readiness(report);
        let state = self.state.get() | ready;
        let awaited = state & ((ready & (READABLE | WRITABLE)) * AWAITED);
        self.state.set(state & !awaited);
        for direction in [Direction::Read, Direction::Write] {
            if awaited & (AWAITED << direction as u8) != 0 {
                self.waiters(direction).borrow_mut().hand_out(wake);
            }
        }
    }

    #[inline]
    pub(crate) fn is_ready(&self, direction: Direction) -> bool {
        self.state.get() & bit(direction) != 0
    }

    /// An operation said `WouldBlock`: the kernel will tell when that changes.
    #[inline]
    pub(crate) fn would_block(&self, direction: Direction) {
        self.state.set(self.state.get() & !bit(direction));
    }

    /// A transfer was shorter than it could have been: the next one would block, unless more than data
    /// was reported (the end of the stream may wait behind the last bytes).
    #[inline]
    pub(crate) fn fell_short(&self, direction: Direction) {
        if self.state.get() & CLOSED == 0 {
            self.would_block(direction);
        }
    }

    /// The waiters, for a task that is about to join them.
    #[inline]
    pub(crate) fn join_waiters(&self, direction: Direction) -> &RefCell<Waiters> {
        self.state.set(self.state.get() | AWAITED << direction as u8);
        self.waiters(direction)
    }

    #[inline]
    pub(crate) fn waiters(&self, direction: Direction) -> &RefCell<Waiters> {
        &self.waiters[direction as usize]
    }
}

/// What a report sets. An error or a hang-up concerns both directions.
fn readiness(report: &Report) -> u8 {
    let broken = report.is_error();
    let readable = broken || report.is_readable() || report.is_read_closed();
    let writable = broken || report.is_writable() || report.is_write_closed();
    let closed = broken || report.is_read_closed() || report.is_write_closed() || report.is_priority();
    (u8::from(readable) * READABLE) | (u8::from(writable) * WRITABLE) | (u8::from(closed) * CLOSED)
}

#[inline]
fn bit(direction: Direction) -> u8 {
    READABLE << direction as u8
}
