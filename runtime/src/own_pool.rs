//! The threads of one loop.
//!
//! Facts. Most loops never need a thread. A loop that ends must not leave threads that work for it.
//!
//! Contract. The pool is made when it is first used. The loop sees to its end through [`Helpers`], and knows nothing else
//! of it. Nor does this file, but for the functions that make a pool and find it. So a program that never calls them is built
//! without it.
//!
//! What it does not know: jobs.

use std::any::Any;
use std::cell::{Cell, OnceCell};
use std::thread;
use std::time::Duration;

use crate::core::context::{Context, Helpers};
use crate::pool::{Pool, Settings};

pub(crate) struct OwnPool {
    threads: Option<usize>,
    pool: OnceCell<Box<dyn Helpers>>,
    closed: Cell<bool>,
}

impl OwnPool {
    pub(crate) fn new(threads: Option<usize>) -> OwnPool {
        OwnPool { threads, pool: OnceCell::new(), closed: Cell::new(false) }
    }

    /// The pool of this loop.
    pub(crate) fn of(context: &Context) -> &Pool {
        let helpers: &dyn Any = &*context.helpers;
        let own = helpers.downcast_ref::<OwnPool>().expect("the helpers of each loop are its own pool");
        let pool: &dyn Any = &**own.pool.get_or_init(|| own.made());
        pool.downcast_ref().expect("an own pool has a pool")
    }

    /// The load of this loop's pool: all zero, if it was never used. See [`Pool::load`].
    #[cfg(feature = "diagnostics")]
    pub(crate) fn load(context: &Context) -> (usize, usize, usize) {
        let helpers: &dyn Any = &*context.helpers;
        let pool = helpers.downcast_ref::<OwnPool>().and_then(|own| own.pool.get());
        let pool = pool.and_then(|pool| (&**pool as &dyn Any).downcast_ref());
        pool.map_or((0, 0, 0), Pool::load)
    }

    fn made(&self) -> Box<dyn Helpers> {
        let threads = self.threads.unwrap_or_else(default_threads);
        let pool = Pool::new(Settings::new(threads, "roundel-blocking"));
        if self.closed.get() {
            pool.close();
        }
        Box::new(pool)
    }
}

impl Helpers for OwnPool {
    fn clear(&self) {
        self.pool.get().into_iter().for_each(|pool| pool.clear());
    }

    fn close(&self) {
        self.closed.set(true);
        self.pool.get().into_iter().for_each(|pool| pool.close());
    }

    fn wait(&self, limit: Duration) {
        self.pool.get().into_iter().for_each(|pool| pool.wait(limit));
    }
}

impl Helpers for Pool {
    fn clear(&self) {
        self.clear();
    }

    fn close(&self) {
        self.close();
    }

    fn wait(&self, limit: Duration) {
        self.wait(limit);
    }
}

/// Enough for jobs that wait, few enough to have their stacks in memory.
fn default_threads() -> usize {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    (cpus + 4).min(32)
}
