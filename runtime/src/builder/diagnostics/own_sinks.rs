//! The sinks that come with the crate: the observer of `inspect`, the warnings of debug mode, and the search for deadlocks.
//!
//! Facts. Each event of a watched loop goes to all of them, and there are some eight events in a request of a server. To call
//! a sink whose type is not known, and to be safe from its panics, takes longer than most of them need for an event.
//!
//! What follows. These are known, and do not panic. So they are called as one.
//!
//! What it does not know: what they do with an event.

use crate::core::probe::Event;
use crate::deadlock::Detector;
use crate::debug::Debug;
use crate::inspect::Observer;
use crate::waits::Sink;

#[derive(Default)]
pub(crate) struct OwnSinks {
    pub(crate) observer: Option<Observer>,
    pub(crate) debug: Option<Debug>,
    pub(crate) detector: Option<Detector>,
}

impl OwnSinks {
    /// All of them as one sink, if there is one.
    pub(crate) fn sink(mut self) -> Option<Sink> {
        let has_one = self.observer.is_some() || self.debug.is_some() || self.detector.is_some();
        has_one.then(|| {
            Box::new(move |event: &Event, place| {
                self.see(event, place);
                true
            }) as Sink
        })
    }

    #[inline]
    fn see(&mut self, event: &Event, place: u64) {
        if let Some(observer) = &mut self.observer {
            observer.see(event, place);
        }
        if let Some(debug) = &mut self.debug {
            debug.see(*event);
        }
        if let Some(detector) = &mut self.detector {
            detector.see(*event, place);
        }
    }
}
