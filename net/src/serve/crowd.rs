//! The connections that a server has open, and the tasks that handle them.
//!
//! Facts. Whoever wants to cancel a handler needs its handle; whoever wants to know whether a connection is idle
//! has to see its bytes move. A timer per connection, set anew at each message, would be work for every message.
//!
//! What follows. A list of members, each with the handle of its task and a flag that its stream sets when bytes move.
//! Every [`PARTS`]th of the idle timeout all flags are looked at, and cleared; who has set it in none of so many rounds as
//! make up the whole timeout is idle. So nobody is dismissed early, nobody is missed by more than one part, and a server with
//! ten thousand idle connections does ten thousand comparisons per part and nothing else.
//!
//! A member leaves the list when its task drops its [`Ticket`], however the task ends: by itself, with a panic, or
//! cancelled. The stream was dropped before that, so its descriptor is free when the server is told.
//!
//! Invariants. The list is not borrowed while a handler is spawned, cancelled or dropped (4).
//!
//! What it does not know: listeners.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use roundel::{JoinHandle, spawn};
use slab::Slab;

use crate::stream::ByteStream;
use crate::{TcpListener, TcpStream, UnixListener, UnixStream};

/// In how many parts the idle timeout is measured: the timeout is exceeded by at most one part.
const PARTS: u32 = 8;
/// A part is no shorter than this, or to look would be all we do.
const SHORTEST: Duration = Duration::from_millis(1);

/// A list larger than this is worth being made smaller.
const CROWD: usize = 1024;

/// How often all are looked at, and after how many quiet rounds one is idle.
#[derive(Clone, Copy)]
pub(crate) struct Rounds {
    pub(crate) period: Duration,
    quiet: u32,
}

impl Rounds {
    pub(crate) fn of(timeout: Duration) -> Rounds {
        // Rounded up: all parts together are not shorter than the whole.
        let period = (timeout / PARTS).saturating_add(Duration::from_nanos(1)).max(SHORTEST);
        let quiet = timeout.as_nanos().div_ceil(period.as_nanos()) as u32;
        Rounds { period, quiet }
    }
}

/// Where connections come in, for [`serve`](crate::serve()).
pub trait Accept {
    /// A connection.
    type Stream: 'static;

    /// Accepts a connection, or leaves word to be woken when there may be one.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn poll_stream(&self, cx: &mut Context<'_>) -> Poll<io::Result<Self::Stream>>;

    /// Makes the stream set this flag whenever bytes have moved. A stream that does not is never thought idle while
    /// it lives; then `flag` is to be dropped.
    fn watch(stream: &mut Self::Stream, flag: Rc<Cell<bool>>) {
        let _ = (stream, flag);
    }
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    fn poll_stream(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        self.poll_accept(cx).map(|accepted| accepted.map(|(stream, _)| stream))
    }

    fn watch(stream: &mut TcpStream, flag: Rc<Cell<bool>>) {
        ByteStream::watch(stream, flag);
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    fn poll_stream(&self, cx: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        self.poll_accept(cx).map(|accepted| accepted.map(|(stream, _)| stream))
    }

    fn watch(stream: &mut UnixStream, flag: Rc<Cell<bool>>) {
        ByteStream::watch(stream, flag);
    }
}

/// What a handler may return: nothing, or a `Result`, whose errors are counted.
pub trait Outcome {
    /// Whether it is an error.
    fn has_failed(&self) -> bool;
}

impl Outcome for () {
    fn has_failed(&self) -> bool {
        false
    }
}

impl<T, E> Outcome for Result<T, E> {
    fn has_failed(&self) -> bool {
        self.is_err()
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

/// See the head of this file.
#[derive(Default)]
pub(crate) struct Crowd {
    members: RefCell<Slab<Member>>,
    /// `None` if nobody is ever idle.
    rounds: Option<Rounds>,
    /// Those who were idle, and may have cleanups to do.
    dismissed: RefCell<Vec<JoinHandle<()>>>,
    /// Whom to tell when a member leaves.
    told: RefCell<Option<Waker>>,
    /// Whether a member has left since that was last forgotten.
    shrunk: Cell<bool>,
    served: Cell<Served>,
}

struct Member {
    handle: Option<JoinHandle<()>>,
    /// Set by its stream; `None` if nobody looks.
    busy: Option<Rc<Cell<bool>>>,
    /// For how many rounds it has not been set.
    quiet: u32,
}

impl Member {
    /// Another round is over: whether bytes have moved in none of the last few.
    fn is_idle(&mut self, limit: u32) -> bool {
        let Some(busy) = &self.busy else { return false };
        // Who has let go of its stream, or has one that sets no flag, is not watched.
        self.quiet = if busy.replace(false) || Rc::strong_count(busy) == 1 { 0 } else { self.quiet + 1 };
        self.quiet >= limit
    }
}

impl Crowd {
    pub(crate) fn new(rounds: Option<Rounds>) -> Crowd {
        Crowd { rounds, ..Crowd::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.members.borrow().len()
    }

    /// Takes a member off the list, and gives back the memory of a list that is nearly empty.
    fn leave(&self, key: usize) -> Option<Member> {
        let mut members = self.members.borrow_mut();
        let member = members.try_remove(key);
        if members.capacity() > CROWD && members.len() < members.capacity() / 8 {
            members.shrink_to_fit();
        }
        member
    }

    pub(crate) fn served(&self) -> Served {
        self.served.get()
    }

    fn count(&self, count: impl FnOnce(&mut Served)) {
        let mut served = self.served.get();
        count(&mut served);
        self.served.set(served);
    }

    /// A connection gets a handler.
    pub(crate) fn take_in<L, H, F>(self: &Rc<Crowd>, mut stream: L::Stream, handler: Rc<H>)
    where
        L: crate::serve::Accept,
        H: Fn(L::Stream) -> F + 'static,
        F: Future<Output: Outcome> + 'static,
    {
        self.count(|served| served.accepted += 1);
        // It counts as busy in the round in which it came.
        let busy = self.rounds.map(|_| Rc::new(Cell::new(true)));
        if let Some(busy) = &busy {
            L::watch(&mut stream, Rc::clone(busy));
        }
        let key = self.members.borrow_mut().insert(Member { handle: None, busy, quiet: 0 });
        let ticket = Ticket { crowd: Rc::clone(self), key };
        let handle = spawn(async move {
            // A closure is foreign code, too: it is called here, where its panic is its own. The stream is named before
            // the ticket, and so it is dropped before, even if this is never polled.
            let failed = handler(stream).await.has_failed();
            ticket.crowd.count(|served| served.failed += u64::from(failed));
        });
        if let Some(member) = self.members.borrow_mut().get_mut(key) {
            member.handle = Some(handle);
        }
    }

    pub(crate) fn tell_when_one_ends(&self, waker: &Waker) {
        let waker = waker.clone();
        let old = self.told.borrow_mut().replace(waker);
        drop(old);
    }

    /// Those that are left are cancelled, since their time is over. They, and those who were cancelled before, may have
    /// cleanups to do: the handles tell when they are done.
    pub(crate) fn cut_off(&self) -> Vec<JoinHandle<()>> {
        let mut all = self.dismiss_all();
        self.count(|served| served.cut_off += all.len() as u64);
        all.append(&mut self.dismissed.borrow_mut());
        all
    }

    pub(crate) fn has_shrunk(&self) -> bool {
        self.shrunk.get()
    }

    pub(crate) fn forget_shrinking(&self) {
        self.shrunk.set(false);
    }

    /// A round is over: those are cancelled who have been idle for too long.
    pub(crate) fn dismiss_idle(&self) {
        let Some(Rounds { quiet, .. }) = self.rounds else { return };
        let mut idle = Vec::new();
        for (_, member) in self.members.borrow_mut().iter_mut() {
            if member.is_idle(quiet) {
                idle.extend(member.handle.take());
            }
        }
        self.count(|served| served.idle += idle.len() as u64);
        idle.iter().for_each(JoinHandle::cancel);
        // Taken out meanwhile: a cleanup may have panicked, and with its handle, the payload of that is dropped.
        idle.append(&mut self.dismissed.take());
        idle.retain(|handle| !handle.is_finished());
        self.dismissed.borrow_mut().append(&mut idle);
    }

    /// All are cancelled.
    pub(crate) fn dismiss_all(&self) -> Vec<JoinHandle<()>> {
        let mut all = Vec::new();
        all.extend(self.members.borrow_mut().iter_mut().filter_map(|(_, member)| member.handle.take()));
        all.iter().for_each(JoinHandle::cancel);
        all
    }
}

/// Membership, as the task of a handler holds it.
struct Ticket {
    crowd: Rc<Crowd>,
    key: usize,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.crowd.count(|served| served.panicked += 1);
        }
        let member = self.crowd.leave(self.key);
        self.crowd.shrunk.set(true);
        let told = self.crowd.told.borrow_mut().take();
        drop(member);
        told.into_iter().for_each(Waker::wake);
    }
}
