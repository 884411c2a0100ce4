//! A value that is made once, by whoever needs it first.
//!
//! Contract. One initialiser runs at a time. If it fails, panics or is dropped, the next in line runs its own. Once
//! the value is there, nobody waits.
//!
//! What is not promised. An initialiser that asks for its own cell waits for itself.
//!
//! | method | cancel safe |
//! |---|---|
//! | `get_or_init`, `get_or_try_init` | as the initialiser: it is dropped, and the next in line begins with its own |

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
    line: Permits,
}

impl<T> OnceCell<T> {
    /// An empty cell.
    pub const fn new() -> OnceCell<T> {
        OnceCell { value: std::cell::OnceCell::new(), line: Permits::new(1, "once") }
    }

    /// The value, if it is there.
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Puts a value in, also while an initialiser runs: then that runs to its end, what it makes is dropped, and whatever
    /// waits for it gets this value. (In tokio, `set` fails during an initialisation.)
    ///
    /// # Errors
    ///
    /// The value comes back if there is one already.
    pub fn set(&self, value: T) -> Result<(), T> {
        self.value.set(value)?;
        // Those who wait for an initialiser need not.
        self.line.close();
        Ok(())
    }

    /// The value, if need be made by `init`.
    pub async fn get_or_init(&self, init: impl AsyncFnOnce() -> T) -> &T {
        match self.get_or_try_init(async || Ok::<T, Infallible>(init().await)).await {
            Ok(value) => value,
        }
    }

    /// The value, if need be made by `init`, which may fail; then the cell stays empty.
    ///
    /// # Errors
    ///
    /// What `init` says.
    pub async fn get_or_try_init<E>(&self, init: impl AsyncFnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(value) = self.value.get() {
            spend_budget().await;
            return Ok(value);
        }
        // Not if the line is closed: then the value is there.
        let taken = self.line.take(1).await;
        let _held = Held { permits: &self.line, n: usize::from(taken) };
        if self.value.get().is_none() {
            let value = init().await?;
            // Full already only if somebody called `set` meanwhile: then that is the value.
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
    fn default() -> OnceCell<T> {
        OnceCell::new()
    }
}
