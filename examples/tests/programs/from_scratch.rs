//! The ladder `from_scratch`: each rung proves what its header says, the wrong versions included.
//!
//! Contract. The tests compare counts, orders and verdicts, but no times.

use std::io::{Read, Write};
use std::time::Duration;

use crate::common::{Program, read, run, watchdog};

/// What a rung prints when it runs by itself.
fn lines(rung: &str) -> Vec<String> {
    let ended = run(rung, &[]);
    assert!(ended.status.success() && ended.complaints.is_empty(), "{rung}: {ended:?}");
    ended.lines
}

/// The number between these two texts.
fn number(line: &str, before: &str, after: &str) -> u64 {
    let inner = line.split_once(before).and_then(|(_, rest)| rest.split_once(after));
    let (number, _) = inner.unwrap_or_else(|| panic!("no `{before}` and `{after}` in {line:?}"));
    number.parse().unwrap_or_else(|_| panic!("{number:?} in {line:?}"))
}

#[test]
fn the_busy_loop_is_right_and_asks_all_the_time() {
    let _watchdog = watchdog();
    let said = lines("from_scratch_1");
    assert_eq!(said[0], "the answer after 100 ms: 42");
    let polls = number(&said[1], "asked ", " times");
    assert!(polls > 1000, "{polls} polls are not busy");
}

#[test]
fn the_parked_loop_needs_two_polls_and_a_waker_that_leaves_a_note() {
    let _watchdog = watchdog();
    let said = lines("from_scratch_2");
    assert_eq!(said[0], "a sleep of 100 ms: done after 2 polls");
    let rest = &said[said.len() - 4..];
    assert_eq!(rest[0], "a yield, and a bell: hangs (given up after 300 ms)");
    assert_eq!(rest[1], "a yield, and park: done after 2 polls");
    assert_eq!(rest[2], "a sleep that keeps no waker: hangs (given up after 300 ms)");
    // A sleep never ends early, so this holds on any machine.
    assert!(number(&rest[3], "two sleeps of 100 ms: ", " ms") >= 200, "{}", rest[3]);
}

#[test]
fn the_queue_takes_turns_and_costs_a_thread_for_each_sleep() {
    let _watchdog = watchdog();
    let said = lines("from_scratch_3");
    assert_eq!(
        said,
        [
            "two tasks in turns: a1 b1 a2 b2 a3 b3",
            "sleeps of 300, 200 and 100 ms at the same time end in this order: 100 200 300",
            "a task that is woken 3 times before its turn: 3 polls",
            "1000 sleeps: 1000 threads, one for each",
        ]
    );
}

#[test]
fn the_timers_need_one_thread_and_a_read_stops_it() {
    let _watchdog = watchdog();
    let said = lines("from_scratch_4");
    let (polls, parks) = (number(&said[0], "thread: ", " polls"), number(&said[0], "parked ", " times"));
    // Each sleep is polled once to begin and once to end. The task that awaits them all is polled at most once for each
    // of ten deadlines.
    assert!((20_001..=20_011).contains(&polls), "{polls} polls");
    assert!(parks <= 40, "parked {parks} times for ten deadlines");
    assert_eq!(said[1], "a read that blocks: 0 ticks and not a byte (given up after 300 ms)");
    assert!(
        said[2].starts_with("a read that is tried again and again: 5 ticks, then 5 bytes, "),
        "{}",
        said[2]
    );
    let tries = number(&said[2], "bytes, ", " tries");
    assert!(tries > 500, "{tries} tries are not busy");
}

#[test]
fn the_reactor_needs_two_tries_and_loses_an_edge_that_is_waited_for() {
    let _watchdog = watchdog();
    let said = lines("from_scratch_5");
    assert_eq!(
        said,
        [
            "a read that waits in the kernel: 5 ticks, then 5 bytes, 2 tries",
            "read until it would block: 8 of 8 bytes after 300 ms",
            "wait, read, wait, read: 4 of 8 bytes after 300 ms",
        ]
    );
}

#[test]
fn the_echo_is_its_own_client_and_keeps_no_old_deadline() {
    let _watchdog = watchdog();
    let said = lines("from_scratch_6");
    assert_eq!(
        said,
        [
            // One source, and not one for each byte: that of the connection, which the task awaits now.
            "10 bytes have come back; deadlines that the loop knows: 1",
            "connection 1: 10 bytes sent back, then nothing for 500ms: closed",
            "0 bytes have come back; deadlines that the loop knows: 0",
            "connection 2: 0 bytes sent back, then nothing for 500ms: closed",
        ]
    );
}

#[test]
fn the_echo_serves_strangers_at_once_and_closes_idle_connections() {
    let _watchdog = watchdog();
    // Longer than all buffers between us.
    let much: Vec<u8> = (0..9_000_000_u32).map(|n| (n % 251) as u8).collect();
    let program = Program::start("from_scratch_6", &["127.0.0.1:0"]);
    let (mut silent, mut stuck, mut leaves) = (program.connect(), program.connect(), program.connect());
    let mut writer = leaves.try_clone().unwrap();
    let sent = much.clone();
    let writing = std::thread::spawn(move || writer.write_all(&sent).unwrap());
    // Until the buffers are full, and a write stops in the middle.
    std::thread::sleep(Duration::from_millis(100));
    assert!(read(&mut leaves, much.len()) == much, "what comes back is not what was sent");
    writing.join().unwrap();
    drop(leaves);
    assert_eq!(program.next_line().unwrap(), "connection 3: 9000000 bytes sent back, then it left");
    // A client that never reads is idle, too. The bytes on their way to it turn its end into a reset.
    let refused = (0..1000).any(|_| stuck.write_all(&[0; 65_536]).is_err());
    assert!(refused, "64 MB were taken from one that does not read");
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    let mut ends = [program.next_line().unwrap(), program.next_line().unwrap()];
    ends.sort();
    assert_eq!(ends[0], "connection 1: 0 bytes sent back, then nothing for 5s: closed");
    assert!(ends[1].starts_with("connection 2: ") && ends[1].ends_with("nothing for 5s: closed"), "{ends:?}");
}

#[test]
fn the_programs_of_many_parts_show_one_or_say_which_there_are() {
    let _watchdog = watchdog();
    for (program, part) in [("future_sizes", "ready"), ("waker_words", "place")] {
        let (all, one) = (lines(program), run(program, &[part]));
        assert!(one.status.success() && one.lines.len() == 2, "{program}: {one:?}");
        assert!(all.windows(2).any(|lines| lines == one.lines), "{program}: {one:?} is not in {all:?}");
        let none = run(program, &["nonsense"]);
        assert_eq!((none.code(), none.lines.len()), (Some(2), 0), "{program}: {none:?}");
        assert!(none.complaints.contains(part), "{program}: {none:?}");
    }
}
