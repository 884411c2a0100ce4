//! The inbox under loom, which tries every order in which threads can use it. `.ci/loom` runs this file. Then it plants
//! bugs in the inbox to show that the models notice them.
//!
//! Facts. A wake is lost only if two threads meet at one particular instruction. So a test on real threads finds the
//! bug once in a million runs, or only on another machine. loom runs a model again and again until it has tried every
//! order of the locks (with three threads: up to four interruptions) and every value that a weakly ordered load may
//! return. A thread that waits for ever is a deadlock, and loom reports it.
//!
//! What is modelled. The sources are the real ones: `inbox.rs` and `id.rs` are mounted here, with loom's
//! locks instead of `std`'s. The loop is [`Loop`]: park, wait for the bell, collect, as in `EventLoop::turn`. The
//! kernel is [`Doorbell`]. It keeps a ring until the loop waits for it, and one wait may end without a ring, as when a
//! socket becomes ready.
//!
//! What is not modelled: the executor, which removes duplicates once more; a bell that cannot be rung; and the moment
//! *between* two instructions under one lock, because no other thread can see it. If the bell were rung inside the
//! lock, no model would fail, because that costs time but loses no wake.
//!
//! The work that a task waits for is counted with relaxed atomics on purpose. So only the inbox and its bell can make
//! the task see the work when it is polled. Counts that only the models need are in `std`'s atomics, which loom does
//! not explore.

#![cfg(loom)]
#![forbid(unsafe_code)]

#[path = "../src/core"]
mod core {
    #[allow(dead_code, reason = "the inbox needs only a part of it")]
    pub mod id;
    pub mod inbox;
}

use std::sync::Arc as Shared;
use std::sync::atomic::AtomicUsize as Count;
use std::sync::atomic::Ordering::Relaxed;

use loom::sync::atomic::AtomicUsize;
use loom::sync::{Arc, Notify};
use loom::thread;

use crate::core::id::TaskId;
use crate::core::inbox::{Bell, Errand, Inbox, Mail, Table};

/// The kernel's part: what a parked loop waits for.
#[derive(Default)]
struct Doorbell {
    heard: Notify,
    rings: Count,
}

impl Bell for Doorbell {
    fn ring(&self) {
        self.rings.fetch_add(1, Relaxed);
        self.heard.notify();
    }
}

/// A loop, as its inbox sees it.
struct Loop {
    number: u16,
    inbox: Arc<Inbox>,
    bell: Shared<Doorbell>,
    parks: usize,
    mail: Mail,
}

impl Loop {
    fn new() -> Loop {
        Loop::of(&Table::new())
    }

    fn of(table: &Table) -> Loop {
        let bell = Shared::new(Doorbell::default());
        let (number, inbox) = table.enter(bell.clone()).unwrap();
        Loop { number, inbox, bell, parks: 0, mail: Mail::default() }
    }

    /// Wakes a task, as another thread does it.
    fn waker(&self) -> impl Fn(TaskId) + Clone + Send + 'static {
        let inbox = self.inbox.clone();
        move |id| inbox.wake_unless_last(id)
    }

    fn wake(&self, id: TaskId) {
        self.waker()(id);
    }

    fn close(&self) -> Mail {
        self.inbox.close()
    }

    /// Sleeps unless there is mail, then takes the mail: runs the errands and returns the wakes.
    fn turn(&mut self) -> Vec<TaskId> {
        if self.park() {
            self.bell.heard.wait();
        }
        self.collect()
    }

    fn park(&mut self) -> bool {
        let parked = self.inbox.park();
        self.parks += usize::from(parked);
        parked
    }

    fn collect(&mut self) -> Vec<TaskId> {
        self.inbox.collect(&mut self.mail);
        self.mail.errands.drain(..).for_each(|errand| errand());
        std::mem::take(&mut self.mail.wakes)
    }

    fn rings(&self) -> usize {
        self.bell.rings.load(Relaxed)
    }

    /// Invariant 6. Call this when no thread is left that could ring.
    fn rang_at_most_once_per_park(&self) {
        assert!(self.rings() <= self.parks, "{} rings in {} parks", self.rings(), self.parks);
    }
}

/// A task, as a wake sees it. Clones are the same task.
#[derive(Clone)]
struct Task {
    id: TaskId,
    work: Shared<AtomicUsize>,
}

impl Task {
    fn new(serial: u32, slot: usize) -> Task {
        Task { id: id(serial, slot), work: Shared::default() }
    }

    /// Gives the task some work and wakes it, from another thread.
    fn give(&self, wake: impl FnOnce(TaskId) + Send + 'static) -> thread::JoinHandle<()> {
        let task = self.clone();
        thread::spawn(move || {
            task.work.fetch_add(1, Relaxed);
            wake(task.id);
        })
    }
}

/// A task of the runtime whose number is zero.
fn id(serial: u32, slot: usize) -> TaskId {
    TaskId::new(0, serial, slot)
}

/// Turns the loop until the tasks have found this much work. A task looks for work only if it is woken.
fn turn_until_found(roundel: &mut Loop, tasks: &[Task], much: usize) {
    let mut found = vec![0; tasks.len()];
    while found.iter().sum::<usize>() < much {
        for woken in roundel.turn() {
            if let Some(index) = tasks.iter().position(|task| task.id == woken) {
                found[index] = tasks[index].work.load(Relaxed);
            }
        }
    }
}

/// Two threads that wake, and the loop. To try all orders would take hours. So a thread that could go on is interrupted
/// at most four times.
fn crowded(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(4);
    builder.check(model);
}

/// Every task is woken this many times, each time by a separate thread.
fn no_wake_is_lost(tasks: &'static [(u32, usize)], times: usize) {
    let model = move || {
        let mut roundel = Loop::new();
        let tasks: Vec<_> = tasks.iter().map(|&(serial, slot)| Task::new(serial, slot)).collect();
        let mut posts = Vec::new();
        for task in tasks.iter().cycle().take(tasks.len() * times) {
            posts.push(task.give(roundel.waker()));
        }
        turn_until_found(&mut roundel, &tasks, posts.len());
        posts.into_iter().for_each(|post| post.join().unwrap());
        roundel.rang_at_most_once_per_park();
    };
    if tasks.len() * times > 1 { crowded(model) } else { loom::model(model) }
}

#[test]
fn one_wake_is_not_lost() {
    no_wake_is_lost(&[(1, 0)], 1);
}

/// The second wake may be left out because the first is in the box. Then it must be in the box.
#[test]
fn two_wakes_of_one_task_are_not_lost() {
    no_wake_is_lost(&[(1, 0)], 2);
}

#[test]
fn two_wakes_of_different_tasks_are_not_lost() {
    no_wake_is_lost(&[(1, 0), (1, 1)], 1);
}

/// A stale wake and a fresh one for the same slot.
#[test]
fn wakes_of_two_tenants_of_a_slot_are_not_lost() {
    no_wake_is_lost(&[(1, 0), (2, 0)], 1);
}

/// A loop on virtual time turns until its task is woken. It is a fault if it lets time pass before that.
fn turn_until_answered(roundel: &mut Loop, task: &Task) {
    loop {
        if roundel.inbox.park_if_owed() {
            roundel.parks += 1;
            roundel.bell.heard.wait();
        }
        if roundel.collect().contains(&task.id) {
            return assert_eq!(task.work.load(Relaxed), 1);
        }
        assert!(!roundel.inbox.is_quiet(), "time passed, and then the answer came");
    }
}

/// Gives an answer, and settles the debt.
fn answer(task: &Task, roundel: &Loop) -> thread::JoinHandle<()> {
    let (wake, debt) = (roundel.waker(), Inbox::owe(&roundel.inbox));
    task.give(move |id| {
        wake(id);
        drop(debt);
    })
}

#[test]
fn time_waits_for_the_thread_that_owes_an_answer() {
    loom::model(|| {
        let (mut roundel, task) = (Loop::new(), Task::new(1, 0));
        let post = answer(&task, &roundel);
        turn_until_answered(&mut roundel, &task);
        post.join().unwrap();
        assert!(roundel.inbox.is_quiet());
        roundel.rang_at_most_once_per_park();
    });
}

/// The loop goes on when the answer comes, even if another debt is never settled.
#[test]
fn an_answer_is_heard_while_more_is_owed() {
    loom::model(|| {
        let (mut roundel, task) = (Loop::new(), Task::new(1, 0));
        let another = Inbox::owe(&roundel.inbox);
        let post = answer(&task, &roundel);
        turn_until_answered(&mut roundel, &task);
        post.join().unwrap();
        assert!(!roundel.inbox.is_quiet());
        drop(another);
        assert!(roundel.inbox.is_quiet());
        roundel.rang_at_most_once_per_park();
    });
}

/// A thread may drop its debt without an answer. Time goes on as soon as the last debt is gone.
#[test]
fn time_goes_on_when_nothing_is_owed_any_more() {
    loom::model(|| {
        let mut roundel = Loop::new();
        let posts = [(); 2].map(|()| {
            let debt = Inbox::owe(&roundel.inbox);
            thread::spawn(move || drop(debt))
        });
        while !roundel.inbox.is_quiet() {
            if roundel.inbox.park_if_owed() {
                roundel.parks += 1;
                roundel.bell.heard.wait();
            }
            assert!(roundel.collect().is_empty());
        }
        posts.into_iter().for_each(|post| post.join().unwrap());
        roundel.rang_at_most_once_per_park();
    });
}

#[test]
fn a_loop_that_forgives_waits_for_no_thread() {
    loom::model(|| {
        let roundel = Loop::new();
        let debt = Inbox::owe(&roundel.inbox);
        roundel.inbox.forgive();
        assert!(roundel.inbox.is_quiet() && !roundel.inbox.park_if_owed());
        // A debt that is made afterwards counts, whatever happens to the old one.
        let next = Inbox::owe(&roundel.inbox);
        let post = thread::spawn(move || drop(debt));
        assert!(!roundel.inbox.is_quiet());
        post.join().unwrap();
        assert!(!roundel.inbox.is_quiet());
        drop(next);
        assert!(roundel.inbox.is_quiet());
    });
}

/// The fate of an errand.
#[derive(Default)]
struct Fate {
    runs: Count,
    /// How often it was dropped. It is dropped after it has run, too.
    ends: Count,
}

impl Fate {
    fn runs(&self) -> usize {
        self.runs.load(Relaxed)
    }

    fn ends(&self) -> usize {
        self.ends.load(Relaxed)
    }
}

/// A value inside an errand that records the errand's fate.
struct Ticket(Shared<Fate>);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.ends.fetch_add(1, Relaxed);
    }
}

/// Sends an errand from another thread. The thread returns the errand if the inbox refused it.
fn send(roundel: &Loop, fate: &Shared<Fate>) -> thread::JoinHandle<Option<Errand>> {
    let (inbox, ticket) = (roundel.inbox.clone(), Ticket(fate.clone()));
    thread::spawn(move || {
        let errand = move || {
            ticket.0.runs.fetch_add(1, Relaxed);
        };
        inbox.send(Box::new(errand)).err()
    })
}

#[test]
fn an_errand_is_not_lost() {
    loom::model(|| {
        let (mut roundel, fate) = (Loop::new(), Shared::new(Fate::default()));
        let post = send(&roundel, &fate);
        while fate.runs() == 0 {
            roundel.turn();
        }
        assert!(post.join().unwrap().is_none(), "an errand was run and given back");
        assert_eq!((fate.runs(), fate.ends()), (1, 1));
        roundel.rang_at_most_once_per_park();
    });
}

/// The loop parks and does not collect, so at most one ring is due.
#[test]
fn a_parked_loop_is_rung_once_for_everything() {
    loom::model(|| {
        let (mut roundel, fate) = (Loop::new(), Shared::new(Fate::default()));
        let wake = roundel.waker();
        let wake = thread::spawn(move || wake(id(1, 0)));
        let errand = send(&roundel, &fate);
        let parked = roundel.park();
        wake.join().unwrap();
        assert!(errand.join().unwrap().is_none());
        assert_eq!(roundel.rings(), usize::from(parked));
        assert_eq!((roundel.collect().len(), fate.runs()), (1, 1));
    });
}

/// A socket ends the park. If the wake came before that, the bell was rung. If it came after, the bell is silent.
#[test]
fn a_loop_that_is_awake_is_not_rung() {
    loom::model(|| {
        let mut roundel = Loop::new();
        let wake = roundel.waker();
        let post = thread::spawn(move || wake(id(1, 0)));
        let parked = roundel.park();
        let came = !roundel.collect().is_empty();
        post.join().unwrap();
        assert_eq!(roundel.rings(), usize::from(parked && came));
        assert_eq!(roundel.collect().is_empty(), came, "a wake was lost or came twice");
    });
}

#[test]
fn a_wake_is_in_the_box_once() {
    loom::model(|| {
        let mut roundel = Loop::new();
        let (old, new) = (id(1, 0), id(2, 0));
        for _ in 0..2 {
            roundel.wake(old);
            roundel.wake(old);
            assert_eq!(roundel.collect(), [old]);
        }
        roundel.wake(old);
        roundel.wake(new);
        assert_eq!(roundel.collect(), [old, new], "another tenant of the slot was taken for the same task");
        roundel.wake(new);
        assert_eq!(roundel.collect(), [new]);
    });
}

/// Nothing stays in the inbox, where the thread with the last handle would drop it.
#[test]
fn an_errand_that_meets_the_end_is_run_or_comes_back() {
    loom::model(|| {
        let (mut roundel, fate) = (Loop::new(), Shared::new(Fate::default()));
        let post = send(&roundel, &fate);
        roundel.park();
        roundel.collect();
        let left = roundel.close().errands;
        let back = post.join().unwrap();
        assert_eq!(fate.runs() + left.len() + usize::from(back.is_some()), 1);
        drop((left, back));
        assert_eq!(fate.ends(), 1, "the inbox is still here, but its errand is not");
        roundel.rang_at_most_once_per_park();
    });
}

#[test]
fn a_wake_that_meets_the_end_does_nothing() {
    loom::model(|| {
        let mut roundel = Loop::new();
        let wake = roundel.waker();
        let post = thread::spawn(move || wake(id(1, 0)));
        let parked = roundel.park();
        let came = roundel.close().wakes.len();
        post.join().unwrap();
        assert!(roundel.rings() <= came * usize::from(parked), "a loop that is gone was rung");
        assert!(roundel.collect().is_empty(), "a wake went into a closed box");
        assert_eq!(Shared::strong_count(&roundel.bell), 1, "the descriptor outlives the loop");
    });
}

fn leave(table: &Table, roundel: &Loop) -> Mail {
    let mail = roundel.close();
    table.leave(roundel.number);
    mail
}

#[test]
fn a_wake_that_meets_a_leaving_loop_finds_it_or_no_loop() {
    loom::model(|| {
        let table = Shared::new(Table::new());
        let roundel = Loop::of(&table);
        let late = table.clone();
        let post = thread::spawn(move || late.wake(id(1, 0)));
        let came = leave(&table, &roundel).wakes.len();
        assert!(came <= 1);
        // From here on, the waking thread may have the last handle on the inbox.
        let bell = roundel.bell.clone();
        drop(roundel);
        table.wake(id(1, 0));
        post.join().unwrap();
        assert_eq!(bell.rings.load(Relaxed), 0);
        assert_eq!(Shared::strong_count(&bell), 1);
    });
}

/// The next loop has another number, so a wake for the previous loop never reaches it, however late it comes.
#[test]
fn a_late_wake_costs_the_successor_nothing() {
    crowded(|| {
        let table = Shared::new(Table::new());
        let old = Loop::of(&table);
        let late = table.clone();
        let post = thread::spawn(move || late.wake(id(5, 0)));
        leave(&table, &old);
        let mut new = Loop::of(&table);

        let elsewhere = table.clone();
        let task = Task { id: TaskId::new(new.number, 6, 0), work: Shared::default() };
        let own = task.give(move |id| elsewhere.wake(id));
        turn_until_found(&mut new, &[task], 1);
        post.join().unwrap();
        own.join().unwrap();
        assert_eq!(new.collect(), [], "a wake for the predecessor has come to the successor");
        new.rang_at_most_once_per_park();
    });
}

#[test]
fn two_loops_that_enter_at_once_get_two_numbers() {
    loom::model(|| {
        let table = Shared::new(Table::new());
        let other = table.clone();
        let entered = thread::spawn(move || Loop::of(&other).number);
        let number = Loop::of(&table).number;
        assert_eq!(number + entered.join().unwrap(), 1, "the numbers are zero and one");
    });
}

/// An inbox that was never closed is dropped with its content, which may be anything.
#[test]
fn what_goes_with_an_inbox_may_wake() {
    struct Last(Shared<Table>);

    impl Drop for Last {
        fn drop(&mut self) {
            self.0.wake(id(1, 0));
        }
    }

    loom::model(|| {
        let table = Shared::new(Table::new());
        let roundel = Loop::of(&table);
        let last = Last(table.clone());
        assert!(roundel.inbox.send(Box::new(move || drop(last))).is_ok());
        drop(roundel);
        table.leave(0);
    });
}
