//! How other threads reach a loop.
//!
//! Facts. A waker may be used on any thread, at any time, also when its loop is asleep in the kernel, is
//! about to fall asleep, or is long gone. Ringing a sleeping loop is a system call; ringing a loop that
//! is awake is waste.
//!
//! What follows. Each loop has an *inbox*: wakes (numbers) and errands (closures to run on the loop), and
//! one lock. "Is there mail?" and "is the loop parked?" are answered under that one lock, so there is no
//! moment between the two in which a wake could slip through:
//!
//! ```text
//!   another thread                          the loop
//!   lock                                    lock
//!     put the mail in                         is there mail? ── yes ──► unlock, do not park
//!     parked? ── yes ──► parked = false       parked = true
//!   unlock                                  unlock
//!   ring, if it was parked                  wait in the kernel
//!                                           lock, parked = false, take the mail, unlock
//! ```
//!
//! A loop on virtual time needs a third answer under that lock: what do other threads still *owe* it? While it is
//! owed a result, no time may pass, so it sleeps instead of jumping to its next deadline. A thread that owes a result puts
//! the wake in first and settles the debt after. So "nothing owed, nothing in the box" means that nothing will come.
//!
//! A process-wide *table* finds the inbox by the runtime's number. A loop that ends takes its entry out
//! and closes the inbox. Beside the entries, the table keeps the last wake that went into a box and may still be in it. A
//! thread that wakes one task again and again finds its number there, and needs no lock. The last wake is written and wiped
//! under the inbox's lock. It is read by an exchange, so that the loop that wipes it sees what the waking thread did before.
//!
//! Invariants. 6: a foreign wake rings only a parked loop, and at most once per park. The bell is rung and
//! refused mail is dropped outside the lock. A wake that is in the box already is not put in twice, so
//! the box grows with the tasks that are woken, not with how often each is. (The box remembers one serial for
//! each slot: wakers of a task that is gone, used in turn with those of its successor, are put in each time.)
//! Lock order: table, then inbox.
//!
//! What it does not know: tasks, futures, mio. A bell is anything that can be rung, which is also what lets
//! loom take this file apart (`.ci/loom`), with planted bugs to show that it would notice.

#[cfg(loom)]
use loom::sync::{Arc, Mutex, MutexGuard, RwLock, atomic::AtomicUsize};
#[cfg(not(loom))]
use std::sync::{Arc, Mutex, MutexGuard, RwLock, atomic::AtomicUsize};

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

use crate::core::id::TaskId;

/// Something to be run on the loop's thread.
pub(crate) type Errand = Box<dyn FnOnce() + Send>;

/// What wakes a loop out of its wait in the kernel.
pub(crate) trait Bell: Send + Sync {
    fn ring(&self);
}

pub(crate) struct Inbox {
    state: Mutex<State>,
    /// Where threads find the last wake without the lock.
    last: &'static Last,
}

#[derive(Default)]
struct State {
    /// Taken out when the loop ends, because it holds a descriptor.
    bell: Option<std::sync::Arc<dyn Bell>>,
    mail: Mail,
    /// For each slot the serial of the wake that is in the box; zero for none.
    waiting: Vec<u32>,
    /// Set when the loop decides to wait in the kernel; cleared by the wake that rings the bell, and when the loop is back.
    parked: bool,
    /// How many results other threads owe this loop. Counted only for a loop on virtual time.
    owed: usize,
    /// How often debts have been forgiven. A debt made before the last time does not count any more.
    forgiven: u32,
}

/// What came in.
#[derive(Default)]
pub(crate) struct Mail {
    pub(crate) wakes: Vec<TaskId>,
    pub(crate) errands: Vec<Errand>,
}

/// Memory for more mail than this is given back when the loop waits.
const SHRINK_ABOVE: usize = 1024;

impl Mail {
    fn is_empty(&self) -> bool {
        self.wakes.is_empty() && self.errands.is_empty()
    }

    fn capacity(&self) -> usize {
        self.wakes.capacity().max(self.errands.capacity())
    }

    /// Gives back the memory of mail that has been taken out and read.
    pub(crate) fn tidy_up(&mut self) {
        if self.capacity() > SHRINK_ABOVE {
            *self = Mail::default();
        }
    }
}

impl Inbox {
    fn new(bell: std::sync::Arc<dyn Bell>, last: &'static Last) -> Inbox {
        Inbox { state: Mutex::new(State { bell: Some(bell), ..State::default() }), last }
    }

    /// Puts a wake in, unless it is in the box already. Without effect on a loop that is gone.
    fn wake(&self, id: TaskId) {
        let mut state = self.lock();
        if state.bell.is_none() {
            return;
        }
        self.last.set(id.as_u64() as usize);
        if state.is_new(id) {
            state.mail.wakes.push(id);
            self.ring_if_parked(state);
        }
    }

    /// What [`Table::wake`] does when it has found the inbox.
    #[cfg(loom)]
    pub(crate) fn wake_unless_last(&self, id: TaskId) {
        if !self.last.is(id) {
            self.wake(id);
        }
    }

    /// Puts an errand in, or gives it back if the loop is gone.
    pub(crate) fn send(&self, errand: Errand) -> Result<(), Errand> {
        let mut state = self.lock();
        if state.bell.is_none() {
            return Err(errand);
        }
        state.mail.errands.push(errand);
        self.ring_if_parked(state);
        Ok(())
    }

    fn ring_if_parked(&self, mut state: MutexGuard<'_, State>) {
        let parked = std::mem::take(&mut state.parked);
        let bell = if parked { state.bell.clone() } else { None };
        drop(state);
        if let Some(bell) = bell {
            bell.ring();
        }
    }

    /// The loop wants to sleep. False if there is mail; otherwise, from here on, mail rings the bell.
    pub(crate) fn park(&self) -> bool {
        let mut state = self.lock();
        state.parked = state.mail.is_empty();
        state.parked
    }

    /// The same for a loop that would otherwise let virtual time pass: it sleeps only if it is owed something.
    pub(crate) fn park_if_owed(&self) -> bool {
        let mut state = self.lock();
        state.parked = state.mail.is_empty() && state.owed > 0;
        state.parked
    }

    /// Whether nothing is in the box and no thread owes anything: virtual time may pass.
    pub(crate) fn is_quiet(&self) -> bool {
        let state = self.lock();
        state.mail.is_empty() && state.owed == 0
    }

    /// Another thread is going to answer this loop, and says so by dropping the debt after its wake.
    pub(crate) fn owe(inbox: &Arc<Inbox>) -> Debt {
        let mut state = inbox.lock();
        state.owed += 1;
        Debt { inbox: Arc::clone(inbox), forgiven: state.forgiven }
    }

    /// From here on, time does not wait for the debts that exist now.
    pub(crate) fn forgive(&self) {
        let mut state = self.lock();
        (state.owed, state.forgiven) = (0, state.forgiven + 1);
    }

    fn settle(&self, forgiven: u32) {
        let mut state = self.lock();
        if state.forgiven != forgiven {
            return;
        }
        state.owed -= 1;
        // The last one lets time pass, which a loop that is asleep has to hear.
        if state.owed == 0 {
            self.ring_if_parked(state);
        }
    }

    /// The loop is about to wait: gives back the memory that many wakes have needed. With mail in the box it does nothing,
    /// because then the loop does not wait.
    pub(crate) fn tidy_up(&self) {
        let mut state = self.lock();
        if state.mail.is_empty() && state.waiting.len().max(state.mail.capacity()) > SHRINK_ABOVE {
            (state.mail, state.waiting) = (Mail::default(), Vec::new());
        }
    }

    /// The loop is awake: takes the mail. `mail` has to be empty; it gives its memory to the next round.
    pub(crate) fn collect(&self, mail: &mut Mail) {
        let mut state = self.lock();
        state.parked = false;
        if !state.mail.wakes.is_empty() {
            self.last.set(0);
        }
        std::mem::swap(mail, &mut state.mail);
        for wake in &mail.wakes {
            state.waiting[wake.slot()] = 0;
        }
    }

    /// The loop is gone: what is in the box comes back, and nothing goes in any more.
    pub(crate) fn close(&self) -> Mail {
        let mut state = self.lock();
        self.last.set(0);
        state.bell = None;
        std::mem::take(&mut state.mail)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Remembers that this wake is in the box; false if it was there.
    fn is_new(&mut self, id: TaskId) -> bool {
        if id.slot() >= self.waiting.len() {
            self.waiting.resize(id.slot() + 1, 0);
        }
        std::mem::replace(&mut self.waiting[id.slot()], id.serial()) != id.serial()
    }
}

/// The last wake that went into a box and may still be in it; zero for none. Written under the lock of the box.
struct Last(AtomicUsize);

impl Last {
    /// Whether it is this one. An exchange, not a look: the loop that takes the wake out has to see what the caller did
    /// before.
    fn is(&self, id: TaskId) -> bool {
        let word = id.as_u64() as usize;
        self.0.compare_exchange(word, word, AcqRel, Relaxed).is_ok()
    }

    fn set(&self, word: usize) {
        self.0.swap(word, AcqRel);
    }
}

/// Something that a thread owes a loop on virtual time; dropping it settles it.
pub(crate) struct Debt {
    inbox: Arc<Inbox>,
    /// How often debts had been forgiven when this one was made.
    forgiven: u32,
}

impl Drop for Debt {
    fn drop(&mut self) {
        self.inbox.settle(self.forgiven);
    }
}

/// All inboxes of a process by the number of their runtime.
pub(crate) struct Table {
    entries: RwLock<Entries>,
    /// Loops whose numbers share one of these make each other forget, which costs a lock and nothing else.
    last: &'static [Last; LASTS],
}

/// As many loops as this are woken from outside at the same time, in most programs.
const LASTS: usize = if cfg!(loom) { 1 } else { 16 };

#[derive(Default)]
struct Entries {
    inboxes: BTreeMap<u16, Arc<Inbox>>,
    /// The number to try first for the next runtime.
    next: u16,
}

/// The table of this process.
#[cfg(not(loom))]
pub(crate) static TABLE: Table = Table {
    entries: RwLock::new(Entries { inboxes: BTreeMap::new(), next: 0 }),
    last: {
        static LAST: [Last; LASTS] = [const { Last(AtomicUsize::new(0)) }; LASTS];
        &LAST
    },
};

impl Table {
    #[cfg(loom)]
    pub(crate) fn new() -> Table {
        let last = Box::new(std::array::from_fn(|_| Last(AtomicUsize::new(0))));
        Table { entries: RwLock::new(Entries::default()), last: Box::leak(last) }
    }

    /// Gives a loop a number and an inbox, whose bell wakes it. A number that was given back is given out last, so that late
    /// wakers of a dropped loop do not reach another one. `None` if all 65,536 are taken.
    pub(crate) fn enter(&self, bell: std::sync::Arc<dyn Bell>) -> Option<(u16, Arc<Inbox>)> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let mut numbers = (entries.next..=u16::MAX).chain(0..entries.next);
        let number = numbers.find(|number| !entries.inboxes.contains_key(number))?;
        let inbox = Arc::new(Inbox::new(bell, self.last(number)));
        entries.inboxes.insert(number, Arc::clone(&inbox));
        entries.next = number.wrapping_add(1);
        Some((number, inbox))
    }

    /// Takes a loop's entry out.
    pub(crate) fn leave(&self, number: u16) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let inbox = entries.inboxes.remove(&number);
        // The lock first: the inbox may be the last one, and what it holds is foreign.
        drop(entries);
        drop(inbox);
    }

    /// Wakes a task of any loop, from any thread.
    pub(crate) fn wake(&self, id: TaskId) {
        if !self.last(id.runtime()).is(id)
            && let Some(inbox) = self.inbox(id.runtime())
        {
            inbox.wake(id);
        }
    }

    /// Lets a loop turn once: an errand that does nothing keeps it from sleeping. No reference to the inbox is taken, because
    /// the loop is about to count them.
    pub(crate) fn nudge(&self, number: u16) {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let _ = entries.inboxes.get(&number).map(|inbox| inbox.send(Box::new(|| ())));
    }

    fn last(&self, number: u16) -> &'static Last {
        &self.last[usize::from(number) % LASTS]
    }

    fn inbox(&self, number: u16) -> Option<Arc<Inbox>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.inboxes.get(&number).cloned()
    }
}
