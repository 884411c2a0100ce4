//! The programs whose loop says what is wrong: `deadlock`, `forgotten`, `slow`.

use crate::common::{in_order, run, watchdog};

#[test]
fn what_is_forgotten_is_told_in_debug_mode_only() {
    let _watchdog = watchdog();
    let quiet = run("forgotten", &[]);
    assert_eq!((quiet.text().trim(), &*quiet.complaints), ("the program has noticed nothing", ""));
    let are_three = |_| {
        let told = run("forgotten", &["--debug"]);
        assert_eq!(told.text().trim(), "the program has noticed nothing");
        in_order(&told.complaints, &["\"save\" (spawned at", "\"audit\" (spawned at"]);
        in_order(&told.complaints, &["returned an `Err`", "panicked"]);
        in_order(&told.complaints, &["\"bye\" (spawned at"]);
        in_order(&told.complaints, &["was never polled"]);
        told.complaints.lines().count() == 3
    };
    // (On a busy machine a poll may also be slow, which is told, too.)
    assert!((0..9).any(are_three), "more than what was forgotten is told");
}

/// (On a busy machine other polls may be slow as well.)
#[test]
fn what_slows_others_down_is_told() {
    let _watchdog = watchdog();
    let text = run("slow", &[]).text();
    // In any order: on a busy machine the lock may be given back before the thousandth wake.
    for words in [
        "\"blocks\" (spawned at",
        "\"spins\" (spawned at",
        "\"holds\" (spawned at",
        "woke itself 1000 times in a row",
        "held mutex \"accounts\" (examples/examples/slow.rs:",
    ] {
        assert!(text.contains(words), "no `{words}` in\n{text}");
    }
}

/// With the detector of debug mode as well: the program is told, and standard error.
#[test]
fn a_deadlock_is_told_and_broken() {
    let _watchdog = watchdog();
    let text = run("deadlock", &[]).text();
    let circle =
        ["the circle:", "#1.1 \"ann\" waits for mutex \"b\" of", "#2.1 \"bob\" waits for mutex \"a\" of"];
    in_order(&text, &circle);
    in_order(&text, &["bob is given up", "ann is done", "── in the same order", "ann is done"]);
}
