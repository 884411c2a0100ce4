//! What a waker is: two wrong designs at work, and then the numbers that roundel uses.
//!
//! Run it with `cargo run --release --example waker_words`, and add the name of a part to see only that one.
//!
//! Facts. A waker often outlives what it wakes. If it owns the task, the task lives as long as the waker. If it only
//! knows where the task is, another task may be there when it is used.
//!
//! What follows. A number says where the task is, and which task it is: the slot, and the serial of the tenant in it.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use examples::{args, println};
use roundel::{spawn, yield_now};

type Boxed = Pin<Box<dyn Future<Output = ()>>>;

/// Wrong, and shown here: a task that is its own waker, as in most textbooks. The waker keeps the task alive.
struct OwnedTask(Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>);

impl Wake for OwnedTask {
    fn wake(self: Arc<Self>) {}
}

/// Something worth closing: a socket, a file, a lock.
struct Resource(Arc<Mutex<bool>>);

impl Drop for Resource {
    fn drop(&mut self) {
        *self.0.lock().unwrap() = true;
    }
}

fn a_waker_that_owns() {
    let is_closed = Arc::new(Mutex::new(false));
    let resource = Resource(Arc::clone(&is_closed));
    let task = Arc::new(OwnedTask(Mutex::new(Some(Box::pin(async move {
        let _open = resource;
        pending::<()>().await;
    })))));
    let waker = Waker::from(Arc::clone(&task));
    let polled =
        task.0.lock().unwrap().as_mut().map(|future| future.as_mut().poll(&mut Context::from_waker(&waker)));
    assert_eq!(polled, Some(Poll::Pending));
    let kept: Vec<Waker> = (0..3).map(|_| waker.clone()).collect();
    println!("a task that is an Arc, and 4 wakers of it: counted {} times", Arc::strong_count(&task));
    drop((task, waker));
    println!("the executor forgets it, 3 wakers remain; closed: {}", is_closed.lock().unwrap());
    drop(kept);
    println!("the last waker is dropped; closed: {}", is_closed.lock().unwrap());
}

/// A waker that knows a place. Without the serial, it is wrong.
struct Place {
    slot: usize,
    serial: u32,
    queue: Arc<Mutex<VecDeque<(usize, u32)>>>,
}

impl Wake for Place {
    fn wake(self: Arc<Self>) {
        self.queue.lock().unwrap().push_back((self.slot, self.serial));
    }
}

/// The smallest executor that uses its slots again.
#[derive(Default)]
struct Slots {
    /// For each slot: its tenant, and how many tenants it had before.
    slots: Vec<(Option<Boxed>, u32)>,
    queue: Arc<Mutex<VecDeque<(usize, u32)>>>,
    looks_at_serials: bool,
}

impl Slots {
    fn spawn(&mut self, task: impl Future<Output = ()> + 'static) {
        let free = self.slots.iter().position(|(tenant, _)| tenant.is_none()).unwrap_or(self.slots.len());
        if free == self.slots.len() {
            self.slots.push((None, 0));
        }
        self.slots[free].0 = Some(Box::pin(task));
        self.queue.lock().unwrap().push_back((free, self.slots[free].1));
    }

    fn run(&mut self) {
        loop {
            let Some((slot, serial)) = self.queue.lock().unwrap().pop_front() else { return };
            let (tenant, tenants_serial) = &mut self.slots[slot];
            if self.looks_at_serials && serial != *tenants_serial {
                continue;
            }
            let Some(task) = tenant else { continue };
            let waker = Waker::from(Arc::new(Place {
                slot,
                serial: *tenants_serial,
                queue: Arc::clone(&self.queue),
            }));
            if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                (*tenant, *tenants_serial) = (None, *tenants_serial + 1);
            }
        }
    }
}

/// How often a task that nothing wakes is polled when an old waker is used a thousand times.
fn polls_of_a_stranger(looks_at_serials: bool) -> u32 {
    let mut executor = Slots { looks_at_serials, ..Slots::default() };
    let (old, polls) = (Rc::new(RefCell::new(None)), Rc::new(Cell::new(0)));
    let keep = Rc::clone(&old);
    executor.spawn(poll_fn(move |cx| {
        *keep.borrow_mut() = Some(cx.waker().clone());
        Poll::Ready(())
    }));
    executor.run();
    executor.spawn(count_polls(Rc::clone(&polls)));
    executor.run();
    let old = old.take().expect("the first task has left its waker");
    (0..1000).for_each(|_| old.wake_by_ref());
    executor.run();
    polls.get() - 1
}

/// Never done; counts its polls.
async fn count_polls(polls: Rc<Cell<u32>>) {
    poll_fn(|_| {
        polls.set(polls.get() + 1);
        Poll::<()>::Pending
    })
    .await;
}

/// The waker of the task that awaits this.
async fn my_waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

/// The three fields are 4, 5 and 7 hexadecimal digits wide.
fn show(waker: &Waker) -> String {
    let word = format!("{:016x}", waker.data().addr());
    format!("{} {} {}", &word[..4], &word[4..9], &word[9..])
}

async fn words() {
    println!("a waker of roundel: {} bytes", size_of::<Waker>());
    println!("                 runtime serial slot");
    println!("main:               {}", show(&my_waker().await));
    for name in ["first", "second", "third"] {
        let task = spawn(my_waker());
        println!("{:<20}{}", format!("{name} task:"), show(&task.await.expect("it does not panic")));
    }
    let together = [spawn(my_waker()), spawn(my_waker())];
    for task in together {
        println!("at the same time:   {}", show(&task.await.expect("it does not panic")));
    }
}

async fn old_wakers() {
    let old = spawn(my_waker()).await.expect("it does not panic");
    let polls = Rc::new(Cell::new(0));
    let tenant = spawn(count_polls(Rc::clone(&polls)));
    yield_now().await;
    (0..1000).for_each(|_| old.wake_by_ref());
    yield_now().await;
    println!("roundel, 1000 wakes by an old waker: {} polls of the next tenant", polls.get() - 1);
    tenant.cancel();
}

async fn foreign_wakes() {
    let (polls, kept) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(None)));
    let (counted, keep) = (Rc::clone(&polls), Rc::clone(&kept));
    let task = spawn(poll_fn::<(), _>(move |cx| {
        counted.set(counted.get() + 1);
        *keep.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }));
    yield_now().await;
    let waker = kept.take().expect("the task has left its waker");
    let another_thread = thread::spawn(move || (0..1000).for_each(|_| waker.wake_by_ref()));
    another_thread.join().expect("it does not panic");
    // The loop takes the mail when it looks at the OS. A busy loop does that after each batch of polls.
    while polls.get() == 1 {
        yield_now().await;
    }
    yield_now().await;
    println!("roundel, 1000 wakes from another thread before the turn: {} poll", polls.get() - 1);
    task.cancel();
}

fn wakers_that_know_a_place() {
    println!(
        "a waker that knows the slot, 1000 old wakes: {} polls of a stranger",
        polls_of_a_stranger(false)
    );
    println!("one that knows the serial, too: {}", polls_of_a_stranger(true));
}

/// The parts of this program by name.
const PARTS: [(&str, fn()); 5] = [
    ("owner", a_waker_that_owns),
    ("place", wakers_that_know_a_place),
    ("words", || roundel::run(words())),
    ("old", || roundel::run(old_wakers())),
    ("foreign", || roundel::run(foreign_wakes())),
];

fn main() {
    let wanted = args::part(&PARTS.map(|(name, _)| name));
    let is_wanted = |part: &str| wanted.as_deref().is_none_or(|wanted| wanted == part);
    PARTS.iter().filter(|(name, _)| is_wanted(name)).for_each(|(_, show)| show());
}
