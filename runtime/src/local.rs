//! Values that belong to a task rather than to a thread: a request's id, a user, a deadline.
//!
//! Facts. Tasks take turns on one thread, so they all share a thread-local. A value that a task hands down to the tasks
//! it spawns must not depend on which of them runs when.
//!
//! Contract. [`task_local!`](crate::task_local) declares a key. A task that sets it sees its own value from then on,
//! and every task that it spawns afterwards starts with the same value. The two share the value, which is not cloned,
//! until either of them sets another. Outside a task a key has no value.
//!
//! | method | cancel safe |
//! |---|---|
//! | `LocalKey::scope` | yes: whenever the inner future is not running, the old value is back |

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::core::context::{self, budget};
use crate::core::panics::{self, contain, swallow};

/// A key declared by [`task_local!`](crate::task_local).
pub struct LocalKey<T: 'static> {
    /// A key is identified by its address. This byte gives it one of its own: statics of size zero may share an
    /// address.
    _place: u8,
    value: PhantomData<fn(T) -> T>,
}

/// Declares keys for values that a task keeps and that the tasks it spawns inherit.
///
/// ```
/// roundel::task_local! {
///     static REQUEST: u32;
/// }
///
/// roundel::run(async {
///     REQUEST.set(7);
///     let child = roundel::spawn(async { REQUEST.get() });
///     REQUEST.set(8);
///     assert_eq!(child.await.unwrap(), Some(7), "the value when the child was spawned");
///
///     let inner = REQUEST.scope(9, async { REQUEST.with(|value| value.copied()) });
///     assert_eq!(inner.await, Some(9));
///     assert_eq!(REQUEST.get(), Some(8));
/// });
/// ```
#[macro_export]
macro_rules! task_local {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty);* $(;)?) => {
        $($(#[$attribute])* $visibility static $name: $crate::task::LocalKey<$type> = $crate::task::LocalKey::new();)*
    };
}

/// All values of a task, each with the address of its key.
struct Values(Vec<(usize, Rc<dyn Any>)>);

impl Drop for Values {
    /// One after the other, because they know nothing of each other, and two of them may panic.
    fn drop(&mut self) {
        self.0.drain(..).for_each(|(_, value)| swallow(|| drop(value)));
    }
}

/// The values of the running task.
fn values() -> Option<Rc<Values>> {
    context::current()?.executor.locals()?.downcast().ok()
}

impl<T: 'static> LocalKey<T> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new() -> LocalKey<T> {
        LocalKey { _place: 0, value: PhantomData }
    }

    /// Calls `f` with the running task's value, if it has one.
    pub fn with<R>(&'static self, f: impl FnOnce(Option<&T>) -> R) -> R {
        let value = self.value();
        f(value.as_deref())
    }

    /// A copy of the running task's value, if it has one.
    #[must_use]
    pub fn get(&'static self) -> Option<T>
    where
        T: Clone,
    {
        self.with(|value| value.cloned())
    }

    /// Sets the value for the running task and for the tasks that it will spawn.
    ///
    /// # Panics
    ///
    /// Outside a task.
    #[track_caller]
    pub fn set(&'static self, value: T) {
        let task = context::expect("LocalKey::set").executor.running();
        assert!(
            task.is_some(),
            "`LocalKey::set` was called where no task runs: there is no task to keep the value"
        );
        let old = self.replace(Some(Rc::new(value)));
        drop(old);
    }

    /// Runs `future` with `value` in place. The tasks that it spawns inherit the value.
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> Scope<T, F> {
        Scope { key: self, value: Some(Rc::new(value)), future: Some(future) }
    }

    fn value(&'static self) -> Option<Rc<T>> {
        let values = values()?;
        let (_, value) = values.0.iter().find(|(key, _)| *key == self.address())?;
        Rc::clone(value).downcast().ok()
    }

    /// Sets the value, or removes it; returns the old one. If no task runs, nothing can keep a value, and it comes
    /// back.
    fn replace(&'static self, value: Option<Rc<dyn Any>>) -> Option<Rc<dyn Any>> {
        let context = context::current().filter(|context| context.executor.running().is_some());
        let Some(context) = context else { return value };
        let executor = &context.executor;
        let mut locals: Vec<_> = values().map(|values| values.0.to_vec()).unwrap_or_default();
        let place = locals.iter().position(|(key, _)| *key == self.address());
        let old = place.map(|place| locals.swap_remove(place).1);
        locals.extend(value.map(|value| (self.address(), value)));
        let Some(task) = executor.running() else { return old };
        let locals = Some(Rc::new(Values(locals)) as Rc<dyn Any>);
        let before = executor.extras.with(task, |extra| std::mem::replace(&mut extra.locals, locals));
        drop(before);
        old
    }

    fn address(&'static self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl<T> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

pin_project! {
    /// See [`LocalKey::scope`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct Scope<T: 'static, F> {
        key: &'static LocalKey<T>,
        // While the future is not running, the scope's value; while it runs, the value that it has replaced.
        value: Option<Rc<dyn Any>>,
        // `Some` until the scope is dropped.
        #[pin]
        future: Option<F>,
    }

    impl<T: 'static, F> PinnedDrop for Scope<T, F> {
        fn drop(this: Pin<&mut Self>) {
            // The destructors of the future see the scope's value, too.
            let mut this = this.project();
            let inside = Inside::enter(*this.key, this.value);
            // The future and the value are independent, and dropping either may panic. The first panic goes on.
            let panic = contain(|| this.future.set(None)).err();
            drop(inside);
            let panic = panics::first(panic, contain(|| drop(this.value.take())).err());
            panic.into_iter().for_each(panics::go_on);
        }
    }
}

impl<T: 'static, F: Future> Future for Scope<T, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        ready!(budget::spend(cx.waker()));
        let this = self.project();
        let _inside = Inside::enter(*this.key, this.value);
        let future = this.future.as_pin_mut().expect("the future stays until the scope is dropped");
        future.poll(cx)
    }
}

/// Swaps the scope's value in, and swaps it out again when dropped, even if the future panics.
struct Inside<'a, T: 'static> {
    key: &'static LocalKey<T>,
    value: &'a mut Option<Rc<dyn Any>>,
}

impl<'a, T: 'static> Inside<'a, T> {
    fn enter(key: &'static LocalKey<T>, value: &'a mut Option<Rc<dyn Any>>) -> Inside<'a, T> {
        *value = key.replace(value.take());
        Inside { key, value }
    }
}

impl<T: 'static> Drop for Inside<'_, T> {
    fn drop(&mut self) {
        *self.value = self.key.replace(self.value.take());
    }
}

impl<T, F> fmt::Debug for Scope<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}
