//! What is counted, in programs whose every step is known.

use std::thread;
use std::time::Duration;

use roundel::{Runtime, spawn, time, yield_now};

use super::common::unix;

#[test]
fn tasks_polls_and_ends_are_counted() {
    let runtime = Runtime::builder().virtual_time(true).metrics(true).build().unwrap();
    runtime.block_on(async {
        spawn(yield_now()).await.unwrap();
        assert!(spawn(async { panic!("on purpose") }).await.is_err());
        let task = spawn(std::future::pending::<()>());
        yield_now().await;
        task.cancel();
    });
    let counts = runtime.metrics().counts.unwrap();
    assert_eq!((counts.spawned, counts.returned, counts.cancelled, counts.panicked), (4, 2, 1, 1));
    // The three tasks are polled twice, once and once; the future of the `block_on` at its start and after three waits.
    assert_eq!((counts.polls, counts.poll_time.count(), counts.queue_delay.count()), (8, 8, 8));
    assert_eq!(counts.wakes_by_tasks, 4, "two yields, and the ends of two tasks");
    assert_eq!((counts.wakes_by_timers, counts.wakes_by_sources, counts.wakes_from_outside), (0, 0, 0));
}

#[test]
fn wakes_are_counted_by_what_has_caused_them() {
    let runtime = Runtime::builder().metrics(true).build().unwrap();
    runtime.block_on(async {
        for _ in 0..3 {
            time::sleep(Duration::from_micros(1)).await;
        }
        let (source, theirs) = unix();
        for _ in 0..5 {
            // The reader waits before the byte is there, and has taken it before the next one comes.
            let mut buffer = [0; 8];
            let mut reading = std::pin::pin!(super::common::read(&source, &mut buffer));
            std::future::poll_fn(|cx| {
                assert!(reading.as_mut().poll(cx).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            std::io::Write::write_all(&mut &theirs, b"x").unwrap();
            assert_eq!(reading.await.unwrap(), 1);
        }
        let remote = roundel::remote();
        let thread = thread::spawn(move || remote.spawn(|| async {}).wait().unwrap());
        roundel::blocking::unblock(move || thread.join().unwrap()).await.unwrap();
    });
    let counts = runtime.metrics().counts.unwrap();
    assert_eq!(counts.wakes_by_timers, 3, "{counts:?}");
    assert_eq!(counts.wakes_by_sources, 5, "{counts:?}");
    assert_eq!(counts.wakes_from_outside, 1, "the job of the thread pool: {counts:?}");
    assert!(counts.turns > 0 && counts.parks <= counts.turns, "{counts:?}");
}

#[test]
fn a_task_that_was_cancelled_before_it_ran_has_no_poll() {
    let runtime = Runtime::builder().virtual_time(true).metrics(true).build().unwrap();
    runtime.block_on(async { spawn(async {}).cancel() });
    let counts = runtime.metrics().counts.unwrap();
    assert_eq!((counts.spawned, counts.cancelled, counts.polls), (2, 1, 1));
}

#[test]
fn without_a_watcher_only_what_there_is_now_is_known() {
    let runtime = Runtime::new().unwrap();
    let handles = runtime.block_on(async {
        let sleepers: Vec<_> = (0..300).map(|_| spawn(time::sleep(Duration::from_secs(3600)))).collect();
        yield_now().await;
        let (_source, _theirs) = unix();
        let now = roundel::metrics();
        assert_eq!((now.tasks, now.timers, now.sources), (301, 300, 1));
        assert!(now.counts.is_none() && now.to_string().contains("counted  nothing"), "{now}");
        sleepers
    });
    let now = runtime.metrics();
    assert_eq!((now.tasks, now.timers, now.sources), (300, 300, 0));
    assert_eq!((now.threads, now.jobs_running, now.jobs_waiting), (0, 0, 0));
    drop(handles);
}

#[test]
fn jobs_are_counted() {
    let runtime = Runtime::builder().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let first = roundel::blocking::unblock(move || {
            begun.send(()).unwrap();
            blocked.recv().ok();
        });
        let second = roundel::blocking::unblock(|| ());
        // Jobs are submitted when they are first polled.
        let both = spawn(async move { roundel::group::join!(first, second) });
        yield_now().await;
        has_begun.recv().unwrap();
        let now = roundel::metrics();
        assert_eq!((now.threads, now.jobs_running, now.jobs_waiting), (1, 1, 1));
        drop(release);
        let (first, second) = both.await.unwrap();
        first.and(second).unwrap();
    });
}

#[test]
fn the_text_of_the_counts_has_all_of_them() {
    let runtime = Runtime::builder().virtual_time(true).metrics(true).build().unwrap();
    runtime.block_on(async { spawn(yield_now()).await.unwrap() });
    let text = runtime.metrics().to_string();
    for part in [
        "now      0 tasks, 0 timers, 0 sources; 0 threads, 0 jobs running, 0 waiting",
        "tasks    2 spawned, 2 returned, 0 cancelled, 0 panicked",
        "wakes    2 by tasks, 0 by timers, 0 by sources, 0 from outside",
        "loop     1 turn, 4 polls, 0 parks of 0 ns in all",
        "queued   p50 ",
        "polled   p50 ",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
}
