//! The programs about work: handed on from task to task, to threads, to processes, and brought to an orderly end.
//!
//! The output of a program that can run on a virtual clock is compared with `gold/NAME.txt` to the last hundredth of a
//! second. A program that blocks on purpose cannot; for that, the tests look at the order of the lines, and at no time.

use std::io;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::common::{
    Program, after_time, gold, in_order, in_order_at_last, in_time, lines_of, path_of, run, watchdog,
};

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
        &["written and read: 1048576", "done: first", "done: second", "found 1229", "found 1229"],
    );
}

/// Two jobs that would take four seconds one after the other: the second begins before the first is done.
#[test]
fn threads_do_not_hold_up_the_loop() {
    let _watchdog = watchdog();
    in_order_at_last("threads", &["two"], &["two jobs", "the loop goes on", "done: first", "done: second"]);
}

#[test]
fn blocking_trap() {
    let _watchdog = watchdog();
    let beats_beside_a_thread = |_| {
        let text = run("blocking_trap", &[]).text();
        let between = |part: &str| {
            let work = text.split(part).nth(1).expect("the part");
            let work = work.split("work: begins").nth(1).expect("its work");
            work.split("work: done").next().expect("its end").matches("beat").count()
        };
        assert_eq!(between("── trap"), 0, "{text}");
        between("── thread") > 0
    };
    // (A busy machine may hold up the loop for as long as the work takes.)
    assert!((0..9).any(beats_beside_a_thread), "a thread holds up the loop, too");
}

/// One task awaits for 150 ms, one blocks for as long: there is one warning. (A busy machine may hold up the others,
/// too, so the test tries several times.)
#[test]
fn a_task_that_blocks_is_reported_and_one_that_awaits_is_not() {
    let _watchdog = watchdog();
    let is_one_warning = |_| {
        let ended = run("blocking_trap", &["warning"]);
        in_order(&ended.text(), &["patient: awaited", "greedy: blocked"]);
        in_order(&ended.complaints, &["\"greedy\" (spawned at examples/examples/blocking_trap.rs:"]);
        ended.complaints.lines().count() == 1
    };
    assert!((0..5).any(is_one_warning));
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
    in_order(
        &text,
        &[
            "no job is called \"product\"",
            "300ms",
            "1 4\": 14",
            "── crash",
            "SIGABRT",
            "332833500",
            "by a new worker: 285",
        ],
    );
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

/// Each worker finishes its current job, and begins no other; the code is 0.
#[test]
fn shutdown_by_a_signal() {
    let _watchdog = watchdog();
    for signal in [Signal::TERM, Signal::INT] {
        // The jobs take half a second, and may take two.
        in_time(Duration::from_secs(2), || shut_down_by(signal));
    }
}

/// An error if the workers have not ended in time.
fn shut_down_by(signal: Signal) -> io::Result<()> {
    let program = Program::launch(&mut Command::new(path_of("shutdown")));
    let first: Vec<_> = (0..4).filter_map(|_| program.next_line()).collect();
    assert_eq!(first.len(), 4);
    program.signal(signal);
    let ended = program.end();
    let lines: Vec<_> = ended.lines.iter().filter_map(|line| after_time(line)).collect();
    assert_eq!((ended.code(), &*ended.complaints), (Some(0), ""), "{lines:?}");
    let last = *lines.last().expect("a last line");
    if !last.starts_with("all ended in time: true") {
        return Err(io::Error::other(last));
    }
    for worker in 1..=3 {
        let farewell = format!("worker {worker}: shutting down gracefully");
        assert!(lines.contains(&farewell.as_str()), "{lines:?}");
    }
    let count =
        |before: &str| last.split(before).nth(1).and_then(|rest| rest.split(',').next()).map(str::to_owned);
    assert_eq!(count("begun "), count("done "), "{last}");
    Ok(())
}

/// A second signal does not wait for the current jobs. (On a busy machine, the workers may be done before it arrives,
/// so the test tries several times.)
#[test]
fn a_second_signal_ends_it_at_once() {
    let _watchdog = watchdog();
    let is_killed = |_| {
        let program = Program::launch(&mut Command::new(path_of("shutdown")));
        assert!(program.next_line().is_some());
        program.signal(Signal::TERM);
        while program.next_line().is_some_and(|line| !line.contains("no more jobs")) {}
        program.signal(Signal::TERM);
        program.end().killed_by() == Some(Signal::TERM.as_raw())
    };
    assert!((0..5).any(is_killed));
}

#[test]
fn health() {
    let _watchdog = watchdog();
    in_order_at_last(
        "health",
        &[],
        &[
            "nothing is going on",
            "1002 tasks",
            "one task blocks",
            "it has ended",
            "RED ",
            " 2 tasks",
            "ready tasks have waited: p50 ",
        ],
    );
}

/// The row of each model in a part of `models`: the columns without their units.
fn models_of(part: &str) -> Vec<Vec<f64>> {
    let lines =
        lines_of("models", &[part, "--jobs", "40", "--pieces", "4", "--size", "200000", "--rounds", "3"]);
    let numbers = |line: &String| line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let rows: Vec<Vec<f64>> = lines[2..].iter().map(numbers).collect();
    assert!(rows.len() == 5 && rows.iter().all(|row| row.len() == 5), "{lines:#?}");
    rows
}

/// What chapter 18 says of the five models, as far as it does not depend on how busy the machine is.
#[cfg(target_os = "linux")]
#[test]
fn models() {
    let _watchdog = watchdog();
    const TIME: usize = 0;
    const FASTER: usize = 1;
    const PROCESSOR: usize = 2;
    const MEMORY: usize = 3;
    const THREADS: usize = 4;
    let cores = std::thread::available_parallelism().unwrap().get() as f64;
    for part in ["waits", "computing", "mix"] {
        // On a busy machine a model may be held up, and the first thread may end before the last one begins. So it tries again.
        let is_usual = |rows: &Vec<Vec<f64>>| {
            let are_faster = [1, 2, 4].iter().all(|model| rows[*model as usize][FASTER] > 1.0);
            part == "computing" || are_faster && rows[2][THREADS] > 20.0
        };
        let rows =
            (0..9).map(|_| models_of(part)).find(is_usual).expect("tasks and threads are faster, once");
        let [sequential, event_loop, threads, processes, loops] = &rows[..] else { panic!("five models") };
        let jobs = if part == "computing" { 4.0 } else { 40.0 };
        assert_eq!((sequential[THREADS], event_loop[THREADS]), (1.0, 1.0), "{part}: {rows:?}");
        assert_eq!(processes[THREADS], 1.0 + 2.0 * jobs, "{part}: {rows:?}");
        assert!(processes[MEMORY] > 3.0 * threads[MEMORY].max(event_loop[MEMORY]), "{part}: {rows:?}");
        assert!(processes[PROCESSOR] > event_loop[PROCESSOR], "{part}: {rows:?}");
        if part != "computing" {
            // (A loop without jobs, or whose jobs are done, has ended before the last job begins.)
            assert!(loops[THREADS] > 1.0 && loops[THREADS] <= 1.0 + cores, "{part}: {rows:?}");
            assert!(
                threads[THREADS] > jobs / 2.0 && threads[MEMORY] > event_loop[MEMORY],
                "{part}: {rows:?}"
            );
            // Forty waits of 10 ms, one after the other, take at least 400 ms. Together, they need 10.
            assert!(sequential[TIME] >= 400.0 && event_loop[TIME] >= 10.0, "{part}: {rows:?}");
            assert!(
                event_loop[FASTER] > 1.0 && threads[FASTER] > 1.0 && loops[FASTER] > 1.0,
                "{part}: {rows:?}"
            );
        }
    }
}

/// The law is exact, so its half of the output is.
#[test]
fn models_amdahl() {
    let _watchdog = watchdog();
    let text = lines_of("models", &["amdahl", "--size", "4000", "--rounds", "1"]).join("\n");
    in_order(&text, &[" 0 % ", "25 % ", "75 % ", "   2   1.60 × ", "   64   3.82 × "]);
}

#[test]
fn word_count() {
    let _watchdog = watchdog();
    let text = gold("word_count", &[]);
    in_order(&text, &["file 3: 13 words", "  8 the", "  4 and"]);
}

#[test]
fn image_filter() {
    let _watchdog = watchdog();
    let text = gold("image_filter", &[]);
    in_order(&text, &["##########", "::::::::::", "the same as by one thread: true"]);
}

#[test]
fn matrix() {
    let _watchdog = watchdog();
    let text = gold("matrix", &[]);
    in_order(&text, &["60 jobs", "right: true", "6 jobs", "right: true", "2 jobs", "right: true"]);
}

/// Each way finds the same sum, with fewer and fewer messages.
#[test]
fn batching() {
    let _watchdog = watchdog();
    let text = lines_of("batching", &[]).join("\n");
    let sum = "the sum is 50806,";
    let ways = ["2000 messages", "200 messages", "20 messages", "2 messages", "no message"];
    in_order(&text, &ways);
    assert_eq!(text.matches(sum).count(), ways.len(), "{text}");
}

#[test]
fn key_search() {
    let _watchdog = watchdog();
    let text = gold("key_search", &[]);
    in_order(&text, &["found: ROUNDELX", "not every order was tried: true"]);
}

/// The manager needs a message for each number; the others need one, and find the same sum.
#[test]
fn handing_over() {
    let _watchdog = watchdog();
    let lines = lines_of("handing_over", &[]);
    let ways = [("manager", "2000 messages, 16000 bytes"), ("one message", "   1 messages, 16000 bytes")];
    for (line, (way, told)) in lines.iter().zip(ways.into_iter().chain([("file", "   1 messages,")])) {
        assert!(line.starts_with(way) && line.contains("sum 2001000,") && line.contains(told), "{line}");
    }
    assert_eq!(lines.len(), 3, "{lines:?}");
}

#[test]
fn result_stream() {
    let _watchdog = watchdog();
    let text = gold("result_stream", &[]);
    in_order(&text, &["a result: 1", "a result: 25", "no more results"]);
}

/// The results that came before the worker ended are used, and its early end is an error.
#[test]
fn a_stream_without_its_sentinel_is_an_error() {
    let _watchdog = watchdog();
    let ended = run("result_stream", &["--killed"]);
    assert_eq!((ended.code(), ended.lines.len()), (Some(1), 3), "{ended:?}");
    assert!(ended.complaints.starts_with("result_stream: the worker has ended without `END`"), "{ended:?}");
}

#[test]
fn files() {
    let _watchdog = watchdog();
    let text = gold("files", &[]);
    in_order(&text, &["[10, 1000, 100000] lines", "No such file or directory"]);
}

/// Every line has its task, and the lines of one request can be found among those of another.
#[test]
fn log_lines() {
    let _watchdog = watchdog();
    let text = gold("log_lines", &["--virtual"]);
    let lines: Vec<&str> = text.lines().take_while(|line| !line.starts_with("the lines of")).collect();
    assert!(lines.iter().all(|line| line.contains("s  task=")), "{text}");
    in_order(&text, &["the lines of request 2:", "task=http-2", "task=database request=2", "task=http-2"]);
}

#[test]
fn long_polling() {
    let _watchdog = watchdog();
    let text = gold("long_polling", &["--virtual"]);
    in_order(&text, &["4.00 s  client: news 1", "14.00 s  client: nothing new", "19.00 s  4 questions"]);
}
