//! Two tasks and two locks, in opposite order; and a probe that shows which task waits for which.
//!
//! Run it with `cargo run --release --example deadlock`.
//!
//! Facts. When no task can go on, the loop sleeps, just as it does when there is nothing to do. The difference is in
//! who holds what the tasks wait for.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use examples::{args, println};
use roundel::probe::{Event, Resource};
use roundel::sync::Mutex;
use roundel::{Runtime, TaskId, spawn, testing, yield_now};

/// For each task that waits: what it waits for, and which task holds that.
type Waits = Rc<RefCell<BTreeMap<TaskId, (Resource, Option<TaskId>)>>>;

fn note(waits: &Waits, event: Event) {
    match event {
        Event::WaitOn { task: Some(task), on, holder } => drop(waits.borrow_mut().insert(task, (on, holder))),
        Event::WaitDone { task: Some(task), .. } => drop(waits.borrow_mut().remove(&task)),
        _ => {}
    }
}

/// Follows the waits from task to holder, until it meets a task twice.
fn circle(waits: &Waits, from: TaskId) -> Option<Vec<TaskId>> {
    let (waits, mut path) = (waits.borrow(), vec![from]);
    loop {
        let (_, holder) = waits.get(path.last()?)?;
        path.push((*holder)?);
        if path[..path.len() - 1].contains(path.last()?) {
            return Some(path);
        }
    }
}

/// Takes one lock, is interrupted, and takes the other.
async fn needs_both(one: Rc<Mutex<()>>, other: Rc<Mutex<()>>) {
    let _one = one.lock().await;
    yield_now().await;
    let _other = other.lock().await;
}

async fn look(what: &str, waits: &Waits, in_order: bool) {
    let (a, b) = (Rc::new(Mutex::new(())), Rc::new(Mutex::new(())));
    let ann = spawn(needs_both(a.clone(), b.clone()));
    let bob = spawn(if in_order { needs_both(a, b) } else { needs_both(b, a) });
    testing::settle().await;
    println!("{what}: ann is {}, bob is {}", ann.id(), bob.id());
    for (task, (on, holder)) in &*waits.borrow() {
        let (Resource::Line { what, number }, Some(holder)) = (on, holder) else { continue };
        println!("    {task} waits for {what} {number}, which {holder} has");
    }
    match circle(waits, ann.id()) {
        Some(path) => {
            println!("    a circle: {}", path.iter().map(TaskId::to_string).collect::<Vec<_>>().join(" → "));
        }
        None => println!("    no circle; both are done: {}", ann.is_finished() && bob.is_finished()),
    }
    ann.cancel();
    bob.cancel();
}

fn main() {
    args::none();
    let waits = Waits::default();
    let seen = waits.clone();
    let runtime = Runtime::builder().probe(move |event| note(&seen, event)).build().expect("a loop");
    runtime.block_on(async {
        look("in opposite order", &waits, false).await;
        look("in the same order", &waits, true).await;
    });
}
