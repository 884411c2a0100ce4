//! Foreign wakers that use the primitives that call them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use crate::act::Act;
use crate::meddle;
use crate::panics::contain;
use crate::world::here;

/// Passes a wake on, and does something else before or after that.
struct Meddler {
    inner: Waker,
}

impl Meddler {
    fn waker(inner: &Waker) -> Waker {
        Waker::from(Arc::new(Meddler { inner: inner.clone() }))
    }
}

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let Some(world) = here() else { return self.inner.wake_by_ref() };
        let first = world.dice.one_in(2);
        if first {
            self.inner.wake_by_ref();
        }
        // Whatever the waker does, the wake has to arrive.
        contain(|| meddle::in_wake(&world));
        if !first {
            self.inner.wake_by_ref();
        }
        meddle::panic_one_in(&world, 40);
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        if let Some(world) = here() {
            meddle::in_drop(&world);
        }
    }
}

/// Polls a future with meddling wakers: with the same one as long as the same task polls it, or with a new one each
/// time.
pub(crate) struct Odd {
    act: Act,
    last: Option<(Waker, Waker)>,
    always_new: bool,
}

impl Odd {
    pub(crate) fn new(act: Act, always_new: bool) -> Odd {
        Odd { act, last: None, always_new }
    }
}

impl Future for Odd {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let last = self.last.take().filter(|(inner, _)| !self.always_new && inner.will_wake(cx.waker()));
        let (inner, odd) = last.unwrap_or_else(|| (cx.waker().clone(), Meddler::waker(cx.waker())));
        let poll = self.act.as_mut().poll(&mut Context::from_waker(&odd));
        let before = self.last.replace((inner, odd));
        drop(before);
        poll
    }
}

/// Polls `act` once, with a waker that wakes nothing, and may meddle.
pub(crate) fn poll_once(act: &mut Act, meddles: bool) -> bool {
    let odd = if meddles { Meddler::waker(Waker::noop()) } else { Waker::noop().clone() };
    act.as_mut().poll(&mut Context::from_waker(&odd)).is_ready()
}
