//! The inbox on one thread, step by step, with a bell that counts how often it rings.
//!
//! What happens when the steps of two threads meet is the concern of `tests/loom.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::core::id::TaskId;
use crate::core::inbox::{Bell, Inbox, Mail, TABLE};

#[derive(Default)]
struct Counter(AtomicUsize);

impl Bell for Counter {
    fn ring(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// An inbox in the table, as a loop has one.
struct Loop {
    number: u16,
    inbox: Arc<Inbox>,
    rings: Arc<Counter>,
}

impl Loop {
    fn new() -> Loop {
        let rings = Arc::<Counter>::default();
        let (number, inbox) = TABLE.enter(Arc::clone(&rings) as Arc<dyn Bell>).unwrap();
        Loop { number, inbox, rings }
    }

    fn task(&self, slot: usize) -> TaskId {
        TaskId::new(self.number, 1, slot)
    }

    fn rings(&self) -> usize {
        self.rings.0.load(Relaxed)
    }

    /// Takes the mail; returns the slots of the tasks that it wakes.
    fn collect(&self) -> Vec<usize> {
        let mut mail = Mail::default();
        self.inbox.collect(&mut mail);
        mail.wakes.into_iter().map(TaskId::slot).collect()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.inbox.close();
        TABLE.leave(self.number);
    }
}

#[test]
fn a_loop_with_mail_does_not_park() {
    let this = Loop::new();
    assert!(this.inbox.park());
    assert_eq!(this.collect(), []);
    TABLE.wake(this.task(3));
    assert!(!this.inbox.park() && !this.inbox.park_if_owed());
    assert_eq!((this.collect(), this.rings()), (vec![3], 0), "a loop that is awake is not rung");
    assert!(this.inbox.send(Box::new(|| ())).is_ok());
    assert!(!this.inbox.park());
}

#[test]
fn a_parked_loop_is_rung_once_for_all_its_mail() {
    let this = Loop::new();
    for park in 1..=3 {
        assert!(this.inbox.park());
        TABLE.wake(this.task(0));
        TABLE.wake(this.task(1));
        assert!(this.inbox.send(Box::new(|| ())).is_ok());
        assert_eq!(this.rings(), park);
        assert_eq!(this.collect(), [0, 1]);
    }
}

#[test]
fn a_wake_is_in_the_box_once_and_counts_again_when_it_was_taken_out() {
    let this = Loop::new();
    for _ in 0..3 {
        [5, 5, 2, 5, 2, 5].into_iter().for_each(|slot| TABLE.wake(this.task(slot)));
        assert_eq!(this.collect(), [5, 2]);
    }
}

#[test]
fn a_number_that_was_given_back_is_given_out_last() {
    let given: Vec<u16> = (0..10).map(|_| Loop::new().number).collect();
    for (index, number) in given.iter().enumerate() {
        assert!(!given[..index].contains(number), "{given:?}");
    }
}
