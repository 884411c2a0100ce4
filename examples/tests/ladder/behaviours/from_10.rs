//! What a loop has whose tasks can be cancelled, and may panic.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use super::rung::{Cancelled, JoinHandle, block_on, deadlines, sleep, spawn, yield_now};

#[test]
fn the_panic_of_a_task_is_its_outcome_and_harms_no_other() {
    let _watchdog = testkit::watchdog();
    let (bad, good) = (spawn(async { resume_unwind(Box::new("no reason")) }), spawn(async { 42 }));
    let bad: thread::Result<()> = block_on(bad);
    assert_eq!(bad.unwrap_err().downcast_ref::<&str>(), Some(&"no reason"));
    assert_eq!(block_on(good).unwrap(), 42);
}

/// Counts when it is dropped, and may panic then.
struct Guard(Rc<Cell<u32>>, bool);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        if self.1 {
            resume_unwind(Box::new("a destructor"));
        }
    }
}

#[test]
fn a_cancelled_task_is_dropped_at_once() {
    let _watchdog = testkit::watchdog();
    let drops = Rc::new(Cell::new(0));
    let guard = Guard(Rc::clone(&drops), false);
    let task = spawn(async move {
        let _guard = guard;
        sleep(Duration::from_secs(3600)).await;
    });
    block_on(yield_now());
    assert_eq!((drops.get(), deadlines()), (0, 1));
    task.cancel();
    assert_eq!((drops.get(), deadlines()), (1, 0));
    assert!(block_on(task).unwrap_err().is::<Cancelled>());
}

#[test]
fn to_cancel_wakes_what_waits_for_the_task() {
    let _watchdog = testkit::watchdog();
    let task = Rc::new(RefCell::new(spawn(pending::<()>())));
    let theirs = Rc::clone(&task);
    let waiting =
        spawn(std::future::poll_fn(move |cx| std::pin::Pin::new(&mut *theirs.borrow_mut()).poll(cx)));
    block_on(yield_now());
    task.borrow().cancel();
    assert!(block_on(waiting).unwrap().is_err());
}

#[test]
fn a_task_that_is_over_is_not_cancelled() {
    let _watchdog = testkit::watchdog();
    let task = spawn(async { 42 });
    block_on(yield_now());
    // Another task may have its slot now.
    let other = spawn(async { 43 });
    task.cancel();
    task.cancel();
    assert_eq!((block_on(task).unwrap(), block_on(other).unwrap()), (42, 43));
}

#[test]
fn a_task_may_cancel_itself() {
    let _watchdog = testkit::watchdog();
    let drops = Rc::new(Cell::new(0));
    let guard = Guard(Rc::clone(&drops), false);
    let own: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
    let theirs = Rc::clone(&own);
    let task = spawn(async move {
        let _guard = guard;
        theirs.borrow().as_ref().expect("the handle is there").cancel();
        pending::<()>().await;
    });
    *own.borrow_mut() = Some(task);
    block_on(yield_now());
    assert_eq!(drops.get(), 1);
    assert!(block_on(own.take().expect("the handle is there")).unwrap_err().is::<Cancelled>());
}

#[test]
fn a_destructor_may_panic() {
    let _watchdog = testkit::watchdog();
    let drops = Rc::new(Cell::new(0));
    let guards = [0, 1].map(|_| Guard(Rc::clone(&drops), true));
    let [cancelled, returning] = guards.map(|guard| {
        spawn(async move {
            let _guard = guard;
            sleep(Duration::from_millis(10)).await;
        })
    });
    block_on(yield_now());
    cancelled.cancel();
    let _either = block_on(returning);
    assert_eq!((drops.get(), block_on(spawn(async { 42 })).unwrap()), (2, 42));
}

/// Each task's destructor cancels the next one. A recursion would be as deep as the chain.
#[test]
fn a_chain_of_a_million_drops_needs_no_deep_stack() {
    let _watchdog = testkit::watchdog();
    struct CancelOnDrop(JoinHandle<()>);
    impl Drop for CancelOnDrop {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }
    let chain = || {
        let mut chain = spawn(pending());
        for _ in 0..1_000_000 {
            let next = CancelOnDrop(chain);
            chain = spawn(async move {
                let _next = next;
                pending::<()>().await;
            });
        }
        chain.cancel();
        assert!(block_on(chain).unwrap_err().is::<Cancelled>());
    };
    let small = thread::Builder::new().stack_size(128 * 1024);
    small.spawn(chain).expect("a thread").join().expect("the chain has ended");
}
