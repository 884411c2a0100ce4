//! The programs about sharing: an account, a lock, permits, a server with limits.
//!
//! Each runs on a virtual clock, and its output is compared with `gold/NAME.txt` to the last hundredth of a second. The
//! tests below say what that output must contain.

use crate::common::{gold, in_order, watchdog};

#[test]
fn race() {
    let _watchdog = watchdog();
    let text = gold("race", &["--virtual"]);
    in_order(&text, &["── as-printed", "0.10 s  balance 150", "── race", "0.10 s  balance 50"]);
    in_order(&text, &["── locked", "0.20 s  balance 150"]);
}

#[test]
fn lock() {
    let _watchdog = watchdog();
    let text = gold("lock", &["--virtual"]);
    in_order(
        &text,
        &["101: has it", "102: has it", "103: has it", "0.30 s  written, in this order: [101, 102, 103]"],
    );
    in_order(
        &text,
        &["failing task holds the lock: true", "held: false", "holds the lock: true", "held: false"],
    );
    in_order(&text, &["0.50 s  5 pages,", "0.60 s  5 pages more"]);
}

#[test]
fn semaphore() {
    let _watchdog = watchdog();
    let text = gold("semaphore", &["--virtual"]);
    in_order(
        &text,
        &["3.00 s  5 jobs, at most 2 at once", "20.00 s  1000 pages of 1000", "20.00 s  at most 50"],
    );
    in_order(&text, &["2.00 s  at most 500 at once", "given back: Ok(())", "given back again: "]);
}

#[test]
fn rate_limit() {
    let _watchdog = watchdog();
    let text = gold("rate_limit", &["--virtual"]);
    in_order(
        &text,
        &[
            "── limiter",
            "0.00 s  requests 1 to 10",
            "0.10 s  request 11",
            "0.20 s  request 12",
            "2.00 s  request 30",
        ],
    );
}

#[test]
fn retry() {
    let _watchdog = watchdog();
    let text = gold("retry", &["--virtual"]);
    in_order(
        &text,
        &[" 0.00 s  attempt", " 2.00 s  attempt", " 6.00 s  attempt", "14.00 s  attempt", "given up"],
    );
    in_order(&text, &["6.00 s  attempt 3", "Ok(\"200\")", "0.00 s  Err(\"404\")"]);
    let busiest = |jitter: &str| -> u32 {
        let line = text.lines().find(|line| line.contains(jitter)).expect("a line for each jitter");
        line.split_whitespace().nth(3).and_then(|count| count.parse().ok()).expect("a count")
    };
    assert_eq!(busiest("None:"), 1000);
    assert!(busiest("Full:") < 50, "the herd is still together:\n{text}");
}

#[test]
fn shared() {
    let _watchdog = watchdog();
    let text = gold("shared", &["--virtual"]);
    in_order(
        &text,
        &["under a lock: 400000", "as an atomic: 400000", "[1, 4, 9, 16, 25, 36, 49, 64]", "10, not 40"],
    );
}

#[test]
fn manager() {
    let _watchdog = watchdog();
    let text = gold("manager", &["--virtual"]);
    in_order(&text, &["count = 5", "processed = 10, total time = 5.0 s", "processed = 1, and not 10"]);
}
