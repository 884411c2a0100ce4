//! Telling work to stop, and cleaning up after it.
//!
//! Facts. Cancelling a future means dropping it at the `.await` where it waits. Destructors run then, in the usual
//! order, but a destructor cannot wait. And the tasks to be stopped may be many, and far from the code that stops them.
//!
//! Contract. A program asks a [`CancelToken`], or awaits it. A token stays cancelled, so a task cannot miss or swallow
//! that, and it cancels its children with it.
//!
//! [`with_cleanup`] awaits a cleanup after its body, within a grace period, however the body ends: with a value, an
//! error or a panic, or because it is dropped. If the whole task is cancelled, the task *becomes* the cleanup. A task
//! that awaits the handle learns of the cancelling when the cleanup is done; a second `cancel` cuts the cleanup short.
//! If only the future is dropped, by a timeout for example, the cleanup goes on as a task of its own. A scope that
//! drops its children awaits their cleanups. At a shutdown a cleanup has at most the runtime's `shutdown_timeout`. A
//! cleanup runs on the loop of its task, even if the task is cancelled under another loop or outside a loop.
//!
//! What is not promised. Cancelling a token does not stop a task that never looks at it. A `with_cleanup` that is part
//! of no task, and is dropped outside a loop, does not run its cleanup.
//!
//! | method | cancel safe |
//! |---|---|
//! | `cancelled` | yes |
//! | `CancelToken::run` | as the future: it is dropped |
//! | `with_cleanup` | the body is dropped, the cleanup runs |

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use slab::Slab;

use crate::core::context::{self, budget};
use crate::core::panics::{self, Payload, contain, swallow};
use crate::task::leave_cleanup;
use crate::time::{Elapsed, Timeout, timeout};
use crate::waiting::WaitQueue;

/// Tells all tasks that hold a clone that it is time to stop.
///
/// ```
/// use roundel::cancel::CancelToken;
/// roundel::run(async {
///     let token = CancelToken::new();
///     let worker = roundel::spawn({
///         let token = token.child();
///         async move {
///             let work = std::future::pending::<()>();
///             token.run(work).await.is_err()
///         }
///     });
///     token.cancel();
///     assert!(worker.await.unwrap());
/// });
/// ```
#[derive(Clone)]
pub struct CancelToken {
    node: Rc<Node>,
}

/// What the clones of a token share.
struct Node {
    /// Set by `cancel` here or on a token above. Never cleared.
    cancelled: Cell<bool>,
    queue: WaitQueue,
    /// The tokens below that live and are not cancelled. Taken when this one is cancelled.
    children: RefCell<Slab<Weak<Node>>>,
    /// The token above, and our place among its children.
    parent: RefCell<Option<(Rc<Node>, usize)>>,
}

impl CancelToken {
    /// A token that is not cancelled.
    #[track_caller]
    pub fn new() -> CancelToken {
        CancelToken { node: Rc::new(Node::new()) }
    }

    /// A token that is cancelled together with this one, and can be cancelled alone before that.
    #[must_use]
    #[track_caller]
    pub fn child(&self) -> CancelToken {
        let child = CancelToken::new();
        if self.is_cancelled() {
            child.cancel();
        } else {
            let place = self.node.children.borrow_mut().insert(Rc::downgrade(&child.node));
            child.node.parent.replace(Some((Rc::clone(&self.node), place)));
        }
        child
    }

    /// Cancels this token and all tokens below it, and wakes all tasks that wait for them.
    pub fn cancel(&self) {
        // Two lists instead of a recursion, because the tree may be deep. All are cancelled before any task is woken.
        let (mut next, mut cancelled) = (vec![Rc::clone(&self.node)], Vec::new());
        while let Some(node) = next.pop() {
            if !node.cancelled.replace(true) {
                let children = std::mem::take(&mut *node.children.borrow_mut());
                next.extend(children.into_iter().rev().filter_map(|(_, child)| child.upgrade()));
                cancelled.push(node);
            }
        }
        for node in cancelled {
            node.queue.call_all(());
        }
    }

    /// Whether the token is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.node.cancelled.get()
    }

    /// Waits until the token is cancelled.
    pub async fn cancelled(&self) {
        let node = &*self.node;
        node.queue.wait((), || node.cancelled.get().then_some(()), |_| {}).await;
    }

    /// Runs `future` until the token is cancelled, and then drops it. A result that is ready by then is not lost.
    ///
    /// # Errors
    ///
    /// If the token was cancelled before the future was done.
    pub async fn run<F: Future>(&self, future: F) -> Result<F::Output, Cancelled> {
        crate::group::select! {
            output = future => Ok(output),
            () = self.cancelled() => Err(Cancelled(())),
        }
    }

    /// Cancels the token when the guard is dropped.
    #[must_use = "a guard that is dropped at once cancels at once"]
    pub fn cancel_on_drop(&self) -> CancelOnDrop {
        CancelOnDrop { token: self.clone() }
    }
}

impl Node {
    #[track_caller]
    fn new() -> Node {
        Node {
            cancelled: Cell::new(false),
            queue: WaitQueue::new(&"cancel token"),
            children: RefCell::default(),
            parent: RefCell::default(),
        }
    }
}

impl Drop for Node {
    /// Leaves the parent. That may drop the parent, which then leaves its own parent, and so on: a loop, not a
    /// recursion.
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some((parent, place)) = next {
            // If the parent is cancelled, it has already forgotten its children.
            parent.children.borrow_mut().try_remove(place);
            next = Rc::into_inner(parent).and_then(|parent| parent.parent.take());
        }
    }
}

impl Default for CancelToken {
    #[track_caller]
    fn default() -> CancelToken {
        CancelToken::new()
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

/// See [`CancelToken::cancel_on_drop`].
#[derive(Debug)]
pub struct CancelOnDrop {
    token: CancelToken,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

/// The token of a [`CancelToken::run`] was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled(());

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it was cancelled")
    }
}

impl std::error::Error for Cancelled {}

/// How long a cleanup may take, unless [`grace`](WithCleanup::grace) says otherwise.
const GRACE: Duration = Duration::from_secs(5);

/// Runs `body`, and then `cleanup`. The cleanup is awaited whether the body returned, failed, panicked or was dropped
/// (even before its first poll).
///
/// ```
/// use roundel::{cancel::with_cleanup, time};
/// use std::{cell::RefCell, rc::Rc, time::Duration};
///
/// let log = Rc::new(RefCell::new(Vec::new()));
/// let runtime = roundel::Runtime::builder().virtual_time(true).build().unwrap();
/// runtime.block_on(async {
///     let session = roundel::spawn(with_cleanup(std::future::pending::<()>(), {
///         let log = log.clone();
///         async move || {
///             time::sleep(Duration::from_millis(300)).await; // says goodbye to the other side
///             log.borrow_mut().push("closed");
///         }
///     }));
///     roundel::yield_now().await;
///     session.cancel();
///     assert!(session.await.unwrap_err().is_cancelled()); // after the cleanup
/// });
/// assert_eq!(*log.borrow(), ["closed"]);
/// ```
///
/// # Panics
///
/// When it is awaited outside a loop, because the grace period needs a loop's clock.
pub fn with_cleanup<B, C, Fut>(body: B, cleanup: C) -> WithCleanup<B, C, Fut>
where
    B: Future,
    C: FnOnce() -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    WithCleanup { body: Some(body), cleanup: Some(cleanup), grace: GRACE, state: CleanupState::Body }
}

pin_project! {
    /// See [`with_cleanup`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct WithCleanup<B, C, Fut>
    where
        B: Future,
        C: FnOnce() -> Fut,
        Fut: Future<Output = ()>,
        Fut: 'static,
    {
        // `None` when it has ended or was dropped.
        #[pin]
        body: Option<B>,
        // `None` when it has been called.
        cleanup: Option<C>,
        grace: Duration,
        state: CleanupState<B::Output, Fut>,
    }

    impl<B, C, Fut> PinnedDrop for WithCleanup<B, C, Fut>
    where
        B: Future,
        C: FnOnce() -> Fut,
        Fut: Future<Output = ()>,
        Fut: 'static,
    {
        fn drop(this: Pin<&mut Self>) {
            this.give_up();
        }
    }
}

enum CleanupState<T, Fut> {
    /// The body runs, or has not been polled yet.
    Body,
    /// The cleanup runs. The result of the body waits here until it is done.
    Cleanup(Pin<Box<Timeout<Fut>>>, Result<T, Payload>),
    /// The result has been given, or the future is being dropped. Nothing is left to be done.
    Over,
}

impl<B, C, Fut> WithCleanup<B, C, Fut>
where
    B: Future,
    C: FnOnce() -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    /// How long the cleanup may take; after that it is dropped. The default is five seconds.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Drops the body, which has ended with `result`, and begins the cleanup.
    fn clean_up(self: Pin<&mut Self>, mut result: Result<B::Output, Payload>) {
        let mut this = self.project();
        if let Err(payload) = contain(|| this.body.set(None)) {
            result = Err(first_panic(result, payload));
        }
        let Some(cleanup) = this.cleanup.take() else { return };
        // If the closure itself panics, there is no cleanup to await.
        match contain(|| timeout(*this.grace, cleanup())) {
            Ok(cleanup) => *this.state = CleanupState::Cleanup(Box::pin(cleanup), result),
            Err(payload) => {
                *this.state = CleanupState::Over;
                resume_unwind(first_panic(result, payload));
            }
        }
    }

    /// We are being dropped. If we are not over, the rest of the cleanup has to go on without us.
    fn give_up(mut self: Pin<&mut Self>) {
        let (context, grace) = (context::current(), self.grace);
        let mut this = self.as_mut().project();
        let closure = this.cleanup.take();
        // Each of these steps runs even if another one panics; the first panic goes on at the end.
        let mut panic = contain(|| this.body.set(None)).err();
        match std::mem::replace(this.state, CleanupState::Over) {
            CleanupState::Body => match contain(|| context.as_ref().and(closure).map(|cleanup| cleanup())) {
                // The grace period starts when this cleanup starts: other cleanups may come before it.
                Ok(Some(cleanup)) => leave(async move { timeout(grace, cleanup).await }),
                Ok(None) => {}
                Err(payload) => panic = panics::first(panic, Some(payload)),
            },
            CleanupState::Cleanup(cleanup, result) => {
                panic = panics::first(panic, contain(|| drop(result)).err());
                leave(cleanup);
            }
            CleanupState::Over => {}
        }
        panic.into_iter().for_each(panics::go_on);
    }
}

/// The first of two panics: the one in `before`, if there is one, or else `payload`. An output in `before` is dropped.
fn first_panic<T>(before: Result<T, Payload>, payload: Payload) -> Payload {
    match before {
        Ok(output) => {
            swallow(|| drop(output));
            payload
        }
        Err(first) => {
            swallow(|| drop(payload));
            first
        }
    }
}

/// Lets a cleanup go on after its future is dropped; see [`leave_cleanup`].
fn leave(cleanup: impl Future<Output = Result<(), Elapsed>> + 'static) {
    // Whether it was done or cut off by the grace period makes no difference here.
    leave_cleanup(Box::pin(async move {
        let _ = cleanup.await;
    }));
}

impl<B, C, Fut> Future for WithCleanup<B, C, Fut>
where
    B: Future,
    C: FnOnce() -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    type Output = B::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<B::Output> {
        ready!(budget::spend(cx.waker()));
        // First the body, until it has ended or panicked.
        let mut body = self.as_mut().project().body;
        if let Some(body) = body.as_mut().as_pin_mut() {
            let result = match contain(|| body.poll(cx)) {
                Ok(poll) => Ok(ready!(poll)),
                Err(payload) => Err(payload),
            };
            self.as_mut().clean_up(result);
        }
        // Then the cleanup, until it is done, cut off by the grace period, or has panicked.
        let state = self.project().state;
        if let CleanupState::Cleanup(cleanup, result) = state {
            match contain(|| cleanup.as_mut().poll(cx)) {
                Ok(poll) => {
                    let _ = ready!(poll);
                }
                // A cleanup that has panicked is over. If the body panicked as well, that panic is the cause and is
                // kept.
                Err(payload) if result.is_ok() => *result = Err(payload),
                Err(payload) => swallow(|| drop(payload)),
            }
        }
        // Last, the body's result.
        match std::mem::replace(state, CleanupState::Over) {
            CleanupState::Cleanup(cleanup, result) => {
                drop(cleanup);
                Poll::Ready(result.unwrap_or_else(|payload| resume_unwind(payload)))
            }
            _ => panic!("a WithCleanup was polled again after it had given its result"),
        }
    }
}

impl<B, C, Fut> fmt::Debug for WithCleanup<B, C, Fut>
where
    B: Future,
    C: FnOnce() -> Fut,
    Fut: Future<Output = ()>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithCleanup").field("grace", &self.grace).finish_non_exhaustive()
    }
}
