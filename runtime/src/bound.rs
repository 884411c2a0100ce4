//! A value of this thread that may travel through others.
//!
//! Facts. Many libraries ask that a future, a stream or a state is `Send`, because another runtime may move it to another
//! thread. A loop of ours never does. So the value would be safe where it is, but the compiler cannot see that.
//!
//! What follows. The value stays on its thread, in a slab that belongs to the thread. What travels is its place in the
//! slab, and a place is `Send` without `unsafe`. Each use looks whether this is the value's own thread, and panics if it
//! is not.
//!
//! A [`LoopBound`] may be dropped anywhere, but its value may not (invariant 10). So another thread only notes the place.
//! The own thread drops the value when the loop in which it was made turns next. If that loop is over, or there was none,
//! this happens at the next [`LoopBound::new`] on that thread, and at the latest when the thread ends.
//!
//! Invariants. 4: while a value is used, the slab is not borrowed. The value itself is, and never twice: what changes it
//! takes `&mut self`, so the compiler sees to that. A place is given to another value only after its `LoopBound` is gone.
//!
//! What it does not know: which libraries there are.

#[cfg(feature = "io")]
mod bytes;

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread::{self, Thread};

use futures_core::Stream;
use slab::Slab;

use crate::core::context::{self, budget};
use crate::core::inbox::Inbox;
use crate::core::panics::swallow;

/// Carries a value that is not `Send` through code that asks for `Send`, and can be used only on the thread that made it.
///
/// The value may be a future, a stream, or a reader and writer of bytes: then this is one, too. Any other value is reached
/// through [`with`](LoopBound::with) or [`get`](LoopBound::get). A future need not be pinned first.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use roundel::LoopBound;
///
/// // What a library may ask of a handler.
/// fn register<F: Future<Output = u32> + Send + 'static>(handler: impl Fn() -> F + Send + Sync) -> F {
///     handler()
/// }
///
/// roundel::run(async {
///     let visits = LoopBound::new(Rc::new(Cell::new(0)));
///     let handler = move || {
///         let visits = visits.clone();
///         LoopBound::new(async move {
///             let visits = visits.get(); // an `Rc`, across an await
///             visits.set(visits.get() + 1);
///             roundel::yield_now().await;
///             visits.get()
///         })
///     };
///     assert_eq!(register(handler).await, 1);
/// });
/// ```
///
/// On another thread, every use panics, and [`is_here`](LoopBound::is_here) is false. Dropping it is allowed everywhere. The
/// value is then dropped on its own thread: when its loop turns next, or else at the next `LoopBound::new` on that thread,
/// or when that thread ends.
///
/// As long as there is one, its loop reports no deadlock: another thread could drop it, and that could wake a task.
///
/// Cancel safety: as the value; if it is a future, polling it no more loses nothing.
pub struct LoopBound<T> {
    /// The value's place in the slab of its thread.
    place: usize,
    own: Arc<OwnThread>,
    /// The loop in which it was made, which drops the value if another thread drops this.
    inbox: Option<Arc<Inbox>>,
    value: PhantomData<fn() -> T>,
}

/// A thread with values, as it is known from anywhere.
struct OwnThread {
    thread: Thread,
    /// The places of values whose `LoopBound` was dropped on another thread. `None` when the thread has ended.
    given_back: Mutex<Option<Vec<usize>>>,
}

impl OwnThread {
    fn lock(&self) -> MutexGuard<'_, Option<Vec<usize>>> {
        self.given_back.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The values of one thread.
struct Values {
    own: Arc<OwnThread>,
    /// Each is a `Value<T>`.
    slab: RefCell<Slab<Rc<dyn Any>>>,
}

/// A value, pinned, because it may be a future.
type Value<T> = RefCell<Pin<Box<T>>>;

thread_local! {
    static VALUES: Values = {
        let own = OwnThread { thread: thread::current(), given_back: Mutex::new(Some(Vec::new())) };
        Values { own: Arc::new(own), slab: RefCell::default() }
    };
}

impl Drop for Values {
    /// The thread ends. Each value is dropped, whatever the others do.
    fn drop(&mut self) {
        self.own.lock().take();
        let values = std::mem::take(self.slab.get_mut());
        values.into_iter().for_each(|(_, value)| swallow(|| drop(value)));
    }
}

/// Takes a value out of the slab, if this thread still has one.
fn take_out(place: usize) -> Option<Rc<dyn Any>> {
    VALUES.try_with(|all| all.slab.borrow_mut().try_remove(place)).ok().flatten()
}

/// Drops the values whose `LoopBound` was dropped on another thread.
fn drop_given_back() {
    let places = VALUES.try_with(|all| all.own.lock().as_mut().map(std::mem::take));
    for place in places.ok().flatten().unwrap_or_default() {
        let value = take_out(place);
        swallow(|| drop(value));
    }
}

impl<T: 'static> LoopBound<T> {
    /// Binds a value to this thread. A loop need not run.
    ///
    /// # Panics
    ///
    /// In a destructor that runs while the thread ends, if the thread's values are gone by then.
    #[track_caller]
    #[must_use]
    pub fn new(value: T) -> LoopBound<T> {
        drop_given_back();
        let value: Rc<dyn Any> = Rc::new(Value::new(Box::pin(value)));
        let entered = VALUES.try_with(|all| (Arc::clone(&all.own), all.slab.borrow_mut().insert(value)));
        let Ok((own, place)) = entered else { thread_ends() };
        let inbox = context::current().map(|context| Arc::clone(&context.inbox));
        LoopBound { place, own, inbox, value: PhantomData }
    }

    /// Calls `f` with the value.
    ///
    /// # Panics
    ///
    /// On another thread.
    #[track_caller]
    pub fn with<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        f(&self.value().borrow())
    }

    /// A clone of the value, most often of an `Rc`.
    ///
    /// # Panics
    ///
    /// On another thread.
    #[track_caller]
    #[must_use]
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// The value.
    ///
    /// # Panics
    ///
    /// On another thread.
    #[track_caller]
    pub fn into_inner(self) -> T
    where
        T: Unpin,
    {
        drop(self.value());
        let value = take_out(self.place);
        let value = value.and_then(|value| value.downcast::<Value<T>>().ok()).and_then(Rc::into_inner);
        let Some(value) = value else { thread_ends() };
        *Pin::into_inner(value.into_inner())
    }

    /// The value, to be borrowed with nothing else borrowed.
    #[track_caller]
    fn value(&self) -> Rc<Value<T>> {
        let found = VALUES.try_with(|all| {
            let is_here = Arc::ptr_eq(&all.own, &self.own);
            is_here.then(|| all.slab.borrow().get(self.place).cloned()).flatten()
        });
        match found {
            Ok(Some(value)) => value.downcast().unwrap_or_else(|_| thread_ends()),
            Ok(None) => elsewhere(&self.own.thread),
            Err(_) => thread_ends(),
        }
    }

    /// Polls the value by `poll`, which counts as an operation of the task's budget.
    #[track_caller]
    fn poll_value<R>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        ready!(budget::spend(cx.waker()));
        poll(self.value().borrow_mut().as_mut(), cx)
    }
}

impl<T> LoopBound<T> {
    /// Whether this is the thread to which the value is bound.
    #[must_use]
    pub fn is_here(&self) -> bool {
        VALUES.try_with(|all| Arc::ptr_eq(&all.own, &self.own)).unwrap_or(false)
    }
}

#[cold]
#[track_caller]
fn elsewhere(own: &Thread) -> ! {
    let name = |thread: &Thread| thread.name().unwrap_or("without a name").to_owned();
    panic!(
        "a LoopBound of the thread `{}` was used on the thread `{}`: use it on its own thread, which others reach through a `Remote`",
        name(own),
        name(&thread::current())
    )
}

#[cold]
#[track_caller]
fn thread_ends() -> ! {
    panic!("a LoopBound was used while its thread ends: the thread's values have been dropped by then")
}

impl<T> Drop for LoopBound<T> {
    fn drop(&mut self) {
        if self.is_here() {
            drop(take_out(self.place));
            return;
        }
        // After the thread has ended there is nothing left to drop.
        let is_noted = self.own.lock().as_mut().map(|places| places.push(self.place)).is_some();
        if let Some(inbox) = self.inbox.take().filter(|_| is_noted) {
            // A loop that is over refuses the errand; the place is noted all the same.
            drop(inbox.send(Box::new(drop_given_back)));
        }
    }
}

/// A value of its own, which is a clone.
impl<T: Clone + 'static> Clone for LoopBound<T> {
    #[track_caller]
    fn clone(&self) -> LoopBound<T> {
        LoopBound::new(self.get())
    }
}

impl<T: Future + 'static> Future for LoopBound<T> {
    type Output = T::Output;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        self.poll_value(cx, T::poll)
    }
}

impl<T: Stream + 'static> Stream for LoopBound<T> {
    type Item = T::Item;

    #[track_caller]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T::Item>> {
        self.poll_value(cx, T::poll_next)
    }
}

impl<T: fmt::Debug + 'static> fmt::Debug for LoopBound<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_here() {
            return f.write_str("LoopBound(<of another thread>)");
        }
        f.debug_tuple("LoopBound").field(&self.value().borrow()).finish()
    }
}
