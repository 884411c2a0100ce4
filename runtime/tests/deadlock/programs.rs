//! Random programs, and a naive oracle: let an hour pass, and see which tasks are not over.
//!
//! A program is a few tasks that lock, join, send, receive, sleep, cancel and detach at random. They share handles, also of
//! children of scopes, pass groups of futures to each other, and let threads wake them and drop their wakers. It runs twice
//! with the same seed. The first time, a timer ends it after an hour, so the loop is never blocked as a whole. All that is reported
//! meanwhile as waiting for ever must not be over in the end. The second time there is no timer. Then the report must name
//! exactly the tasks that were left over the first time.

use super::*;

use roundel::group::ScopedHandle;
use roundel::sync::MutexGuard;

const SEEDS: u64 = if cfg!(miri) { 5 } else { 4_000 };
const TASKS: usize = 5;
const LOCKS: usize = 3;

/// The same numbers for the same seed.
struct Dice(Cell<u64>);

impl Dice {
    fn below(&self, n: u64) -> usize {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        ((x >> 11) % n) as usize
    }
}

/// A handle that several tasks may use. `None` when it has given its result or was dropped.
type Shared = Rc<RefCell<Option<JoinHandle<()>>>>;

async fn await_shared(handle: Shared) {
    let own = roundel::task::current();
    poll_fn(|cx| {
        let mut place = handle.borrow_mut();
        let Some(handle) = place.as_mut().filter(|handle| Some(handle.id()) != own) else {
            return Poll::Ready(());
        };
        let poll = Pin::new(handle).poll(cx);
        if poll.is_ready() {
            *place = None;
        }
        poll.map(drop)
    })
    .await;
}

/// Lets a thread wake its task, or only drop the waker. It is over if it was woken.
async fn woken_elsewhere(is_woken: bool) {
    let mut is_first = true;
    poll_fn(|cx| {
        if !std::mem::take(&mut is_first) && is_woken {
            return Poll::Ready(());
        }
        let waker = cx.waker().clone();
        let thread = std::thread::spawn(move || if is_woken { waker.wake() } else { drop(waker) });
        thread.join().unwrap();
        Poll::Pending
    })
    .await;
}

/// What the tasks of a program share.
struct World {
    locks: Rc<Vec<Mutex<()>>>,
    channel: (channel::Sender<u8>, channel::Receiver<u8>),
    handles: RefCell<Vec<Shared>>,
    scoped: RefCell<Vec<ScopedHandle<()>>>,
    /// Groups that a task has polled, and that another one may await.
    groups: RefCell<Vec<Main>>,
    over: RefCell<Vec<usize>>,
}

/// Notes the end of its task, however it comes, also before the first poll.
struct Ends(usize, Rc<World>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.1.over.borrow_mut().push(self.0);
    }
}

async fn task(ends: Ends, dice: Dice) {
    let world = ends.1.clone();
    let mut guards = Vec::new();
    for _ in 0..2 + dice.below(5) {
        act(&world, &dice, &mut guards).await;
    }
}

async fn act<'a>(world: &'a World, dice: &Dice, guards: &mut Vec<MutexGuard<'a, ()>>) {
    let lock = &world.locks[dice.below(LOCKS as u64)];
    match dice.below(21) {
        0..5 => guards.push(lock.lock().await),
        5 => drop(guards.pop()),
        6 => yield_now().await,
        7 => time::sleep(Duration::from_millis(dice.below(20) as u64)).await,
        8 => {
            let wait = Duration::from_millis(dice.below(30) as u64);
            guards.extend(time::timeout(wait, lock.lock()).await);
        }
        9 => drop(world.channel.1.recv().await),
        10 => _ = world.channel.0.try_send(0),
        11 => woken_elsewhere(true).await,
        12 => {
            select! {
                () = yield_now() => {}
                guard = lock.lock() => guards.push(guard)
            }
        }
        13 => {
            let is_woken = dice.below(2) == 0;
            select! {
                () = woken_elsewhere(is_woken) => {}
                guard = lock.lock() => guards.push(guard)
            }
        }
        14 => {
            let other = &world.locks[dice.below(LOCKS as u64)];
            if !std::ptr::eq(lock, other) {
                let (one, other) = join!(lock.lock(), other.lock());
                guards.extend([one, other]);
            }
        }
        other => use_what_is_shared(world, dice, other).await,
    }
}

async fn use_what_is_shared(world: &World, dice: &Dice, what: usize) {
    let handle = world.handles.borrow()[dice.below(TASKS as u64)].clone();
    let (locks, number) = (world.locks.clone(), dice.below(LOCKS as u64));
    match what {
        15 => await_shared(handle).await,
        16 => handle.borrow().iter().for_each(JoinHandle::cancel),
        17 => {
            let is_woken = dice.below(2) == 0;
            let lock = async move { drop(locks[number].lock().await) };
            let mut group: Main =
                Box::pin(async move { _ = join!(gather([lock]), woken_elsewhere(is_woken)) });
            let is_over = poll_fn(|cx| Poll::Ready(group.as_mut().poll(cx).is_ready())).await;
            world.groups.borrow_mut().extend((!is_over).then_some(group));
        }
        18 => {
            let group = world.groups.borrow_mut().pop();
            if let Some(group) = group {
                group.await;
            }
        }
        19 => {
            scope(async |s| {
                let child = s.spawn(async { drop(locks[number].lock().await) });
                world.scoped.borrow_mut().push(child);
            })
            .await;
        }
        _ => world.scoped.borrow_mut().pop().iter().for_each(ScopedHandle::cancel),
    }
}

/// Starts the tasks of the program.
fn start(seed: u64) -> (Rc<World>, Vec<TaskId>) {
    let dice = Dice(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1));
    let world = Rc::new(World {
        locks: Rc::new((0..LOCKS).map(|_| Mutex::new(())).collect()),
        channel: channel::bounded(2),
        handles: RefCell::default(),
        scoped: RefCell::default(),
        groups: RefCell::default(),
        over: RefCell::default(),
    });
    let handles: Vec<_> = (0..TASKS)
        .map(|number| {
            let own = Dice(Cell::new((dice.below(u64::MAX >> 12) as u64) << 1 | 1));
            own.below(1);
            spawn(task(Ends(number, world.clone()), own))
        })
        .collect();
    let ids = handles.iter().map(JoinHandle::id).collect();
    let share = |handle| Rc::new(RefCell::new(Some(handle).filter(|_| dice.below(3) == 0)));
    *world.handles.borrow_mut() = handles.into_iter().map(share).collect();
    (world, ids)
}

/// The tasks that are not over, as slot and serial, which are the same in both runs.
fn left_over(world: &World, all: &[TaskId]) -> Vec<String> {
    let over = world.over.borrow();
    let left = all.iter().enumerate().filter(|(number, _)| !over.contains(number));
    left.map(|(_, id)| id.to_string()).collect()
}

/// The tasks that are left after an hour, and those that were reported before.
fn with_an_hour(seed: u64) -> (Vec<String>, Vec<String>) {
    let (builder, told) = noting(Runtime::builder().virtual_time(true).shuffle(seed));
    let left = builder.build().unwrap().block_on(async {
        let (world, all) = start(seed);
        time::sleep(SECOND * 3600).await;
        left_over(&world, &all)
    });
    let reported = told.borrow().iter().flat_map(numbers).collect();
    (left, reported)
}

/// The tasks that the report names, but for the main future, which waits for nothing.
fn without_a_timer(seed: u64) -> Vec<String> {
    let (builder, told) = noting(Runtime::builder().virtual_time(true).shuffle(seed));
    let runtime = builder.build().unwrap();
    let run = AssertUnwindSafe(|| {
        runtime.block_on(async {
            let _program = start(seed);
            pending::<()>().await;
        });
    });
    assert!(catch_unwind(run).is_err(), "seed {seed}: nothing ends this");
    let told = told.borrow();
    let whole: Vec<_> = told.iter().filter(|deadlock| deadlock.is_whole()).collect();
    assert_eq!(whole.len(), 1, "seed {seed}: one report for one panic");
    numbers(whole[0])[1..].to_vec()
}

#[test]
fn the_tasks_of_random_programs_are_reported_if_and_only_if_they_can_never_go_on() {
    let _watchdog = common::watchdog_of(Duration::from_secs(1200));
    note_reports();
    let (mut stuck, mut circles) = (0, 0);
    for seed in 0..SEEDS {
        let (left, reported) = with_an_hour(seed);
        let wrong: Vec<_> = reported.iter().filter(|id| !left.contains(id)).collect();
        assert!(wrong.is_empty(), "seed {seed}: {wrong:?} were reported, and have ended");
        assert_eq!(without_a_timer(seed), left, "seed {seed}");
        stuck += u32::from(!left.is_empty());
        circles += u32::from(!reported.is_empty());
    }
    REPORTED_AT.take();
    println!("{stuck} of {SEEDS} programs were stuck, {circles} with a circle that was certain");
    assert!(cfg!(miri) || (stuck > SEEDS as u32 / 20 && circles > SEEDS as u32 / 100), "{stuck} {circles}");
}
