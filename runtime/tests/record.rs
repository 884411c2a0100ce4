//! What a recorder keeps, and what becomes of it: causes of wakes, files with a limit, rings, dumps, and the environment
//! variable that records any program.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use roundel::probe::Event as Told;
use roundel::record::{Recorder, ResourceKind, State, Step, Trace, What};
use roundel::source::{Direction, Source};
use roundel::sync::Mutex;
use roundel::{Runtime, spawn, spawn_named, time, yield_now};
use testkit::alone::{is_alone, rerun};

/// A path of this test, at which there is no file.
fn path(test: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("roundel-record-{test}-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn read(path: &Path) -> Trace {
    Trace::read(std::fs::File::open(path).unwrap()).unwrap()
}

/// Runs `main` on virtual time, and returns what was recorded.
fn record(main: impl Future<Output = ()>) -> Trace {
    let recorder = Recorder::in_memory();
    Runtime::builder().virtual_time(true).record(recorder.clone()).build().unwrap().block_on(main);
    recorder.trace().unwrap()
}

fn whats(trace: &Trace) -> impl Iterator<Item = What> {
    trace.events().iter().map(|event| event.what)
}

fn name(trace: &Trace, task: u32) -> &str {
    trace.text(trace.tasks()[task as usize].name).unwrap_or("main")
}

#[test]
#[cfg_attr(miri, ignore = "needs sockets that Miri does not have")]
fn a_wake_has_the_source_or_the_thread_that_caused_it() {
    let recorder = Recorder::in_memory();
    let runtime = Runtime::builder().record(recorder.clone()).build().unwrap();
    let reader = |peer: std::os::unix::net::UnixStream| async move {
        peer.set_nonblocking(true).unwrap();
        let source = Source::new(mio::net::UnixStream::from_std(peer)).unwrap();
        source.io(Direction::Read, |mut source| source.read(&mut [0])).await.unwrap();
    };
    runtime.block_on(async {
        let [one, two] = [(); 2].map(|()| std::os::unix::net::UnixStream::pair().unwrap());
        let readers = [spawn_named("one", reader(one.0)), spawn_named("two", reader(two.0))];
        let (sender, receiver) = std::sync::mpsc::channel();
        let waits = spawn_named("waits", async move {
            let mut sender = Some(sender);
            let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
            poll_fn(move |cx| {
                let theirs = std::sync::Arc::clone(&done);
                sender
                    .take()
                    .into_iter()
                    .for_each(|sender| sender.send((theirs.clone(), cx.waker().clone())).unwrap());
                if done.load(std::sync::atomic::Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        });
        time::sleep(Duration::from_millis(1)).await;
        let thread = std::thread::spawn(move || {
            let (done, waker) = receiver.recv().unwrap();
            std::thread::sleep(Duration::from_millis(5));
            done.store(true, std::sync::atomic::Ordering::SeqCst);
            waker.wake();
        });
        for mut peer in [two.1, one.1] {
            peer.write_all(b"x").unwrap();
        }
        for reader in readers {
            reader.await.unwrap();
        }
        waits.await.unwrap();
        thread.join().unwrap();
    });
    let trace = recorder.trace().unwrap();
    let mut sources = std::collections::HashMap::new();
    let (mut by_source, mut by_thread, mut by_timer) = (Vec::new(), Vec::new(), 0);
    for what in whats(&trace) {
        match what {
            What::Wait { task: Some(task), on, .. } => _ = sources.insert(on, task),
            What::Wake { task, by: None, cause: Some(cause) } => {
                match trace.resources()[cause as usize].kind {
                    ResourceKind::Source => {
                        assert_eq!(sources[&cause], task, "the source that it waited for");
                        assert_eq!(trace.text(trace.resources()[cause as usize].what), Some("UnixStream"));
                        by_source.push(name(&trace, task));
                    }
                    _ => by_timer += 1,
                }
            }
            What::Wake { task, by: None, cause: None } => by_thread.push(name(&trace, task)),
            _ => {}
        }
    }
    by_source.sort_unstable();
    assert_eq!((by_source, by_thread, by_timer), (vec!["one", "two"], vec!["waits"], 1));
}

#[test]
fn what_does_not_fit_is_counted_and_leaves_a_gap_at_the_end() {
    let path = path("limit");
    for recorder in [Recorder::to_file(&path).limit(2_000), Recorder::in_memory().limit(2_000)] {
        let events = Rc::new(Cell::new(0));
        let count = Rc::clone(&events);
        let sink = move |event| {
            count.set(count.get() + u64::from(!matches!(event, Told::Closed)));
        };
        let builder = Runtime::builder().virtual_time(true).probe(sink).record(recorder.clone());
        builder.build().unwrap().block_on(async {
            for _ in 0..1_000 {
                yield_now().await;
            }
        });
        let bytes = recorder.bytes().unwrap();
        assert!(bytes.len() <= 2_000 && bytes.len() > 1_900, "{} bytes", bytes.len());
        let trace = Trace::from_bytes(&bytes).unwrap();
        assert!(matches!(trace.events().last().unwrap().what, What::Gap { .. }));
        assert_eq!(trace.dropped() + trace.events().len() as u64 - 1, events.get());
        assert!(!trace.is_cut());
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_ring_keeps_the_last_events_and_the_names_of_what_lives() {
    let recorder = Recorder::ring(100);
    let runtime = Runtime::builder().virtual_time(true).record(recorder.clone()).build().unwrap();
    runtime.block_on(async {
        let lock = Rc::new(Mutex::new(()).named("accounts"));
        let held = lock.lock().await;
        let theirs = Rc::clone(&lock);
        let waits = spawn_named("waits", async move { drop(theirs.lock().await) });
        for _ in 0..100 {
            spawn_named("short", async {}).await.unwrap();
        }
        drop(held);
        waits.await.unwrap();
    });
    let trace = recorder.trace().unwrap();
    // Three of the hundred say names, and are no events of a trace.
    assert!((90..=101).contains(&trace.events().len()), "{}", trace.events().len());
    assert!(matches!(trace.events()[0].what, What::Gap { dropped } if dropped > 500));
    let polled =
        |task: &u32| whats(&trace).any(|what| matches!(what, What::Poll { task: polled } if polled == *task));
    let names: Vec<&str> =
        (0..trace.tasks().len() as u32).filter(polled).map(|task| name(&trace, task)).collect();
    assert!(names.contains(&"waits") && names.contains(&"main") && names.contains(&"short"), "{names:?}");
    let lock = trace.resources().iter().find(|resource| resource.kind == ResourceKind::Line).unwrap();
    assert_eq!(trace.text(lock.name), Some("accounts"));
    // What is known of a part of the story is still a state.
    let mut state = State::new(&trace);
    whats(&trace).for_each(|what| state.apply(&what));
}

#[test]
fn a_ring_is_dumped_at_a_panic_and_at_the_end() {
    let (at_panic, at_end) = (path("panic"), path("end"));
    let recorder = Recorder::ring(1_000).dump_on_panic(&at_panic).dump_at_end(&at_end);
    let runtime = Runtime::builder().virtual_time(true).record(recorder).build().unwrap();
    runtime.block_on(async {
        let _ =
            spawn_named("panics", async { std::panic::resume_unwind(Box::new(1)) }).await.map(|(): ()| ());
        time::sleep(Duration::from_secs(1)).await;
    });
    assert!(!at_end.exists());
    drop(runtime);
    let (first, last) = (read(&at_panic), read(&at_end));
    assert!(first.events().len() < last.events().len());
    let is_panic =
        |what| matches!(what, What::Polled { task, panicked: true, .. } if name(&last, task) == "panics");
    assert!(whats(&last).any(is_panic));
    for path in [at_panic, at_end] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn cancels_and_spent_budgets_are_in_the_trace() {
    let trace = record(async {
        let victim = spawn_named("victim", std::future::pending::<()>());
        spawn_named("killer", async move { victim.cancel() }).await.unwrap();
        let (sender, receiver) = roundel::channel::unbounded();
        (0..200).for_each(|number| sender.try_send(number).unwrap());
        for _ in 0..200 {
            receiver.recv().await.unwrap();
        }
    });
    let cancels = |what| matches!(what, What::Cancel { task, by: Some(by) } if (name(&trace, task), name(&trace, by)) == ("victim", "killer"));
    assert_eq!(whats(&trace).filter(|what| cancels(*what)).count(), 1);
    assert!(
        whats(&trace)
            .any(|what| matches!(what, What::Spent { task: Some(task) } if name(&trace, task) == "main"))
    );
}

#[test]
fn several_sinks_hear_the_same_and_one_that_panics_is_dropped_alone() {
    let recorder = Recorder::in_memory();
    let (first, second) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (one, two) = (Rc::clone(&first), Rc::clone(&second));
    let runtime = Runtime::builder()
        .probe(move |_| {
            one.set(one.get() + 1);
            if one.get() == 5 {
                std::panic::resume_unwind(Box::new("a sink that panics, on purpose"));
            }
        })
        .probe(move |_| two.set(two.get() + 1))
        .record(recorder.clone())
        .build()
        .unwrap();
    runtime.block_on(async {
        for _ in 0..10 {
            yield_now().await;
        }
    });
    assert_eq!((first.get(), Rc::strong_count(&first)), (5, 1));
    assert_eq!(second.get(), recorder.trace().unwrap().events().len());
}

#[test]
fn a_recorder_serves_one_runtime() {
    let recorder = Recorder::in_memory();
    let build = || Runtime::builder().virtual_time(true).record(recorder.clone()).build().unwrap();
    let (first, second) = (build(), build());
    second.block_on(async {});
    assert_eq!(recorder.trace().unwrap().events().len(), 0);
    first.block_on(async {});
    assert!(!recorder.trace().unwrap().events().is_empty());
}

/// A test of this file as a program with `ROUNDEL_TRACE`.
fn traced(test: &str, trace: &Path) -> Command {
    // `env` runs its arguments.
    let mut command = Command::new("env");
    rerun(&mut command, test);
    command.env("ROUNDEL_TRACE", trace).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

#[test]
#[cfg_attr(miri, ignore = "starts programs")]
fn the_environment_records_each_runtime_of_a_program() {
    const TEST: &str = "the_environment_records_each_runtime_of_a_program";
    if is_alone(TEST) {
        // The loop does not park if it is held up until the sleep is over.
        let is_parked = Rc::new(Cell::new(false));
        let parks = Rc::clone(&is_parked);
        let sink = move |event| parks.set(parks.get() || matches!(event, Told::Park));
        Runtime::builder().probe(sink).build().unwrap().block_on(async {
            while !is_parked.get() {
                time::sleep(Duration::from_millis(1)).await;
            }
        });
        return roundel::run(async { spawn_named("second", async {}).await.unwrap() });
    }
    let path = path("environment");
    assert!(traced(TEST, &path).status().unwrap().success());
    let second = PathBuf::from(format!("{}.2", path.display()));
    let (first, last) = (read(&path), read(&second));
    assert!(whats(&first).any(|what| matches!(what, What::Park { limit: Some(_) })));
    assert!(first.date().is_some() && first.program().starts_with("record"), "{}", first.program());
    assert_eq!(last.tasks().iter().filter(|task| last.text(task.name) == Some("second")).count(), 1);
    for path in [path, second] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
#[cfg_attr(miri, ignore = "starts programs")]
fn a_program_that_is_killed_leaves_a_trace_up_to_its_last_sleep() {
    const TEST: &str = "a_program_that_is_killed_leaves_a_trace_up_to_its_last_sleep";
    if is_alone(TEST) {
        return roundel::run(async {
            roundel::record::mark("alive");
            time::sleep(Duration::from_millis(1)).await;
            roundel::record::mark("asleep");
            time::sleep(Duration::from_secs(3600)).await;
        });
    }
    let path = path("killed");
    let mut child = traced(TEST, &path).spawn().unwrap();
    let says = |text: &str| {
        let Ok(trace) =
            std::fs::File::open(&path).map_err(drop).and_then(|file| Trace::read(file).map_err(drop))
        else {
            return false;
        };
        whats(&trace)
            .any(|what| matches!(what, What::Mark { text: mark, .. } if trace.text(Some(mark)) == Some(text)))
    };
    for _ in 0..12_000 {
        if says("asleep") {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(says("alive") && says("asleep"));
    assert!(matches!(whats(&read(&path)).last().unwrap(), What::Park { limit: Some(_) }));
    std::fs::remove_file(path).unwrap();
}

#[test]
#[cfg_attr(miri, ignore = "starts programs")]
fn a_file_that_cannot_be_written_is_one_sentence_and_the_program_goes_on() {
    const TEST: &str = "a_file_that_cannot_be_written_is_one_sentence_and_the_program_goes_on";
    if is_alone(TEST) {
        return roundel::run(async { spawn(async {}).await.unwrap() });
    }
    // The machine has one full disk. While another run of this test records there, a trace would go beside it.
    let turn = std::fs::File::open(std::env::temp_dir()).unwrap();
    turn.lock().unwrap();
    for (file, why) in
        [("/nonexistent/trace", "No such file or directory"), ("/dev/full", "No space left on device")]
    {
        let output = traced(TEST, Path::new(file)).output().unwrap();
        assert!(output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<&str> = said.lines().filter(|line| line.starts_with("roundel: ")).collect();
        let begin = format!("roundel: the trace cannot be written to {file}: {why}");
        assert!(said.len() == 1 && said[0].starts_with(&begin), "{said:?}");
    }
}

/// The names of the tasks that a trace knows.
fn names(trace: &Trace) -> Vec<&str> {
    (0..trace.tasks().len() as u32).map(|task| name(trace, task)).collect()
}

#[test]
fn a_recorder_starts_and_stops_in_a_running_loop() {
    let recorder = Recorder::in_memory();
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    runtime.block_on(async {
        let asleep = spawn_named("asleep", time::sleep(Duration::from_secs(1)));
        let joins = spawn_named("joins", async move { asleep.await.unwrap() });
        yield_now().await;
        roundel::record::start(&recorder);
        // What runs in the same turn is not told.
        spawn_named("before", async {}).await.unwrap();
        time::sleep(Duration::from_millis(1)).await;
        joins.await.unwrap();
        spawn_named("during", yield_now()).await.unwrap();
        recorder.stop();
        spawn_named("after", yield_now()).await.unwrap();
    });
    let trace = recorder.trace().unwrap();
    let begin = trace.begin().expect("it begins in the middle");
    assert_eq!((begin.timers.len(), begin.live), (1, 3));
    assert!(!names(&trace).contains(&"before"), "{:?}", names(&trace));
    assert!(names(&trace).contains(&"asleep") && names(&trace).contains(&"during"), "{:?}", names(&trace));
    assert!(!names(&trace).contains(&"after"), "{:?}", names(&trace));
    // The waits that had begun before are known, and end. The sleep of main has just fired, so its wait is not known.
    let on = |wanted: ResourceKind| {
        begin.waiters.iter().filter(|wait| trace.resources()[wait.on as usize].kind == wanted).count()
    };
    assert_eq!((on(ResourceKind::Timer), on(ResourceKind::Task) >= 1), (1, true), "{begin:?}");
    let mut state = State::new(&trace);
    whats(&trace).for_each(|what| state.apply(&what));
    assert!(state.waiters().all(|wait| trace.resources()[wait.on as usize].kind != ResourceKind::Timer));
    // The timer is the cause of the wake, although it was set before.
    let is_by_timer =
        |what| matches!(what, What::Wake { task, cause: Some(_), .. } if name(&trace, task) == "asleep");
    assert_eq!(whats(&trace).filter(|what| is_by_timer(*what)).count(), 1);
}

#[test]
fn a_loop_that_is_not_watched_any_more_tells_nothing_and_can_be_watched_again() {
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    for round in 0..3 {
        let recorder = Recorder::ring(50);
        runtime.record(&recorder);
        runtime.block_on(async {
            spawn_named("told", yield_now()).await.unwrap();
            recorder.stop();
            for _ in 0..100 {
                spawn(async {}).await.unwrap();
            }
        });
        let trace = recorder.trace().unwrap();
        assert!(names(&trace).contains(&"told") && trace.events().len() < 30, "round {round}");
        let held = Rc::new(());
        let other = Rc::clone(&held);
        runtime.block_on(async { spawn(async move { drop(other) }).await.unwrap() });
        assert_eq!(Rc::strong_count(&held), 1);
    }
}

#[test]
fn the_poll_that_asks_for_a_trace_is_in_it() {
    let recorder = Recorder::in_memory();
    let runtime = Runtime::builder().virtual_time(true).record(recorder.clone()).build().unwrap();
    runtime.block_on(async {
        let polls = |trace: &Trace| whats(trace).filter(|what| matches!(what, What::Poll { .. })).count();
        for number in 1..20 {
            assert_eq!(polls(&recorder.trace().unwrap()), number);
            yield_now().await;
        }
    });
}

#[test]
fn broadcast_and_watch_channels_have_names() {
    let trace = record(async {
        let (sender, receiver) = roundel::channel::broadcast::<u8>(1);
        let (sender, mut receiver) = (sender.named("news"), receiver.named("the first name stays"));
        let (state, watcher) = roundel::channel::watch(0);
        let mut watcher = watcher.named("config");
        let waits = spawn(async move { receiver.recv().await.unwrap() });
        let watches = spawn(async move { watcher.changed().await.unwrap() });
        yield_now().await;
        sender.send(1).unwrap();
        state.send(1).unwrap();
        waits.await.unwrap();
        watches.await.unwrap();
    });
    let named =
        trace.resources().iter().filter_map(|line| Some((trace.text(line.what)?, trace.text(line.name)?)));
    assert_eq!(named.collect::<Vec<_>>(), [("broadcast", "news"), ("watch", "config")]);
}

#[test]
fn the_shutdown_and_its_steps_are_in_the_trace() {
    let recorder = Recorder::in_memory();
    let runtime = Runtime::builder().virtual_time(true).record(recorder.clone()).build().unwrap();
    runtime.block_on(async {
        let cleanup = || async { time::sleep(Duration::from_millis(1)).await };
        spawn(roundel::cancel::with_cleanup(std::future::pending::<()>(), cleanup)).detach();
        yield_now().await;
    });
    drop(runtime);
    let trace = recorder.trace().unwrap();
    let steps =
        whats(&trace).filter_map(|what| if let What::Shutdown { step } = what { Some(step) } else { None });
    assert_eq!(steps.collect::<Vec<_>>(), [1, 2, 3, 4]);
    let mut state = State::new(&trace);
    whats(&trace).for_each(|what| state.apply(&what));
    assert_eq!(state.shutdown(), 4);
}

/// Takes one lock, is interrupted, and takes the other.
async fn both(one: Rc<Mutex<()>>, other: Rc<Mutex<()>>) {
    let _one = one.lock().await;
    yield_now().await;
    let _other = other.lock().await;
}

/// Two tasks that will wait for each other.
fn two_that_block_each_other() -> [impl Future<Output = ()>; 2] {
    let (a, b) = (Rc::new(Mutex::new(())), Rc::new(Mutex::new(())));
    [both(Rc::clone(&a), Rc::clone(&b)), both(b, a)]
}

#[test]
fn a_loop_that_has_a_handler_to_call_only_looks_at_the_kernel_and_calls_it_in_step_4() {
    for is_virtual in [false, true] {
        let recorder = Recorder::in_memory();
        let builder = Runtime::builder().virtual_time(is_virtual).record(recorder.clone());
        let victim: Rc<Cell<Option<roundel::JoinHandle<()>>>> = Rc::default();
        let to_cancel = Rc::clone(&victim);
        let builder =
            builder.on_deadlock(move |_| to_cancel.take().into_iter().for_each(|victim| victim.cancel()));
        builder.build().unwrap().block_on(async move {
            let [one, other] = two_that_block_each_other();
            victim.set(Some(spawn(one)));
            other.await;
        });
        let trace = recorder.trace().unwrap();
        let all: Vec<What> = whats(&trace).collect();
        let at = all.iter().position(|what| matches!(what, What::Cancel { by: None, .. })).unwrap();
        assert_eq!(all[at - 2..at], [What::Park { limit: Some(0) }, What::Unpark]);
        let mut state = State::new(&trace);
        all[..at].iter().for_each(|what| state.apply(what));
        assert_eq!(state.step(), Step::Kernel);
        state.apply(&all[at]);
        assert_eq!(state.step(), Step::Mail);
        let count = |wanted: fn(&What) -> bool| all.iter().filter(|what| wanted(what)).count();
        let parks = count(|what| matches!(what, What::Park { .. }));
        assert_eq!(parks, count(|what| *what == What::Unpark), "{all:?}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "needs sockets that Miri does not have")]
fn what_the_kernel_reports_comes_before_what_a_handler_does() {
    let recorder = Recorder::in_memory();
    let builder = Runtime::builder().record(recorder.clone());
    let builder = builder.on_deadlock(|_| spawn_named("help", async {}).detach());
    builder.build().unwrap().block_on(async {
        let (mut here, there) = std::os::unix::net::UnixStream::pair().unwrap();
        there.set_nonblocking(true).unwrap();
        let source = Source::new(mio::net::UnixStream::from_std(there)).unwrap();
        let reader = spawn(async move {
            while let Ok(1..) = source.io(Direction::Read, |mut source| source.read(&mut [0])).await {}
        });
        two_that_block_each_other().into_iter().for_each(|each| spawn(each).detach());
        // Each look at the kernel finds a byte.
        for _ in 0..1_000 {
            here.write_all(b"x").unwrap();
            yield_now().await;
        }
        drop(here);
        reader.await.unwrap();
    });
    let trace = recorder.trace().unwrap();
    let (mut state, mut steps) = (State::new(&trace), Vec::new());
    for what in whats(&trace) {
        state.apply(&what);
        match what {
            What::Turn { .. } if steps.contains(&("help", Step::Mail)) => break,
            What::Turn { .. } => steps.clear(),
            What::Spawn { task } if name(&trace, task) == "help" => steps.push(("help", state.step())),
            What::Ready { .. } => steps.push(("report", state.step())),
            What::Wake { cause: Some(_), .. } => steps.push(("wake", state.step())),
            _ => {}
        }
    }
    let wake = [("report", Step::Kernel), ("wake", Step::Kernel), ("help", Step::Mail)];
    assert_eq!(steps, wake, "the turn in which the handler was called");
}

#[test]
fn a_handler_that_is_called_after_the_last_turn_queues_tasks_where_the_trace_says() {
    let recorder = Recorder::in_memory();
    let builder = Runtime::builder().virtual_time(true).record(recorder.clone());
    let builder = builder
        .on_deadlock(|_| ["first", "second"].iter().for_each(|name| spawn_named(*name, async {}).detach()));
    let runtime = builder.build().unwrap();
    runtime.block_on(async {
        two_that_block_each_other().into_iter().for_each(|each| spawn(each).detach());
        yield_now().await;
    });
    // Each of these has one turn, and the deadlock is found at its begin.
    (0..4).for_each(|_| runtime.block_on(yield_now()));
    let (trace, mut lanes) = (recorder.trace().unwrap(), None);
    let (mut state, mut polled) = (State::new(&trace), Vec::new());
    for what in whats(&trace) {
        state.apply(&what);
        match what {
            What::Spawn { task } if name(&trace, task) == "second" => {
                lanes = Some((state.step(), state.tasks_lane().count(), state.outside_lane().count()));
            }
            What::Poll { task } if lanes.is_some() => polled.push(name(&trace, task)),
            _ => {}
        }
    }
    assert_eq!(lanes, Some((Step::Outside, 2, 0)), "of the tasks lane, because no turn is under way");
    assert_eq!(polled[..3], ["first", "second", "main"]);
}
