//! Everything that the tasks of one program share: the primitives, the futures that were put aside, and the books.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::task::Waker;
use std::thread::ThreadId;

use roundel::cancel::CancelToken;
use roundel::channel::{
    self, BroadcastReceiver, BroadcastSender, OneshotSender, Queue, Receiver, Sender, WatchReceiver,
    WatchSender,
};
use roundel::sync::{
    Barrier, Condition, Event, Mutex, Notify, OnceCell, Pool, RateLimiter, RwLock, Semaphore,
};
use roundel::{Remote, Runtime};

use crate::act::Act;
use crate::dice::Dice;
use crate::task::{Handle, Record};
use crate::value::{Note, Place, Value};

thread_local! {
    static HERE: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// The world of the program that runs on this thread.
pub(crate) fn here() -> Option<Rc<World>> {
    HERE.try_with(|here| here.borrow().clone()).ok().flatten()
}

pub(crate) fn set_here(world: Option<Rc<World>>) {
    let before = HERE.replace(world);
    drop(before);
}

/// The place of the queue among the lanes: after all of them.
pub(crate) const QUEUE: usize = 3;

pub(crate) const PERMITS: usize = 3;
pub(crate) const POOLED: usize = 2;

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Mutex(usize),
    Read,
    Write,
    Permits(usize),
    Job,
    Count,
    Notified,
    Event,
    Barrier(usize),
    Cell(usize),
    Rate,
    Pool,
    Send(usize),
    Reserve(usize),
    Receive(usize),
    Work,
    Oneshot(u32),
    Deserted(u32),
    Broadcast { next: u64 },
    Watch { seen: u64 },
    Token(usize),
    Join(usize),
    Remote(usize),
    Sleep,
}

/// What a task holds, so that other tasks may have to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    Mutex(usize),
    Counted,
    Reader,
    Writer,
    Permits(usize),
    Initialises(usize),
    Pooled,
    MakesPooled,
    Room(usize),
    Works,
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    /// How many more things may be begun. This makes every program end.
    pub(crate) fuel: Cell<u32>,
    /// Set while the books are being checked: then no future is put aside.
    pub(crate) resting: Cell<bool>,
    /// How many calls of foreign code are nested right now.
    pub(crate) meddling: Cell<u32>,
    /// Whether a loop runs on this thread.
    pub(crate) inside: Cell<u32>,
    /// How often tasks were polled.
    pub(crate) polls: Cell<u64>,
    /// How often something has changed in the books.
    pub(crate) moves: Cell<u64>,
    /// Set while values are being compared.
    pub(crate) comparing: Cell<bool>,
    /// Which acts this program prefers.
    pub(crate) menu: Vec<usize>,
    /// Whether everything is sent through the same lane.
    pub(crate) is_narrow: bool,
    /// Whether some tasks never release what they hold. Then a fault in the line for it stays visible.
    pub(crate) is_sticky: bool,
    pub(crate) runtimes: RefCell<Vec<Runtime>>,
    pub(crate) remotes: RefCell<Vec<Remote>>,
    /// How many runtimes there were. Loops with different clocks cannot share a rate limiter.
    pub(crate) built: Cell<usize>,
    pub(crate) aside: RefCell<Vec<Act>>,
    pub(crate) wakers: RefCell<Vec<Waker>>,
    pub(crate) handles: RefCell<Vec<Handle>>,

    pub(crate) mutexes: [Mutex<u32>; 2],
    pub(crate) rwlock: RwLock<u32>,
    pub(crate) semaphore: Semaphore,
    pub(crate) permits: Cell<usize>,
    pub(crate) jobs: Notify,
    pub(crate) pending_jobs: Cell<usize>,
    pub(crate) notify: Notify,
    pub(crate) event: Event,
    pub(crate) barriers: [Barrier; 2],
    pub(crate) count: Mutex<usize>,
    pub(crate) counted: Condition,
    pub(crate) cells: [OnceCell<Value>; 2],
    pub(crate) rate: RateLimiter,
    pub(crate) pool: Pool<Value, ()>,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) queue: Queue<Value>,
    pub(crate) oneshots: RefCell<Vec<OneSender>>,
    pub(crate) broadcast: BroadcastSender<Note>,
    pub(crate) heard: BroadcastReceiver<Note>,
    pub(crate) told: Cell<u64>,
    pub(crate) watch: WatchSender<Note>,
    pub(crate) watched: WatchReceiver<Note>,
    pub(crate) version: Cell<u64>,
    pub(crate) tokens: Vec<CancelToken>,

    pub(crate) values: RefCell<Vec<Place>>,
    pub(crate) records: RefCell<Vec<Rc<Record>>>,
    pub(crate) waits: RefCell<Vec<Wait>>,
    pub(crate) holds: RefCell<Vec<Hold>>,
    pub(crate) open_senders: RefCell<BTreeSet<u32>>,
    pub(crate) open_receivers: RefCell<BTreeSet<u32>>,
    pub(crate) next_oneshot: Cell<u32>,
    alive: Rc<Cell<usize>>,
    faults: RefCell<Vec<String>>,
    log: Option<RefCell<Vec<String>>>,
}

/// One channel, of any kind. The program may drop its own handle of one end. Then the last clone closes the channel.
pub(crate) struct Lane {
    pub(crate) name: &'static str,
    pub(crate) sender: RefCell<Option<Sender<Value>>>,
    pub(crate) receiver: RefCell<Option<Receiver<Value>>>,
}

impl Lane {
    fn new(kind: usize) -> Lane {
        let (name, (sender, receiver)) = match kind {
            0 | 1 => ("bounded(0)", channel::bounded(0)),
            2 => ("bounded(1)", channel::bounded(1)),
            3 => ("bounded(3)", channel::bounded(3)),
            4 => ("unbounded", channel::unbounded()),
            5 => ("priority(0)", channel::priority(0)),
            6 => ("priority(1)", channel::priority(1)),
            7 => ("priority(3)", channel::priority(3)),
            8 => ("lifo(0)", channel::lifo(0)),
            _ => ("lifo(3)", channel::lifo(3)),
        };
        Lane { name, sender: RefCell::new(Some(sender)), receiver: RefCell::new(Some(receiver)) }
    }

    pub(crate) fn sender(&self) -> Option<Sender<Value>> {
        self.sender.borrow().clone()
    }

    pub(crate) fn receiver(&self) -> Option<Receiver<Value>> {
        self.receiver.borrow().clone()
    }
}

/// The sender of a oneshot, which records when it is gone.
pub(crate) struct OneSender {
    pub(crate) number: u32,
    pub(crate) sender: Option<OneshotSender<Value>>,
}

impl Drop for OneSender {
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(world) = here() {
            world.open_senders.borrow_mut().remove(&self.number);
        }
    }
}

/// Groups of acts that use the same primitives, by the numbers in `act` and `combine`.
const FAMILIES: &[&[usize]] = &[
    &[13, 14, 15, 16, 17, 18],
    &[13, 15],
    &[19, 20, 21],
    &[0, 1],
    &[2, 3],
    &[4],
    &[5],
    &[6, 7],
    &[8, 9],
    &[10, 11],
    &[22, 23],
    &[24, 25],
    &[26, 34, 36, 38],
    &[0, 30, 31, 32],
    &[15, 27, 28, 29],
    &[33, 34, 37],
];

/// The acts of one group, or a few random ones.
fn menu(dice: &Dice) -> Vec<usize> {
    match dice.one_in(3) {
        true => (0..2 + dice.below(4)).map(|_| dice.roll() as usize).collect(),
        false => FAMILIES[dice.below(FAMILIES.len())].to_vec(),
    }
}

fn queue(kind: usize) -> Queue<Value> {
    match kind {
        0 => Queue::new(0),
        1 => Queue::new(1),
        2 => Queue::lifo(2),
        3 => Queue::priority(2),
        _ => Queue::unbounded(),
    }
}

impl World {
    pub(crate) fn new(seed: u64, is_logged: bool) -> Rc<World> {
        let dice = Dice::new(seed);
        let alive = Rc::new(Cell::new(0));
        let (broadcast, heard) = channel::broadcast(1 + dice.below(4));
        let first = Note::first(&alive);
        let (watch, watched) = channel::watch(first);
        let root = CancelToken::new();
        let child = root.child();
        let tokens = vec![root, child.clone(), child.child()];
        Rc::new(World {
            fuel: Cell::new(if cfg!(miri) { 60 } else { 40 + dice.below(400) as u32 }),
            resting: Cell::new(false),
            meddling: Cell::new(0),
            inside: Cell::new(0),
            polls: Cell::new(0),
            moves: Cell::new(0),
            comparing: Cell::new(false),
            menu: menu(&dice),
            is_narrow: dice.one_in(2),
            is_sticky: dice.one_in(3),
            runtimes: RefCell::default(),
            remotes: RefCell::default(),
            built: Cell::new(0),
            aside: RefCell::default(),
            wakers: RefCell::default(),
            handles: RefCell::default(),
            mutexes: [Mutex::new(0), Mutex::new(0)],
            rwlock: RwLock::new(0),
            semaphore: Semaphore::new(PERMITS),
            permits: Cell::new(PERMITS),
            jobs: Notify::new(),
            pending_jobs: Cell::new(0),
            notify: Notify::new(),
            event: Event::new(),
            barriers: [Barrier::new(2), Barrier::new(3)],
            count: Mutex::new(0),
            counted: Condition::new(),
            cells: [OnceCell::new(), OnceCell::new()],
            rate: RateLimiter::new(10, 2),
            pool: Pool::new(POOLED, crate::act::make_pooled).check(crate::act::check_pooled),
            lanes: (0..QUEUE).map(|_| Lane::new(dice.below(10))).collect(),
            queue: queue(dice.below(5)),
            oneshots: RefCell::default(),
            broadcast,
            heard,
            told: Cell::new(0),
            watch,
            watched,
            version: Cell::new(0),
            tokens,
            values: RefCell::default(),
            records: RefCell::default(),
            waits: RefCell::default(),
            holds: RefCell::default(),
            open_senders: RefCell::default(),
            open_receivers: RefCell::default(),
            next_oneshot: Cell::new(0),
            alive,
            faults: RefCell::default(),
            log: is_logged.then(RefCell::default),
            dice,
        })
    }

    pub(crate) fn fault(&self, what: String) {
        self.note(|| format!("FAULT: {what}"));
        self.faults.borrow_mut().push(what);
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        self.faults.take()
    }

    fn moved(&self) {
        self.moves.set(self.moves.get() + 1);
    }

    pub(crate) fn note(&self, what: impl FnOnce() -> String) {
        if let Some(log) = &self.log {
            let task = roundel::task::current().map_or(String::new(), |task| format!("{task}: "));
            log.borrow_mut().push(format!("{task}{}", what()));
        }
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.log.as_ref().map(RefCell::take).unwrap_or_default()
    }

    /// Uses up some fuel, if there is any.
    pub(crate) fn may_begin(&self) -> bool {
        let fuel = self.fuel.get();
        self.fuel.set(fuel.saturating_sub(1));
        fuel > 0
    }

    pub(crate) fn place(&self, value: usize) -> Place {
        self.values.borrow()[value]
    }

    pub(crate) fn move_value(&self, value: usize, to: Place) {
        self.note(|| format!("value {value}: {to:?}"));
        self.values.borrow_mut()[value] = to;
    }

    pub(crate) fn has_receivers(&self, lane: usize) -> bool {
        if lane == QUEUE {
            return true;
        }
        self.look(lane).receivers > 0
    }

    /// The lane to use next.
    pub(crate) fn any_lane(&self) -> usize {
        if self.is_narrow { 0 } else { self.dice.below(QUEUE) }
    }

    pub(crate) fn look(&self, lane: usize) -> Look {
        let lane = &self.lanes[lane];
        macro_rules! look {
            ($end:expr) => {
                Look {
                    len: $end.len(),
                    capacity: $end.capacity(),
                    closed: $end.is_closed(),
                    senders: $end.senders(),
                    receivers: $end.receivers(),
                }
            };
        }
        if let Some(sender) = &*lane.sender.borrow() {
            return look!(sender);
        }
        let receiver = lane.receiver.borrow();
        look!(receiver.as_ref().expect("one end is kept"))
    }

    /// Records that a task waits, until the guard is dropped.
    pub(crate) fn wait(self: &Rc<Self>, wait: Wait) -> Waiting {
        self.note(|| format!("waits: {wait:?}"));
        self.moved();
        self.waits.borrow_mut().push(wait);
        Waiting { world: self.clone(), wait }
    }

    pub(crate) fn waiting(&self, is: impl Fn(Wait) -> bool) -> usize {
        self.waits.borrow().iter().filter(|wait| is(**wait)).count()
    }

    /// Records that a task holds something, until the guard is dropped. It is a fault if `limit` tasks hold it already.
    pub(crate) fn hold(self: &Rc<Self>, hold: Hold, limit: usize) -> Holding {
        self.note(|| format!("has: {hold:?}"));
        self.moved();
        if self.held(hold) >= limit {
            self.fault(format!("{hold:?} is held more than {limit} times"));
        }
        self.holds.borrow_mut().push(hold);
        Holding { world: self.clone(), hold }
    }

    pub(crate) fn held(&self, hold: Hold) -> usize {
        self.holds.borrow().iter().filter(|held| **held == hold).count()
    }

    /// How many values and futures of the program are alive.
    pub(crate) fn count_alive(&self) -> Rc<Cell<usize>> {
        self.alive.clone()
    }
}

/// What a lane shows to the outside.
pub(crate) struct Look {
    pub(crate) len: usize,
    pub(crate) capacity: Option<usize>,
    pub(crate) closed: bool,
    pub(crate) senders: usize,
    pub(crate) receivers: usize,
}

/// See [`World::wait`].
pub(crate) struct Waiting {
    world: Rc<World>,
    wait: Wait,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.world.moved();
        let mut waits = self.world.waits.borrow_mut();
        let place = waits.iter().position(|wait| *wait == self.wait);
        waits.remove(place.expect("it was put in"));
    }
}

/// See [`World::hold`].
pub(crate) struct Holding {
    world: Rc<World>,
    hold: Hold,
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.world.moved();
        let mut holds = self.world.holds.borrow_mut();
        let place = holds.iter().position(|hold| *hold == self.hold);
        holds.remove(place.expect("it was put in"));
    }
}

/// Counts a value that must be gone at the end, and must be dropped on the thread where it was made.
pub(crate) struct Alive {
    count: Rc<Cell<usize>>,
    thread: ThreadId,
}

impl Alive {
    pub(crate) fn new(world: &World) -> Alive {
        Alive::count_in(&world.alive)
    }

    pub(crate) fn count_in(count: &Rc<Cell<usize>>) -> Alive {
        count.set(count.get() + 1);
        Alive { count: count.clone(), thread: std::thread::current().id() }
    }
}

impl Clone for Alive {
    fn clone(&self) -> Alive {
        Alive::count_in(&self.count)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        assert_eq!(self.thread, std::thread::current().id(), "something was dropped on a foreign thread");
        self.count.set(self.count.get() - 1);
    }
}
