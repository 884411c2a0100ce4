//! Random programs, and a naive oracle: let an hour pass, and see which tasks are not over.
//!
//! A program is a few tasks that lock, join, send, receive, sleep, cancel and detach at random. It runs twice with the same
//! seed. The first time, a timer ends it after an hour, so the loop is never blocked as a whole. All that is reported
//! meanwhile as waiting for ever must not be over in the end. The second time there is no timer. Then the report must name
//! exactly the tasks that were left over the first time.

use super::*;

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

/// What the tasks of a program share.
struct World {
    locks: Vec<Mutex<()>>,
    channel: (channel::Sender<u8>, channel::Receiver<u8>),
    handles: RefCell<Vec<Option<JoinHandle<()>>>>,
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

async fn act<'a>(world: &'a World, dice: &Dice, guards: &mut Vec<roundel::sync::MutexGuard<'a, ()>>) {
    let which = dice.below(TASKS as u64);
    match dice.below(12) {
        0..4 => guards.push(world.locks[dice.below(LOCKS as u64)].lock().await),
        4 => drop(guards.pop()),
        5 => yield_now().await,
        6 => time::sleep(Duration::from_millis(dice.below(20) as u64)).await,
        7 => {
            let handle = world.handles.borrow_mut()[which].take();
            let own = roundel::task::current();
            match handle {
                Some(handle) if Some(handle.id()) != own => drop(handle.await),
                handle => drop(handle),
            }
        }
        8 => {
            let lock = world.locks[dice.below(LOCKS as u64)].lock();
            let wait = Duration::from_millis(dice.below(30) as u64);
            guards.extend(time::timeout(wait, lock).await);
        }
        9 => {
            let handle = world.handles.borrow_mut()[which].take();
            handle.into_iter().for_each(|handle| handle.cancel());
        }
        10 => drop(world.channel.1.recv().await),
        _ => _ = world.channel.0.try_send(0),
    }
}

/// Starts the tasks of the program.
fn start(seed: u64) -> (Rc<World>, Vec<TaskId>) {
    let dice = Dice(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1));
    let world = Rc::new(World {
        locks: (0..LOCKS).map(|_| Mutex::new(())).collect(),
        channel: channel::bounded(2),
        handles: RefCell::default(),
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
    *world.handles.borrow_mut() =
        handles.into_iter().map(|handle| Some(handle).filter(|_| dice.below(3) > 0)).collect();
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
    let _watchdog = common::watchdog_of(Duration::from_secs(300));
    std::panic::set_hook(Box::new(|info| {
        if !info.payload_as_str().is_some_and(|text| text.starts_with("deadlock: ")) {
            eprintln!("{info}");
        }
    }));
    let (mut stuck, mut circles) = (0, 0);
    for seed in 0..SEEDS {
        let (left, reported) = with_an_hour(seed);
        let wrong: Vec<_> = reported.iter().filter(|id| !left.contains(id)).collect();
        assert!(wrong.is_empty(), "seed {seed}: {wrong:?} were reported, and have ended");
        assert_eq!(without_a_timer(seed), left, "seed {seed}");
        stuck += u32::from(!left.is_empty());
        circles += u32::from(!reported.is_empty());
    }
    let _ = std::panic::take_hook();
    println!("{stuck} of {SEEDS} programs were stuck, {circles} with a circle that was certain");
    assert!(cfg!(miri) || (stuck > SEEDS as u32 / 20 && circles > SEEDS as u32 / 100), "{stuck} {circles}");
}
