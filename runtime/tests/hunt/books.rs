//! Checks the books: no task waits for something that is there, and nothing is missing.

use std::rc::Rc;
use std::task::{Context, Waker};

use crate::value::Place;
use crate::world::{Hold, PERMITS, POOLED, QUEUE, Wait, World};

/// All loops have come to rest, and no future has been put aside. So each waiting task must have a reason.
pub(crate) fn check_waits(world: &Rc<World>) {
    check_locks(world);
    check_signals(world);
    (0..QUEUE).for_each(|lane| check_lane(world, lane));
    check_queue(world);
    check_tasks(world);
}

fn complain_if(world: &World, wrong: bool, what: &str) {
    if wrong {
        world.fault(what.to_owned());
    }
}

fn check_locks(world: &World) {
    for place in 0..2 {
        let waits = world.waiting(|wait| wait == Wait::Mutex(place)) > 0;
        let wrong = waits && world.held(Hold::Mutex(place)) == 0;
        complain_if(world, wrong, &format!("a task waits for mutex {place}, which no task holds"));
        let waits = world.waiting(|wait| wait == Wait::Cell(place)) > 0;
        let fills = world.held(Hold::Initialises(place)) > 0 && world.cells[place].get().is_none();
        complain_if(world, waits && !fills, &format!("a task waits for cell {place}, which no task fills"));
    }
    let (readers, writers) = (world.held(Hold::Reader), world.held(Hold::Writer));
    let waits = world.waiting(|wait| matches!(wait, Wait::Read | Wait::Write)) > 0;
    complain_if(world, waits && readers + writers == 0, "a task waits for the rwlock, which no task holds");
    complain_if(world, writers > 1 || (writers > 0 && readers > 0), "the rwlock is held by too many");
    check_permits(world);
    // A task that is making its own connection does not stand in line.
    let waits = world.waiting(|wait| wait == Wait::Pool) > world.held(Hold::MakesPooled);
    complain_if(world, waits && world.pool.available() > 0, "a task waits for the pool, which has something");
    complain_if(
        world,
        world.waiting(|wait| wait == Wait::Rate) > 0,
        "a task waits for the rate limiter after hours",
    );
}

fn check_permits(world: &World) {
    let (available, mut held, mut most) = (world.semaphore.available(), 0, 0);
    for n in 1..=PERMITS {
        held += n * world.held(Hold::Permits(n));
        most = if world.waiting(|wait| wait == Wait::Permits(n)) > 0 { n } else { most };
    }
    let all = world.permits.get();
    let books = format!("{available} permits are free and {held} are held, of {all}");
    complain_if(world, available + held != all, &books);
    let open = available < most && !world.semaphore.is_closed();
    complain_if(world, most > 0 && !open, &format!("a task waits for {most} permits, and {books}"));
}

fn check_signals(world: &World) {
    let jobs = world.pending_jobs.get() > 0 && world.waiting(|wait| wait == Wait::Job) > 0;
    complain_if(world, jobs, "a task waits for a job, and there is one");
    let waits = world.waiting(|wait| wait == Wait::Notified) > 0;
    let mut notified = Box::pin(world.notify.notified());
    let permit = notified.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
    complain_if(world, waits && permit, "a task waits to be notified, and a permit is there");
    drop(notified);
    if permit {
        world.notify.notify_one();
    }
    let event = world.event.is_set() && world.waiting(|wait| wait == Wait::Event) > 0;
    complain_if(world, event, "a task waits for the event, which is set");
    if let Some(count) = world.count.try_lock() {
        let waits = world.waiting(|wait| wait == Wait::Count) > 0;
        complain_if(world, waits && *count > 0, "a task waits until there is a count, and there is one");
    } else {
        let free = world.held(Hold::Counted) == 0;
        complain_if(world, free, "the lock of the count is held by no task");
    }
    for (place, barrier) in world.barriers.iter().enumerate() {
        let waits = world.waiting(|wait| wait == Wait::Barrier(place));
        let wrong = waits != barrier.waiting() || waits >= barrier.parties();
        complain_if(
            world,
            wrong,
            &format!("{waits} wait at barrier {place}, which says {}", barrier.waiting()),
        );
    }
    let orphan = world.tokens.windows(2).any(|pair| pair[0].is_cancelled() && !pair[1].is_cancelled());
    complain_if(world, orphan, "a token is cancelled, and its child is not");
    for (place, token) in world.tokens.iter().enumerate() {
        let waits = world.waiting(|wait| wait == Wait::Token(place)) > 0;
        complain_if(world, waits && token.is_cancelled(), "a task waits for a token that is cancelled");
    }
}

fn check_lane(world: &World, lane: usize) {
    let look = world.look(lane);
    let offers = world.waiting(|wait| wait == Wait::Send(lane));
    let sends = offers + world.waiting(|wait| wait == Wait::Reserve(lane));
    let receives = world.waiting(|wait| wait == Wait::Receive(lane));
    let reserved = world.held(Hold::Room(lane));
    let is_full = look.capacity.is_some_and(|capacity| look.len + reserved >= capacity.max(1));
    let rendezvous = look.capacity == Some(0) && sends > 0 && receives > 0 && reserved == 0;
    let open = !look.closed && look.senders > 0 && look.receivers > 0;
    let ended = look.closed != (look.senders > 0 && look.receivers > 0) || look.closed;
    let wrong = (receives > 0 && (look.len > 0 || !open))
        || (sends > 0 && (!open || !(is_full || look.capacity == Some(0))))
        || rendezvous
        || offers != count_values(world, |place| place == Place::Offered(lane))
        || !ended
        || (look.receivers == 0 && look.len > 0)
        || look.capacity.is_some_and(|capacity| look.len > capacity.max(1));
    let name = world.lanes[lane].name;
    let books = format!(
        "lane {lane}, {name}: {} values, closed: {}, {} senders, {} receivers; {sends} want to send, {receives} to \
         receive, {reserved} have reserved, {offers} values are not sent",
        look.len, look.closed, look.senders, look.receivers
    );
    complain_if(world, wrong, &books);
}

fn count_values(world: &World, is: impl Fn(Place) -> bool) -> usize {
    world.values.borrow().iter().filter(|place| is(**place)).count()
}

fn check_queue(world: &World) {
    let queue = &world.queue;
    let sends = world.waiting(|wait| wait == Wait::Send(QUEUE));
    let receives = world.waiting(|wait| wait == Wait::Receive(QUEUE));
    let joins = world.waiting(|wait| wait == Wait::Work);
    let inside = count_values(world, |place| matches!(place, Place::Offered(QUEUE) | Place::Sent(QUEUE)));
    let works = world.held(Hold::Works);
    let is_full = queue.capacity().is_some_and(|capacity| queue.len() >= capacity.max(1));
    let wrong = (receives > 0 && (!queue.is_empty() || queue.is_closed()))
        || (sends > 0 && (queue.is_closed() || !(is_full || queue.capacity() == Some(0))))
        || (joins > 0 && queue.unfinished() == 0)
        || queue.unfinished() != inside + works
        || sends != count_values(world, |place| place == Place::Offered(QUEUE));
    let books = format!(
        "{queue:?}: {inside} put in, {works} in work; {sends} want to put, {receives} to get, {joins} to join"
    );
    complain_if(world, wrong, &books);
}

fn check_tasks(world: &World) {
    let waits = world.waits.borrow().clone();
    for wait in waits {
        let wrong = match wait {
            Wait::Join(task) => world.records.borrow()[task].ending.get().is_some(),
            Wait::Oneshot(number) => !world.open_senders.borrow().contains(&number),
            Wait::Deserted(number) => !world.open_receivers.borrow().contains(&number),
            Wait::Broadcast { next } => next < world.told.get(),
            Wait::Watch { seen } => seen != world.version.get(),
            Wait::Sleep => true,
            _ => false,
        };
        complain_if(world, wrong, &format!("a task waits in vain: {wait:?}"));
    }
    let is_lost = |place: &Place| matches!(place, Place::HandedOver(_));
    let lost = world.values.borrow().iter().position(is_lost);
    complain_if(
        world,
        lost.is_some(),
        &format!("value {lost:?} was handed over, and nothing has received it"),
    );
    for record in world.records.borrow().iter() {
        let wrong = record.cancelled.get() && record.ending.get().is_none();
        complain_if(world, wrong, &format!("task {} was cancelled, and lives", record.number));
    }
}

/// Everything that ran has been dropped, so everything must be free again.
pub(crate) fn check_end(world: &World) {
    let waits = world.waits.borrow().clone();
    complain_if(world, !waits.is_empty(), &format!("waits were not dropped: {waits:?}"));
    let holds = world.holds.borrow().clone();
    complain_if(world, !holds.is_empty(), &format!("holds were not dropped: {holds:?}"));
    for record in world.records.borrow().iter() {
        let wrong = record.ending.get().is_none();
        complain_if(world, wrong, &format!("task {} was not dropped", record.number));
    }
    let locks = world.mutexes.iter().all(|mutex| mutex.try_lock().is_some())
        && world.rwlock.try_write().is_some()
        && world.count.try_lock().is_some()
        && world.semaphore.available() == world.permits.get()
        && world.semaphore.waiting() == 0
        && world.pool.available() == POOLED
        && world.pool.waiting() == 0;
    complain_if(world, !locks, "at the end, something is locked");
    let lines = world.notify.waiting() + world.jobs.waiting() + world.counted.waiting();
    complain_if(world, lines > 0, "at the end, a task stands in line");
    (0..QUEUE).for_each(|lane| check_lane(world, lane));
    check_queue(world);
}
