//! What the probe reports to a sink: balanced waits, and the same text for the same seed. A sink that panics does no
//! harm.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::future::poll_fn;
use std::io::{self, Read};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use roundel::channel;
use roundel::probe::{Event, Resource};
use roundel::source::{Direction, Source};
use roundel::sync::{Barrier, Notify, RwLock, Semaphore};
use roundel::task::TaskId;
use roundel::testing::settle;
use roundel::{JoinHandle, Runtime, group, spawn, spawn_named, time, yield_now};

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
}

/// Drops a value, even if it has no destructor.
fn ignore<T>(_: T) {}

/// Polls a future once, with the task's waker.
async fn is_pending(mut future: impl Future + Unpin) -> bool {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut future).poll(cx).is_pending())).await
}

type Wait = Pin<Box<dyn Future<Output = ()>>>;

/// One of each thing that a task can wait for.
struct World {
    rng: Rc<Rng>,
    semaphore: Semaphore,
    lock: RwLock<()>,
    notify: Notify,
    barrier: Barrier,
    channel: (channel::Sender<()>, channel::Receiver<()>),
    oneshots: RefCell<Vec<channel::OneshotSender<()>>>,
    tasks: RefCell<Vec<JoinHandle<()>>>,
    /// Waits that one task has begun and another will continue or drop.
    left: RefCell<Vec<Wait>>,
    watch: channel::WatchSender<u8>,
    broadcast: channel::BroadcastSender<u8>,
    source: Source<mio::net::UnixStream>,
    peer: std::os::unix::net::UnixStream,
}

impl World {
    fn new(rng: Rc<Rng>) -> Rc<World> {
        let (ours, peer) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        Rc::new(World {
            rng,
            semaphore: Semaphore::new(1),
            lock: RwLock::new(()),
            notify: Notify::new(),
            barrier: Barrier::new(2),
            channel: channel::bounded(1),
            oneshots: RefCell::default(),
            tasks: RefCell::default(),
            left: RefCell::default(),
            watch: channel::watch(0).0,
            broadcast: channel::broadcast(2).0,
            source: Source::new(mio::net::UnixStream::from_std(ours)).unwrap(),
            peer,
        })
    }

    /// Does something that may have to wait.
    fn wait(self: &Rc<Self>) -> Wait {
        let world = Rc::clone(self);
        match self.rng.below(16) {
            0 => Box::pin(async move { time::sleep(Duration::from_millis(world.rng.below(4) as u64)).await }),
            1 => Box::pin(async move { drop(world.semaphore.acquire().await) }),
            2 => Box::pin(async move {
                let _guard = world.lock.write().await;
                yield_now().await;
            }),
            3 => Box::pin(async move { drop(world.lock.read().await) }),
            4 => Box::pin(async move { world.notify.notified().await }),
            5 => Box::pin(async move { ignore(world.barrier.wait().await) }),
            6 => Box::pin(async move { ignore(world.channel.0.send(()).await) }),
            7 => Box::pin(async move { ignore(world.channel.1.recv().await) }),
            8 => {
                let (sender, receiver) = channel::oneshot();
                self.oneshots.borrow_mut().push(sender);
                Box::pin(async move { ignore(receiver.await) })
            }
            9 => Box::pin(async move { ignore(world.source.readable().await) }),
            10 => Box::pin(async move {
                ignore(world.source.io(Direction::Read, |mut source| source.read(&mut [0])).await);
            }),
            12 => Box::pin(async move { ignore(world.watch.subscribe().changed().await) }),
            13 => Box::pin(async move { ignore(world.broadcast.subscribe().recv().await) }),
            14 => Box::pin(async move {
                group::scope(async |scope| {
                    let child = scope.spawn(world.wait());
                    ignore(time::timeout(Duration::from_millis(1), child).await);
                    scope.cancel();
                })
                .await;
            }),
            11 => Box::pin(poll_fn(move |cx| world.read_by_hand(cx))),
            _ => {
                let handle = self.tasks.borrow_mut().pop();
                Box::pin(async move {
                    if let Some(handle) = handle {
                        ignore(handle.await);
                    }
                })
            }
        }
    }

    fn read_by_hand(&self, cx: &mut Context<'_>) -> Poll<()> {
        let read = |mut source: &mio::net::UnixStream| source.read(&mut [0]);
        self.source.poll_io(cx, Direction::Read, read).map(drop)
    }

    /// Does something that may end the wait of another task.
    fn give(&self) {
        match self.rng.below(9) {
            0 => self.notify.notify_one(),
            1 => self.notify.notify_all(),
            2 => ignore(io::Write::write(&mut &self.peer, b"x")),
            3 => ignore(self.channel.0.try_send(())),
            4 => ignore(self.channel.1.try_recv()),
            5 => ignore(self.watch.send(0)),
            6 => ignore(self.broadcast.send(0)),
            7 => self.oneshots.borrow_mut().pop().map_or((), |sender| ignore(sender.send(()))),
            _ => self.oneshots.borrow_mut().clear(),
        }
    }

    /// One step of a task.
    async fn step(self: Rc<Self>, depth: usize) {
        match self.rng.below(12) {
            0..=3 => self.wait().await,
            4 => ignore(time::timeout(Duration::from_millis(1), self.wait()).await),
            5 => group::race([self.wait(), self.wait()]).await,
            6 | 7 => self.give(),
            8 if depth < 3 => {
                let task = spawn(Rc::clone(&self).steps(depth + 1));
                self.tasks.borrow_mut().push(task);
            }
            9 => {
                // Begin a wait and leave it to another task.
                let mut wait = self.wait();
                if is_pending(&mut wait).await {
                    self.left.borrow_mut().push(wait);
                }
            }
            10 => {
                let left = self.left.borrow_mut().pop();
                match left {
                    Some(wait) if self.rng.below(2) == 0 => wait.await,
                    left => drop(left),
                }
            }
            _ => {
                let task = self.tasks.borrow_mut().pop();
                if let Some(task) = &task {
                    task.cancel();
                }
                drop(task);
            }
        }
    }

    async fn steps(self: Rc<Self>, depth: usize) {
        for _ in 0..self.rng.below(12) {
            // Boxed, because a step may start such a task again.
            let step: Wait = Box::pin(Rc::clone(&self).step(depth));
            step.await;
        }
    }
}

/// Runs a random program under `sink` until no task can go on, and then drops it.
fn run(seed: u64, sink: impl FnMut(Event) + 'static) {
    let runtime = Runtime::builder().virtual_time(true).shuffle(seed).probe(sink).build().unwrap();
    let kept = runtime.block_on(async {
        let world = World::new(Rng::new(seed));
        for _ in 0..6 {
            spawn(Rc::clone(&world).steps(0)).detach();
        }
        settle().await;
        // Some waits end before the runtime, some with it, and some after it.
        drop(world.left.borrow_mut().pop());
        world
    });
    let left = kept.left.take();
    drop(runtime);
    drop((left, kept));
}

/// The open waits of each task for each resource.
#[derive(Default)]
struct Balance {
    open: HashMap<(Option<TaskId>, Resource), usize>,
    begun: usize,
}

impl Balance {
    fn see(&mut self, event: Event) {
        match event {
            Event::WaitOn { task, on, .. } => {
                self.begun += 1;
                *self.open.entry((task, on)).or_default() += 1;
            }
            Event::WaitDone { task, on } => {
                let open = self.open.get_mut(&(task, on));
                let open = open.unwrap_or_else(|| panic!("{event:?} ends a wait that has not begun"));
                *open -= 1;
                if *open == 0 {
                    self.open.remove(&(task, on));
                }
            }
            _ => {}
        }
    }
}

#[cfg(not(miri))]
#[test]
fn hazard_63_each_wait_that_begins_ends_once() {
    let mut begun = 0;
    for seed in 0..2_000 {
        let events = Rc::new(RefCell::new(Vec::new()));
        let sink = Rc::clone(&events);
        run(seed, move |event| sink.borrow_mut().push(event));
        let mut balance = Balance::default();
        events.borrow().iter().for_each(|event| balance.see(*event));
        assert!(balance.open.is_empty(), "seed {seed}: these have not ended: {:?}", balance.open);
        begun += balance.begun;
    }
    assert!(begun > 20_000, "{begun} waits are too few for this test");
}

/// The begins and ends of waits that `body` causes.
fn waits(body: impl AsyncFnOnce()) -> Vec<Event> {
    let events = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&events);
    let runtime = Runtime::builder()
        .virtual_time(true)
        .probe(move |event| sink.borrow_mut().push(event))
        .build()
        .unwrap();
    runtime.block_on(body());
    drop(runtime);
    let events = events.take();
    let is_wait = |event: &Event| matches!(event, Event::WaitOn { .. } | Event::WaitDone { .. });
    events.into_iter().filter(is_wait).collect()
}

fn balanced(what: &str, body: impl AsyncFnOnce()) {
    let events = waits(body);
    let mut balance = Balance::default();
    events.iter().for_each(|event| balance.see(*event));
    assert!(balance.open.is_empty(), "{what}: {events:#?}");
}

#[test]
fn hazard_63_joins_balance() {
    let joined = waits(async || {
        let handle = spawn(async {});
        yield_now().await;
        handle.await.unwrap();
    });
    assert!(joined.is_empty(), "a task that is over is not waited for: {joined:?}");
    balanced("a task that ends while its handle is dropped", async || {
        let mut handle = spawn(async {});
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waker)).is_pending());
        yield_now().await;
        assert!(handle.is_finished());
        drop(handle);
    });
    balanced("a waker from elsewhere", async || {
        let mut handle = spawn(async {});
        assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(handle.await.is_ok());
    });
}

#[cfg(not(miri))]
#[test]
fn hazard_63_a_wait_that_polls_by_hand_ends_with_the_report_or_the_source() {
    let read = |mut source: &mio::net::UnixStream| source.read(&mut [0; 8]);
    let reports = waits(async || {
        let (ours, mut peer) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let source = Source::new(mio::net::UnixStream::from_std(ours)).unwrap();
        for _ in 0..3 {
            let reading = poll_fn(|cx| source.poll_io(cx, Direction::Read, read));
            let (count, ()) = group::join!(reading, async { ignore(io::Write::write(&mut peer, b"x")) });
            assert_eq!(count.unwrap(), 1);
        }
        // This wait is never polled again.
        assert!(is_pending(poll_fn(|cx| source.poll_io(cx, Direction::Read, read))).await);
    });
    let ends = reports.iter().filter(|event| matches!(event, Event::WaitDone { .. })).count();
    assert_eq!((ends, reports.len() - ends), (reports.len() / 2, reports.len() / 2), "{reports:#?}");
    assert!(reports.len() >= 4, "{reports:#?}");
}

/// Nothing else would end it: the source is never reported, and goes on living.
#[cfg(not(miri))]
#[test]
fn hazard_64_a_wait_that_polls_by_hand_ends_with_its_task() {
    let reports = waits(async || {
        let (ours, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let source = Rc::new(Source::new(mio::net::UnixStream::from_std(ours)).unwrap());
        for _ in 0..3 {
            let source = source.clone();
            let read = |mut source: &mio::net::UnixStream| source.read(&mut [0; 8]);
            let once =
                async move { is_pending(poll_fn(|cx| source.poll_io(cx, Direction::Read, read))).await };
            assert!(spawn(once).await.unwrap());
        }
    });
    let of_source = reports.iter().filter_map(|event| match event {
        Event::WaitOn { on: Resource::Source(_), .. } => Some(1),
        Event::WaitDone { on: Resource::Source(_), .. } => Some(-1),
        _ => None,
    });
    let changes: Vec<i32> = of_source.collect();
    assert_eq!(changes, [1, -1].repeat(3), "{reports:#?}");
}

#[test]
fn hazard_63_a_wait_that_another_task_continues_or_drops() {
    for drop_it in [false, true] {
        balanced("a wait in two tasks", async || {
            let notify = Rc::new(Notify::new());
            let waiting = Rc::clone(&notify);
            let mut wait: Wait = Box::pin(async move { waiting.notified().await });
            assert!(is_pending(&mut wait).await);
            let other = spawn(async move {
                if !drop_it {
                    wait.await;
                }
            });
            yield_now().await;
            notify.notify_one();
            other.await.unwrap();
        });
    }
}

/// A program in which each kind of event occurs.
async fn everything() {
    let (sender, receiver) = channel::bounded::<()>(1);
    let mut tasks = vec![spawn(async move { ignore(receiver.recv().await) })];
    tasks.push(spawn(async { time::sleep(Duration::from_millis(1)).await }));
    tasks.push(spawn_named("panics", async { panic!("on purpose") }));
    let endless = spawn(std::future::pending::<()>());
    spawn(async { panic!("on purpose, unheard") }).detach();
    settle().await;
    sender.send(()).await.unwrap();
    endless.cancel();
    let outcomes = group::gather(tasks).await;
    let panicked: Vec<bool> = outcomes.iter().map(Result::is_err).collect();
    assert_eq!(panicked, [false, false, true]);
    assert!(endless.await.unwrap_err().is_cancelled());
    #[cfg(not(miri))]
    {
        let (ours, mut peer) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let source = Source::new(mio::net::UnixStream::from_std(ours)).unwrap();
        let reading =
            spawn(async move { source.io(Direction::Read, |mut source| source.read(&mut [0])).await });
        settle().await;
        io::Write::write_all(&mut peer, b"x").unwrap();
        assert_eq!(reading.await.unwrap().unwrap(), 1);
    }
}

fn kind(event: &Event) -> String {
    let text = format!("{event:?}");
    let name = text.split([' ', '{']).next().unwrap_or_default().to_owned();
    match event {
        Event::Done { end, .. } => format!("{name} {end:?}"),
        Event::PollEnd { ready, .. } => format!("{name} {ready}"),
        _ => name,
    }
}

/// Runs `everything` under a sink that panics at the first event of this kind; returns how many events the sink saw.
fn panics_at(kind_of_panic: &str) -> usize {
    let (seen, wanted) = (Rc::new(Cell::new(0)), kind_of_panic.to_owned());
    let sink = {
        let seen = Rc::clone(&seen);
        move |event: Event| {
            seen.set(seen.get() + 1);
            assert!(kind(&event) != wanted, "a sink that panics, on purpose");
        }
    };
    let runtime = Runtime::builder().probe(sink).build().unwrap();
    runtime.block_on(everything());
    let events = seen.get();
    assert_eq!(Rc::strong_count(&seen), 1, "{kind_of_panic}: the sink has been dropped");
    // The runtime can be used again.
    runtime.block_on(everything());
    drop(runtime);
    assert_eq!(seen.get(), events, "{kind_of_panic}: it is not called again");
    events
}

#[test]
fn hazard_63_a_sink_that_panics_is_dropped_and_does_no_harm() {
    let kinds = Rc::new(RefCell::new(BTreeSet::new()));
    let sink = Rc::clone(&kinds);
    let runtime = Runtime::builder()
        .probe(move |event| ignore(sink.borrow_mut().insert(kind(&event))))
        .build()
        .unwrap();
    runtime.block_on(everything());
    drop(runtime);
    let kinds = kinds.take();
    assert!(kinds.len() >= if cfg!(miri) { 17 } else { 22 }, "{kinds:?}");
    // These come when the runtime goes.
    for kind in kinds.into_iter().filter(|kind| kind != "Closed" && kind != "Shutdown") {
        assert!(panics_at(&kind) > 0);
    }
}

/// The sink panics during the unwinding of another panic, called by a destructor that gives up a wait.
#[test]
fn hazard_63_a_sink_that_panics_while_a_task_does() {
    let sink =
        |event: Event| assert!(!matches!(event, Event::WaitDone { .. }), "a sink that panics, on purpose");
    let runtime = Runtime::builder().probe(sink).build().unwrap();
    let error = runtime.block_on(async {
        let task = spawn(async {
            let mut sleep = time::sleep(Duration::from_secs(3600));
            assert!(is_pending(&mut sleep).await);
            panic!("the task's own");
        });
        let mut task = Some(task);
        poll_fn(|cx| Pin::new(task.as_mut().unwrap()).poll(cx)).await
    });
    let error: roundel::JoinError = error.map(|(): ()| ()).unwrap_err();
    assert!(error.to_string().ends_with("panicked: the task's own"), "{error}");
}

/// The text of everything that a random program does.
fn story(seed: u64) -> String {
    let story = Rc::new(RefCell::new(String::new()));
    let sink = Rc::clone(&story);
    run(seed, move |event| sink.borrow_mut().push_str(&format!("{event:?}\n")));
    story.take()
}

#[cfg(not(miri))]
#[test]
fn the_same_seed_tells_the_same_story_byte_for_byte() {
    for seed in 0..200 {
        let first = story(seed);
        // Other loops begin and end in between, and one stays.
        let _other = Runtime::new().unwrap();
        roundel::run(async { spawn(async {}).await.unwrap() });
        assert_eq!(first, story(seed), "seed {seed}");
    }
}

#[test]
fn a_task_is_shown_by_its_slot_and_its_serial_only() {
    for _ in 0..3 {
        let _other = Runtime::new().unwrap();
        let shown = roundel::run(async { spawn(async {}).id() });
        assert_eq!((shown.to_string(), format!("{shown:?}")), ("#1.1".into(), "TaskId(#1.1)".into()));
    }
}
