//! Running a future to its end even if the task that awaits it is cancelled.
//!
//! Facts. Dropping a future cancels it. A future that must not be cut in the middle has to belong to another task.
//!
//! Contract. [`shield`] spawns the future as a task of its own, at once. If the task that awaits it is dropped, it goes
//! on. If it then panics, only the panic hook reports the panic. The shutdown of the runtime cancels it like any other
//! task.
//!
//! Cancel safety: yes; that is what it is for.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::join::JoinHandle;
use crate::task;

/// Runs `future` to its end, even if the task that awaits it is cancelled.
///
/// ```
/// use std::{cell::Cell, rc::Rc, time::Duration};
/// use roundel::{group::shield, time};
///
/// let runtime = roundel::Runtime::builder().virtual_time(true).build().unwrap();
/// let saved = Rc::new(Cell::new(false));
/// runtime.block_on(async {
///     let saving = shield({
///         let saved = saved.clone();
///         async move {
///             time::sleep(Duration::from_secs(2)).await;
///             saved.set(true);
///         }
///     });
///     assert!(time::timeout(Duration::from_secs(1), saving).await.is_err());
///     time::sleep(Duration::from_secs(5)).await;
/// });
/// assert!(saved.get());
/// ```
///
/// # Panics
///
/// Outside a loop. When awaited: if the future panics, with the same panic; if it was cancelled because its runtime is
/// gone.
#[track_caller]
pub fn shield<F>(future: F) -> Shield<F::Output>
where
    F: Future<Output: 'static> + 'static,
{
    Shield { task: task::spawn(future) }
}

/// See [`shield`].
#[derive(Debug)]
#[must_use = "to let it run by itself, `spawn` it"]
pub struct Shield<T> {
    task: JoinHandle<T>,
}

impl<T: 'static> Future for Shield<T> {
    type Output = T;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match ready!(Pin::new(&mut self.task).poll(cx)) {
            Ok(output) => Poll::Ready(output),
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(error) => panic!("the future that `shield` protects is gone with its runtime: {error}"),
        }
    }
}
