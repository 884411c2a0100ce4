//! Things that are done without waiting, by tasks and by the foreign code that the runtime calls when it wakes, drops,
//! clones or compares something.

use std::rc::Rc;
use std::task::Waker;

use roundel::channel::TryRecvError;

use crate::act;
use crate::panics::{contain, panic_as_planned};
use crate::task;
use crate::value::{Note, Place, Value};
use crate::waker::poll_once;
use crate::world::{Hold, OneSender, PERMITS, QUEUE, World};

/// How deeply calls of foreign code may be nested.
const DEEPEST: u32 = 3;

/// One time in `n`, does something.
pub(crate) fn rarely(world: &Rc<World>, n: usize) {
    if world.meddling.get() < DEEPEST && world.dice.one_in(n) && world.may_begin() {
        world.meddling.set(world.meddling.get() + 1);
        let _deeper = Deeper(world.clone());
        anything(world);
    }
}

struct Deeper(Rc<World>);

impl Drop for Deeper {
    fn drop(&mut self) {
        self.0.meddling.set(self.0.meddling.get() - 1);
    }
}

/// What a destructor does: mostly nothing.
pub(crate) fn in_drop(world: &Rc<World>) {
    contain(|| rarely(world, 6));
    panic_one_in(world, 60);
}

/// What a waker does. It often polls a future that was put aside, which may be the one that it wakes.
pub(crate) fn in_wake(world: &Rc<World>) {
    if world.meddling.get() < DEEPEST && world.dice.one_in(4) && world.may_begin() {
        world.meddling.set(world.meddling.get() + 1);
        let _deeper = Deeper(world.clone());
        poll_aside(world);
    } else {
        rarely(world, 3);
    }
}

pub(crate) fn panic_one_in(world: &World, n: usize) {
    if world.fuel.get() > 0 && world.dice.one_in(n) {
        world.note(|| "panics".to_owned());
        panic_as_planned();
    }
}

/// Does one random thing that does not wait.
pub(crate) fn anything(world: &Rc<World>) {
    let kind = world.dice.below(24);
    world.note(|| format!("meddles: {kind}"));
    match kind {
        0..=7 => with_values(world, kind),
        8..=14 => with_tasks(world, kind),
        15..=19 => with_locks(world, kind),
        _ => with_ends(world, kind),
    }
}

fn with_values(world: &Rc<World>, kind: usize) {
    let lane = world.any_lane();
    match kind {
        0 | 1 => try_receive(world, lane),
        2 | 3 => try_send(world, lane),
        4 => try_put(world),
        5 => try_get(world),
        6 => tell(world),
        _ => send_oneshot(world),
    }
}

fn with_tasks(world: &Rc<World>, kind: usize) {
    match kind {
        8 => keep_aside(world),
        9 => drop(take_random(world, &world.aside)),
        10 => poll_aside(world),
        11 => {
            if let Some(handle) = take_random(world, &world.handles) {
                handle.cancel();
                world.handles.borrow_mut().push(handle);
            }
        }
        12 => drop(take_random(world, &world.handles)),
        13 if world.inside.get() > 0 => {
            task::spawn_and_keep(world, 1);
        }
        _ => use_waker(world),
    }
}

fn with_locks(world: &Rc<World>, kind: usize) {
    match kind {
        15 => give_job(world),
        16 if world.dice.one_in(2) => world.event.set(),
        16 => world.event.clear(),
        17 => try_locks(world),
        18 if world.dice.one_in(2) => world.notify.notify_all(),
        18 => world.notify.notify_one(),
        _ if world.dice.one_in(2) => world.counted.notify_all(),
        _ => world.jobs.notify_all(),
    }
}

pub(crate) fn give_job(world: &World) {
    world.pending_jobs.set(world.pending_jobs.get() + 1);
    world.jobs.notify_one();
}

/// Ends something for good, so this happens rarely.
fn with_ends(world: &Rc<World>, kind: usize) {
    let lane = &world.lanes[world.any_lane()];
    match (kind, world.dice.below(24)) {
        (20, 0) => {
            let sender = lane.sender();
            let _ = sender.map(|sender| sender.close());
        }
        (20, 1) if lane.sender.borrow().is_some() => drop(lane.receiver.take()),
        (20, 2) if lane.receiver.borrow().is_some() => drop(lane.sender.take()),
        (20, 3) => world.semaphore.close(),
        (21, 0..=3) => world.tokens[world.dice.below(3)].cancel(),
        (22, 0..=5) => drop(world.cells[world.dice.below(2)].set(Value::new(world))),
        (22, 6) => world.queue.close(),
        (22, 7..=9) if world.permits.get() < 2 * PERMITS => {
            world.permits.set(world.permits.get() + 1);
            world.semaphore.add_permits(1);
        }
        // Not within a comparison. The runtime waits for its cleanups, and one of them might wait for the comparison to
        // end.
        (23, 0..=2) if !world.comparing.get() => {
            let runtime = take_random(world, &world.runtimes);
            act::drop_runtime(world, runtime);
        }
        (_, 20..) => act::spawn_remotely(world),
        _ => {}
    }
}

/// Takes one item out of a list. No item is dropped while the list is borrowed.
pub(crate) fn take_random<T>(world: &World, list: &std::cell::RefCell<Vec<T>>) -> Option<T> {
    let mut list = list.borrow_mut();
    let len = list.len();
    (len > 0).then(|| list.swap_remove(world.dice.below(len)))
}

fn try_receive(world: &Rc<World>, lane: usize) {
    let Some(receiver) = world.lanes[lane].receiver() else { return };
    match receiver.try_recv() {
        Ok(value) => act::received(world, value, lane),
        Err(TryRecvError::Closed) if !receiver.is_closed() => {
            world.fault(format!("lane {lane} says that it is closed, and is not"));
        }
        Err(_) => {}
    }
}

fn try_send(world: &Rc<World>, lane: usize) {
    let Some(sender) = world.lanes[lane].sender() else { return };
    let value = Value::new(world);
    let number = value.number;
    world.move_value(number, Place::Offered(lane));
    match sender.try_send(value) {
        Ok(()) => act::sent(world, number, Place::Sent(lane)),
        Err(error) => act::came_back(world, error.into_inner(), number),
    }
}

fn try_put(world: &Rc<World>) {
    let value = Value::new(world);
    let number = value.number;
    world.move_value(number, Place::Offered(QUEUE));
    match world.queue.try_put(value) {
        Ok(()) => act::sent(world, number, Place::Sent(QUEUE)),
        Err(error) => act::came_back(world, error.into_inner(), number),
    }
}

fn try_get(world: &Rc<World>) {
    if let Ok(value) = world.queue.try_get() {
        // In this order, because they are dropped in the opposite order, even if the value panics.
        let _done = act::Done(world.clone());
        let _works = world.hold(Hold::Works, usize::MAX);
        act::received(world, value, QUEUE);
    }
}

pub(crate) fn tell(world: &Rc<World>) {
    if world.dice.one_in(2) {
        let row = world.told.replace(world.told.get() + 1);
        if world.broadcast.send(Note::new(world, row)).is_err() {
            world.fault("a broadcast says that it has no receiver".to_owned());
        }
        return;
    }
    let version = world.version.get() + 1;
    let note = Note::new(world, version);
    if world.version.get() + 1 == version {
        world.version.set(version);
        let _ = world.watch.send(note);
    }
}

pub(crate) fn send_oneshot(world: &Rc<World>) {
    let Some(mut sender) = take_random(world, &world.oneshots) else { return };
    if world.dice.one_in(3) {
        return;
    }
    let value = Value::new(world);
    let number = value.number;
    send_one(world, &mut sender, value, number);
}

fn send_one(world: &Rc<World>, sender: &mut OneSender, value: Value, number: usize) {
    let Some(sender) = sender.sender.take() else { return };
    if let Err(value) = sender.send(value)
        && value.0.number != number
    {
        world.fault(format!("oneshot: value {} came back in place of {number}", value.0.number));
    }
}

/// Begins a future that waits, and puts it aside.
fn keep_aside(world: &Rc<World>) {
    if !world.resting.get() {
        let mut act = act::any(world, 2);
        let over = contain(|| poll_once(&mut act, true)).unwrap_or(true);
        put_aside(world, act, over);
    }
}

fn poll_aside(world: &Rc<World>) {
    let Some(mut act) = take_random(world, &world.aside) else { return };
    let over = contain(|| poll_once(&mut act, world.dice.one_in(2))).unwrap_or(true);
    put_aside(world, act, over);
}

pub(crate) fn put_aside(world: &World, act: act::Act, over: bool) {
    if over || world.resting.get() {
        contain(|| drop(act));
    } else {
        world.aside.borrow_mut().push(act);
    }
}

/// Wakes with a waker that was kept for a long time, or drops it, here or on another thread.
fn use_waker(world: &Rc<World>) {
    let Some(waker) = take_random(world, &world.wakers) else { return };
    match world.dice.below(20) {
        0 => {
            let _ = std::thread::spawn(move || waker.wake()).join();
        }
        1 => {
            let _ = std::thread::spawn(move || drop(waker)).join();
        }
        2..10 => contain(|| waker.wake()).unwrap_or_default(),
        _ => drop(waker),
    }
}

pub(crate) fn keep_waker(world: &World, waker: &Waker) {
    if !world.resting.get() && world.wakers.borrow().len() < 8 {
        let waker = waker.clone();
        world.wakers.borrow_mut().push(waker);
    }
}

fn try_locks(world: &Rc<World>) {
    let place = world.dice.below(2);
    if let Some(mut guard) = world.mutexes[place].try_lock() {
        let _held = world.hold(Hold::Mutex(place), 1);
        *guard += 1;
        rarely(world, 3);
    }
    if let Some(_guard) = world.rwlock.try_write() {
        let _held = world.hold(Hold::Writer, 1);
        rarely(world, 3);
    } else if let Some(_guard) = world.rwlock.try_read() {
        let _held = world.hold(Hold::Reader, usize::MAX);
    }
    if let Ok(_permit) = world.semaphore.try_acquire() {
        let _held = world.hold(Hold::Permits(1), usize::MAX);
    }
}
