//! Each rung proves by a number what its header says, the wrong versions included.

use crate::common::{run, watchdog};

/// What a rung prints when it runs by itself.
fn lines(rung: u32) -> Vec<String> {
    let ended = run(&format!("from_scratch_{rung}"), &[]);
    assert!(ended.status.success() && ended.complaints.is_empty(), "{rung}: {ended:?}");
    ended.lines
}

/// The same, when this is so. On a busy machine a sleep may be over before it begins, and a thread may be late, so it tries
/// several times.
fn lines_at_last(rung: u32, are_right: impl Fn(&[String]) -> bool) {
    let mut last = Vec::new();
    for _ in 0..9 {
        last = lines(rung);
        if are_right(&last) {
            return;
        }
    }
    panic!("rung {rung} says something else, nine times: {last:?}");
}

/// The number between these two texts.
fn number(line: &str, before: &str, after: &str) -> u64 {
    let inner = line.split_once(before).and_then(|(_, rest)| rest.split_once(after));
    let (number, _) = inner.unwrap_or_else(|| panic!("no `{before}` and `{after}` in {line:?}"));
    number.parse().unwrap_or_else(|_| panic!("{number:?} in {line:?}"))
}

#[test]
fn the_busy_loop_asks_all_the_time() {
    let _watchdog = watchdog();
    lines_at_last(1, |said| said.len() == 1 && number(&said[0], "a sleep of 100 ms: ", " polls, ") > 1000);
}

#[test]
fn the_parked_loop_needs_two_polls_and_a_waker_that_leaves_a_note() {
    let _watchdog = watchdog();
    let outcomes = [
        "a yield, and park: is done",
        "a yield, and the broken bell: hangs (given up after 300 ms)",
        "a future that keeps no waker: hangs (given up after 300 ms)",
    ];
    lines_at_last(2, |said| {
        let is_idle = !cfg!(target_os = "linux") || number(&said[0], "polls, ", " ms of processor time") < 50;
        is_idle && said[0].starts_with("a sleep of 100 ms: 2 polls, ") && said[1..] == outcomes
    });
}

#[test]
fn the_queue_polls_the_tasks_that_were_woken_and_the_main_future_with_each() {
    let _watchdog = watchdog();
    let said = [
        "a sleep of a task: 2 polls",
        "a sleep of a task beside it: 2 polls",
        // With each poll of a task: to begin, and after each of the five wakes.
        "a sleep of the main future: 6 polls",
    ];
    lines_at_last(3, |lines| lines == said);
}

#[test]
fn the_marks_make_one_poll_of_many_wakes() {
    let _watchdog = watchdog();
    let said =
        ["a task that is woken 3 times, and then sleeps: 3 polls", "a sleep of the main future: 2 polls"];
    lines_at_last(4, |lines| lines == said);
}

#[test]
fn the_timers_need_one_thread_and_keep_no_old_deadline() {
    let _watchdog = watchdog();
    let said = lines(5);
    // Each sleep is polled once to begin and once to end. On a very slow machine some begin when they are over.
    let polls = number(&said[0], "thread: ", " polls");
    assert!((10_000..=20_000).contains(&polls), "{said:?}");
    assert_eq!(said[1..], ["a timeout around an hour: None; deadlines that the loop knows: 0"]);
}

#[test]
fn the_kernel_tells_of_bytes_once_and_wakes_the_loop() {
    let _watchdog = watchdog();
    let said = lines(6);
    let time = number(&said[0], "8 bytes, 4 by 4: [Ok(4), Ok(4)]; ", " ms of processor time in all");
    assert!(said.len() == 1 && time < 60, "{said:?}");
}

#[test]
fn the_bell_rings_once_for_a_thousand_wakes() {
    let _watchdog = watchdog();
    let before = "woken 1000 times by a thread, 50 ms later: done after ";
    lines_at_last(7, |said| {
        let rings_once = said[0].ends_with(" ms, 1 rings of the bell");
        said.len() == 1 && rings_once && number(&said[0], before, " ms") >= 50
    });
}

#[test]
fn the_slots_are_used_again_and_a_stale_waker_wakes_nothing() {
    let _watchdog = watchdog();
    let said = [
        "1000 wakes by a stale waker: the next tenant is polled 2 times",
        "1000 tasks after one another, and as many main futures: 3 slots",
    ];
    lines_at_last(8, |lines| lines == said);
}

#[test]
fn the_links_take_no_memory_but_the_slots() {
    let _watchdog = watchdog();
    let said = lines(9);
    assert!(said[0].starts_with("1000 tasks at once, and a main future: 1002 slots of "), "{said:?}");
    assert_eq!(said[1..], ["1000 tasks after one another: 0 more slots"]);
}

#[test]
fn a_panic_and_a_cancelled_task_harm_no_other() {
    let _watchdog = watchdog();
    assert_eq!(lines(10), ["1000 tasks, of which one panics and one is cancelled: 998 outputs"]);
}

#[test]
fn a_waiter_that_was_called_and_is_dropped_passes_it_on() {
    let _watchdog = watchdog();
    assert_eq!(lines(11), ["a waiter is called and dropped; the second one receives Ok(1)"]);
}

#[test]
fn the_echo_is_its_own_client() {
    let _watchdog = watchdog();
    let said = lines(12);
    assert!(said[0].starts_with("listening on 127.0.0.1:"), "{said:?}");
    assert_eq!(said[1..], ["of 100 bytes 100 have come back"]);
}

#[test]
fn every_rung_explains_itself() {
    let _watchdog = watchdog();
    for rung in 1..=12 {
        let ended = run(&format!("from_scratch_{rung}"), &["--help"]);
        assert!(ended.status.success() && ended.complaints.is_empty(), "{rung}: {ended:?}");
        assert!(ended.text().contains(&format!("usage: from_scratch_{rung}")), "{rung}: {ended:?}");
    }
}
