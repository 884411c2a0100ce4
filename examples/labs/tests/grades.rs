//! Grades every file of this package: the answers pass, also those of another design. The stubs do not. Each wrong answer
//! gets the idea that helps.

#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use labs::check::Check;
use labs::judge::{Report, What, judge};
use labs::list::{How, LABS};
use labs::outcome::Trouble;

/// Only an answer that waits for ever takes as long as this, and none here does.
const LIMIT: Duration = Duration::from_secs(200);

/// What is expected of a wrong answer: the check that it fails, and the beginning of the idea.
struct Wrong {
    check: &'static str,
    idea: &'static str,
}

/// Declares the files of a lab as modules, and a test that grades them.
macro_rules! graded {
    ($test:ident, $lab:ident, $of:ident, $stub:ident $stub_path:literal, $answer:ident $answer_path:literal
     $(; $other:ident $other_path:literal)? $(, $wrong:ident $wrong_path:literal: $check:literal, $idea:literal)*) => {
        #[path = $stub_path]
        #[allow(dead_code, unreachable_pub, unused_variables, reason = "a stub is unfinished")]
        mod $stub;
        #[path = $answer_path]
        #[allow(dead_code, unreachable_pub, reason = "the programs of the labs use it")]
        mod $answer;
        $(
            #[path = $other_path]
            #[allow(dead_code, unreachable_pub, reason = "the programs of the labs use it")]
            mod $other;
        )?
        $(
            #[path = $wrong_path]
            #[allow(dead_code, unreachable_pub, unused_variables, reason = "it is wrong")]
            mod $wrong;
        )*

        #[test]
        fn $test() {
            passes($answer_path, &labs::$lab::checks::<$answer::$of>());
            $(passes($other_path, &labs::$lab::checks::<$other::$of>());)?
            fails($stub_path, &labs::$lab::checks::<$stub::$of>());
            $(
                let expected = Wrong { check: $check, idea: $idea };
                is_told($wrong_path, &labs::$lab::checks::<$wrong::$of>(), &expected);
            )*
        }
    };
}

graded! {
    lab_01, waker, Task,
    stub_01 "../stubs/01_waker.rs", answer_01 "../answers/01_waker.rs",
    waker_once "../wrong/01_waker_once.rs":
        "a waker that is woken again queues its task again", "A future is polled many times",
    waker_looks "../wrong/01_waker_looks.rs":
        "a waker that is woken again queues its task again", "A future is polled many times",
    waker_early "../wrong/01_waker_early.rs":
        "a new waker has woken nothing", "Making a waker is not a wake",
    waker_leak "../wrong/01_waker_leak.rs":
        "the last waker gives back what it holds", "The queue belongs to the loop"
}

graded! {
    lab_02, lost_wake, Found,
    stub_02 "../stubs/02_lost_wake.rs", answer_02 "../answers/02_lost_wake.rs",
    lost_impossible "../wrong/02_lost_wake_impossible.rs":
        "`lost` is an order in which the six steps may happen", "The steps of two threads mix",
    lost_rings "../wrong/02_lost_wake_rings.rs":
        "in that order, the loop sleeps although a message is there", "The wake-up is lost if both threads look",
    lost_looks_last "../wrong/02_lost_wake_looks_last.rs":
        "with the repair, no order loses a wake-up", "Each thread writes something, and reads",
    lost_same "../wrong/02_lost_wake_same.rs":
        "with the repair, no order loses a wake-up", "Each thread writes something, and reads"
}

graded! {
    lab_03, bell, Doorbell,
    stub_03 "../stubs/03_bell.rs", answer_03 "../answers/03_bell.rs"; other_03 "../other/03_bell.rs",
    bell_no_second_look "../wrong/03_bell_no_second_look.rs":
        "one thread sends twice: every mix of the steps ends well", "Before it sleeps, the loop has to say",
    bell_asks_first "../wrong/03_bell_asks_first.rs":
        "one thread sends twice: every mix of the steps ends well", "Before it sleeps, the loop has to say",
    bell_always "../wrong/03_bell_always.rs":
        "a message that was sent before is received", "Each ring is a system call",
    bell_keeps_the_flag "../wrong/03_bell_keeps_the_flag.rs":
        "one thread sends twice: every mix of the steps ends well", "Each ring is a system call",
    bell_burns "../wrong/03_bell_burns.rs":
        "one thread sends twice: every mix of the steps ends well", "A loop that asks again and again burns"
}

graded! {
    lab_04, marks, Queue,
    stub_04 "../stubs/04_marks.rs", answer_04 "../answers/04_marks.rs",
    marks_each_wake "../wrong/04_marks_each_wake.rs":
        "three wakes are one poll", "A task that is in the queue will be polled",
    marks_after_poll "../wrong/04_marks_after_poll.rs":
        "a wake during the poll brings another poll", "When does a task leave the queue",
    marks_over "../wrong/04_marks_over.rs":
        "a task that is done is not polled again", "Wakers live longer than tasks",
    marks_newest "../wrong/04_marks_newest.rs":
        "new tasks are polled in the order in which they came", "The queue has the tasks that are ready"
}

graded! {
    lab_05, timers, Clock,
    stub_05 "../stubs/05_timers.rs", answer_05 "../answers/05_timers.rs"; other_05 "../other/05_timers.rs",
    timers_heap "../wrong/05_timers_heap.rs":
        "nothing is left of a timer that was removed", "A heap only gives up what stands at its top",
    timers_half "../wrong/05_timers_half.rs":
        "nothing is left of a timer that was removed", "A heap only gives up what stands at its top",
    timers_list "../wrong/05_timers_list.rs":
        "a timeout that comes and goes among 3,000 sleeps is cheap", "Removing a timer should not look at all",
    timers_by_deadline "../wrong/05_timers_by_deadline.rs":
        "timers with the same deadline fire in the order in which they were set", "A deadline cannot name a timer",
    timers_late "../wrong/05_timers_late.rs":
        "a timer fires at its deadline, and not before", "A deadline is the first moment"
}

graded! {
    lab_06, edges, Ears,
    stub_06 "../stubs/06_edges.rs", answer_06 "../answers/06_edges.rs",
    edges_each_read "../wrong/06_edges_each_read.rs":
        "eight bytes of one report are read four by four", "The kernel does not report again",
    edges_short "../wrong/06_edges_short.rs":
        "bytes and the end in one report are both seen", "One report may stand for several things",
    edges_always "../wrong/06_edges_always.rs":
        "a poll without a report costs no system call", "A task can be polled for reasons",
    edges_forgets "../wrong/06_edges_forgets.rs":
        "a report that comes before the read is not forgotten", "An edge comes once"
}

graded! {
    lab_07, cancel, Task,
    stub_07 "../stubs/07_cancel.rs", answer_07 "../answers/07_cancel.rs",
    cancel_flag "../wrong/07_cancel_flag.rs":
        "cancelling drops the work at once, not at the next poll", "A task that was cancelled still holds",
    cancel_no_wake "../wrong/07_cancel_no_wake.rs":
        "the task that awaits the work is woken, and told", "The task that awaits will not look again",
    cancel_borrowed "../wrong/07_cancel_borrowed.rs":
        "work can cancel itself while it runs", "While the work is polled, it cannot be dropped",
    cancel_dropped "../wrong/07_cancel_dropped.rs":
        "the destructor of the work may cancel, too", "Destructors and wakers are foreign code",
    cancel_itself "../wrong/07_cancel_itself.rs":
        "the destructor of the work may cancel, too", "Destructors and wakers are foreign code",
    cancel_shared "../wrong/07_cancel_shared.rs":
        "dropping the future drops the work, although a handle is left", "The future owns the work"
}

graded! {
    lab_08, semaphore, Fair,
    stub_08 "../stubs/08_semaphore.rs", answer_08 "../answers/08_semaphore.rs"; other_08 "../other/08_semaphore.rs",
    semaphore_no_drop "../wrong/08_semaphore_no_drop.rs":
        "with one permit, every schedule of eight steps ends well", "A waiter that is dropped must not keep",
    semaphore_keeps "../wrong/08_semaphore_keeps.rs":
        "with one permit, every schedule of eight steps ends well", "A waiter that is dropped must not keep",
    semaphore_too_many "../wrong/08_semaphore_too_many.rs":
        "with one permit, every schedule of eight steps ends well", "Count the permits",
    semaphore_overtaken "../wrong/08_semaphore_overtaken.rs":
        "with one permit, every schedule of eight steps ends well", "Between the wake of a waiter",
    semaphore_borrowed "../wrong/08_semaphore_borrowed.rs":
        "a waker may use the semaphore that wakes it", "A waker is foreign code"
}

graded! {
    lab_09, channel, Bounded,
    stub_09 "../stubs/09_channel.rs", answer_09 "../answers/09_channel.rs",
    channel_looks_once "../wrong/09_channel_looks_once.rs":
        "every schedule of seven steps ends well, with room for one value", "A wake means that it is worth looking",
    channel_no_room "../wrong/09_channel_no_room.rs":
        "a sender waits while the channel is full, and goes on when there is room", "Two lines wait here",
    channel_close_one "../wrong/09_channel_close_one.rs":
        "every schedule of seven steps ends well, with room for one value", "When a channel is closed",
    channel_close_first "../wrong/09_channel_close_first.rs":
        "every schedule of seven steps ends well, with room for one value", "Closing ends what goes in",
    channel_borrowed "../wrong/09_channel_borrowed.rs":
        "a waker may use the channel that wakes it", "A waker is foreign code"
}

graded! {
    lab_10, select, Race,
    stub_10 "../stubs/10_select.rs", answer_10 "../answers/10_select.rs",
    select_row "../wrong/10_select_row.rs":
        "both futures are polled before it waits", "Awaiting one future and then the other",
    select_both "../wrong/10_select_both.rs":
        "if both are ready, the first wins, and the second loses nothing", "A poll can take something",
    select_deaf "../wrong/10_select_deaf.rs":
        "each of the two can wake the task", "Whatever the two futures wait for",
    select_second "../wrong/10_select_second.rs":
        "if both are ready, the first wins, and the second loses nothing", "A poll can take something"
}

graded! {
    lab_11, deadlock, Detective,
    stub_11 "../stubs/11_deadlock.rs", answer_11 "../answers/11_deadlock.rs"; other_11 "../other/11_deadlock.rs",
    deadlock_waits "../wrong/11_deadlock_waits.rs":
        "a task that waits for a task that can go on is not stuck", "Waiting is normal",
    deadlock_pairs "../wrong/11_deadlock_pairs.rs":
        "a task that awaits a stuck task is stuck, too", "Begin with all tasks that wait",
    deadlock_any "../wrong/11_deadlock_any.rs":
        "a task with a deadline is not stuck", "A task may wait for several things at once",
    deadlock_keeps "../wrong/11_deadlock_keeps.rs":
        "when a task of the circle is cancelled, none is stuck", "A wait begins with `WaitOn`",
    deadlock_stale "../wrong/11_deadlock_stale.rs":
        "a lock that was passed on is not held by its old holder", "The probe tells the holder when a wait begins"
}

graded! {
    lab_12, accept, Server,
    stub_12 "../stubs/12_accept.rs", answer_12 "../answers/12_accept.rs",
    accept_spins "../wrong/12_accept_spins.rs":
        "a minute without descriptors does not end the loop, and does not burn", "A lack of descriptors passes",
    accept_ends "../wrong/12_accept_ends.rs":
        "a minute without descriptors does not end the loop, and does not burn", "A server that ends because it is busy",
    accept_one_by_one "../wrong/12_accept_one_by_one.rs":
        "several clients are served at the same time", "While one client is served",
    accept_sleepy "../wrong/12_accept_sleepy.rs":
        "when a descriptor is free, the next client is served within a second", "The client waits as long as your loop",
    accept_deaf "../wrong/12_accept_deaf.rs":
        "an error that stays ends the loop", "Some errors come again"
}

graded! {
    lab_13, schedule, Guess,
    stub_13 "../stubs/13_schedule.rs", answer_13 "../answers/13_schedule.rs",
    schedule_spawn_runs "../wrong/13_schedule_spawn_runs.rs":
        "the first polls are right", "`spawn` runs nothing",
    schedule_nested "../wrong/13_schedule_nested.rs":
        "the first polls are right", "`spawn` runs nothing",
    schedule_as_set "../wrong/13_schedule_as_set.rs":
        "all polls are right", "When no task can run, the loop sleeps",
    schedule_joins "../wrong/13_schedule_joins.rs":
        "all polls are right", "A wake puts a task at the end",
    schedule_too_many "../wrong/13_schedule_too_many.rs":
        "all polls are right", "The loop is over when `main`"
}

fn graded(checks: &[Check]) -> Report {
    judge(checks, LIMIT)
}

fn passes(file: &str, checks: &[Check]) {
    let report = graded(checks);
    assert!(report.failure.is_none(), "{file}: {report:#?}");
    assert!(report.passed.len() >= 2, "{file}: only {} checks", report.passed.len());
}

fn fails(file: &str, checks: &[Check]) {
    let report = graded(checks);
    let failure = report.failure.unwrap_or_else(|| panic!("{file} passes"));
    let is_not_written =
        matches!(failure.what, What::Trouble(Trouble::NotWritten { .. }) | What::Unexpected(_));
    assert!(is_not_written, "{file}: {failure:#?}");
}

fn is_told(file: &str, checks: &[Check], expected: &Wrong) {
    let report = graded(checks);
    let failure = report.failure.unwrap_or_else(|| panic!("{file} passes"));
    println!("{file}: {failure:#?}");
    assert_eq!(failure.check, expected.check, "{file} fails another check: {failure:#?}");
    assert!(failure.idea.starts_with(expected.idea), "{file} gets another idea: {failure:#?}");
    assert!(!failure.tried.is_empty(), "{file}: nothing was tried");
    if let What::Trouble(Trouble::Panicked { place, .. }) = &failure.what {
        assert!(file.ends_with(place.split(':').next().unwrap_or_default()), "{file} panics at {place}");
    }
}

fn names(folder: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(folder).expect("a folder of this package");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".rs")).collect();
    names.sort();
    names
}

#[test]
fn every_lab_has_its_files_and_every_file_is_graded() {
    let table = include_str!("grades.rs");
    let in_rust = || LABS.iter().filter(|lab| matches!(lab.how, How::File));
    let labs: Vec<String> = in_rust().map(|lab| lab.file_name()).collect();
    for folder in ["stubs", "work", "answers"] {
        assert_eq!(names(folder), labs, "the files in {folder}");
    }
    let (wrong, other) = (names("wrong"), names("other"));
    for lab in in_rust() {
        let of_this = wrong.iter().filter(|name| name.starts_with(&lab.file())).count();
        assert!(of_this >= 2, "lab {} has {of_this} wrong answers", lab.number);
    }
    for (folder, names) in [("stubs", &labs), ("answers", &labs), ("wrong", &wrong), ("other", &other)] {
        for name in names {
            assert!(table.contains(&format!("\"../{folder}/{name}\"")), "{folder}/{name} is not graded");
        }
    }
}
