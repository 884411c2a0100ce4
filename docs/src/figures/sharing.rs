//! A lock with its wait queue, and a deadlock.

use super::drawing::Align::{End, Middle, Start};
use super::drawing::{Drawing, Kind};
use super::{named, source};

pub(super) fn lock() -> Drawing {
    let title = "A lock is handed over, first come, first served";
    let description = "Ann has the lock. Bob, Cleo and Dan wait in line, in the order in which they came. \
        When Ann releases it, the lock is Bob's before Bob is polled. A newcomer goes to the end.";
    let mut lock = Drawing::new(title, description, 156);
    named("runtime/src/waiting.rs", "fn call_first");
    lock.boxed((10, 26), (80, 40), Kind::Hot, "ann\nhas it");
    for (at, name) in ["bob", "cleo", "dan"].into_iter().enumerate() {
        lock.boxed((140 + at as i32 * 66, 26), (56, 40), Kind::Plain, name);
    }
    lock.boxed((338, 26), (56, 40), Kind::Dashed, "eve");
    lock.note((140, 14), Start, "the line");
    lock.note((394, 14), End, "comes now");
    lock.arrow(Kind::Hot, &[(50, 66), (50, 96), (168, 96), (168, 66)]);
    lock.hot((60, 114), Start, "release: the lock is bob's now, and bob is woken");
    lock.note((10, 144), Start, "The lock is never free in between: eve cannot overtake.");
    lock
}

/// The two lines in which the program names who waits for whom.
fn circle() -> Vec<(String, String, String)> {
    let chapter = source("docs/chapters/12-waiting-for-each-other.md");
    let lines = chapter.lines().filter_map(|line| {
        let (task, rest) = line.trim().split_once(" waits for ")?;
        let (lock, holder) = rest.split_once(", which ")?;
        let holder = holder.strip_suffix(" has")?;
        task.starts_with('#').then(|| (task.to_owned(), lock.to_owned(), holder.to_owned()))
    });
    lines.collect()
}

pub(super) fn deadlock() -> Drawing {
    let title = "A circle of waits";
    let description = "Ann waits for a lock that Bob has. Bob waits for a lock that Ann has. Neither can \
        go on.";
    let mut deadlock = Drawing::new(title, description, 220);
    let circle = circle();
    let [(ann, first, bob), (other, second, back), ..] = &circle[..] else {
        panic!("chapter 12 shows no circle of two tasks: {circle:?}")
    };
    assert!(ann == back && bob == other, "the waits of chapter 12 are no circle: {circle:?}");
    deadlock.boxed((20, 90), (90, 40), Kind::Plain, &format!("ann\n{ann}"));
    deadlock.boxed((290, 90), (90, 40), Kind::Plain, &format!("bob\n{bob}"));
    deadlock.boxed((150, 16), (100, 32), Kind::Plain, first);
    deadlock.boxed((150, 172), (100, 32), Kind::Plain, second);
    deadlock.arrow(Kind::Hot, &[(65, 90), (65, 32), (150, 32)]);
    deadlock.hot((60, 24), Middle, "waits for");
    deadlock.arrow(Kind::Plain, &[(250, 32), (335, 32), (335, 90)]);
    deadlock.note((300, 24), Middle, "held by");
    deadlock.arrow(Kind::Hot, &[(335, 130), (335, 188), (250, 188)]);
    deadlock.hot((310, 208), Middle, "waits for");
    deadlock.arrow(Kind::Plain, &[(150, 188), (65, 188), (65, 130)]);
    deadlock.note((86, 208), Middle, "held by");
    deadlock
}
