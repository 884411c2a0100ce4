//! The connections that a server has open, and the tasks that handle them.
//!
//! Facts. To cancel a handler, the server needs its handle. To know whether a connection is idle, the server has to see
//! its bytes move. A timer per connection would have to be reset at each message, which is work for every message.
//!
//! What follows. The server keeps a list of connections. Each has the handle of its task and a flag that its stream sets
//! when bytes move. An [`IdleCheck`] runs [`PARTS`] times per idle timeout: it reads every flag and clears it. A connection
//! is idle if the flag stayed clear for as many checks as make up the whole timeout. So no connection is cancelled early,
//! and none stays more than one part too long. Ten thousand idle connections cost ten thousand comparisons per part,
//! and nothing between the checks.
//!
//! A connection leaves the list when its task drops its [`Entry`]. That happens however the task ends: by itself, with a
//! panic, or cancelled. The stream is dropped before the entry, so the descriptor is free when the server is woken.
//!
//! Invariants. The list is not borrowed while a handler is spawned, cancelled or dropped (4).
//!
//! What it does not know: listeners.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use roundel::{JoinHandle, spawn};
use slab::Slab;

use super::accept::{Accept, Outcome};
use super::guest::Guest;
use super::handler::Handler;

/// The idle timeout is measured in this many parts. A connection exceeds the timeout by at most one part.
const PARTS: u32 = 8;
/// The shortest part. If parts were shorter, the server would do nothing but check.
const SHORTEST: Duration = Duration::from_millis(1);

/// A list with more room than this is made smaller when it is nearly empty.
const SHRINK_ABOVE: usize = 1024;

/// How often the server looks for idle connections, and how many quiet checks in a row make a connection idle.
#[derive(Clone, Copy)]
pub(crate) struct IdleCheck {
    pub(crate) period: Duration,
    quiet: u32,
}

impl IdleCheck {
    pub(crate) fn new(timeout: Duration) -> IdleCheck {
        // Rounded up, so that all parts together are at least as long as the timeout.
        let period = (timeout / PARTS).saturating_add(Duration::from_nanos(1)).max(SHORTEST);
        let quiet = timeout.as_nanos().div_ceil(period.as_nanos()) as u32;
        IdleCheck { period, quiet }
    }
}

/// What a server has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Handlers that returned an error.
    pub failed: u64,
    /// Handlers that panicked.
    pub panicked: u64,
    /// Handlers that were cancelled because their connection was idle.
    pub idle: u64,
    /// Handlers that were cancelled because the grace period was over.
    pub cut_off: u64,
}

/// The open connections of one server. The server and each handler's [`Entry`] share it.
#[derive(Default)]
pub(crate) struct Connections {
    list: RefCell<Slab<Connection>>,
    /// `None` if there is no idle timeout.
    check: Option<IdleCheck>,
    /// The handles of idle handlers that were cancelled. Their cleanups may still run.
    cancelled: RefCell<Vec<JoinHandle<()>>>,
    /// The server's task, while it waits for a connection to end. Taken when the next one ends.
    server: RefCell<Option<Waker>>,
    /// Set when a connection ends. Cleared when the server begins a pause, so that only an end during the pause counts.
    one_ended: Cell<bool>,
    served: Cell<Served>,
}

struct Connection {
    /// `None` while the task is being spawned, and again after the task was cancelled.
    handle: Option<JoinHandle<()>>,
    /// Set by the stream when bytes move, cleared by each check. `None` if there is no idle timeout.
    busy: Option<Rc<Cell<bool>>>,
    /// How many checks in a row have found `busy` clear.
    quiet: u32,
}

impl Connection {
    /// One more check: whether bytes have moved in none of the last `limit` periods.
    fn is_idle(&mut self, limit: u32) -> bool {
        let Some(busy) = &self.busy else { return false };
        // With a count of one, the flag has no stream: the handler dropped it, or it sets no flag. It is never idle.
        self.quiet = if busy.replace(false) || Rc::strong_count(busy) == 1 { 0 } else { self.quiet + 1 };
        self.quiet >= limit
    }
}

impl Connections {
    pub(crate) fn new(check: Option<IdleCheck>) -> Connections {
        Connections { check, ..Connections::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.borrow().len()
    }

    pub(crate) fn served(&self) -> Served {
        self.served.get()
    }

    fn count(&self, count: impl FnOnce(&mut Served)) {
        let mut served = self.served.get();
        count(&mut served);
        self.served.set(served);
    }

    /// Spawns a handler for a new connection.
    pub(crate) fn add<L, H>(self: &Rc<Connections>, mut stream: L::Stream, guest: Guest, handler: Rc<H>)
    where
        L: Accept,
        H: Handler<L::Stream>,
    {
        self.count(|served| served.accepted += 1);
        // The flag begins set: a new connection is busy in the period in which it came.
        let busy = self.check.map(|_| Rc::new(Cell::new(true)));
        if let Some(busy) = &busy {
            L::watch(&mut stream, Rc::clone(busy));
        }
        // The entry comes before the task, because the task owns it.
        let key = self.list.borrow_mut().insert(Connection { handle: None, busy, quiet: 0 });
        let entry = Entry { connections: Rc::clone(self), key };
        let beside = handler.beside(guest);
        let handle = spawn(async move {
            // The handler is foreign code. It is called inside the task, where a panic ends only this task. The stream is
            // named before the entry and so dropped before it, even if the task is never polled.
            let failed = handler.handle(stream, beside).await.has_failed();
            entry.connections.count(|served| served.failed += u64::from(failed));
        });
        if let Some(connection) = self.list.borrow_mut().get_mut(key) {
            connection.handle = Some(handle);
        }
    }

    /// Takes a connection off the list. A list that is nearly empty then gives back its memory.
    fn remove(&self, key: usize) -> Option<Connection> {
        let mut list = self.list.borrow_mut();
        let connection = list.try_remove(key);
        if list.capacity() > SHRINK_ABOVE && list.len() < list.capacity() / 8 {
            list.shrink_to_fit();
        }
        connection
    }

    pub(crate) fn wake_when_one_ends(&self, waker: &Waker) {
        let waker = waker.clone();
        let old = self.server.borrow_mut().replace(waker);
        drop(old);
    }

    pub(crate) fn has_one_ended(&self) -> bool {
        self.one_ended.get()
    }

    pub(crate) fn forget_ended(&self) {
        self.one_ended.set(false);
    }

    /// Cancels every connection that has been idle for the whole timeout.
    pub(crate) fn cancel_idle(&self) {
        let Some(IdleCheck { quiet, .. }) = self.check else { return };
        // Collect the handles first, because cancelling runs foreign code.
        let mut idle = Vec::new();
        for (_, connection) in self.list.borrow_mut().iter_mut() {
            if connection.is_idle(quiet) {
                idle.extend(connection.handle.take());
            }
        }
        self.count(|served| served.idle += idle.len() as u64);
        idle.iter().for_each(JoinHandle::cancel);
        // Keep the handles whose cleanups still run. `retain` drops the others outside of the borrow, because a handle may
        // hold the payload of a cleanup that panicked.
        idle.append(&mut self.cancelled.take());
        idle.retain(|handle| !handle.is_finished());
        self.cancelled.borrow_mut().append(&mut idle);
    }

    /// Cancels all connections and returns their handles.
    pub(crate) fn cancel_all(&self) -> Vec<JoinHandle<()>> {
        let mut all = Vec::new();
        all.extend(self.list.borrow_mut().iter_mut().filter_map(|(_, connection)| connection.handle.take()));
        all.iter().for_each(JoinHandle::cancel);
        all
    }

    /// Cancels the connections that outlasted the grace period. Returns the handle of each task that may still have
    /// cleanups to do; idle ones that were cancelled earlier are among them.
    pub(crate) fn cut_off(&self) -> Vec<JoinHandle<()>> {
        let mut all = self.cancel_all();
        self.count(|served| served.cut_off += all.len() as u64);
        all.append(&mut self.cancelled.borrow_mut());
        all
    }
}

/// A connection's place in the list. The handler's task owns it; dropping it removes the connection and wakes the server.
struct Entry {
    connections: Rc<Connections>,
    key: usize,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let Entry { connections, key } = self;
        if std::thread::panicking() {
            connections.count(|served| served.panicked += 1);
        }
        // Change everything first; then drop and wake, which runs foreign code.
        let connection = connections.remove(*key);
        connections.one_ended.set(true);
        let server = connections.server.borrow_mut().take();
        drop(connection);
        server.into_iter().for_each(Waker::wake);
    }
}
