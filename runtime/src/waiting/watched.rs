//! What is waited for in a line, as the probe sees it.
//!
//! Facts. There may be many locks and channels, and nearly none is ever watched or has a name.
//!
//! What follows. It takes a few words, and gets its number when the first wait for it is announced. Its name and the place
//! where it was made are told then, once.
//!
//! What it does not know: who waits, and in which order.

use std::cell::{Cell, OnceCell};
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use crate::core::context;
use crate::core::id::TaskId;
use crate::core::probe::{Event, Holder, Probe, Resource};
use crate::waits;

/// A watcher is told of a lock that was held for this long or longer.
const WORTH_TELLING: Duration = Duration::from_millis(1);

/// A name, which takes two words.
struct Name(&'static str);

/// Something that is waited for, as the probe sees it. It gets a number when the first wait is announced.
pub(crate) struct Watched {
    /// A thin reference, because there may be many locks and channels.
    what: &'static &'static str,
    /// The name that the program has given it. Nearly none has one, so it takes no room here.
    name: OnceCell<Box<Name>>,
    /// Where in the program it was made.
    made_at: &'static Location<'static>,
    number: Cell<u64>,
    /// The task that has it, as far as is known. Only recorded while the probe has a sink, which may keep a reference. So
    /// it takes little room here.
    holder: OnceCell<Holder>,
}

impl Watched {
    #[track_caller]
    pub(crate) const fn new(what: &'static &'static str) -> Watched {
        let made_at = Location::caller();
        Watched { what, name: OnceCell::new(), made_at, number: Cell::new(0), holder: OnceCell::new() }
    }

    /// Gives it a name, if it has none.
    pub(crate) fn set_name(&self, name: &'static str) {
        let _ = self.name.set(Box::new(Name(name)));
    }

    /// The running task has it from now on.
    #[cold]
    pub(crate) fn is_taken(&self) {
        let Some(context) = context::current() else { return };
        let now = if self.is_mutex() { context.clock.now() } else { 0 };
        let task = context.executor.running();
        self.holder.get_or_init(Rc::default).set(task.map(|task| (task, now)));
        self.tell_holder(&context.probe, task);
    }

    /// No task is known to have it.
    #[inline]
    pub(crate) fn is_free(&self) {
        if let Some(holder) = self.holder.get() {
            self.end_hold(holder);
        }
    }

    #[cold]
    fn end_hold(&self, holder: &Holder) {
        let held = holder.take().zip(context::current());
        let held = held.filter(|((task, _), context)| self.is_mutex() && task.runtime() == context.runtime);
        let Some(((holder, since), context)) = held else { return };
        self.tell_holder(&context.probe, None);
        let held = Duration::from_nanos(context.clock.now().saturating_sub(since));
        if held >= WORTH_TELLING {
            let on = Resource::Line { what: self.what, number: self.number.get() };
            let made = (self.name.get().map(|name| name.0), self.made_at, None);
            context.probe.place.set(Some((self.made_at, Some(made))));
            context.probe.emit(|| Event::Released { on, holder, held });
        }
    }

    /// Tells the probe which task has a mutex from now on, if tasks have waited for it.
    fn tell_holder(&self, probe: &Probe, holder: Option<TaskId>) {
        let number = self.number.get();
        if number != 0 && self.is_mutex() {
            probe.emit(|| Event::Held { on: Resource::Line { what: self.what, number }, holder });
        }
    }

    /// Of a mutex there is one holder at a time.
    fn is_mutex(&self) -> bool {
        *self.what == "mutex"
    }

    /// Tells the probe that the wait at this place begins or ends.
    #[inline]
    #[track_caller]
    pub(crate) fn announce(&self, place: usize, begins: bool) {
        if context::is_watched() {
            self.tell(place, begins);
        }
    }

    #[cold]
    #[track_caller]
    fn tell(&self, place: usize, begins: bool) {
        let Some(context) = context::current() else { return };
        let (probe, is_first) = (&context.probe, self.number.get() == 0);
        let on = line(probe, self.what, &self.number);
        let name = || self.name.get().map(|name| name.0);
        if is_first {
            probe.emit(|| Event::FirstWait { on, name: name(), made_at: self.made_at });
        }
        let holder = self.holder.get().and_then(|holder| holder.get()).map(|(task, _)| task);
        // A search for deadlocks looks at the holder later, too.
        let made = (begins && probe.finds_deadlocks.get()).then(|| {
            let holder = self.holder.get_or_init(Rc::default);
            (name(), self.made_at, Some(Rc::clone(holder)))
        });
        waits::tell_watcher(probe, on, place as u64, holder, begins, made);
    }
}

/// The same for something without a holder, with one waiter at most, that keeps its number itself.
#[inline]
#[track_caller]
pub(crate) fn announce(what: &'static str, number: &Cell<u64>, begins: bool) {
    if context::is_watched() {
        tell(what, number, begins);
    }
}

#[cold]
#[track_caller]
fn tell(what: &'static str, number: &Cell<u64>, begins: bool) {
    let Some(context) = context::current() else { return };
    waits::tell(&context.probe, line(&context.probe, what, number), 0, None, begins);
}

/// The resource; it gets a number if it has none.
fn line(probe: &Probe, what: &'static str, number: &Cell<u64>) -> Resource {
    if number.get() == 0 {
        number.set(probe.next_number());
    }
    Resource::Line { what, number: number.get() }
}
