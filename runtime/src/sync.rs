//! Locks, semaphores, events: how tasks of one loop wait for one another.
//!
//! Facts. Tasks of one thread cannot race for memory: between two `.await`s nothing else runs. But what has to stay
//! true
//! *across* an `.await` needs protection.
//!
//! Contract. All of these types are for one thread: they use no atomics, and none is `Send`. All are ordinary futures
//! over one line of waiters (`waiting.rs`), so they work under any executor. All serve first come, first served. A
//! function that does not wait is not `async`.
//!
//! What is not here: anything that needs the loop, except [`RateLimiter`] and [`Pool`], which need its clock.
//!
//! The compiler checks that they stay on one thread:
//!
//! ```compile_fail
//! static LOCK: roundel::sync::Mutex<u8> = roundel::sync::Mutex::new(0);
//! ```
//!
//! A table in each part says what happens when its futures are dropped. In short: nothing is lost, and the next waiter
//! has its turn.

mod barrier;
mod condition;
mod event;
mod moment;
mod mutex;
mod notify;
mod once;
mod owned;
pub(crate) mod permits;
mod pool;
mod rate;
mod rwlock;
mod semaphore;

pub use barrier::{Barrier, BarrierWait};
pub use condition::Condition;
pub use event::Event;
pub use mutex::{Lock, Mutex, MutexGuard};
pub use notify::{Notified, Notify};
pub use once::OnceCell;
pub use owned::{AcquireOwned, LockOwned, OwnedMutexGuard, OwnedPermit, OwnedReadGuard, OwnedWriteGuard};
pub use pool::{Pool, Pooled};
pub use rate::RateLimiter;
pub use rwlock::{ReadGuard, RwLock, WriteGuard};
pub use semaphore::{
    Acquire, BoundedPermit, BoundedSemaphore, OverRelease, Permit, Semaphore, TryAcquireError,
};
