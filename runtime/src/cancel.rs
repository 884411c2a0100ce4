//! Telling work to stop, and cleaning up after it.
//!
//! Facts. To cancel a future is to drop it, at the `.await` where it stands. Destructors run then, in the usual order, but a
//! destructor cannot wait. And whoever is to be stopped may be far away, or be many.
//!
//! Contract. A [`CancelToken`] is asked, or awaited; it stays cancelled (so nobody can miss it, or swallow it), and cancels
//! its children with it. [`with_cleanup`] awaits a cleanup after its body, however the body ends: with a value or an error,
//! with a panic, or dropped, within a grace period. If its whole task is cancelled, the task *becomes* the cleanup: whoever
//! awaits its handle hears that it was cancelled when that is done, and a second `cancel` cuts it short. If only the future
//! is dropped, by a timeout say, the cleanup goes on as a task of its own. A scope that drops its children awaits their
//! cleanups. At a shutdown a cleanup has the runtime's `shutdown_timeout`, if that is shorter. Its loop runs it, also if
//! the task is cancelled under another loop or outside of any.
//!
//! What is not promised. To cancel a token stops nobody who does not look. A `with_cleanup` that lies in no task, and is
//! dropped outside a loop, does not run its cleanup.
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

use crate::core::context;
use crate::core::panics::{self, Payload, contain, swallow};
use crate::task::leave_cleanup;
use crate::time::{Elapsed, Timeout, timeout};
use crate::waiting::WaitQueue;

/// Says, to all who hold a clone, that it is time to stop.
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

struct Node {
    cancelled: Cell<bool>,
    queue: WaitQueue,
    children: RefCell<Slab<Weak<Node>>>,
    /// And our place among its children.
    parent: RefCell<Option<(Rc<Node>, usize)>>,
}

impl CancelToken {
    /// A token that is not cancelled.
    pub fn new() -> CancelToken {
        CancelToken { node: Rc::new(Node::new()) }
    }

    /// A token that is cancelled with this one, or before it by itself.
    #[must_use]
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

    /// Cancels this token, its children and theirs, and wakes all who wait for it.
    pub fn cancel(&self) {
        // Lists, not a recursion: children of children may go deep. All are cancelled before anybody is woken.
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

    /// Whether it is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.node.cancelled.get()
    }

    /// Waits until it is cancelled.
    pub async fn cancelled(&self) {
        let node = &*self.node;
        node.queue.wait((), || node.cancelled.get().then_some(()), |_| {}).await;
    }

    /// Runs `future` until the token is cancelled; then drops it. A result that is ready by then is not lost.
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
    fn new() -> Node {
        Node {
            cancelled: Cell::new(false),
            queue: WaitQueue::new("cancel token"),
            children: RefCell::default(),
            parent: RefCell::default(),
        }
    }
}

impl Drop for Node {
    /// Leaves the parent, which may be the last to know *its* parent, and so on: a loop, not a recursion.
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some((parent, place)) = next {
            // It was taken out before, if the parent is cancelled.
            parent.children.borrow_mut().try_remove(place);
            next = Rc::into_inner(parent).and_then(|parent| parent.parent.take());
        }
    }
}

impl Default for CancelToken {
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

/// How long a cleanup may take, if nobody says otherwise.
const GRACE: Duration = Duration::from_secs(5);

/// Runs `body`, and then `cleanup`, which is awaited whether the body returned, failed, panicked or was dropped (also
/// before it was ever polled).
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
///             time::sleep(Duration::from_millis(300)).await; // says good-bye to the other side
///             log.borrow_mut().push("closed");
///         }
///     }));
///     roundel::yield_now().await;
///     session.cancel();
///     assert!(session.await.unwrap_err().is_cancelled()); // when all is done
/// });
/// assert_eq!(*log.borrow(), ["closed"]);
/// ```
///
/// # Panics
///
/// When it is awaited outside a loop, whose clock the grace period needs.
pub fn with_cleanup<B, C, Fut>(body: B, cleanup: C) -> WithCleanup<B, C, Fut>
where
    B: Future,
    C: FnOnce() -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    WithCleanup { body: Some(body), cleanup: Some(cleanup), grace: GRACE, stage: Stage::Body }
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
        #[pin]
        body: Option<B>,
        cleanup: Option<C>,
        grace: Duration,
        stage: Stage<B::Output, Fut>,
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

enum Stage<T, Fut> {
    Body,
    /// The body is gone; this is what it left.
    Cleanup(Pin<Box<Timeout<Fut>>>, Result<T, Payload>),
    Over,
}

impl<B, C, Fut> WithCleanup<B, C, Fut>
where
    B: Future,
    C: FnOnce() -> Fut,
    Fut: Future<Output = ()> + 'static,
{
    /// How long the cleanup may take; then it is dropped. Five seconds, if not set.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The body is over: drops it, and begins the cleanup.
    fn clean_up(self: Pin<&mut Self>, mut result: Result<B::Output, Payload>) {
        let mut this = self.project();
        if let Err(payload) = contain(|| this.body.set(None)) {
            result = Err(first_panic(result, payload));
        }
        let Some(cleanup) = this.cleanup.take() else { return };
        match contain(|| timeout(*this.grace, cleanup())) {
            Ok(cleanup) => *this.stage = Stage::Cleanup(Box::pin(cleanup), result),
            Err(payload) => {
                *this.stage = Stage::Over;
                resume_unwind(first_panic(result, payload));
            }
        }
    }

    /// We are dropped before we are over: what is left of the cleanup has to go on without us.
    fn give_up(mut self: Pin<&mut Self>) {
        let (context, grace) = (context::current(), self.grace);
        let mut this = self.as_mut().project();
        let closure = this.cleanup.take();
        // Whatever one of these does, the others have their turn.
        let mut panic = contain(|| this.body.set(None)).err();
        match std::mem::replace(this.stage, Stage::Over) {
            Stage::Body => match contain(|| context.as_ref().and(closure).map(|cleanup| cleanup())) {
                // Its time begins when its turn comes: others may have been left before it.
                Ok(Some(cleanup)) => leave(async move { timeout(grace, cleanup).await }),
                Ok(None) => {}
                Err(payload) => panic = panics::first(panic, Some(payload)),
            },
            Stage::Cleanup(cleanup, result) => {
                panic = panics::first(panic, contain(|| drop(result)).err());
                leave(cleanup);
            }
            Stage::Over => {}
        }
        panic.into_iter().for_each(panics::go_on);
    }
}

/// Of a panic and what there was before, the first panic; an output is dropped.
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

/// Has a cleanup run on when its future is dropped; see [`leave_cleanup`].
fn leave(cleanup: impl Future<Output = Result<(), Elapsed>> + 'static) {
    // Cut off or not: it has had its time.
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
        ready!(context::spend(cx.waker()));
        let mut body = self.as_mut().project().body;
        if let Some(body) = body.as_mut().as_pin_mut() {
            let result = match contain(|| body.poll(cx)) {
                Ok(poll) => Ok(ready!(poll)),
                Err(payload) => Err(payload),
            };
            self.as_mut().clean_up(result);
        }
        let stage = self.project().stage;
        if let Stage::Cleanup(cleanup, result) = stage {
            match contain(|| cleanup.as_mut().poll(cx)) {
                Ok(poll) => {
                    let _ = ready!(poll);
                }
                // It is over, too, and not to be left to anybody. The body's panic, if it had one, is the cause.
                Err(payload) if result.is_ok() => *result = Err(payload),
                Err(payload) => swallow(|| drop(payload)),
            }
        }
        match std::mem::replace(stage, Stage::Over) {
            Stage::Cleanup(cleanup, result) => {
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
