//! A log of what a loop did.

use std::cell::RefCell;
use std::rc::Rc;

use roundel::probe::Event;
use roundel::task::TaskId;

/// All events that the probe has reported, in order.
#[derive(Clone, Debug, Default)]
pub struct Log(Rc<RefCell<Vec<Event>>>);

impl Log {
    /// Puts an event at the end.
    pub fn add(&self, event: Event) {
        self.0.borrow_mut().push(event);
    }

    fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.0.borrow().iter().filter(|event| is(event)).count()
    }

    /// How often a task was polled.
    #[must_use]
    pub fn polls(&self, of: TaskId) -> usize {
        self.count(|event| matches!(event, Event::PollBegin { task } if *task == of))
    }

    /// How often the loop went to sleep in the kernel.
    #[must_use]
    pub fn parks(&self) -> usize {
        self.count(|event| matches!(event, Event::Park))
    }

    /// The kernel's reports: for each, whether the source is readable and whether it is writable.
    #[must_use]
    pub fn reports(&self) -> Vec<(bool, bool)> {
        let report = |event: &Event| match event {
            Event::SourceReady { readable, writable, .. } => Some((*readable, *writable)),
            _ => None,
        };
        self.0.borrow().iter().filter_map(report).collect()
    }

    /// Forgets what was logged so far.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}
