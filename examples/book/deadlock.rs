//! Two tasks and two locks, in opposite order: the loop says which task waits for which. Then in the same order.
//!
//! Run it with `cargo run --release --example deadlock`.
//!
//! Facts. When no task can go on, the loop sleeps, just as it does when there is nothing to do. The difference is that
//! nothing is left that could end this sleep. The loop can know that, and so it need not sleep.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::rc::Rc;

use examples::{args, println};
use roundel::deadlock::Deadlock;
use roundel::sync::Mutex;
use roundel::{JoinHandle, Runtime, spawn_named, yield_now};

/// The task that is given up if there is a deadlock.
type Victim = Rc<RefCell<Option<JoinHandle<()>>>>;

/// Takes one lock, is interrupted, and takes the other.
async fn needs_both(one: Rc<Mutex<()>>, other: Rc<Mutex<()>>) {
    let _one = one.lock().await;
    yield_now().await;
    let _other = other.lock().await;
}

/// Called by the loop before it would sleep for ever.
fn break_it(deadlock: &Deadlock, victim: &Victim) {
    println!("{deadlock}");
    if let Some(task) = victim.take() {
        println!("bob is given up");
        task.cancel();
    }
}

async fn look(what: &str, victim: &Victim, in_order: bool) {
    println!("── {what}");
    let (a, b) = (Rc::new(Mutex::new(()).named("a")), Rc::new(Mutex::new(()).named("b")));
    let ann = spawn_named("ann", needs_both(a.clone(), b.clone()));
    let bob = spawn_named("bob", if in_order { needs_both(a, b) } else { needs_both(b, a) });
    victim.replace(Some(bob));
    ann.await.expect("it does not panic");
    println!("ann is done");
}

fn main() {
    args::none();
    let victim = Victim::default();
    let theirs = victim.clone();
    let builder = Runtime::builder().on_deadlock(move |deadlock| break_it(deadlock, &theirs));
    let runtime = builder.build().expect("descriptors for a loop");
    runtime.block_on(async {
        look("in opposite order", &victim, false).await;
        look("in the same order", &victim, true).await;
    });
}
