//! What tasks do, one primitive at a time. Every wait is recorded in the books.

use std::future::{pending, poll_fn, ready};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream;
use roundel::channel::{self, BroadcastError, Closed};
use roundel::group;
use roundel::task::poll_budget;
use roundel::{Runtime, time, yield_now};

use crate::combine;
use crate::meddle;
use crate::panics::contain;
use crate::task::{self, Body, Ending, Record};
use crate::value::{Note, Place, Value};
use crate::world::{Hold, OneSender, POOLED, QUEUE, Wait, World, here};

pub(crate) type Act = Pin<Box<dyn Future<Output = ()>>>;

/// How deeply acts may be nested.
pub(crate) const DEEPEST: u32 = 4;

/// How many kinds of acts there are, including the kinds that are made of other acts.
const KINDS: usize = 40;

/// Some acts, one after the other.
pub(crate) fn some(world: &Rc<World>, depth: u32) -> Act {
    let world = world.clone();
    Box::pin(async move {
        for _ in 0..1 + world.dice.below(4) {
            any(&world, depth).await;
        }
    })
}

/// Any act, with anything wrapped around it.
pub(crate) fn any(world: &Rc<World>, depth: u32) -> Act {
    if !world.may_begin() {
        return Box::pin(ready(()));
    }
    let dice = &world.dice;
    let kind = if dice.one_in(4) { dice.roll() as usize } else { world.menu[dice.below(world.menu.len())] };
    let kind = kind % KINDS;
    world.note(|| format!("makes act {kind}"));
    let act = match kind {
        0..=12 => lock(world.clone(), kind, depth),
        13..=26 => pass(world.clone(), kind, depth),
        _ if depth < DEEPEST => combine::act(world.clone(), kind, depth + 1),
        _ => Box::pin(pause(world.clone(), depth)),
    };
    combine::dress(world, act, depth)
}

/// Acts on locks and on other primitives that do not carry values.
fn lock(world: Rc<World>, kind: usize, depth: u32) -> Act {
    match kind {
        0 | 1 => Box::pin(mutex(world, kind, depth)),
        2 => Box::pin(read(world, depth)),
        3 => Box::pin(write(world, depth)),
        4 => Box::pin(permits(world, depth)),
        5 => Box::pin(job(world)),
        6 => Box::pin(count(world)),
        7 => Box::pin(count_up(world, depth)),
        8 => Box::pin(wait_for_event(world)),
        9 => Box::pin(barrier(world)),
        10 => Box::pin(once(world, depth)),
        11 => Box::pin(pooled(world, depth)),
        _ => Box::pin(rate(world)),
    }
}

/// Acts that pass values from task to task.
fn pass(world: Rc<World>, kind: usize, depth: u32) -> Act {
    let lane = world.any_lane();
    match kind {
        13 | 14 => Box::pin(send(world, lane)),
        15 | 16 => Box::pin(receive(world, lane)),
        17 => Box::pin(reserve(world, lane, depth)),
        18 => Box::pin(stream(world, lane)),
        19 => Box::pin(put(world)),
        20 => Box::pin(get(world, depth)),
        21 => Box::pin(all_work(world)),
        22 => Box::pin(oneshot(world)),
        23 => Box::pin(deserted(world)),
        24 => Box::pin(hear(world)),
        25 => Box::pin(watch(world)),
        _ => Box::pin(join_some(world, depth)),
    }
}

/// Yields in one of several ways, or does something else meanwhile.
pub(crate) async fn pause(world: Rc<World>, depth: u32) {
    match world.dice.below(8) {
        0 | 1 => {}
        2 | 3 => yield_now().await,
        4 => sleep(&world, world.dice.below(40)).await,
        5 => meddle::rarely(&world, 1),
        6 if world.is_sticky && world.dice.one_in(2) => pending().await,
        6 => burn().await,
        _ if depth < DEEPEST => any(&world, depth + 1).await,
        _ => meddle::panic_one_in(&world, 2),
    }
}

pub(crate) async fn sleep(world: &Rc<World>, millis: usize) {
    let sleep = time::sleep(Duration::from_millis(millis as u64));
    let _waits = world.wait(Wait::Sleep);
    sleep.await;
}

/// Uses up the budget of this poll, and mostly also its reserve.
pub(crate) async fn burn() {
    let dice = here();
    poll_fn(|cx| {
        let rounds = dice.as_ref().map_or(2, |world| world.dice.below(4));
        for _ in 0..rounds {
            // Outside a loop there is no budget, so this loop needs its own end.
            let _ = (0..200).find(|_| poll_budget(cx).is_pending());
        }
        Poll::Ready(())
    })
    .await;
}

async fn mutex(world: Rc<World>, place: usize, depth: u32) {
    let waits = world.wait(Wait::Mutex(place));
    let mut guard = world.mutexes[place].lock().await;
    drop(waits);
    let _held = world.hold(Hold::Mutex(place), 1);
    *guard += 1;
    pause(world.clone(), depth).await;
}

async fn read(world: Rc<World>, depth: u32) {
    let waits = world.wait(Wait::Read);
    let _guard = world.rwlock.read().await;
    drop(waits);
    let _held = world.hold(Hold::Reader, usize::MAX);
    pause(world.clone(), depth).await;
}

async fn write(world: Rc<World>, depth: u32) {
    let waits = world.wait(Wait::Write);
    let mut guard = world.rwlock.write().await;
    drop(waits);
    let _held = world.hold(Hold::Writer, 1);
    *guard += 1;
    pause(world.clone(), depth).await;
}

async fn permits(world: Rc<World>, depth: u32) {
    let n = 1 + world.dice.below(3);
    let waits = world.wait(Wait::Permits(n));
    let result = world.semaphore.acquire_many(n).await;
    drop(waits);
    match result {
        Ok(_permit) => {
            let _held = world.hold(Hold::Permits(n), usize::MAX);
            pause(world.clone(), depth).await;
        }
        Err(Closed(())) if !world.semaphore.is_closed() => {
            world.fault("the semaphore says that it is closed, and is not".to_owned());
        }
        Err(Closed(())) => {}
    }
}

/// Takes one of the jobs. There was one notification for each job.
async fn job(world: Rc<World>) {
    if world.dice.one_in(3) {
        let _waits = world.wait(Wait::Notified);
        return world.notify.notified().await;
    }
    if world.dice.one_in(2) {
        return meddle::give_job(&world);
    }
    let _waits = world.wait(Wait::Job);
    loop {
        world.jobs.notified().await;
        let pending = world.pending_jobs.get();
        world.pending_jobs.set(pending.saturating_sub(1));
        if pending > 1 {
            world.jobs.notify_one();
        }
        if pending > 0 {
            return;
        }
    }
}

async fn count(world: Rc<World>) {
    let _waits = world.wait(Wait::Count);
    let guard = world.count.lock().await;
    let mut count = world.counted.wait_while(guard, |count| *count == 0).await;
    *count -= 1;
}

async fn count_up(world: Rc<World>, depth: u32) {
    let mut count = world.count.lock().await;
    let held = world.hold(Hold::Counted, 1);
    pause(world.clone(), depth.max(2)).await;
    *count += 1;
    drop(held);
    world.counted.notify_one();
}

async fn wait_for_event(world: Rc<World>) {
    if world.dice.one_in(4) {
        world.event.set();
        return world.event.clear();
    }
    let _waits = world.wait(Wait::Event);
    world.event.wait().await;
}

async fn barrier(world: Rc<World>) {
    let place = world.dice.below(2);
    let _waits = world.wait(Wait::Barrier(place));
    world.barriers[place].wait().await;
}

async fn once(world: Rc<World>, depth: u32) {
    let place = world.dice.below(2);
    let mut waits = Some(world.wait(Wait::Cell(place)));
    let init = async || {
        drop(waits.take());
        let _held = world.hold(Hold::Initialises(place), 1);
        pause(world.clone(), depth).await;
        if world.dice.one_in(2) { Ok(Value::new(&world)) } else { Err(()) }
    };
    if world.cells[place].get_or_try_init(init).await.is_ok() && world.cells[place].get().is_none() {
        world.fault(format!("cell {place} was filled, and is empty"));
    }
}

/// Makes a value for the pool, or fails.
pub(crate) async fn make_pooled() -> Result<Value, ()> {
    let Some(world) = here() else { return Err(()) };
    let _held = world.hold(Hold::MakesPooled, POOLED);
    pause(world.clone(), DEEPEST).await;
    if world.dice.one_in(4) { Err(()) } else { Ok(Value::new(&world)) }
}

pub(crate) fn check_pooled(_: &mut Value) -> bool {
    let Some(world) = here() else { return true };
    meddle::rarely(&world, 4);
    meddle::panic_one_in(&world, 20);
    !world.dice.one_in(4)
}

async fn pooled(world: Rc<World>, depth: u32) {
    let waits = world.wait(Wait::Pool);
    let result = world.pool.checkout().await;
    drop(waits);
    let Ok(pooled) = result else { return };
    let held = world.hold(Hold::Pooled, POOLED);
    pause(world.clone(), depth).await;
    drop(held);
    if world.dice.one_in(4) {
        drop(pooled.take());
    }
}

async fn rate(world: Rc<World>) {
    if world.built.get() == 1 {
        let _waits = world.wait(Wait::Rate);
        world.rate.acquire().await;
    }
}

/// Records that a value was received. It must have been sent into that lane.
pub(crate) fn received(world: &World, value: Value, lane: usize) {
    match world.place(value.number) {
        Place::Offered(from) | Place::Sent(from) | Place::HandedOver(from) if from == lane => {}
        place => world.fault(format!("lane {lane} gave value {}, which was {place:?}", value.number)),
    }
    world.move_value(value.number, Place::Received);
}

/// A send has returned `Ok`: the value is in the lane, or has already left it.
pub(crate) fn sent(world: &World, number: usize, to: Place) {
    let (Place::Sent(lane) | Place::HandedOver(lane)) = to else { unreachable!("a send ends in a lane") };
    match world.place(number) {
        Place::Offered(_) => world.move_value(number, to),
        Place::DroppedUnsent if world.has_receivers(lane) => {
            world.fault(format!("value {number} was sent into lane {lane}, and was dropped meanwhile"));
        }
        _ => {}
    }
}

/// A send has failed.
pub(crate) fn came_back(world: &World, value: Value, number: usize) {
    let place = world.place(number);
    if value.number != number || !matches!(place, Place::Offered(_)) {
        world.fault(format!("value {} came back in place of {number}, which was {place:?}", value.number));
    }
    world.move_value(value.number, Place::Held);
}

async fn send(world: Rc<World>, lane: usize) {
    let Some(sender) = world.lanes[lane].sender() else { return };
    let value = Value::new(&world);
    let number = value.number;
    world.move_value(number, Place::Offered(lane));
    let waits = world.wait(Wait::Send(lane));
    let result = sender.send(value).await;
    drop(waits);
    match result {
        Ok(()) if sender.capacity() == Some(0) => sent(&world, number, Place::HandedOver(lane)),
        Ok(()) => sent(&world, number, Place::Sent(lane)),
        Err(Closed(value)) => came_back(&world, value, number),
    }
}

async fn reserve(world: Rc<World>, lane: usize, depth: u32) {
    let Some(sender) = world.lanes[lane].sender() else { return };
    let waits = world.wait(Wait::Reserve(lane));
    let result = sender.reserve().await;
    drop(waits);
    let Ok(permit) = result else { return };
    let held = world.hold(Hold::Room(lane), usize::MAX);
    pause(world.clone(), depth).await;
    if world.dice.one_in(3) {
        drop(held);
        return drop(permit);
    }
    let value = Value::new(&world);
    let number = value.number;
    world.move_value(number, Place::Offered(lane));
    drop(held);
    match permit.send(value) {
        Ok(()) => sent(&world, number, Place::Sent(lane)),
        Err(Closed(value)) => came_back(&world, value, number),
    }
}

async fn receive(world: Rc<World>, lane: usize) {
    let Some(receiver) = world.lanes[lane].receiver() else { return };
    let waits = world.wait(Wait::Receive(lane));
    let result = receiver.recv().await;
    drop(waits);
    match result {
        Ok(value) => received(&world, value, lane),
        Err(Closed(())) if !receiver.is_closed() => {
            world.fault(format!("lane {lane} says that it is closed, and is not"));
        }
        Err(Closed(())) => {}
    }
}

/// Receives a few values as a stream, and may drop the stream in between.
async fn stream(world: Rc<World>, lane: usize) {
    let Some(mut receiver) = world.lanes[lane].receiver() else { return };
    for _ in 0..1 + world.dice.below(3) {
        let waits = world.wait(Wait::Receive(lane));
        let patience = world.dice.below(6);
        let mut polls = 0;
        let next = poll_fn(|cx| {
            polls += 1;
            match Pin::new(&mut receiver).poll_next(cx) {
                Poll::Pending if polls == patience => Poll::Ready(None),
                poll => poll,
            }
        })
        .await;
        drop(waits);
        let Some(value) = next else { continue };
        received(&world, value, lane);
    }
}

async fn put(world: Rc<World>) {
    let value = Value::new(&world);
    let number = value.number;
    world.move_value(number, Place::Offered(QUEUE));
    let waits = world.wait(Wait::Send(QUEUE));
    let result = world.queue.put(value).await;
    drop(waits);
    match result {
        Ok(()) if world.queue.capacity() == Some(0) => sent(&world, number, Place::HandedOver(QUEUE)),
        Ok(()) => sent(&world, number, Place::Sent(QUEUE)),
        Err(Closed(value)) => came_back(&world, value, number),
    }
}

async fn get(world: Rc<World>, depth: u32) {
    let waits = world.wait(Wait::Receive(QUEUE));
    let result = world.queue.get().await;
    drop(waits);
    let Ok(value) = result else { return };
    let _done = Done(world.clone());
    let _works = world.hold(Hold::Works, usize::MAX);
    received(&world, value, QUEUE);
    pause(world.clone(), depth).await;
}

/// Reports that a piece of work is done, even if the work was cut short.
pub(crate) struct Done(pub(crate) Rc<World>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.queue.task_done();
    }
}

async fn all_work(world: Rc<World>) {
    let _waits = world.wait(Wait::Work);
    world.queue.join().await;
}

async fn oneshot(world: Rc<World>) {
    let (sender, receiver) = channel::oneshot::<Value>();
    let number = world.next_oneshot.replace(world.next_oneshot.get() + 1);
    world.open_senders.borrow_mut().insert(number);
    world.open_receivers.borrow_mut().insert(number);
    world.oneshots.borrow_mut().push(OneSender { number, sender: Some(sender) });
    let _open = OpenReceiver(world.clone(), number);
    let _waits = world.wait(Wait::Oneshot(number));
    // Moved in here, so that it is dropped first.
    let mut receiver = receiver;
    let _ = (&mut receiver).await;
}

struct OpenReceiver(Rc<World>, u32);

impl Drop for OpenReceiver {
    fn drop(&mut self) {
        self.0.open_receivers.borrow_mut().remove(&self.1);
    }
}

/// Waits until the receiver of a oneshot is gone.
async fn deserted(world: Rc<World>) {
    if world.dice.one_in(2) {
        return meddle::send_oneshot(&world);
    }
    let Some(mut sender) = meddle::take_random(&world, &world.oneshots) else { return };
    let _waits = world.wait(Wait::Deserted(sender.number));
    if let Some(sender) = &mut sender.sender {
        sender.closed().await;
    }
}

/// Receives a few broadcasts. Each one arrives, or is counted as missed.
async fn hear(world: Rc<World>) {
    if world.dice.one_in(2) {
        return meddle::tell(&world);
    }
    let mut next = world.told.get();
    let mut receiver = world.heard.clone();
    drop(std::mem::replace(&mut receiver, world.broadcast.subscribe()));
    // The drop of the clone may have run foreign code.
    next = next.max(world.told.get());
    for _ in 0..1 + world.dice.below(3) {
        let waits = world.wait(Wait::Broadcast { next });
        let result = receiver.recv().await;
        drop(waits);
        match result {
            Ok(note) if note.row == next => next += 1,
            Ok(note) => world.fault(format!("broadcast {} was heard in place of {next}", note.row)),
            Err(BroadcastError::Lagged(n)) => next += n,
            Err(BroadcastError::Closed) => world.fault("the broadcast says that it is closed".to_owned()),
        }
    }
}

async fn watch(world: Rc<World>) {
    if world.dice.one_in(3) {
        return meddle::tell(&world);
    }
    let mut receiver = world.watched.clone();
    drop(receiver.borrow_and_update());
    let seen = world.version.get();
    let waits = world.wait(Wait::Watch { seen });
    let result = match world.dice.below(2) {
        0 => receiver.changed().await.map(drop),
        _ => receiver.wait_for(|note: &Note| note.row > seen).await.map(drop),
    };
    drop(waits);
    if result.is_err() || world.version.get() == seen {
        world.fault(format!("watch: {result:?}, although nothing was changed or closed"));
    }
}

/// Awaits a task that was spawned before, or a new one.
async fn join_some(world: Rc<World>, depth: u32) {
    let handle = meddle::take_random(&world, &world.handles);
    let handle = handle.unwrap_or_else(|| task::spawn(&world, depth + 1));
    let cancels = world.dice.one_in(3);
    if cancels {
        handle.cancel();
    }
    task::join(world, handle).await;
}

/// Drops a runtime, regardless of what is running.
pub(crate) fn drop_runtime(world: &World, runtime: Option<Runtime>) {
    let Some(runtime) = runtime else { return };
    world.note(|| "drops a runtime".to_owned());
    world.inside.set(world.inside.get() + 1);
    if contain(|| drop(runtime)).is_none() {
        world.fault("the drop of a runtime has panicked".to_owned());
    }
    world.inside.set(world.inside.get() - 1);
}

/// The number of a task that has not begun. If it never begins, this drop is its end.
struct Unborn(usize);

impl Drop for Unborn {
    fn drop(&mut self) {
        if let Some(world) = here() {
            let record = world.records.borrow()[self.0].clone();
            record.end(&world, Ending::Dropped);
        }
    }
}

/// Starts a task on another loop, or on this one.
pub(crate) fn spawn_remotely(world: &Rc<World>) {
    let Some(remote) = meddle::take_random(world, &world.remotes) else { return };
    let number = Record::new(world).number;
    let unborn = Unborn(number);
    world.note(|| format!("spawns task {number} remotely"));
    let handle = remote.spawn(move || {
        let world = here().expect("a program runs");
        let record = world.records.borrow()[unborn.0].clone();
        let body = Body::new(&world, &record, 2);
        std::mem::forget(unborn);
        // By reference, because if the drop of the awaited future panics, the compiler leaks its output.
        async move { drop((&mut pin!(body)).await) }
    });
    world.remotes.borrow_mut().push(remote);
    let waits = world.clone();
    let act: Act = Box::pin(async move {
        let _waits = waits.wait(Wait::Remote(number));
        let _ = group::join!(handle);
    });
    if world.inside.get() > 0 && !world.resting.get() {
        world.aside.borrow_mut().push(act);
    }
}
