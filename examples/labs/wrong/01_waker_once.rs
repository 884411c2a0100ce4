//! Lab 1, wrong: a waker that believes that one wake is enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Wake, Waker};

use labs::waker::{Ready, Wakes};

/// What has to be known to wake a task.
pub struct Task {
    number: usize,
    ready: Ready,
    woken: AtomicBool,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, SeqCst) {
            self.ready.lock().unwrap().push_back(self.number);
        }
    }
}

impl Wakes for Task {
    fn waker(task: usize, ready: Ready) -> Waker {
        Arc::new(Task { number: task, ready, woken: AtomicBool::new(false) }).into()
    }
}
