//! Spawning, as `hyper` asks for it: HTTP/2 runs each request as a task of its own.
//!
//! Facts. `hyper` gives out a future and keeps no handle. When a connection is cancelled, its requests would run on.
//!
//! What follows. A server keeps the handles of a connection's requests in a [`Requests`], and cancels those that are left
//! when the connection ends.
//!
//! Invariant. The list is not borrowed while a task is spawned, cancelled or dropped (4).
//!
//! What it does not know: HTTP.

use std::cell::RefCell;
use std::mem;
use std::rc::Rc;

use ::hyper::rt;
use roundel::{JoinHandle, spawn};
use slab::Slab;

/// Runs what `hyper` gives it as tasks of the running loop. They need not be `Send`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl<F> rt::Executor<F> for Executor
where
    F: Future<Output: 'static> + 'static,
{
    fn execute(&self, future: F) {
        spawn(future).detach();
    }
}

/// The requests of one connection of HTTP/2 that are under way. [`serve_http`](super::serve_http) makes one for each.
#[derive(Clone, Debug, Default)]
pub struct Requests {
    /// `None` while the task is being spawned.
    list: Rc<RefCell<Slab<Option<JoinHandle<()>>>>>,
}

impl Requests {
    /// Cancels all requests when it is dropped.
    pub(super) fn cancel_on_drop(&self) -> CancelAll {
        CancelAll { requests: self.clone() }
    }
}

impl<F: Future + 'static> rt::Executor<F> for Requests {
    fn execute(&self, future: F) {
        // The entry comes before the task, because the task owns it.
        let key = self.list.borrow_mut().insert(None);
        let entry = Entry { requests: self.clone(), key };
        let handle = spawn(async move {
            let _entry = entry;
            let _ = future.await;
        });
        if let Some(place) = self.list.borrow_mut().get_mut(key) {
            *place = Some(handle);
        }
    }
}

/// A request's place in the list. Its task owns it.
struct Entry {
    requests: Requests,
    key: usize,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let handle = self.requests.list.borrow_mut().try_remove(self.key);
        drop(handle);
    }
}

/// See [`Requests::cancel_on_drop`].
pub(super) struct CancelAll {
    requests: Requests,
}

impl Drop for CancelAll {
    fn drop(&mut self) {
        let left = mem::take(&mut *self.requests.list.borrow_mut());
        left.iter().filter_map(|(_, handle)| handle.as_ref()).for_each(JoinHandle::cancel);
    }
}

#[cfg(test)]
mod tests {
    use ::hyper::rt::Executor as _;

    use super::*;

    #[test]
    fn a_request_that_has_ended_leaves_no_entry() {
        roundel::run(async {
            let requests = Requests::default();
            for _ in 0..3 {
                requests.execute(std::future::ready(()));
            }
            requests.execute(std::future::pending::<()>());
            assert_eq!(requests.list.borrow().len(), 4);
            roundel::testing::settle().await;
            assert_eq!(requests.list.borrow().len(), 1);
            drop(requests.cancel_on_drop());
            assert!(requests.list.borrow().is_empty());
        });
    }
}
