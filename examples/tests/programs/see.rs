//! `see` says what a trace tells, in each of its outputs, and what is wrong with a file that is none.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use examples::see::{log, stats};
use roundel::record::{Recorder, Trace};
use roundel::sync::Mutex;
use roundel::{Builder, JoinHandle, Runtime, spawn_named, time, yield_now};

use crate::common::{Program, in_order, lines_of, path_of, recorded, run, watchdog};

/// The trace of `hello`, which has three tasks with names and runs in real time.
///
/// It has timers after 100, 200 and 300 ms. If all of it does not take much longer, each of them has been waited for.
fn hello(test: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("roundel-see-{test}-{}.trace", std::process::id()));
    for _ in 0..50 {
        let _ = fs::remove_file(&path);
        let start = Instant::now();
        let ended = Program::launch(Command::new(path_of("hello")).env("ROUNDEL_TRACE", &path)).end();
        assert!(ended.status.success(), "{ended:?}");
        if start.elapsed() < Duration::from_millis(380) {
            break;
        }
    }
    path
}

fn see(path: &Path, args: &[&str]) -> String {
    lines_of("see", &[&[path.to_str().unwrap()], args].concat()).join("\n")
}

/// A name without its number of the process, so that tests run side by side.
fn beside(path: &Path, ending: &str) -> String {
    format!("{}.{ending}", path.display())
}

#[test]
fn a_trace_is_summed_up_and_told_line_by_line() {
    let _watchdog = watchdog();
    let path = hello("sum");
    let stats = see(&path, &[]);
    in_order(
        &stats,
        &[
            "of real time",
            "4 tasks, ",
            "most polls:",
            "#0.1 main",
            "try --log",
            "worth a look first: --event ",
        ],
    );
    let log = see(&path, &["--log"]);
    in_order(
        &log,
        &[
            "what",
            "#0.1 main begins",
            "1.1   ── turn 1",
            "#0.1 main spawns #1.1 coffee",
            "#3.1 toast runs",
            "is set to 1",
            "the loop sleeps, at most",
            "timer 3 wakes #3.1 toast",
            "#3.1 toast is over",
        ],
    );
    let longest = log.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(longest <= 78, "a line of {longest} columns in\n{log}");
    fs::remove_file(path).unwrap();
}

#[test]
fn the_causes_of_a_poll_lead_back_to_the_beginning() {
    let _watchdog = watchdog();
    let path = hello("why");
    let why = see(&path, &["--why", "toast"]);
    let lines: Vec<&str> = why.lines().collect();
    assert_eq!(lines.len(), 7, "{why}");
    assert!(lines[1].starts_with("    event ") && lines[1].contains(", turn 2.1; queued at event "), "{why}");
    assert!(lines[1].ends_with(", turn 1.5, no. 1 of the outside lane (tasks lane: 0)"), "{why}");
    assert!(lines[6].starts_with("--event N"), "{why}");
    let lines = [lines[0], lines[2], lines[4]];
    assert!(lines[0].starts_with("#3.1 toast was polled at 1"), "{why}");
    assert!(lines[0].contains("because timer 3 fired at 1") && lines[0].contains("by #3.1 toast"), "{why}");
    assert!(
        lines[1].contains("because #0.1 main spawned it at")
            && lines[1].contains("examples/examples/hello.rs:")
    );
    assert!(lines[2].starts_with("#0.1 main was polled at") && lines[2].contains("a `block_on`"), "{why}");
    assert_eq!(see(&path, &["--why", "#3.1"]), why);
    let ended = run("see", &[path.to_str().unwrap(), "--why", "cake"]);
    assert_eq!(ended.code(), Some(1));
    assert!(ended.complaints.contains("there is no task `cake` in the trace"), "{ended:?}");
    fs::remove_file(path).unwrap();
}

#[test]
fn other_tools_get_their_formats() {
    let _watchdog = watchdog();
    let path = hello("formats");
    let [html, chrome, folded] = ["html", "json", "folded"].map(|ending| beside(&path, ending));
    see(&path, &["--html", &html, "--perfetto", &chrome, "--folded", &folded]);
    let read = |path: &str| fs::read_to_string(path).unwrap();
    let page = read(&html);
    let json = page.split_once("id=\"trace\">").unwrap().1.split_once("</script>").unwrap().0;
    assert!(json.trim_start().starts_with("{\"version\":2,\"program\":\"hello\""), "{json}");
    assert!(
        json.contains("\"name\":\"toast\"") && json.contains("\"examples/examples/hello.rs\":["),
        "{json}"
    );
    assert!(json.contains("fn turn(") && !json.contains('<'), "{json}");
    let chrome = (read(&chrome), chrome);
    assert!(chrome.0.starts_with("{\"traceEvents\":[") && chrome.0.contains("\"name\":\"#3.1 toast\""));
    let stacks = read(&folded);
    let names: Vec<&str> = stacks.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["main", "main;coffee", "main;eggs", "main;toast"]);
    for path in [html, chrome.1, folded, path.display().to_string()] {
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_file_that_is_no_trace_or_was_cut_is_said_to_be_so() {
    let _watchdog = watchdog();
    let path = recorded("race", "see");
    let refused = |path: &str, why: &str| {
        let ended = run("see", &[path]);
        assert_eq!((ended.code(), ended.text().as_str()), (Some(1), ""), "{ended:?}");
        assert!(
            ended.complaints.starts_with(&format!("see: {path}: ")) && ended.complaints.contains(why),
            "{ended:?}"
        );
    };
    refused("/nowhere/at/all", "No such file");
    refused(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "no trace of roundel");
    let mut bytes = fs::read(&path).unwrap();
    let other = beside(&path, "changed");
    bytes[8] = 1;
    fs::write(&other, &bytes).unwrap();
    refused(&other, "version 1");
    bytes[8] = 2;
    fs::write(&other, &bytes[..bytes.len() - 1]).unwrap();
    let ended = run("see", &[&other, "--log"]);
    assert_eq!(ended.code(), Some(0));
    assert!(ended.complaints.starts_with("warning: the trace ends in the middle of a record"), "{ended:?}");
    assert!(ended.lines.len() > 10, "{ended:?}");
    fs::remove_file(other).unwrap();
    fs::remove_file(path).unwrap();
}

#[test]
fn a_page_opens_at_an_event_and_outputs_go_to_standard_output() {
    let _watchdog = watchdog();
    let path = hello("event");
    let page = beside(&path, "html");
    assert_eq!(see(&path, &["--event", "12"]), format!("{page}#event=12"));
    assert!(fs::read_to_string(&page).unwrap().contains("id=\"trace\">"));
    let ended = run("see", &[path.to_str().unwrap(), "--event", "9999"]);
    assert!(ended.complaints.contains("there is no event 9999: the trace ends with event "), "{ended:?}");
    let folded = see(&path, &["--folded", "-"]);
    assert!(folded.starts_with("main ") && folded.lines().count() == 4, "{folded}");
    // The trace of another loop of the program stands beside it.
    let second = beside(&path, "2");
    fs::copy(&path, &second).unwrap();
    let ended = run("see", &[path.to_str().unwrap()]);
    assert!(ended.complaints.contains(&format!("{second} is the trace of the next one")), "{ended:?}");
    for path in [page, second, path.display().to_string()] {
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn virtual_time_is_explained() {
    let _watchdog = watchdog();
    let path = recorded("hello_world", "virtual");
    let stats = see(Path::new(&path), &["--stats"]);
    in_order(
        &stats,
        &["of virtual time", "Virtual time stands still while tasks run", "a poll takes no time here"],
    );
    fs::remove_file(path).unwrap();
}

/// Runs this on a loop that is recorded, with its clock on virtual time or not.
fn recorded_here(builder: Builder, main: impl Future<Output = ()>) -> Trace {
    let recorder = Recorder::in_memory();
    builder.record(recorder.clone()).build().unwrap().block_on(main);
    recorder.trace().unwrap()
}

/// Two tasks that take two locks in opposite order, until `bob` is cancelled.
fn deadlock() -> Trace {
    let bob: Rc<Cell<Option<JoinHandle<()>>>> = Rc::default();
    let to_cancel = Rc::clone(&bob);
    let builder = Runtime::builder()
        .virtual_time(true)
        .on_deadlock(move |_| to_cancel.take().into_iter().for_each(|bob| bob.cancel()));
    recorded_here(builder, async move {
        let [a, b] = [(); 2].map(|()| Rc::new(Mutex::new(())));
        let both = |name, first: &Rc<Mutex<()>>, second: &Rc<Mutex<()>>| {
            let (first, second) = (Rc::clone(first), Rc::clone(second));
            spawn_named(name, async move {
                let _first = first.lock().await;
                yield_now().await;
                drop(second.lock().await);
            })
        };
        let ann = both("ann", &a, &b);
        bob.set(Some(both("bob", &b, &a)));
        ann.await.unwrap();
    })
}

#[test]
fn a_deadlock_is_in_the_sums_and_is_worth_the_first_look() {
    let trace = deadlock();
    let stats = stats::stats(&trace).join("\n");
    let circle = "#2.1 bob waits for #1.1 ann, which waits for #2.1 bob";
    in_order(
        &stats,
        &[", 0 sleeps in the kernel", "deadlocks:", &format!("  {circle}: from event 17 to event ")],
    );
    let (event, why) = stats::surprise(&trace).unwrap();
    assert_eq!(why, circle);
    let log: Vec<String> = log::lines(&trace).collect();
    assert!(log[event].contains("#2.1 bob waits for mutex"), "{}", log[event]);
    // What a handler does is no task's.
    let end = &["1.3   the loop only looks, it does not sleep", "1.4   from outside, #2.1 bob is cancelled"];
    in_order(&log.join("\n"), end);
}

/// Three tasks want a lock. The first one gives it to the second one, and waits for the third one, which waits for the second
/// one. What the third one has noted as the holder is the first one.
#[test]
fn a_lock_that_was_handed_over_closes_no_circle() {
    let trace = recorded_here(Runtime::builder().virtual_time(true), async {
        let lock = Rc::new(Mutex::new(()));
        let held = lock.lock().await;
        let [_, third] = ["second", "third"].map(|name| {
            let lock = Rc::clone(&lock);
            spawn_named(name, async move {
                let _held = lock.lock().await;
                time::sleep(Duration::from_millis(1)).await;
            })
        });
        yield_now().await;
        drop(held);
        third.await.unwrap();
    });
    let stats = stats::stats(&trace).join("\n");
    assert!(!stats.contains("deadlock"), "{stats}");
}

#[test]
fn timers_that_fire_late_are_in_the_sums() {
    let trace = recorded_here(Runtime::builder(), async {
        let blocks = spawn_named("blocks", async { std::thread::sleep(Duration::from_millis(20)) });
        time::sleep(Duration::from_millis(1)).await;
        blocks.await.unwrap();
    });
    let stats = stats::stats(&trace).join("\n");
    in_order(&stats, &["latest timers:", " ms  timer 1 after its deadline, at "]);
    let trace = recorded_here(Runtime::builder().virtual_time(true), async {
        time::sleep(Duration::from_millis(1)).await;
    });
    let stats = stats::stats(&trace).join("\n");
    assert!(!stats.contains("latest timers"), "{stats}");
}

#[test]
fn one_is_said_as_one() {
    let pipe = std::io::pipe().unwrap();
    let trace = recorded_here(Runtime::builder(), async {
        time::sleep(Duration::from_millis(1)).await;
        drop(pipe);
    });
    let stats = stats::stats(&trace).join("\n");
    in_order(&stats, &[", 2 turns, 1 sleep in the kernel", "1 task, 2 polls, "]);
}

/// A task whose wait is over, but that was not polled since, waits no longer.
#[test]
fn a_task_that_was_woken_does_not_wait() {
    let recorder = Recorder::in_memory();
    let traces = Rc::new(RefCell::new(Vec::new()));
    let (to, from) = (Rc::clone(&traces), recorder.clone());
    let runtime = Runtime::builder().virtual_time(true).record(recorder).build().unwrap();
    runtime.block_on(async move {
        let (early, late) = (from.clone(), from);
        let (at_first, at_last) = (Rc::clone(&to), to);
        let coffee = spawn_named("coffee", async move { at_first.borrow_mut().push(early.trace().unwrap()) });
        spawn_named("eggs", async move { at_last.borrow_mut().push(late.trace().unwrap()) }).detach();
        coffee.await.unwrap();
    });
    let stats: Vec<String> = traces.take().iter().map(|trace| stats::stats(trace).join("\n")).collect();
    in_order(&stats[0], &["still waiting at the end:", "  #0.1 main for #1.1 coffee"]);
    assert!(!stats[1].contains("still waiting"), "{}", stats[1]);
}
