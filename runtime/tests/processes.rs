//! Child processes are started, read, killed and reaped (hazards 41, 42, 45 and 46).
//!
//! Tests that count descriptors or zombies run in a separate process.

#![forbid(unsafe_code)]
#![cfg(all(target_os = "linux", not(miri), feature = "process"))]

mod common;

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use std::{fs, io};

use futures_io::{AsyncRead, AsyncWrite};
use roundel::process::{Child, Command, Stdio};
use roundel::signal;
use roundel::{Runtime, spawn, task, time, yield_now};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use common::{alone, is_alone, really, rerun, watchdog, watchdog_of};

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The children of this process that the kernel still knows: running, or zombies.
fn children() -> usize {
    let own = std::process::id().to_string();
    let is_child = |entry: io::Result<fs::DirEntry>| {
        let stat = fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        let (_, after) = stat.rsplit_once(')')?;
        (after.split_whitespace().nth(1)? == own).then_some(())
    };
    fs::read_dir("/proc").unwrap().filter_map(is_child).count()
}

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn exists(id: u32) -> bool {
    test_kill_process(Pid::from_raw(id as i32).unwrap()).is_ok()
}

#[test]
fn row_95_started_waited_for_and_asked() {
    really(async |_| {
        let mut child = sh("exit 3").spawn().unwrap();
        let id = child.id();
        assert!(exists(id));
        assert_eq!(child.wait().await.unwrap().code(), Some(3));
        assert_eq!(child.id(), id);
        assert!(!exists(id), "it was waited for, so its number is free");
        let mut cat = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        assert!(cat.wait().await.unwrap().success(), "`wait` closes stdin, for which the child waits");
        assert!(cat.stdin.is_none());
        let mut sleeper = Command::new("sleep").arg("1000").spawn().unwrap();
        assert_eq!(sleeper.try_wait().unwrap(), None);
        let waited = time::timeout(Duration::from_millis(20), sleeper.wait()).await;
        assert!(waited.is_err(), "`join(timeout=..)` of a process that runs on");
        sleeper.terminate().unwrap();
        assert_eq!(sleeper.wait().await.unwrap().signal(), Some(signal::TERM));
        assert_eq!(sleeper.try_wait().unwrap().unwrap().signal(), Some(signal::TERM));
    });
}

#[test]
fn row_108_output_is_collected_and_input_is_empty() {
    really(async |_| {
        let output = sh("cat; echo out; echo err >&2; exit 7").output().await.unwrap();
        assert_eq!((output.stdout, output.stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
        assert_eq!(output.status.code(), Some(7));
        // Settings that the caller made are not changed.
        let mut command = sh("cat; echo err >&2");
        command.stdin(File::open("/dev/null").unwrap()).stderr(Stdio::null());
        for _ in 0..2 {
            let output = command.output().await.unwrap();
            assert_eq!((output.stdout, output.stderr), (vec![], vec![]));
        }
        assert!(command.spawn().unwrap().stdout.is_none(), "`output` has left no traces");
    });
}

#[test]
fn row_108_the_builder_is_that_of_std() {
    really(async |_| {
        let mut std = std::process::Command::new("sh");
        std.arg("-c");
        let mut command = Command::from(std);
        command.arg("echo $A$B$C; pwd").env("A", "1").envs([("B", "2"), ("C", "3")]).env_remove("C");
        let output = command.current_dir("/").output().await.unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "12\n/\n");
        let output = Command::new("/usr/bin/env").env_clear().env("ONE", "1").output().await.unwrap();
        assert_eq!(output.stdout, b"ONE=1\n");
        command.as_std_mut().arg("more");
        assert_eq!(command.as_std().get_args().count(), 3);
        let error = Command::new("/no/such/program").spawn().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(Command::new("/no/such/program").status().await.unwrap_err().kind(), ErrorKind::NotFound);
    });
    let outside = catch_unwind(AssertUnwindSafe(|| Command::new("true").spawn())).unwrap_err();
    let message = outside.downcast_ref::<String>().unwrap();
    assert!(message.starts_with("`Command::spawn` was called outside a roundel loop"), "{message}");
}

const MEGABYTE: usize = 1 << 20;

#[test]
fn row_108_a_megabyte_on_both_outputs_at_once() {
    really(async |_| {
        let script =
            "head -c 1048576 /dev/zero >&2; head -c 1048576 /dev/zero; head -c 1048576 /dev/zero >&2";
        let output = sh(script).output().await.unwrap();
        assert!(output.status.success());
        assert_eq!((output.stdout.len(), output.stderr.len()), (MEGABYTE, 2 * MEGABYTE));
    });
}

#[test]
fn row_108_a_megabyte_through_a_child() {
    really(async |_| {
        let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (cat.stdin.take().unwrap(), cat.stdout.take().unwrap());
        let sent: Vec<u8> = (0..MEGABYTE).map(|index| (index % 251) as u8).collect();
        let copy = sent.clone();
        let writer = spawn(async move { stdin.write_all(&copy).await });
        let mut received = Vec::new();
        assert_eq!(stdout.read_to_end(&mut received).await.unwrap(), MEGABYTE);
        assert!(received == sent);
        writer.await.unwrap().unwrap();
        assert!(cat.wait().await.unwrap().success());
    });
}

#[test]
fn row_108_streams_are_those_of_futures_io() {
    really(async |_| {
        let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut stdin, mut stdout) = (cat.stdin.take().unwrap(), cat.stdout.take().unwrap());
        let poll = std::future::poll_fn(|cx| Pin::new(&mut &stdin).poll_write(cx, b"ab"));
        assert_eq!(poll.await.unwrap(), 2);
        let poll = std::future::poll_fn(|cx| Pin::new(&mut stdin).poll_write(cx, b"c"));
        assert_eq!(poll.await.unwrap(), 1);
        let mut byte = [0];
        let poll = std::future::poll_fn(|cx| Pin::new(&mut &stdout).poll_read(cx, &mut byte));
        assert_eq!((poll.await.unwrap(), byte), (1, *b"a"));
        std::future::poll_fn(|cx| Pin::new(&mut stdin).poll_close(cx)).await.unwrap();
        assert_eq!(stdin.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut text = String::new();
        stdout.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "bc", "closing has ended the child's input");
        let poll = std::future::poll_fn(|cx| Pin::new(&mut stdout).poll_read(cx, &mut byte));
        assert_eq!(poll.await.unwrap(), 0);
        assert!(cat.wait().await.unwrap().success());
    });
}

#[test]
fn row_108_one_child_writes_into_another() {
    really(async |_| {
        let mut first = sh("echo b; echo a").stdout(Stdio::piped()).spawn().unwrap();
        let between = first.stdout.take().unwrap();
        let sorted = Command::new("sort").stdin(between).output().await.unwrap();
        assert_eq!(sorted.stdout, b"a\nb\n");
        assert!(first.wait().await.unwrap().success());
        // The other way round: the reading child starts first.
        let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let status = sh("echo x").stdout(cat.stdin.take().unwrap()).status().await.unwrap();
        assert!(status.success());
        assert_eq!(cat.wait_with_output().await.unwrap().stdout, b"x\n");
        // The end that is given away blocks again, because programs that read it expect that.
        let mut late = sh("sleep 0.05; echo late").stdout(Stdio::piped()).spawn().unwrap();
        let mut pipe = File::from(late.stdout.take().unwrap().into_owned_fd().unwrap());
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        assert_eq!(text, "late\n");
        assert!(late.wait().await.unwrap().success());
    });
}

#[test]
fn reading_may_be_given_up_and_taken_up_again() {
    really(async |_| {
        let mut child = sh("echo one; read x; echo two");
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut bytes = Vec::new();
        {
            let stdout = child.stdout.as_ref().unwrap();
            let read = time::timeout(Duration::from_millis(100), stdout.read_to_end(&mut bytes)).await;
            assert!(read.is_err());
        }
        child.stdin.as_ref().unwrap().write_all(b"go\n").await.unwrap();
        child.stdout.as_ref().unwrap().read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"one\ntwo\n");
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn hazard_41_a_child_dies_of_sigpipe() {
    really(async |_| {
        let mut yes = Command::new("yes").stdout(Stdio::piped()).spawn().unwrap();
        let head = Command::new("head").arg("-1").stdin(yes.stdout.take().unwrap()).output().await.unwrap();
        assert_eq!(head.stdout, b"y\n");
        assert_eq!(yes.wait().await.unwrap().signal(), Some(signal::PIPE));
    });
}

#[test]
fn hazard_41_writing_to_a_child_that_does_not_read_is_an_error() {
    really(async |_| {
        let mut child = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        assert!(child.wait().await.unwrap().success());
        let error = stdin.write_all(&vec![0; MEGABYTE]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn hazard_42_a_child_sees_three_descriptors() {
    alone("hazard_42_a_child_sees_three_descriptors", || {
        // The program that started this one may have left descriptors open. They are not ours.
        let inherited = std::process::Command::new("ls").arg("/proc/self/fd").output().unwrap().stdout;
        really(async |_| {
            // All descriptors that we might leak: the loop's, those for signals, another child's pipes and pidfd.
            let signals = signal::Signals::new([signal::USR1]).unwrap();
            let mut other = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let waiting = time::timeout(Duration::from_millis(1), async {
                let stdin = other.stdin.take();
                let _ = other.wait().await;
                drop(stdin);
            });
            assert!(waiting.await.is_err());
            let output = Command::new("ls").arg("/proc/self/fd").output().await.unwrap();
            let seen = String::from_utf8(output.stdout).unwrap();
            assert_eq!(seen.as_bytes(), inherited);
            assert!(seen.starts_with("0\n1\n") && seen.contains("\n2\n"), "and of ours these three: {seen}");
            drop(signals);
            other.kill().await.unwrap();
        });
    });
}

/// Starts this number of children, one after the other.
const MANY: usize = if cfg!(debug_assertions) { 500 } else { 10_000 };

#[test]
fn hazard_45_many_children_leave_nothing() {
    alone("hazard_45_many_children_leave_nothing", || {
        let _watchdog = watchdog_of(Duration::from_secs(600));
        roundel::run(async {
            let before = descriptors();
            for _ in 0..MANY {
                assert!(Command::new("true").status().await.unwrap().success());
            }
            assert_eq!((descriptors(), children()), (before, 0));
        });
    });
}

#[test]
fn hazard_45_children_that_are_dropped_are_buried() {
    alone("hazard_45_children_that_are_dropped_are_buried", || {
        let _watchdog = watchdog_of(Duration::from_secs(600));
        roundel::run(async {
            let before = (descriptors(), task::count());
            for round in 0..MANY / 5 {
                drop(Command::new("true").stdin(Stdio::piped()).spawn().unwrap());
                if round % 50 == 0 {
                    yield_now().await;
                }
            }
            // The test does nothing for the child here. The loop reaps it.
            while children() > 0 {
                time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!((descriptors(), task::count()), before);
        });
    });
}

#[test]
fn hazard_45_killed_on_drop_or_not() {
    alone("hazard_45_killed_on_drop_or_not", || {
        really(async |_| {
            let mut sleep = Command::new("sleep");
            let kept = sleep.arg("1000").spawn().unwrap().id();
            let killed = sleep.kill_on_drop(true).spawn().unwrap().id();
            while exists(killed) {
                time::sleep(Duration::from_millis(1)).await;
            }
            assert!(exists(kept), "a child that is dropped runs on");
            kill_process(Pid::from_raw(kept as i32).unwrap(), Signal::KILL).unwrap();
            while exists(kept) {
                time::sleep(Duration::from_millis(1)).await;
            }
            // A future that owns a child is dropped, and the child with it.
            let mut child = sleep.spawn().unwrap();
            let id = child.id();
            let task = spawn(async move { child.wait().await });
            yield_now().await;
            task.cancel();
            while exists(id) {
                time::sleep(Duration::from_millis(1)).await;
            }
            // A child that has ended is not killed.
            let mut ended = Command::new("true").kill_on_drop(true).spawn().unwrap();
            assert!(ended.wait().await.unwrap().success());
        });
        assert_eq!(children(), 0);
    });
}

/// The loop ends while children run. They are reaped when the next child is started.
#[test]
fn hazard_45_children_that_outlive_their_loop() {
    alone("hazard_45_children_that_outlive_their_loop", || {
        let _watchdog = watchdog();
        let before = descriptors();
        let (outside, leftover) = roundel::run(async {
            let mut sleep = Command::new("sleep");
            sleep.arg("1000").kill_on_drop(true);
            // The first child is in a task that the shutdown cancels. The second is dropped before, so that a reaper
            // waits for it. The third is dropped afterwards.
            let mut in_task = sleep.spawn().unwrap();
            spawn(async move { in_task.wait().await }).detach();
            let mut early = Command::new("sleep");
            let early = early.arg("1000").spawn().unwrap().id();
            time::sleep(Duration::from_millis(1)).await;
            (sleep.spawn().unwrap(), early)
        });
        drop(outside);
        kill_process(Pid::from_raw(leftover as i32).unwrap(), Signal::KILL).unwrap();
        while children() > 0 {
            // Each of these runs starts and reaps its own child.
            assert!(roundel::run(async { Command::new("true").status().await }).unwrap().success());
        }
        assert_eq!(descriptors(), before);
    });
}

/// A loop that ends does not wait for children whose handles were dropped.
#[test]
fn hazard_45_a_running_orphan_does_not_delay_the_shutdown() {
    let _watchdog = watchdog();
    struct Late(Option<Child>);
    impl Drop for Late {
        fn drop(&mut self) {
            let child = self.0.take();
            // This task is spawned by a destructor, and keeps the loop running until it ends.
            spawn(async move {
                drop(child);
                yield_now().await;
                yield_now().await;
            })
            .detach();
        }
    }
    let runtime = Runtime::builder().shutdown_timeout(Duration::from_secs(3600)).build().unwrap();
    let id = runtime.block_on(async {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let id = child.id();
        let late = Late(Some(child));
        spawn(async move {
            std::future::pending::<()>().await;
            drop(late);
        })
        .detach();
        yield_now().await;
        id
    });
    drop(runtime); // Within the hour.
    kill_process(Pid::from_raw(id as i32).unwrap(), Signal::KILL).unwrap();
}

/// Runs a test in a process that may open only a few descriptors.
fn with_few_descriptors(name: &str, body: impl FnOnce()) {
    if is_alone(name) {
        return body();
    }
    let mut command = std::process::Command::new("sh");
    rerun(command.args(["-c", "ulimit -n 40; exec \"$@\"", "sh"]), name);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// Opens all free descriptors except `spare`.
fn take_all_but(spare: usize) -> Vec<File> {
    let mut taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    taken.truncate(taken.len() - spare);
    taken
}

#[test]
fn hazard_45_no_descriptor_left_to_watch_a_child_with() {
    with_few_descriptors("hazard_45_no_descriptor_left_to_watch_a_child_with", || {
        really(async |_| {
            for spare in 0..4 {
                // The children end when no descriptor is left to watch them with.
                let mut child = sh("sleep 0.05; exit 5").spawn().unwrap();
                let mut dropped = Command::new("sleep");
                let dropped = dropped.arg("0.05").spawn().unwrap().id();
                let taken = take_all_but(spare);
                assert_eq!(child.wait().await.unwrap().code(), Some(5), "{spare} to spare");
                drop(child);
                while exists(dropped) {
                    time::sleep(Duration::from_millis(1)).await;
                }
                drop(taken);
            }
        });
    });
}

/// With too few descriptors, a child is either not started, or it is started and works. None is lost.
#[test]
fn hazard_45_no_descriptor_left_to_start_a_child_with() {
    with_few_descriptors("hazard_45_no_descriptor_left_to_start_a_child_with", || {
        let _watchdog = watchdog();
        let (mut failed, mut worked) = (0, 0);
        roundel::run(async {
            for spare in 0..16 {
                let taken = take_all_but(spare);
                let started = sh("echo out; echo err >&2").output().await;
                drop(taken);
                match started {
                    Err(error) => {
                        assert_eq!(error.raw_os_error(), Some(24), "{error}");
                        failed += 1;
                    }
                    Ok(output) => {
                        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
                        worked += 1;
                    }
                }
                assert_eq!(children(), 0);
            }
        });
        assert!(failed > 0 && worked > 0, "{failed} and {worked}");
    });
}

/// The pipes of a child that is started when its loop has closed cannot be registered any more.
#[test]
fn hazard_45_a_child_whose_pipes_cannot_be_registered_is_killed() {
    alone("hazard_45_a_child_whose_pipes_cannot_be_registered_is_killed", || {
        struct Late(std::sync::mpsc::Sender<io::Result<u32>>);
        impl Drop for Late {
            fn drop(&mut self) {
                let child = Command::new("sleep").arg("1000").stdout(Stdio::piped()).spawn();
                self.0.send(child.map(|child| child.id())).unwrap();
            }
        }
        let _watchdog = watchdog();
        let (sender, receiver) = std::sync::mpsc::channel();
        struct Sends(roundel::Remote, Option<Late>);
        impl Drop for Sends {
            fn drop(&mut self) {
                let late = self.1.take();
                drop(self.0.spawn(move || async move { drop(late) }));
            }
        }
        let runtime = Runtime::new().unwrap();
        let output = Sends(runtime.remote(), Some(Late(sender)));
        // An output that is not fetched is dropped at the end. The mail that it sends is no longer read, and is dropped
        // last.
        let _unfetched = runtime.block_on(async {
            let task = spawn(async { output });
            yield_now().await;
            Some(task)
        });
        let before = descriptors();
        drop(runtime);
        let error = receiver.recv().unwrap().unwrap_err();
        assert!(
            error.to_string().starts_with("the runtime that this source belongs to was dropped"),
            "{error}"
        );
        assert!(descriptors() < before);
        while children() > 0 {
            roundel::run(async { Command::new("true").status().await }).unwrap();
        }
    });
}

#[test]
fn hazard_46_waited_for_twice_and_killed_afterwards() {
    really(async |_| {
        let mut child = sh("exit 4").spawn().unwrap();
        for _ in 0..3 {
            assert_eq!(child.wait().await.unwrap().code(), Some(4));
            child.start_kill().unwrap();
            child.terminate().unwrap();
            child.kill().await.unwrap();
            assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(4));
        }
        // Ended, but not waited for yet.
        let mut zombie = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
        zombie.stdout.as_ref().unwrap().read_to_end(&mut Vec::new()).await.unwrap();
        while fs::read_to_string(format!("/proc/{}/stat", zombie.id())).unwrap().split(' ').nth(2)
            != Some("Z")
        {
            yield_now().await;
        }
        zombie.kill().await.unwrap();
        assert!(zombie.wait().await.unwrap().success());
        assert_eq!(zombie.wait_with_output().await.unwrap().stdout, b"");
        let mut sleeper = Command::new("sleep").arg("1000").spawn().unwrap();
        let error = sleeper.send_signal(999).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string()),
            (ErrorKind::InvalidInput, "999 is no signal".to_owned())
        );
        sleeper.kill().await.unwrap();
        assert_eq!(sleeper.wait().await.unwrap().signal(), Some(9));
    });
}

/// In a separate process, because the children of other tests would send the same signal. (A child that is told to go on
/// before it has stopped does neither, and no signal comes.)
#[test]
fn hazard_46_stopped_and_continued_is_not_ended() {
    alone("hazard_46_stopped_and_continued_is_not_ended", || {
        really(async |_| {
            let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
            let mut signals = signal::Signals::new([signal::CHLD]).unwrap();
            for sent in [19, signal::CONT] {
                assert!(time::timeout(Duration::from_millis(20), child.wait()).await.is_err());
                child.send_signal(sent).unwrap();
                signals.recv().await; // The kernel reports this signal, too, but it must not wake tasks that wait for the child's end.
                assert_eq!(child.try_wait().unwrap(), None);
                assert!(time::timeout(Duration::from_millis(20), child.wait()).await.is_err());
            }
            child.send_signal(19).unwrap();
            child.kill().await.unwrap();
            assert_eq!(child.wait().await.unwrap().signal(), Some(9), "killed while stopped");
        });
    });
}

/// The program that started this one may have ignored `SIGCHLD`. Then the kernel reaps children itself, and no program
/// learns how they ended. But no task waits for ever, and no unrelated process is killed.
#[test]
fn hazard_46_where_sigchld_is_ignored_waiting_is_an_error() {
    const NAME: &str = "hazard_46_where_sigchld_is_ignored_waiting_is_an_error";
    if !is_alone(NAME) {
        let mut command = std::process::Command::new("env");
        rerun(command.arg("--ignore-signal=CHLD"), NAME);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    really(async |_| {
        let mut child = sh("sleep 0.02; exit 3").spawn().unwrap();
        for _ in 0..2 {
            let error = child.wait().await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(10), "ECHILD: {error}");
            assert_eq!(child.start_kill().unwrap_err().raw_os_error(), Some(10));
        }
        drop(child);
        drop(Command::new("true").spawn().unwrap());
        while children() > 0 {
            yield_now().await;
        }
    });
}

#[test]
fn a_child_is_waited_for_in_two_loops_one_after_the_other() {
    let _watchdog = watchdog();
    let runtime = Runtime::new().unwrap();
    let mut child = runtime.block_on(async { sh("read x; exit 2").stdin(Stdio::piped()).spawn().unwrap() });
    let stdin = child.stdin.take();
    let started = runtime.block_on(async {
        let limit = Duration::from_millis(10);
        time::timeout(limit, child.wait()).await
    });
    assert!(started.is_err());
    drop(stdin);
    assert_eq!(runtime.block_on(child.wait()).unwrap().code(), Some(2));
}

/// Many tasks wait at once, each for its own child.
#[test]
fn hazard_45_many_children_at_once() {
    really(async |_| {
        let tasks: Vec<_> = (0..50)
            .map(|code| spawn(async move { sh(&format!("exit {code}")).status().await.unwrap().code() }))
            .collect();
        for (code, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), Some(code as i32));
        }
    });
}

/// A child holds nothing of the task that started it.
#[test]
fn a_dropped_child_does_not_keep_its_tasks_locals() {
    roundel::task_local! { static GUARD: Rc<()>; }
    really(async |_| {
        let guard = Rc::new(());
        let id = GUARD
            .scope(Rc::clone(&guard), async { Command::new("sleep").arg("1000").spawn().unwrap().id() })
            .await;
        time::sleep(Duration::from_millis(1)).await;
        assert_eq!(Rc::strong_count(&guard), 1);
        kill_process(Pid::from_raw(id as i32).unwrap(), Signal::KILL).unwrap();
    });
}
