//! The warnings of debug mode: each kind when it is due, and not otherwise.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::future::pending;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use roundel::sync::Mutex;
use roundel::testing::settle;
use roundel::{Runtime, Warning, WarningKind, Warnings, spawn, spawn_named, time, yield_now};

const SECOND: Duration = Duration::from_secs(1);

/// What a program is warned of on virtual time, with the shutdown.
fn warned(warnings: Warnings, main: impl AsyncFnOnce()) -> Vec<Warning> {
    let told: Rc<RefCell<Vec<Warning>>> = Rc::default();
    let note = Rc::clone(&told);
    let builder = Runtime::builder().virtual_time(true).warnings(warnings);
    let runtime = builder.on_warning(move |warning| note.borrow_mut().push(warning.clone())).build().unwrap();
    runtime.block_on(main());
    drop(runtime);
    told.take()
}

/// The one warning, of this kind, that the program causes. Without that kind it causes none.
#[track_caller]
fn one(kind: WarningKind, without: Warnings, main: impl AsyncFn()) -> String {
    // (On a busy machine any poll may be slow.)
    let warnings = warned(Warnings::default().slow_poll(None), &main);
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert_eq!(warning.kind, kind, "{warning}");
    assert!(warned(without.slow_poll(None), &main).is_empty(), "{kind:?} is switched off");
    warning.to_string()
}

#[test]
fn a_mutex_that_was_held_for_long_is_named_with_its_place_and_its_holder() {
    let all = Warnings::default();
    let text = one(WarningKind::LockHeld, all.clone().lock_held(None), async || {
        let lock = Mutex::new(()).named("accounts");
        for seconds in [0.4, 1.5] {
            let _guard = lock.lock().await;
            time::sleep(SECOND.mul_f64(seconds)).await;
        }
        // A lock that waits for long is not held for long.
        time::sleep(10 * SECOND).await;
        drop(lock.lock().await);
    });
    assert!(
        text.starts_with("task #0.1 (of a `block_on`) held mutex \"accounts\" (runtime/tests/warnings.rs:"),
        "{text}"
    );
    assert!(text.contains(") for 1.5 s: "), "{text}");
    let below = warned(all.slow_poll(None).lock_held(2 * SECOND), async || {
        let lock = Mutex::new(());
        let _guard = lock.lock().await;
        time::sleep(SECOND).await;
    });
    assert!(below.is_empty(), "{below:?}");
}

#[test]
fn an_err_that_no_code_has_looked_at_is_told_of() {
    let off = Warnings::default().unheard_errors(false);
    let text = one(WarningKind::UnheardError, off, async || {
        drop(spawn_named("forgotten", async { Err::<(), _>("no account") }));
        // These are none: fetched, no error, another type, cancelled.
        assert!(spawn(async { Err::<(), _>(7) }).await.unwrap().is_err());
        spawn(async { Ok::<_, u32>(()) }).detach();
        spawn(async { Ok::<Box<u8>, String>(Box::new(7)) }).detach();
        spawn(async { None::<u8> }).detach();
        spawn(async { std::ops::ControlFlow::<u8, u8>::Continue(1) }).detach();
        drop(spawn(async { 1u8 }));
        settle().await;
    });
    let place = text.strip_prefix("task #1.1 \"forgotten\" (spawned at runtime/tests/warnings.rs:").unwrap();
    let line = place.trim_start_matches(|digit: char| digit.is_ascii_digit());
    assert!(line.starts_with(") returned"), "a place is a file and a line: {text}");
    assert!(text.contains("returned an `Err`, and its handle was dropped"), "{text}");
}

/// What the check relies on: how the compiler names types and counts variants, for small, large and odd `Result`s.
#[test]
fn every_shape_of_result_is_recognised() {
    fn unheard<T: 'static, E: 'static>(ok: impl Fn() -> Result<T, E>, err: impl Fn() -> Result<T, E>) {
        for (output, expected) in [(ok(), 0), (err(), 1)] {
            let output = RefCell::new(Some(output));
            let warnings = warned(Warnings::default().slow_poll(None), async || {
                let output = output.take().unwrap();
                spawn(async move { output }).detach();
                settle().await;
            });
            assert_eq!(warnings.len(), expected, "{}: {warnings:?}", std::any::type_name::<Result<T, E>>());
        }
    }
    unheard(|| Ok(()), || Err(()));
    unheard(|| Ok(1u64), || Err([0u8; 100]));
    unheard(|| Ok(Box::new(1)), || Err(()));
    unheard(|| Ok(()), || Err(std::io::Error::other("no disk")));
    unheard(|| Ok(String::new()), || Err(Box::<dyn std::error::Error>::from("no")));
    unheard(|| Ok(Ok::<u8, u8>(1)), || Err(2));
    // An error inside of an `Ok` is the program's own business.
    unheard(|| Ok(Err::<u8, u8>(1)), || Err(2));
}

#[test]
fn a_task_that_wakes_itself_in_a_row_is_told_of_once() {
    let off = Warnings::default().self_wakes(None);
    let text = one(WarningKind::SelfWakes, off, async || {
        let spins = spawn_named("spins", async {
            for _ in 0..30_000 {
                yield_now().await;
            }
        });
        spins.await.unwrap();
        // With a wait in between, it is not in a row.
        for _ in 0..30 {
            for _ in 0..1_000 {
                yield_now().await;
            }
            time::sleep(SECOND).await;
        }
    });
    assert!(text.contains("\"spins\"") && text.contains("woke itself 10000 times in a row"), "{text}");
}

#[test]
fn a_large_future_is_told_of_once_for_each_place() {
    let off = Warnings::default().large_future(None);
    let text = one(WarningKind::LargeFuture, off, async || {
        for size in 0u8..3 {
            let bytes = [size; 20_000];
            spawn(async move {
                yield_now().await;
                assert_eq!(bytes[7], size);
            })
            .await
            .unwrap();
        }
    });
    assert!(text.contains("takes 20") && text.contains("warnings.rs:"), "{text}");
}

#[test]
fn a_task_that_was_never_polled_is_told_of() {
    let off = Warnings::default().never_polled(false).cancelled_at_end(false);
    let text = one(WarningKind::NeverPolled, off, async || {
        spawn(async {}).cancel();
        spawn_named("too late", async {}).detach();
    });
    assert!(text.contains("\"too late\"") && text.contains("was never polled"), "{text}");
}

#[test]
fn the_tasks_that_the_shutdown_cancels_are_told_of_together() {
    let off = Warnings::default().cancelled_at_end(false);
    let text = one(WarningKind::CancelledAtEnd, off, async || {
        for _ in 0..3 {
            spawn_named("ticker", pending::<()>()).detach();
        }
        let cancelled = spawn(pending::<()>());
        settle().await;
        cancelled.cancel();
    });
    assert!(
        text.starts_with("the shutdown cancelled 3 tasks, the first of them task #1.1 \"ticker\""),
        "{text}"
    );
}

/// A consumer that always has work gives way when its budget is used up. It does not wake itself for nothing.
#[test]
fn a_task_that_only_spends_its_budget_is_not_told_of() {
    let warnings = warned(Warnings::none().self_wakes(1), async || {
        let (sender, receiver) = roundel::channel::unbounded();
        (0..10_000).for_each(|number| sender.try_send(number).unwrap());
        drop(sender);
        let consumer = spawn(async move {
            let mut count = 0;
            while receiver.recv().await.is_ok() {
                count += 1;
            }
            count
        });
        assert_eq!(consumer.await.unwrap(), 10_000);
    });
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn a_threshold_of_no_wakes_switches_the_warning_off() {
    let warnings = warned(Warnings::none().self_wakes(0), async || {
        for _ in 0..3 {
            time::sleep(SECOND).await;
            yield_now().await;
        }
    });
    assert!(warnings.is_empty(), "{warnings:?}");
}

/// Names go to a terminal, so the characters in them that control one are written as escapes.
#[test]
fn names_are_quoted() {
    let warnings = warned(Warnings::default().slow_poll(None), async || {
        let lock = Mutex::new(()).named("\u{1b}[31mlock");
        let guard = lock.lock().await;
        time::sleep(SECOND).await;
        drop(guard);
        spawn_named("red\n\u{1b}[31m", async { Err::<(), _>(()) }).detach();
        spawn_named("late\u{7}", pending::<()>()).detach();
        settle().await;
    });
    let texts: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let [lock, unheard, cancelled] = &texts[..] else { panic!("{texts:?}") };
    assert!(lock.contains(r#"mutex "\u{1b}[31mlock" ("#), "{lock}");
    assert!(unheard.starts_with(r#"task #1.1 "red\n\u{1b}[31m" (spawned at "#), "{unheard}");
    assert!(cancelled.contains(r#""late\u{7}""#), "{cancelled}");
    assert!(texts.iter().all(|text| !text.contains(char::is_control)), "{texts:?}");
    assert_eq!(warnings[1].name.as_deref(), Some("red\n\u{1b}[31m"));
    assert!(warnings[1].spawned_at.is_some_and(|place| place.file().ends_with("warnings.rs")));
}

/// What `on_warning` does is seen by all that watches the loop: a task that it cancels does not stay in a dump, and one that
/// it spawns is there.
#[test]
fn what_a_callback_does_is_reported_like_all_else() {
    let victim: Rc<RefCell<Option<roundel::JoinHandle<()>>>> = Rc::default();
    let cancelled = Rc::clone(&victim);
    let told = move |_: &Warning| {
        cancelled.take().into_iter().for_each(|victim| victim.cancel());
        spawn_named("spawned", pending::<()>()).detach();
    };
    let spawns = Rc::new(RefCell::new(0));
    let count = Rc::clone(&spawns);
    let warnings = Warnings::none().unheard_errors(true);
    let builder = Runtime::builder().virtual_time(true).metrics(true).warnings(warnings).on_warning(told);
    let builder = builder.probe(move |event| {
        *count.borrow_mut() += u32::from(matches!(event, roundel::probe::Event::Spawn { .. }));
    });
    builder.build().unwrap().block_on(async {
        *victim.borrow_mut() = Some(spawn_named("victim", pending::<()>()));
        spawn(async { Err::<(), _>(()) }).detach();
        // A turn of the loop goes by.
        time::sleep(SECOND).await;
        let dump = roundel::dump();
        let names: Vec<_> = dump.tasks().iter().filter_map(|task| task.name.as_deref()).collect();
        assert_eq!(names, ["spawned"], "{dump}");
        assert_eq!(dump.tasks().len(), roundel::task::all().len());
        assert_eq!(
            *spawns.borrow(),
            4,
            "the root, the victim, the one that fails, and the one of the callback"
        );
    });
}

#[test]
fn a_callback_that_panics_is_told_of_the_next_mistake_all_the_same() {
    let told = Rc::new(RefCell::new(0));
    let count = Rc::clone(&told);
    let warnings = Warnings::none().unheard_errors(true);
    let runtime = Runtime::builder().virtual_time(true).warnings(warnings).on_warning(move |_| {
        *count.borrow_mut() += 1;
        panic!("a callback that panics, on purpose");
    });
    runtime.build().unwrap().block_on(async {
        for _ in 0..3 {
            spawn(async { Err::<(), _>(()) }).detach();
            settle().await;
        }
    });
    assert_eq!(*told.borrow(), 3);
}

/// In the last turn of a `block_on`, outside of the loop, when the runtime is dropped, and after that.
#[test]
fn no_warning_is_lost_whenever_it_comes() {
    let told: Rc<RefCell<Vec<WarningKind>>> = Rc::default();
    let note = Rc::clone(&told);
    let warnings = Warnings::default().slow_poll(None);
    let builder = Runtime::builder().virtual_time(true).warnings(warnings);
    let runtime = builder.on_warning(move |warning| note.borrow_mut().push(warning.kind)).build().unwrap();
    let fails = || spawn(async { Err::<(), _>(()) });
    let (outside, after) = runtime.block_on(async {
        let handles = (fails(), fails());
        settle().await;
        let lock = Mutex::new(());
        let _guard = lock.lock().await;
        time::sleep(SECOND).await;
        spawn(pending::<()>()).detach();
        handles
    });
    assert_eq!(told.take(), [WarningKind::LockHeld]);
    drop(outside);
    assert_eq!(told.take(), []);
    runtime.block_on(yield_now());
    assert_eq!(told.take(), [WarningKind::UnheardError]);
    drop(runtime);
    assert_eq!(told.take(), [WarningKind::CancelledAtEnd]);
    drop(after);
    assert_eq!(told.take(), []);
}

#[test]
fn a_slow_poll_is_told_of_from_the_threshold_on() {
    // A poll of no time is slower than no time, and none is slower than an hour.
    let slow = warned(Warnings::none().slow_poll(Duration::ZERO), async || ());
    assert!(!slow.is_empty() && slow.iter().all(|warning| warning.kind == WarningKind::SlowPoll), "{slow:?}");
    assert!(warned(Warnings::none().slow_poll(3600 * SECOND), async || ()).is_empty());
}

/// Words of the environment, read from the standard error of a process of its own.
#[test]
fn the_environment_chooses_and_a_wrong_word_is_one_sentence() {
    let name = "the_environment_chooses_and_a_wrong_word_is_one_sentence";
    if std::env::var_os("ROUNDEL_TEST_ALONE").is_some() {
        for _ in 0..2 {
            roundel::run(async {
                spawn(async { Err::<(), _>(()) }).detach();
                spawn_named("late", pending::<()>()).detach();
                settle().await;
            });
        }
        return;
    }
    let said = |value: &str| {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again
            .args([name, "--exact", "--nocapture"])
            .env("ROUNDEL_TEST_ALONE", "1")
            .env("ROUNDEL_DEBUG", value);
        let output = again.output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stderr).unwrap();
        // (On a busy machine any poll may be slow.)
        let is_ours = |line: &&str| line.starts_with("roundel: ") && !line.contains("kept the loop");
        let lines = text.lines().filter(is_ours).map(String::from);
        lines.collect::<Vec<_>>()
    };
    assert_eq!(said("0"), [""; 0]);
    assert_eq!(said("1").len(), 4);
    assert_eq!(said("cancelled=off").len(), 2);
    assert_eq!(said("cancelled=off,errors=off"), [""; 0]);
    let lines = said("errors=off,cancelled=off,slwo=20ms");
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(line.contains("\"slwo=20ms\" is not known") && line.contains("slow=20ms"), "{line}");
}
