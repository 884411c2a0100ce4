//! Locks, semaphores, events: how tasks of one loop wait for one another.
//!
//! Facts. Tasks of one thread cannot race for memory: between two `.await`s nothing else runs. But whatever has to
//! stay true *across* an `.await` needs somebody to see to it.
//!
//! Contract. All of it is for one thread: no atomics, nothing `Send`. All of it is ordinary futures over one
//! line of waiters (`waiting.rs`), so it works under any executor. First come, first served, everywhere. What does
//! not wait is not `async`.
//!
//! What is not here: anything that needs the loop, but for [`RateLimiter`] and [`Pool`], which need its clock.
//!
//! They are for one thread, and the compiler knows it:
//!
//! ```compile_fail
//! static LOCK: roundel::sync::Mutex<u8> = roundel::sync::Mutex::new(0);
//! ```
//!
//! Each part says in a table what happens when its futures are dropped. In short: nothing is lost, and whoever comes
//! next has its turn.

mod barrier;
mod condition;
mod event;
mod mutex;
mod notify;
mod once;
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
pub use pool::{Pool, Pooled};
pub use rate::RateLimiter;
pub use rwlock::{ReadGuard, RwLock, WriteGuard};
pub use semaphore::{
    Acquire, BoundedPermit, BoundedSemaphore, OverRelease, Permit, Semaphore, TryAcquireError,
};
