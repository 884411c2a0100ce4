//! The programs about waiting: for one thing after the other, for several, for something that fails, and not for ever.
//!
//! Each runs on a virtual clock, and its output is compared with `gold/NAME.txt` to the last hundredth of a second. The
//! tests below say what that output must contain.

use crate::common::{gold, in_order, in_order_at_last, lines_of, watchdog, without_times};

#[test]
fn hello_world() {
    let _watchdog = watchdog();
    let text = gold("hello_world", &["--virtual"]);
    assert_eq!(text, "  0.00 s  Hello …\n  1.00 s  … World!\n");
}

#[test]
fn fetches() {
    let _watchdog = watchdog();
    let text = gold("fetches", &["--virtual"]);
    let pages = r#"["page 1", "page 2", "page 3"]"#;
    in_order(&text, &["── sequential", &format!("6.00 s  {pages}"), "── concurrent"]);
    in_order(&text, &["── concurrent", "1.00 s  fetch 2", "2.00 s  fetch 1", "3.00 s  fetch 3", pages]);
}

#[test]
fn a_part_can_be_run_alone() {
    let _watchdog = watchdog();
    let whole = lines_of("fetches", &["--virtual"]);
    let part = lines_of("fetches", &["concurrent", "--virtual"]);
    let begin = whole.iter().position(|line| line.starts_with("── concurrent")).unwrap();
    assert_eq!(part, whole[begin..begin + part.len()]);
    assert_eq!(part.iter().filter(|line| line.starts_with("──")).count(), 1);
}

#[test]
fn create_then_await() {
    let _watchdog = watchdog();
    let text = gold("create_then_await", &["--virtual"]);
    let data = r#"["Data-1", "Data-2", "Data-3"]"#;
    in_order(&text, &["── too-early", &format!("6.00 s  all done: {data}"), "── create-first"]);
    in_order(&text, &["three tasks are created", "0.00 s  load 1: begun"]);
    in_order(
        &text,
        &["1.00 s  load 3", "2.00 s  load 1", "3.00 s  load 2", &format!("3.00 s  all done: {data}")],
    );
}

#[test]
fn failures() {
    let _watchdog = watchdog();
    let text = gold("failures", &["--virtual"]);
    in_order(&text, &["── first-error", "request 1: dropped", "0.05 s  try_gather gives Err(", "── run-on"]);
    in_order(
        &text,
        &["── run-on", "0.05 s  try_gather", "0.10 s  request 1: done", "0.15 s  request 3: done"],
    );
    in_order(&text, &["good: answer 1", "bad:  request 2", "good: answer 3", "── group"]);
    in_order(&text, &["── group", "request 1: dropped", "request 3: dropped", "none of its tasks is left"]);
    in_order(&text, &["── panic", "good: answer 1", "panicked", "good: answer 3"]);
}

#[test]
fn timeouts() {
    let _watchdog = watchdog();
    let text = gold("timeouts", &["--virtual"]);
    in_order(&text, &["2.00 s  no rows: the deadline has passed", r#"looked at: Ok("3 rows")"#]);
    in_order(&text, &["places free: 1", "0.10 s  main:", "0.40 s  cleanup: done"]);
}

#[test]
fn cancel() {
    let _watchdog = watchdog();
    let text = gold("cancel", &["--virtual"]);
    in_order(
        &text,
        &[
            "session: starting",
            "cancelling",
            "cleaning up",
            "0.40 s  connection: released",
            "cancelled: true",
        ],
    );
    in_order(&text, &["before its first turn", "file: released", "it is over: true"]);
    let after = text.split("main: cancelled; there was").nth(1).unwrap().split("──").next().unwrap();
    assert!(!after.contains("  step "), "a zombie:\n{after}");
    assert_eq!(text.matches("has been told: true").count(), 5);
}

#[test]
fn on_the_real_clock_the_lines_are_the_same() {
    let _watchdog = watchdog();
    let real = lines_of("race", &[]).join("\n");
    assert_eq!(without_times(&real), without_times(&lines_of("race", &["--virtual"]).join("\n")));
}

/// On the real clock, this tests the order, and no time.
#[test]
fn hello() {
    let _watchdog = watchdog();
    let begun = ["none of them has run", "coffee: begun", "eggs: begun", "toast: begun"];
    let ready = ["toast: ready", "eggs: ready", "coffee: ready", "served: coffee, eggs, toast"];
    in_order_at_last("hello", &[], &[begun, ready].concat());
}
