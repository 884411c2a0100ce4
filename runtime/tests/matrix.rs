//! Woken, then dropped: every primitive, every moment, a thousand schedules.
//!
//! Each run takes one primitive. Some tasks wait for it, and others give. Some of the waiters are dropped: before they
//! are polled, while they wait, or after they were woken and before their next poll. When nothing moves any more, the
//! books must balance. Each unit that was given has been received by exactly one task, or is still available. And no
//! task waits for a unit that is available. Then the runtime is dropped with the tasks that still wait, and the books
//! must balance again.
//!
//! One waiter in three has used up the budget of its poll when it begins to wait.
//!
//! The seed decides which tasks there are, how many, when they act and in which order: hazards 17 and 19.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use roundel::channel::{self, Queue};
use roundel::sync::{
    Barrier, BoundedSemaphore, Condition, Event, Mutex, Notify, OnceCell, Pool, RwLock, Semaphore,
};
use roundel::task::poll_budget;
use roundel::testing::{Cut, settle};
use roundel::{Runtime, spawn, yield_now};
#[allow(unused_imports)] // With `diagnostics`, a builder has its methods itself.
use testkit::Unwatched;

const SEEDS: u64 = if cfg!(miri) { 2 } else { 1_000 };

/// The same numbers for the same seed.
struct Rng(Cell<u64>);

impl Rng {
    fn new(seed: u64) -> Rc<Rng> {
        Rc::new(Rng(Cell::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1)))
    }

    fn below(&self, n: usize) -> usize {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        (x >> 11) as usize % n
    }

    /// Mostly no cut, otherwise a cut at one of the first few awaits.
    fn cut(&self) -> Cut {
        let place = self.below(10);
        Cut::at(if place < 6 { place } else { usize::MAX })
    }

    /// One time in three, uses up the budget of the running poll.
    async fn burn(&self) {
        let rounds = if self.below(3) == 0 { 2 } else { 0 };
        poll_fn(|cx| {
            // Twice, because a small reserve is left after the first operation that gives way.
            for _ in 0..rounds {
                while poll_budget(cx).is_ready() {}
            }
            Poll::Ready(())
        })
        .await;
    }

    async fn pause(&self, most: usize) {
        for _ in 0..self.below(most + 1) {
            yield_now().await;
        }
    }
}

type Wait = Pin<Box<dyn Future<Output = ()>>>;

/// A primitive whose waiters each take one of the units that other tasks give.
trait Units {
    fn wait(self: Rc<Self>) -> Wait;
    fn give(self: Rc<Self>) -> Wait;
    /// How many units are available. Takes all of them.
    fn drain(&self) -> usize;
}

/// Runs one program on `units`.
fn balance(name: &str, seed: u64, units: &dyn Fn() -> Rc<dyn UnitsDyn>) {
    let rng = Rng::new(seed);
    let runtime = Runtime::builder()
        .virtual_time(true)
        .shuffle(seed)
        .detect_deadlocks(seed.is_multiple_of(2))
        .build()
        .unwrap();
    let units = units();
    let (got, waiting) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    // If a giver is dropped while it waits, it may have given its unit or not. If it has returned, it has.
    let (offered, given) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    runtime.block_on(async {
        for _ in 0..1 + rng.below(5) {
            let (units, rng, got, waiting) = (units.clone(), rng.clone(), got.clone(), waiting.clone());
            let cut = rng.cut();
            spawn(async move {
                rng.pause(3).await;
                waiting.set(waiting.get() + 1);
                let wait = async {
                    rng.burn().await;
                    units.wait().await;
                };
                let result = cut.run(wait).await;
                waiting.set(waiting.get() - 1);
                got.set(got.get() + usize::from(result.is_some()));
            })
            .detach();
        }
        for _ in 0..1 + rng.below(5) {
            let (units, rng, offered, given) = (units.clone(), rng.clone(), offered.clone(), given.clone());
            spawn(async move {
                rng.pause(4).await;
                offered.set(offered.get() + 1);
                units.give().await;
                given.set(given.get() + 1);
            })
            .detach();
        }
        settle().await;
        assert!(
            waiting.get() == 0 || given.get() == got.get(),
            "{name}, seed {seed}: {} wait, although {} were given and {} got",
            waiting.get(),
            given.get(),
            got.get()
        );
        // Some waiters are called now but not polled again, because the shutdown drops them first.
        let (units, offered, given) = (units.clone(), offered.clone(), given.clone());
        spawn(async move {
            offered.set(offered.get() + 1);
            units.give().await;
            given.set(given.get() + 1);
        })
        .detach();
        yield_now().await;
    });
    drop(runtime);
    let left = units.drain();
    let (got, given, offered) = (got.get(), given.get(), offered.get());
    assert!(
        (given..=offered).contains(&(got + left)),
        "{name}, seed {seed}: of {given} to {offered} units {got} were got and {left} are left"
    );
}

/// `Units`, usable as `dyn`.
trait UnitsDyn {
    fn wait(&self) -> Wait;
    fn give(&self) -> Wait;
    fn drain(&self) -> usize;
}

impl<U: Units + 'static> UnitsDyn for Rc<U> {
    fn wait(&self) -> Wait {
        Rc::clone(self).wait()
    }

    fn give(&self) -> Wait {
        Rc::clone(self).give()
    }

    fn drain(&self) -> usize {
        (**self).drain()
    }
}

impl Units for Semaphore {
    fn wait(self: Rc<Self>) -> Wait {
        Box::pin(async move { self.acquire().await.unwrap().forget() })
    }

    fn give(self: Rc<Self>) -> Wait {
        self.add_permits(1);
        Box::pin(std::future::ready(()))
    }

    fn drain(&self) -> usize {
        assert_eq!(self.waiting(), 0, "a dropped waiter has kept its place");
        self.available()
    }
}

/// A semaphore whose permits keep it alive.
struct OwnedPermits(Rc<Semaphore>);

impl Units for OwnedPermits {
    fn wait(self: Rc<Self>) -> Wait {
        let waiting = Rc::clone(&self.0).acquire_owned();
        Box::pin(async move { waiting.await.unwrap().forget() })
    }

    fn give(self: Rc<Self>) -> Wait {
        Rc::clone(&self.0).give()
    }

    fn drain(&self) -> usize {
        self.0.drain()
    }
}

impl Units for BoundedSemaphore {
    fn wait(self: Rc<Self>) -> Wait {
        Box::pin(async move { self.acquire().await.unwrap().keep() })
    }

    fn give(self: Rc<Self>) -> Wait {
        // All six permits are taken at first.
        self.release().unwrap();
        Box::pin(std::future::ready(()))
    }

    fn drain(&self) -> usize {
        self.available()
    }
}

/// Each waiter needs its own notification. If no task waits, only one is kept. So at most one is pending at a time.
struct Notifications {
    notify: Notify,
    pending: Cell<usize>,
}

impl Units for Notifications {
    fn wait(self: Rc<Self>) -> Wait {
        Box::pin(async move {
            loop {
                self.notify.notified().await;
                let pending = self.pending.get();
                self.pending.set(pending.saturating_sub(1));
                if pending > 1 {
                    self.notify.notify_one();
                }
                if pending > 0 {
                    return;
                }
            }
        })
    }

    fn give(self: Rc<Self>) -> Wait {
        self.pending.set(self.pending.get() + 1);
        self.notify.notify_one();
        Box::pin(std::future::ready(()))
    }

    fn drain(&self) -> usize {
        assert_eq!(self.notify.waiting(), 0);
        self.pending.get()
    }
}

/// The textbook use of a condition: a count under a mutex, and one notification for each unit.
struct Counted {
    count: Mutex<usize>,
    condition: Condition,
}

impl Units for Counted {
    fn wait(self: Rc<Self>) -> Wait {
        Box::pin(async move {
            let mut count = self.condition.wait_while(self.count.lock().await, |count| *count == 0).await;
            *count -= 1;
        })
    }

    fn give(self: Rc<Self>) -> Wait {
        Box::pin(async move {
            *self.count.lock().await += 1;
            self.condition.notify_one();
        })
    }

    fn drain(&self) -> usize {
        assert_eq!(self.condition.waiting(), 0);
        *self.count.try_lock().expect("the lock is free when all tasks are gone")
    }
}

/// A channel. Each value is received once.
struct Pipe {
    ends: (channel::Sender<u64>, channel::Receiver<u64>),
    next: Cell<u64>,
    seen: RefCell<Vec<u64>>,
}

impl Pipe {
    fn new(ends: (channel::Sender<u64>, channel::Receiver<u64>)) -> Rc<Pipe> {
        Rc::new(Pipe { ends, next: Cell::new(0), seen: RefCell::default() })
    }

    fn note(&self, value: u64) {
        assert!(!self.seen.borrow().contains(&value), "{value} was received twice");
        self.seen.borrow_mut().push(value);
    }
}

impl Units for Pipe {
    fn wait(self: Rc<Self>) -> Wait {
        Box::pin(async move {
            let value = self.ends.1.recv().await.unwrap();
            self.note(value);
        })
    }

    fn give(self: Rc<Self>) -> Wait {
        let value = self.next.replace(self.next.get() + 1);
        Box::pin(async move { self.ends.0.send(value).await.unwrap() })
    }

    fn drain(&self) -> usize {
        let mut left = 0;
        while let Ok(value) = self.ends.1.try_recv() {
            self.note(value);
            left += 1;
        }
        left
    }
}

impl Units for Queue<u64> {
    fn wait(self: Rc<Self>) -> Wait {
        Box::pin(async move {
            self.get().await.unwrap();
            self.task_done();
        })
    }

    fn give(self: Rc<Self>) -> Wait {
        Box::pin(async move { self.put(0).await.unwrap() })
    }

    fn drain(&self) -> usize {
        let left = std::iter::from_fn(|| self.try_get().ok()).count();
        assert_eq!(self.unfinished(), left);
        left
    }
}

/// The other side of a channel: the units are free places. Waiters want to send, and givers make room.
struct RoomIn {
    ends: (channel::Sender<u64>, channel::Receiver<u64>),
    reserve: bool,
    received: Cell<usize>,
    sent: Cell<usize>,
    start: usize,
}

impl RoomIn {
    /// A full channel.
    fn full(capacity: usize, reserve: bool) -> Rc<RoomIn> {
        let ends = channel::bounded(capacity);
        let start = (0..capacity as u64).filter(|value| ends.0.try_send(*value).is_ok()).count();
        Rc::new(RoomIn { ends, reserve, received: Cell::new(0), sent: Cell::new(0), start })
    }
}

impl Units for RoomIn {
    fn wait(self: Rc<Self>) -> Wait {
        Box::pin(async move {
            if self.reserve {
                let permit = self.ends.0.reserve().await.unwrap();
                permit.send(7).unwrap();
            } else {
                self.ends.0.send(7).await.unwrap();
            }
            self.sent.set(self.sent.get() + 1);
        })
    }

    fn give(self: Rc<Self>) -> Wait {
        Box::pin(async move {
            self.ends.1.recv().await.unwrap();
            self.received.set(self.received.get() + 1);
        })
    }

    fn drain(&self) -> usize {
        // Each value that was sent was received or is still there, and there is room for the rest.
        assert_eq!(self.start + self.sent.get(), self.received.get() + self.ends.1.len());
        let mut room = 0;
        while self.ends.0.try_send(0).is_ok() {
            room += 1;
        }
        room
    }
}

#[test]
fn hazard_17_19_units_are_neither_lost_nor_doubled() {
    type Make = fn() -> Rc<dyn UnitsDyn>;
    let cases: [(&str, Make); 17] = [
        ("semaphore", || Rc::new(Rc::new(Semaphore::new(0)))),
        ("owned permits", || Rc::new(Rc::new(OwnedPermits(Rc::new(Semaphore::new(0)))))),
        ("bounded semaphore", || {
            let semaphore = BoundedSemaphore::new(12);
            (0..12).for_each(|_| semaphore.try_acquire().unwrap().keep());
            Rc::new(Rc::new(semaphore))
        }),
        ("notify", || Rc::new(Rc::new(Notifications { notify: Notify::new(), pending: Cell::new(0) }))),
        ("condition", || Rc::new(Rc::new(Counted { count: Mutex::new(0), condition: Condition::new() }))),
        ("recv of bounded(1)", || Rc::new(Pipe::new(channel::bounded(1)))),
        ("recv of bounded(3)", || Rc::new(Pipe::new(channel::bounded(3)))),
        ("recv of bounded(100)", || Rc::new(Pipe::new(channel::bounded(100)))),
        ("recv of unbounded", || Rc::new(Pipe::new(channel::unbounded()))),
        ("recv of priority", || Rc::new(Pipe::new(channel::priority(3)))),
        ("recv of lifo", || Rc::new(Pipe::new(channel::lifo(3)))),
        ("recv of a rendezvous", || Rc::new(Pipe::new(channel::bounded(0)))),
        ("queue", || Rc::new(Rc::new(Queue::new(2)))),
        ("priority queue", || Rc::new(Rc::new(Queue::priority(8)))),
        ("send to bounded(1)", || Rc::new(RoomIn::full(1, false))),
        ("send to bounded(3)", || Rc::new(RoomIn::full(3, false))),
        ("reserve in bounded(2)", || Rc::new(RoomIn::full(2, true))),
    ];
    for seed in 0..SEEDS {
        for (name, make) in &cases {
            balance(name, seed, make);
        }
    }
}

/// Takes a lock, does something while it is held, and releases it.
type Use = fn(Rc<Locks>, bool, Rc<Rng>) -> Wait;

struct Locks {
    mutex: Rc<Mutex<()>>,
    rwlock: Rc<RwLock<()>>,
    semaphore: Rc<Semaphore>,
    pool: Pool<u32>,
    cell: OnceCell<()>,
    /// How many hold it right now: readers, writers.
    inside: (Cell<usize>, Cell<usize>),
    most: Cell<usize>,
}

/// Counts the holders, and checks that they may hold the lock together.
struct Inside<'a>(&'a Locks, bool);

impl<'a> Inside<'a> {
    fn new(locks: &'a Locks, write: bool) -> Inside<'a> {
        let count = if write { &locks.inside.1 } else { &locks.inside.0 };
        count.set(count.get() + 1);
        let (readers, writers) = (locks.inside.0.get(), locks.inside.1.get());
        assert!(writers == 0 || readers == 0, "{writers} writers beside {readers} readers");
        locks.most.set(locks.most.get().max(writers));
        Inside(locks, write)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let count = if self.1 { &self.0.inside.1 } else { &self.0.inside.0 };
        count.set(count.get() - 1);
    }
}

/// Each way to hold a lock: its name, how many may hold it for writing at the same time, and the use.
const USES: &[(&str, usize, Use)] = &[
    ("mutex", 1, |locks, _, rng| {
        Box::pin(async move {
            let _guard = locks.mutex.lock().await;
            let _inside = Inside::new(&locks, true);
            rng.pause(2).await;
        })
    }),
    ("rwlock", 1, |locks, write, rng| {
        Box::pin(async move {
            if write {
                let _guard = locks.rwlock.write().await;
                let _inside = Inside::new(&locks, true);
                rng.pause(2).await;
            } else {
                let _guard = locks.rwlock.read().await;
                let _inside = Inside::new(&locks, false);
                rng.pause(2).await;
            }
        })
    }),
    ("semaphore of 1", 3, |locks, _, rng| {
        Box::pin(async move {
            let _permit = locks.semaphore.acquire().await.unwrap();
            let _inside = Inside::new(&locks, true);
            rng.pause(2).await;
        })
    }),
    ("semaphore of many", 3, |locks, write, rng| {
        Box::pin(async move {
            let n = if write { 3 } else { 1 };
            let _permit = locks.semaphore.acquire_many(n).await.unwrap();
            let _inside = Inside::new(&locks, true);
            rng.pause(2).await;
        })
    }),
    ("pool", 3, |locks, _, rng| {
        Box::pin(async move {
            let _item = locks.pool.checkout().await.unwrap();
            let _inside = Inside::new(&locks, true);
            rng.pause(2).await;
        })
    }),
    ("once cell", 1, |locks, _, rng| {
        Box::pin(async move {
            let init = async || {
                let _inside = Inside::new(&locks, true);
                rng.pause(2).await;
                Err::<(), ()>(())
            };
            let _ = locks.cell.get_or_try_init(init).await;
        })
    }),
    ("mutex, owned and not", 1, |locks, owned, rng| {
        Box::pin(async move {
            if owned {
                let _guard = Rc::clone(&locks.mutex).lock_owned().await;
                let _inside = Inside::new(&locks, true);
                rng.pause(2).await;
            } else {
                let _guard = locks.mutex.lock().await;
                let _inside = Inside::new(&locks, true);
                rng.pause(2).await;
            }
        })
    }),
    ("rwlock, owned and not", 1, |locks, write, rng| {
        Box::pin(async move {
            // A guard of either kind, which is dropped after `_inside`.
            let _guard: Box<dyn std::any::Any> = match (write, rng.below(2)) {
                (true, 0) => Box::new(Rc::clone(&locks.rwlock).write_owned().await),
                (false, 0) => Box::new(Rc::clone(&locks.rwlock).read_owned().await),
                (true, _) => return hold(&locks, true, &rng, locks.rwlock.write()).await,
                (false, _) => return hold(&locks, false, &rng, locks.rwlock.read()).await,
            };
            let _inside = Inside::new(&locks, write);
            rng.pause(2).await;
        })
    }),
    ("semaphore, owned", 3, |locks, write, rng| {
        Box::pin(async move {
            let n = if write { 3 } else { 1 };
            let _permit = Rc::clone(&locks.semaphore).acquire_many_owned(n).await.unwrap();
            let _inside = Inside::new(&locks, true);
            rng.pause(2).await;
        })
    }),
    ("condition's mutex", 1, |locks, _, rng| {
        Box::pin(async move {
            let condition = Condition::new();
            condition.notify_one();
            let _guard = condition.wait_while(locks.mutex.lock().await, |()| false).await;
            let _inside = Inside::new(&locks, true);
            rng.pause(2).await;
        })
    }),
];

#[test]
fn hazard_17_19_locks_are_passed_on() {
    for seed in 0..SEEDS {
        for (name, most, use_it) in USES {
            use_locks(name, *most, *use_it, seed);
        }
    }
}

/// Holds a guard for a while.
async fn hold<G>(locks: &Locks, write: bool, rng: &Rng, guard: impl Future<Output = G>) {
    let _guard = guard.await;
    let _inside = Inside::new(locks, write);
    rng.pause(2).await;
}

fn use_locks(name: &str, most: usize, use_it: Use, seed: u64) {
    let rng = Rng::new(seed);
    let runtime = Runtime::builder()
        .virtual_time(true)
        .shuffle(seed)
        .detect_deadlocks(seed.is_multiple_of(2))
        .build()
        .unwrap();
    let locks = Rc::new(Locks {
        mutex: Rc::new(Mutex::new(())),
        rwlock: Rc::new(RwLock::new(())),
        semaphore: Rc::new(Semaphore::new(3)),
        pool: Pool::new(3, || std::future::ready(Ok(0))),
        cell: OnceCell::new(),
        inside: Default::default(),
        most: Cell::new(0),
    });
    let done = Rc::new(Cell::new(0));
    runtime.block_on(async {
        let users = 1 + rng.below(6);
        for _ in 0..users {
            let (locks, rng, done) = (locks.clone(), rng.clone(), done.clone());
            let (cut, write) = (rng.cut(), rng.below(2) == 0);
            spawn(async move {
                rng.pause(3).await;
                let using = async {
                    rng.burn().await;
                    use_it(locks, write, rng.clone()).await;
                };
                cut.run(using).await;
                done.set(done.get() + 1);
            })
            .detach();
        }
        settle().await;
        assert_eq!(done.get(), users, "{name}, seed {seed}: a task waits although no task holds the lock");
        assert!(locks.most.get() <= most, "{name}, seed {seed}: {} at once", locks.most.get());
        assert_free(&locks, name, seed);
        // The same again, with a shutdown in the middle.
        for _ in 0..users {
            spawn(use_it(locks.clone(), rng.below(2) == 0, rng.clone())).detach();
        }
        rng.pause(3).await;
    });
    drop(runtime);
    assert_free(&locks, name, seed);
}

fn assert_free(locks: &Locks, name: &str, seed: u64) {
    let free = locks.mutex.try_lock().is_some()
        && locks.rwlock.try_write().is_some()
        && locks.semaphore.available() == 3
        && locks.pool.available() == 3;
    assert!(free, "{name}, seed {seed}: a lock is taken although no task holds it");
}

#[test]
fn hazard_19_a_barrier_counts_the_tasks_that_are_there() {
    for seed in 0..SEEDS {
        let rng = Rng::new(seed);
        let runtime = Runtime::builder()
            .virtual_time(true)
            .shuffle(seed)
            .detect_deadlocks(seed.is_multiple_of(2))
            .build()
            .unwrap();
        let parties = 1 + rng.below(4);
        let barrier = Rc::new(Barrier::new(parties));
        let (passed, leaders, woken) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        runtime.block_on(async {
            for _ in 0..rng.below(10) {
                let place = rng.below(6);
                let (barrier, passed, leaders, woken) =
                    (barrier.clone(), passed.clone(), leaders.clone(), woken.clone());
                spawn(async move {
                    match Cut::at(place).run(barrier.wait()).await {
                        Some(result) => {
                            passed.set(passed.get() + 1);
                            leaders.set(leaders.get() + usize::from(result.is_leader()));
                        }
                        // It was waiting when the last task came, and was dropped before its next poll.
                        None if place == 2 => woken.set(woken.get() + 1),
                        None => {}
                    }
                })
                .detach();
            }
            settle().await;
        });
        assert_eq!(passed.get() + woken.get(), leaders.get() * parties, "seed {seed}");
        assert!(barrier.waiting() < parties, "seed {seed}");
        drop(runtime);
        assert_eq!(barrier.waiting(), 0, "seed {seed}");
    }
}

/// Primitives that wake all waiters: each task that waited before goes on, whatever the others do.
#[test]
fn hazard_19_all_means_all() {
    for seed in 0..SEEDS {
        let rng = Rng::new(seed);
        let runtime = Runtime::builder()
            .virtual_time(true)
            .shuffle(seed)
            .detect_deadlocks(seed.is_multiple_of(2))
            .build()
            .unwrap();
        runtime.block_on(async {
            let event = Rc::new(Event::new());
            let notify = Rc::new(Notify::new());
            let (watch, watched) = channel::watch(0);
            let (broadcast, heard) = channel::broadcast(4);
            let mut waiting = Vec::new();
            for _ in 0..8 {
                let (event, notify, cut) = (event.clone(), notify.clone(), rng.cut());
                let (mut watched, mut heard) = (watched.clone(), heard.clone());
                let kind = rng.below(4);
                let wait = async move {
                    match kind {
                        0 => event.wait().await,
                        1 => notify.notified().await,
                        2 => watched.changed().await.unwrap(),
                        _ => assert_eq!(heard.recv().await, Ok(1)),
                    }
                };
                waiting.push(spawn(async move { cut.run(wait).await }));
            }
            settle().await;
            event.set();
            event.clear();
            notify.notify_all();
            watch.send(1).unwrap();
            broadcast.send(1).unwrap();
            settle().await;
            assert!(waiting.iter().all(|task| task.is_finished()), "seed {seed}");
            // And nothing is left for tasks that come later.
            let later = roundel::time::timeout(Duration::from_secs(1), notify.notified());
            assert!(later.await.is_err(), "seed {seed}");
            assert!(!event.is_set());
        });
    }
}
