//! Which task is next? The smallest executor with a choice: the newest ready task, or the oldest.
//!
//! Run it with `cargo run --release --example wrong_queues`.
//!
//! Facts. A task that yields is ready again at once. If the newest is taken first, that is the task which has just run.
//!
//! What follows. On a stack, a task yields only to itself. In a queue, every task runs before any task runs twice.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use examples::{args, println};
use roundel::yield_now;

type Numbers = VecDeque<usize>;

struct Number(usize, Arc<Mutex<Numbers>>);

impl Wake for Number {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push_back(self.0);
    }
}

/// Runs these tasks until none is ready, or until it has polled this often.
fn run(mut tasks: Vec<Pin<Box<dyn Future<Output = ()>>>>, take: fn(&mut Numbers) -> Option<usize>) {
    let ready = Arc::new(Mutex::new((0..tasks.len()).collect()));
    for _ in 0..MOST_POLLS {
        let next = take(&mut ready.lock().unwrap());
        let Some(number) = next else { return };
        let waker = Waker::from(Arc::new(Number(number, Arc::clone(&ready))));
        // A task that is done is not polled again, because nothing wakes it.
        let _ = tasks[number].as_mut().poll(&mut Context::from_waker(&waker));
    }
}

const MOST_POLLS: u32 = 24;

/// Prints its name each time it runs, and yields.
async fn write(name: char, times: u32, story: Rc<RefCell<String>>) {
    for _ in 0..times {
        story.borrow_mut().push(name);
        yield_now().await;
    }
}

/// Three tasks; how often the last of them runs.
fn story(take: fn(&mut Numbers) -> Option<usize>, times: u32) -> String {
    let story: Rc<RefCell<String>> = Rc::default();
    let task = |name, times| Box::pin(write(name, times, Rc::clone(&story))) as Pin<Box<_>>;
    run(vec![task('a', 3), task('b', 3), task('c', times)], take);
    story.take()
}

fn main() {
    args::none();
    println!("newest first: {}", story(VecDeque::pop_back, 3));
    println!("oldest first: {}", story(VecDeque::pop_front, 3));
    println!("newest first, and c never ends: {} …", story(VecDeque::pop_back, u32::MAX));
    println!("oldest first, and c never ends: {} …", story(VecDeque::pop_front, u32::MAX));
}
