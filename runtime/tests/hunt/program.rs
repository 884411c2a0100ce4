//! One program: a few runtimes that take turns on one thread, tasks on each of them, and the end of all of them.

use std::rc::Rc;
use std::time::Duration;

use roundel::testing::settle;
use roundel::{Runtime, time, yield_now};
#[allow(unused_imports)] // With `diagnostics`, a builder has its methods itself.
use testkit::Unwatched;

use crate::act::{self, Act};
use crate::books;
use crate::meddle;
use crate::panics::{self, contain};
use crate::task;
use crate::world::{World, set_here};

const HOUR: Duration = Duration::from_secs(3600);

/// More rounds than any program needs to come to rest.
const MOST_ROUNDS: usize = 300;

/// What was wrong with a program, and what it did, if that was recorded.
pub(crate) struct Report {
    pub(crate) faults: Vec<String>,
    pub(crate) log: Vec<String>,
}

/// Runs the program of this seed.
pub(crate) fn run(seed: u64, is_logged: bool) -> Report {
    panics::listen();
    let world = World::new(seed, is_logged);
    set_here(Some(world.clone()));
    // A panic in here is a fault, and the hook records it.
    contain(|| play(&world));
    set_here(None);
    let (mut faults, log) = (world.faults(), world.log());
    let alive = world.count_alive();
    if Rc::strong_count(&world) > 1 {
        faults.push(format!("{} futures or guards are not dropped", Rc::strong_count(&world) - 1));
    }
    contain(|| drop(world));
    if alive.get() > 0 {
        faults.push(format!("{} values or futures are not dropped", alive.get()));
    }
    faults.extend(panics::heard().into_iter().map(|text| format!("a panic that was not planned: {text}")));
    Report { faults, log }
}

fn play(world: &Rc<World>) {
    for _ in 0..1 + world.dice.below(3) {
        build(world);
    }
    for _ in 0..2 + world.dice.below(8) {
        match world.dice.below(12) {
            0 if world.built.get() < 6 => build(world),
            1 => act::drop_runtime(world, meddle::take_random(world, &world.runtimes)),
            2 => rest(world),
            3 => drop(contain(|| meddle::rarely(world, 1))),
            _ => take_turn(world),
        }
    }
    if !world.dice.one_in(4) {
        rest(world);
    }
    tear_down(world);
    books::check_end(world);
}

fn build(world: &Rc<World>) {
    // A loop that does not look for deadlocks takes the shorter paths.
    let looks = world.built.get().is_multiple_of(2);
    let mut builder = Runtime::builder().virtual_time(true).detect_deadlocks(looks);
    if world.dice.one_in(2) {
        builder = builder.shuffle(world.dice.roll());
    }
    if world.dice.one_in(4) {
        builder = builder.probe(|_| ());
    }
    if world.dice.one_in(4) {
        builder = builder.shutdown_timeout(Duration::ZERO);
    }
    let runtime = builder.build().unwrap();
    world.built.set(world.built.get() + 1);
    world.remotes.borrow_mut().push(runtime.remote());
    world.runtimes.borrow_mut().push(runtime);
}

/// Runs one of the runtimes for a while.
fn take_turn(world: &Rc<World>) {
    let Some(runtime) = meddle::take_random(world, &world.runtimes) else { return };
    block_on(world, &runtime, root(world.clone()));
    world.runtimes.borrow_mut().push(runtime);
}

fn block_on(world: &World, runtime: &Runtime, root: impl Future<Output = ()>) {
    world.note(|| format!("enters {runtime:?}"));
    world.inside.set(world.inside.get() + 1);
    contain(|| {
        runtime.block_on(async {
            let _ = time::timeout(HOUR, root).await;
        });
    });
    world.inside.set(world.inside.get() - 1);
    world.note(|| "leaves".to_owned());
}

async fn root(world: Rc<World>) {
    for _ in 0..1 + world.dice.below(4) {
        task::spawn_and_keep(&world, 0);
    }
    for _ in 0..world.dice.below(6) {
        match world.dice.below(5) {
            0 => settle().await,
            1 => time::sleep(Duration::from_millis(world.dice.below(50) as u64)).await,
            2 => {
                let act: Act = act::any(&world, 1);
                act.await;
            }
            _ => yield_now().await,
        }
    }
}

/// Runs all runtimes until nothing moves, and then checks the books.
fn rest(world: &Rc<World>) {
    world.note(|| "rests".to_owned());
    world.resting.set(true);
    let (mut rounds, mut calm) = (0, 0);
    loop {
        drop_aside(world);
        let before = (world.polls.get(), world.moves.get(), world.fuel.get());
        let runtimes = world.runtimes.borrow().len();
        for _ in 0..runtimes {
            rest_one(world);
        }
        let is_calm = before == (world.polls.get(), world.moves.get(), world.fuel.get());
        calm = if is_calm && world.aside.borrow().is_empty() { calm + 1 } else { 0 };
        rounds += 1;
        // Twice, because the last action of one loop may concern a loop that ran before it.
        if calm == 2 || rounds > MOST_ROUNDS {
            break;
        }
    }
    if rounds > MOST_ROUNDS {
        world.fault("the program does not come to rest".to_owned());
    }
    books::check_waits(world);
    world.resting.set(false);
}

fn rest_one(world: &Rc<World>) {
    if world.runtimes.borrow().is_empty() {
        return;
    }
    let runtime = world.runtimes.borrow_mut().remove(0);
    block_on(world, &runtime, async {
        settle().await;
        time::sleep(HOUR / 2).await;
        settle().await;
    });
    world.runtimes.borrow_mut().push(runtime);
}

/// Drops the futures that were put aside, outside any loop.
fn drop_aside(world: &World) {
    while let Some(act) = meddle::take_random(world, &world.aside) {
        contain(|| drop(act));
    }
    while let Some(waker) = meddle::take_random(world, &world.wakers) {
        contain(|| drop(waker));
    }
}

/// Ends everything, in a random order.
fn tear_down(world: &Rc<World>) {
    world.note(|| "ends".to_owned());
    world.resting.set(true);
    loop {
        match world.dice.below(5) {
            0 => drop_aside(world),
            1 => drop(contain(|| drop(meddle::take_random(world, &world.handles)))),
            2 => drop(contain(|| drop(meddle::take_random(world, &world.oneshots)))),
            3 => drop(meddle::take_random(world, &world.remotes)),
            _ => act::drop_runtime(world, meddle::take_random(world, &world.runtimes)),
        }
        let left = world.runtimes.borrow().len()
            + world.aside.borrow().len()
            + world.handles.borrow().len()
            + world.oneshots.borrow().len()
            + world.remotes.borrow().len()
            + world.wakers.borrow().len();
        if left == 0 {
            return;
        }
    }
}
