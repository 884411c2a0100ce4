//! Children that may borrow, and that are over when the scope is over.
//!
//! Facts. A task that was spawned may outlive whoever spawned it, so it cannot borrow from it. And a future can be
//! forgotten at any time without being dropped; so no destructor can be relied on to wait for a task that borrows.
//!
//! What follows. A scope's children are not tasks: they lie inside the scope's own future and are polled by it. Whoever
//! drops that future drops them; whoever forgets it has them never polled again. Either way no child runs when what it
//! borrows is gone. The compiler sees this without `unsafe`.
//!
//! Contract. [`scope`] ends when its body and all its children have ended, and the cleanups of children that it has dropped
//! are done. A panic in any of them cancels the rest, and goes on from there. In [`try_scope`], so does the first error of a child or of the body; the errors that had happened
//! by then are all in the [`GroupError`]. To cancel is to drop: first the body, then the children in the order in
//! which they were spawned. (A place that becomes free is used again, so after a child has ended that order is the
//! places'.)
//!
//! | function | cancel safe |
//! |---|---|
//! | `scope`, `try_scope` | as the body and the children: they are dropped |
//! | a `ScopedHandle` | yes; dropping it lets the child run on |

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use crate::channel::{Closed, OneshotSender, oneshot};
use crate::group::child::{ScopedHandle, child};
use crate::group::failure::GroupError;
use crate::group::nest::{Nest, Outcome, Run, contained};

/// Runs `body`, which may spawn children that borrow; ends when all have ended.
///
/// ```
/// use roundel::group::{self, Scope};
/// roundel::run(async {
///     let words = ["one", "three", "five"];
///     let total = group::scope(async |s: &Scope<'_>| {
///         let lengths = words.each_ref().map(|word| s.spawn(async move { word.len() }));
///         let mut total = 0;
///         for length in lengths {
///             total += length.await.unwrap();
///         }
///         total
///     })
///     .await;
///     assert_eq!(total, 12);
/// });
/// ```
///
/// A child cannot borrow from the body, which may end before it:
///
/// ```compile_fail
/// # use roundel::group::{self, Scope};
/// roundel::run(group::scope(async |s: &Scope<'_>| {
///     let short = String::from("gone too soon");
///     s.spawn(async { println!("{short}") });
/// }));
/// ```
///
/// # Panics
///
/// If the body or a child panics: with that.
pub async fn scope<'env, R>(body: impl AsyncFnOnce(&Scope<'env>) -> R) -> R {
    let scope = Scope { nest: Rc::new(Nest::new()) };
    let result = Cell::new(None);
    let body = Box::pin(contained(async {
        result.set(Some(body(&scope).await));
        Outcome::Fine
    }));
    Run::new(Rc::clone(&scope.nest), body).await;
    result.take().expect("nothing but a panic cancels the body of a `scope`")
}

/// Runs `body`, which may spawn children that borrow; ends when all have ended, or when one has failed.
///
/// ```
/// use roundel::group;
/// use std::time::Duration;
/// roundel::run(async {
///     let result = group::try_scope(async |s| {
///         s.spawn(async { Err::<(), _>("the disk is full") });
///         s.spawn(async { roundel::time::sleep(Duration::MAX).await; Ok(()) });
///         roundel::time::sleep(Duration::MAX).await;
///         Ok(())
///     })
///     .await;
///     assert_eq!(result.unwrap_err().errors(), ["the disk is full"]);
/// });
/// ```
///
/// # Errors
///
/// If a child or the body returns one.
///
/// # Panics
///
/// If the body or a child panics: with that.
pub async fn try_scope<'env, R, E: 'env>(
    body: impl AsyncFnOnce(&TryScope<'env, E>) -> Result<R, E>,
) -> Result<R, GroupError<E>> {
    let scope = TryScope { scope: Scope { nest: Rc::new(Nest::new()) }, errors: Rc::default() };
    let result = Cell::new(None);
    let body = Box::pin(contained(async {
        match body(&scope).await {
            Ok(value) => {
                result.set(Some(value));
                Outcome::Fine
            }
            Err(error) => scope.fail(error),
        }
    }));
    Run::new(Rc::clone(&scope.scope.nest), body).await;
    let errors = scope.errors.take();
    match result.take() {
        Some(value) if errors.is_empty() => Ok(value),
        _ => Err(GroupError { errors }),
    }
}

/// Where the children of a [`scope`] are spawned. A child that is to spawn others gets a clone.
#[derive(Clone)]
pub struct Scope<'env> {
    nest: Rc<Nest<'env>>,
}

impl<'env> Scope<'env> {
    /// Begins a child, which is first polled when the body gives way. On a scope that is over, it is dropped at once.
    pub fn spawn<F>(&self, future: F) -> ScopedHandle<F::Output>
    where
        F: Future<Output: 'env> + 'env,
    {
        self.spawn_judged(future, Some)
    }

    /// `judge` gives the output, or nothing if it is a failure.
    fn spawn_judged<F, T: 'env>(
        &self,
        future: F,
        judge: impl FnOnce(F::Output) -> Option<T> + 'env,
    ) -> ScopedHandle<T>
    where
        F: Future + 'env,
    {
        let (child, handle) = child(future, judge, &self.nest.unfetched);
        self.nest.admit(Box::pin(child));
        handle
    }

    /// Begins a child, and waits until it says that it is ready, and with what.
    ///
    /// ```
    /// use roundel::group::{self, Scope};
    /// roundel::run(group::scope(async |s: &Scope<'_>| {
    ///     let address = s.start(async |ready| {
    ///         ready.set("127.0.0.1:7000"); // bound; from here on it serves
    ///         roundel::yield_now().await;
    ///     });
    ///     assert_eq!(address.await, Ok("127.0.0.1:7000"));
    /// }));
    /// ```
    ///
    /// # Errors
    ///
    /// If the child ends without having said it.
    pub async fn start<V: 'env, F, Fut>(&self, child: F) -> Result<V, Closed>
    where
        F: FnOnce(Ready<V>) -> Fut,
        Fut: Future<Output: 'env> + 'env,
    {
        let (sender, receiver) = oneshot();
        drop(self.spawn(child(Ready { sender })));
        receiver.await
    }

    /// Drops all children there are at the scope's next turn, also those who are spawned between this call and that;
    /// their handles say so. The body goes on, and may spawn others after that. The scope waits for their cleanups.
    pub fn cancel(&self) {
        self.nest.cancelled.set(true);
        self.nest.wake();
    }
}

/// Where the children of a [`try_scope`] are spawned. A child that is to spawn others gets a clone.
pub struct TryScope<'env, E> {
    scope: Scope<'env>,
    errors: Rc<RefCell<Vec<E>>>,
}

impl<'env, E: 'env> TryScope<'env, E> {
    /// Begins a child, which is first polled when the body gives way. If it returns an error, all others are cancelled.
    pub fn spawn<T: 'env, F>(&self, future: F) -> ScopedHandle<T>
    where
        F: Future<Output = Result<T, E>> + 'env,
    {
        let errors = Rc::clone(&self.errors);
        self.scope
            .spawn_judged(future, move |result| result.map_err(|error| errors.borrow_mut().push(error)).ok())
    }

    /// Begins a child, and waits until it says that it is ready; see [`Scope::start`].
    ///
    /// # Errors
    ///
    /// If the child ends without having said it; if it ends with an error, this does not return.
    pub async fn start<V: 'env, T: 'env, F, Fut>(&self, child: F) -> Result<V, Closed>
    where
        F: FnOnce(Ready<V>) -> Fut,
        Fut: Future<Output = Result<T, E>> + 'env,
    {
        let (sender, receiver) = oneshot();
        drop(self.spawn(child(Ready { sender })));
        receiver.await
    }

    /// Drops all children there are; see [`Scope::cancel`].
    pub fn cancel(&self) {
        self.scope.cancel();
    }

    fn fail(&self, error: E) -> Outcome<'env> {
        self.errors.borrow_mut().push(error);
        Outcome::Failed(Box::new(()))
    }
}

impl<E> Clone for TryScope<'_, E> {
    fn clone(&self) -> Self {
        TryScope { scope: self.scope.clone(), errors: Rc::clone(&self.errors) }
    }
}

/// How a child says that it is ready; see [`Scope::start`].
pub struct Ready<V> {
    sender: OneshotSender<V>,
}

impl<V> Ready<V> {
    /// The child is ready, and this is what its spawner waits for.
    pub fn set(self, value: V) {
        // If the spawner waits no more, nobody needs to know.
        drop(self.sender.send(value));
    }
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("over", &self.nest.incoming.borrow().is_none()).finish()
    }
}

impl<E> fmt::Debug for TryScope<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.scope.fmt(f)
    }
}

impl<V> fmt::Debug for Ready<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").finish_non_exhaustive()
    }
}
