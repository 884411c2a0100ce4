//! The programs about work: handed on from task to task, to threads, to processes, and brought to an end in order.
//!
//! What can run on a virtual clock is compared with `gold/NAME.txt` to the last hundredth. What blocks on purpose cannot; of that, the
//! order of the lines is tested, and no time.

#![forbid(unsafe_code)]
#![cfg(all(unix, not(miri)))]

mod common;

use std::process::Command;

use rustix::process::Signal;

use common::{Program, after_time, gold, in_order, lines_of, path_of, run, watchdog};

#[test]
fn pipe() {
    let _watchdog = watchdog();
    let text = gold("pipe", &["--virtual"]);
    in_order(
        &text,
        &["\"HELLO\"", "child:  got \"STOP\"", "heard \"BYE\"", "answered 2 lines", "None, the end"],
    );
}

#[test]
fn pipeline() {
    let _watchdog = watchdog();
    let text = gold("pipeline", &["--virtual"]);
    in_order(&text, &["results: [4, 16, 36, 64, 100, 144, 196, 256, 324]", "1.00 s  consumer: 10 is done"]);
    assert!(!text.contains(" 3 in the channel"), "there was room for two:\n{text}");
}

#[test]
fn worker_pool() {
    let _watchdog = watchdog();
    let text = gold("worker_pool", &["--virtual"]);
    let results: Vec<String> = (0..20).map(|number| format!("{number}: {}", 2 * number)).collect();
    let line = format!("0.25 s  {{{}}}", results.join(", "));
    in_order(&text, &["── sentinels", &line, "tasks left: 0", "── closed", &line, "tasks left: 0"]);
}

#[test]
fn threads() {
    let _watchdog = watchdog();
    let text = gold("threads", &["--virtual"]);
    in_order(
        &text,
        &["read data.bin successfully", "done: first", "done: second", "found 1229", "found 1229"],
    );
}

/// Two jobs that would take four seconds one after the other: the second begins before the first is done.
#[test]
fn threads_do_not_hold_up_the_loop() {
    let _watchdog = watchdog();
    let text = lines_of("threads", &["two"]).join("\n");
    in_order(&text, &["two jobs", "the loop goes on", "done: first", "done: second"]);
}

#[test]
fn blocking_trap() {
    let _watchdog = watchdog();
    let ended = run("blocking_trap", &[]);
    let text = ended.text();
    let between = |part: &str| {
        let work = text.split(part).nth(1).expect("the part").split("work: begins").nth(1).expect("its work");
        work.split("work: done").next().expect("its end").matches("beat").count()
    };
    assert_eq!(between("── trap"), 0, "{text}");
    assert!(between("── thread") > 0, "{text}");
    // One awaits for 150 ms, one blocks for as long. (On a busy machine the others may be warned of, too.)
    let warnings = |name: &str| ended.complaints.matches(&format!("\"{name}\"")).count();
    assert_eq!((warnings("greedy"), warnings("patient")), (1, 0), "{}", ended.complaints);
}

#[test]
fn processes() {
    let _watchdog = watchdog();
    let text = gold("processes", &[]);
    let sums = [
        "333332833333500000",
        "2666664666667000000",
        "8999995500000500000",
        "21333325333334000000",
        "41666654166667500000",
    ];
    in_order(&text, &sums);
    in_order(
        &text,
        &["── two", "333332833333500000", "2333331833333500000", "── failures", "negative number: -1"],
    );
    in_order(&text, &["── crash", "SIGABRT", "332833500", "by a new worker: 285"]);
}

#[test]
fn shutdown() {
    let _watchdog = watchdog();
    let text = gold("shutdown", &["--virtual"]);
    in_order(
        &text,
        &["no more jobs", "shutting down gracefully", "all ended in time: true; jobs begun 10, done 10"],
    );
}

/// What is in hand is finished, and nothing more; the code is 0.
#[test]
fn shutdown_by_a_signal() {
    let _watchdog = watchdog();
    for signal in [Signal::TERM, Signal::INT] {
        let program = Program::launch(&mut Command::new(path_of("shutdown")));
        let first: Vec<_> = (0..4).filter_map(|_| program.next_line()).collect();
        assert_eq!(first.len(), 4);
        program.signal(signal);
        let ended = program.end();
        let lines: Vec<_> = ended.lines.iter().filter_map(|line| after_time(line)).collect();
        assert_eq!((ended.code(), &*ended.complaints), (Some(0), ""), "{lines:?}");
        for worker in 1..=3 {
            let farewell = format!("worker {worker}: shutting down gracefully");
            assert!(lines.contains(&farewell.as_str()), "{lines:?}");
        }
        let last = lines.last().expect("a last line");
        let count = |before: &str| {
            last.split(before).nth(1).and_then(|rest| rest.split(',').next()).map(str::to_owned)
        };
        assert!(last.starts_with("all ended in time: true"), "{last}");
        assert_eq!(count("begun "), count("done "), "{last}");
    }
}

#[test]
fn health() {
    let _watchdog = watchdog();
    let text = lines_of("health", &[]).join("\n");
    in_order(
        &text,
        &["nothing is going on", "1002 tasks", "one task blocks", "it has ended", "RED ", " 2 tasks"],
    );
}
