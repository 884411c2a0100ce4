//! Children that may borrow, and that are over when the scope is over.
//!
//! Facts. A spawned task may outlive the task that spawned it, so it cannot borrow from that one. And a future can be
//! forgotten at any time without being dropped, so no destructor can be relied on to wait for a task that borrows.
//!
//! What follows. A scope's children are not tasks: they lie inside the scope's own future, which polls them. If that
//! future is dropped, they are dropped; if it is forgotten, they are never polled again. Either way no child runs after
//! what it borrows is gone. The compiler can check this without `unsafe`.
//!
//! Contract. [`scope`] ends when its body and all its children have ended, and when the cleanups of the children that
//! it has dropped are done. A panic in any of them cancels the rest and then goes on in the task. In [`try_scope`], the
//! first error of a child or of the body also cancels the rest; the [`GroupError`] holds all errors up to then.
//! Cancelling means dropping: first the body, then the children in the order of their spawning. (Places are used again.
//! So after a child has ended, the order is that of the places.)
//!
//! | function | cancel safe |
//! |---|---|
//! | `scope`, `try_scope` | as the body and the children: they are dropped |
//! | a `ScopedHandle` | yes: dropping it lets the child run on |

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use crate::channel::{Closed, OneshotSender, oneshot};
use crate::group::child::{ChildEnd, ScopedHandle, child};
use crate::group::failure::GroupError;
use crate::group::state::{Run, ScopeState, contained};

/// Runs `body`, which may spawn children that borrow. Ends when all have ended.
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
/// If the body or a child panics: with the same panic.
pub async fn scope<'env, R>(body: impl AsyncFnOnce(&Scope<'env>) -> R) -> R {
    let scope = Scope { state: Rc::new(ScopeState::new()) };
    let result = Cell::new(None);
    let body = Box::pin(contained(async {
        result.set(Some(body(&scope).await));
        ChildEnd::Fine
    }));
    Run::new(Rc::clone(&scope.state), body).await;
    result.take().expect("nothing but a panic cancels the body of a `scope`")
}

/// Runs `body`, which may spawn children that borrow. Ends when all have ended, or when one has failed.
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
/// If a child or the body returns an error.
///
/// # Panics
///
/// If the body or a child panics: with the same panic.
pub async fn try_scope<'env, R, E: 'env>(
    body: impl AsyncFnOnce(&TryScope<'env, E>) -> Result<R, E>,
) -> Result<R, GroupError<E>> {
    let scope = TryScope { scope: Scope { state: Rc::new(ScopeState::new()) }, errors: Rc::default() };
    let result = Cell::new(None);
    // An error of the body fails the scope like that of a child.
    let body = Box::pin(contained(async {
        match body(&scope).await {
            Ok(value) => {
                result.set(Some(value));
                ChildEnd::Fine
            }
            Err(error) => scope.fail(error),
        }
    }));
    Run::new(Rc::clone(&scope.scope.state), body).await;
    // A body that has returned a value does not help if a child has failed.
    let errors = scope.errors.take();
    match result.take() {
        Some(value) if errors.is_empty() => Ok(value),
        _ => Err(GroupError { errors }),
    }
}

/// The object with which to spawn children in a [`scope`]. A child that spawns others needs a clone of it.
#[derive(Clone)]
pub struct Scope<'env> {
    state: Rc<ScopeState<'env>>,
}

impl<'env> Scope<'env> {
    /// Starts a child. It is first polled when the body gives way. If the scope is over, the child is dropped at once.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> ScopedHandle<F::Output>
    where
        F: Future<Output: 'env> + 'env,
    {
        self.spawn_judged(future, Some)
    }

    /// `judge` returns the output, or `None` if the child has failed.
    #[track_caller]
    fn spawn_judged<F, T: 'env>(
        &self,
        future: F,
        judge: impl FnOnce(F::Output) -> Option<T> + 'env,
    ) -> ScopedHandle<T>
    where
        F: Future + 'env,
    {
        let (child, handle) = child(future, judge, &self.state.unfetched);
        self.state.admit(Box::pin(child));
        handle
    }

    /// Starts a child, and waits until it reports that it is ready. Returns the value that it reports.
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
    /// If the child ends without reporting it.
    pub async fn start<V: 'env, F, Fut>(&self, child: F) -> Result<V, Closed>
    where
        F: FnOnce(Ready<V>) -> Fut,
        Fut: Future<Output: 'env> + 'env,
    {
        let (sender, receiver) = oneshot();
        drop(self.spawn(child(Ready { sender })));
        receiver.await
    }

    /// Drops all children at the scope's next turn, including those spawned between this call and then. Their handles
    /// report that they were cancelled. The body goes on, and may spawn more after that. The scope waits for the
    /// cleanups.
    pub fn cancel(&self) {
        self.state.cancelled.set(true);
        self.state.wake();
    }
}

/// The object with which to spawn children in a [`try_scope`]. A child that spawns others needs a clone of it.
pub struct TryScope<'env, E> {
    scope: Scope<'env>,
    /// The errors so far, in the order in which they happened.
    errors: Rc<RefCell<Vec<E>>>,
}

impl<'env, E: 'env> TryScope<'env, E> {
    /// Starts a child. It is first polled when the body gives way. If it returns an error, the scope cancels all
    /// others.
    #[track_caller]
    pub fn spawn<T: 'env, F>(&self, future: F) -> ScopedHandle<T>
    where
        F: Future<Output = Result<T, E>> + 'env,
    {
        let errors = Rc::clone(&self.errors);
        self.scope
            .spawn_judged(future, move |result| result.map_err(|error| errors.borrow_mut().push(error)).ok())
    }

    /// Starts a child, and waits until it reports that it is ready; see [`Scope::start`].
    ///
    /// # Errors
    ///
    /// If the child ends without reporting it. If it ends with an error, this does not return.
    pub async fn start<V: 'env, T: 'env, F, Fut>(&self, child: F) -> Result<V, Closed>
    where
        F: FnOnce(Ready<V>) -> Fut,
        Fut: Future<Output = Result<T, E>> + 'env,
    {
        let (sender, receiver) = oneshot();
        drop(self.spawn(child(Ready { sender })));
        receiver.await
    }

    /// Drops all children; see [`Scope::cancel`].
    pub fn cancel(&self) {
        self.scope.cancel();
    }

    fn fail(&self, error: E) -> ChildEnd<'env> {
        self.errors.borrow_mut().push(error);
        ChildEnd::Failed(Box::new(()))
    }
}

impl<E> Clone for TryScope<'_, E> {
    fn clone(&self) -> Self {
        TryScope { scope: self.scope.clone(), errors: Rc::clone(&self.errors) }
    }
}

/// With this a child reports that it is ready; see [`Scope::start`].
pub struct Ready<V> {
    sender: OneshotSender<V>,
}

impl<V> Ready<V> {
    /// Reports that the child is ready, with the value that its spawner waits for.
    pub fn set(self, value: V) {
        // If the spawner no longer waits, the value is not needed.
        drop(self.sender.send(value));
    }
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("over", &self.state.incoming.borrow().is_none()).finish()
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
