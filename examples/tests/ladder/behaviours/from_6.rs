//! What a loop has that waits in the kernel.

use std::io::{Read, Write};
use std::time::Duration;

use mio::net::UnixStream;

use super::rung::{Source, block_on, polls, sleep, spawn, timeout, yield_now};
use crate::tools::{Outcome, all_is_done, meddler, on_next_use, poll_with, processor_time};

fn pair() -> (Source<UnixStream>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("two sockets");
    (Source::new(ours).expect("the kernel watches a socket"), theirs)
}

/// Reads at most this many bytes.
async fn read<const MOST: usize>(source: &Source<UnixStream>) -> usize {
    source.io(|mut stream| stream.read(&mut [0; MOST])).await.expect("an open socket")
}

#[test]
fn bytes_that_came_together_are_read_one_after_the_other() {
    let _watchdog = testkit::watchdog();
    let (source, mut theirs) = pair();
    let reading = spawn(async move { [read::<4>(&source).await, read::<4>(&source).await] });
    block_on(sleep(Duration::from_millis(10)));
    theirs.write_all(b"12345678").unwrap();
    let counts: [usize; 2] = block_on(reading).output();
    assert_eq!(counts, [4, 4]);
}

#[test]
fn a_read_that_waits_lets_others_run_and_takes_no_processor_time() {
    let _watchdog = testkit::watchdog();
    let (source, mut theirs) = pair();
    let before = processor_time();
    let reading = spawn(async move { polls(read::<8>(&source)).await });
    block_on(sleep(Duration::from_millis(300)));
    theirs.write_all(b"x").unwrap();
    let polls: u64 = block_on(reading).output();
    // To begin, after the report that the socket can be written, and at the end.
    assert!(polls <= 3, "{polls} polls");
    if let (Some(before), Some(after)) = (before, processor_time()) {
        assert!(after - before < 60, "{} of 300 ms", after - before);
    }
}

#[test]
fn two_tasks_may_wait_for_one_source() {
    let _watchdog = testkit::watchdog();
    let (source, mut theirs) = pair();
    let source = std::rc::Rc::new(source);
    let tasks = [(), ()].map(|()| {
        let source = std::rc::Rc::clone(&source);
        spawn(async move { read::<1>(&source).await })
    });
    block_on(sleep(Duration::from_millis(10)));
    theirs.write_all(b"12").unwrap();
    for task in tasks {
        let count: usize = block_on(task).output();
        assert_eq!(count, 1);
    }
}

#[test]
fn the_end_of_the_other_side_is_told() {
    let _watchdog = testkit::watchdog();
    let (source, theirs) = pair();
    let reading = spawn(async move { read::<1>(&source).await });
    block_on(yield_now());
    drop(theirs);
    let count: usize = block_on(reading).output();
    assert_eq!(count, 0);
}

#[test]
fn a_read_may_be_given_up() {
    let _watchdog = testkit::watchdog();
    let (source, mut theirs) = pair();
    block_on(async {
        assert_eq!(timeout(Duration::from_millis(10), read::<1>(&source)).await, None);
        theirs.write_all(b"1").unwrap();
        assert_eq!(read::<1>(&source).await, 1);
    });
}

#[test]
fn a_waker_of_a_source_may_drop_and_make_sources() {
    let _watchdog = testkit::watchdog();
    let ((first, mut theirs), (second, _theirs)) = (pair(), pair());
    let mut reading = Box::pin(async move { read::<1>(&first).await });
    let mut other = Box::pin(async move { read::<1>(&second).await });
    assert!(poll_with(&mut reading, &meddler()).is_pending());
    assert!(poll_with(&mut other, &meddler()).is_pending());
    // The first report wakes the first. It drops the second source, whose waker then makes another source.
    on_next_use(|| drop(pair()));
    on_next_use(move || drop(other));
    theirs.write_all(b"1").unwrap();
    while !all_is_done() {
        block_on(sleep(Duration::from_millis(1)));
    }
    assert_eq!(block_on(reading), 1);
}
