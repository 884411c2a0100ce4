//! A value that is made once, by the first task that needs it.
//!
//! Contract. One initialiser runs at a time. If it fails, panics or is dropped, the next waiter in line runs its own.
//! Once the value is there, no task waits.
//!
//! What is not promised. An initialiser that asks for its own cell waits for itself.
//!
//! | method | cancel safe |
//! |---|---|
//! | `get_or_init`, `get_or_try_init` | as the initialiser: it is dropped, and the next waiter in line starts its own |

use std::convert::Infallible;

use crate::sync::permits::{Held, Permits};
use crate::task::spend_budget;

/// A cell whose value is made by the first task that asks for it.
///
/// ```
/// let cell = roundel::sync::OnceCell::new();
/// roundel::run(async {
///     let made = roundel::group::gather((0..3).map(|i| cell.get_or_init(async move || i))).await;
///     assert_eq!(made, [&0, &0, &0]);
/// });
/// ```
#[derive(Debug)]
pub struct OnceCell<T> {
    value: std::cell::OnceCell<T>,
    /// A single permit: the task that has it runs its initialiser. Closed by `set`, when no task needs to wait any
    /// more.
    line: Permits,
}

impl<T> OnceCell<T> {
    /// An empty cell.
    #[track_caller]
    pub const fn new() -> OnceCell<T> {
        OnceCell { value: std::cell::OnceCell::new(), line: Permits::new(1, &"once") }
    }

    /// Gives it a name, for people who watch the loop or read a [trace](crate::record). The first name stays.
    #[must_use]
    pub fn named(self, name: &'static str) -> OnceCell<T> {
        self.line.set_name(name);
        self
    }

    /// The value, if it is there.
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Puts a value in, even while an initialiser runs. The initialiser then runs to its end, its value is dropped, and
    /// the tasks that wait for it get this one. (In tokio, `set` fails during an initialisation.)
    ///
    /// # Errors
    ///
    /// The value comes back if there is one already.
    pub fn set(&self, value: T) -> Result<(), T> {
        self.value.set(value)?;
        // Tasks that wait for an initialiser no longer have to.
        self.line.close();
        Ok(())
    }

    /// The value; if there is none yet, `init` makes it.
    pub async fn get_or_init(&self, init: impl AsyncFnOnce() -> T) -> &T {
        match self.get_or_try_init(async || Ok::<T, Infallible>(init().await)).await {
            Ok(value) => value,
        }
    }

    /// The value; if there is none yet, `init` makes it. If `init` fails, the cell stays empty.
    ///
    /// # Errors
    ///
    /// The error of `init`.
    pub async fn get_or_try_init<E>(&self, init: impl AsyncFnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(value) = self.value.get() {
            spend_budget().await;
            return Ok(value);
        }
        // `taken` is false if the line is closed; then `set` has put a value in.
        let taken = self.line.take(1).await;
        let _held = Held { permits: &self.line, n: usize::from(taken) };
        if self.value.get().is_none() {
            let value = init().await?;
            // If `set` was called in the meantime, its value stays and ours is dropped.
            let _ = self.value.set(value);
        }
        Ok(self.value.get_or_init(|| unreachable!("the cell was filled above")))
    }

    /// The value.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }
}

impl<T> Default for OnceCell<T> {
    #[track_caller]
    fn default() -> OnceCell<T> {
        OnceCell::new()
    }
}
