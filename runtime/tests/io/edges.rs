//! Hazard 32: each report comes once, so none may be lost, and each must reach all the waiting tasks.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;
use std::task::{Context, Poll};

use mio::net::UnixStream;
use roundel::source::{AsyncFd, Direction, Source};
use roundel::spawn;

use super::common::{Flag, everywhere, read, settle, unix, virtually, write_all};
use super::{drain, fill, one_byte, poll};

#[test]
fn hazard_32_reads_of_exactly_the_buffers_size() {
    everywhere(async |_| {
        let (ours, mut theirs) = unix();
        let reader = spawn(async move {
            let mut buffer = [0; 16];
            for round in 0..100 {
                assert_eq!(read(&ours, &mut buffer).await.unwrap(), 16);
                assert_eq!(buffer, [round; 16]);
            }
        });
        for round in 0..100 {
            theirs.write_all(&[round; 16]).unwrap();
            // The reader sometimes finds one full buffer, sometimes three.
            if round % 5 < 2 {
                settle().await;
            }
        }
        reader.await.unwrap();
    });
}

#[test]
fn hazard_32_a_short_read_saves_a_try_and_loses_nothing() {
    everywhere(async |_| {
        let (ours, mut theirs) = unix();
        let tries = Rc::new(Cell::new(0));
        let counted = Rc::clone(&tries);
        let reader = spawn(async move {
            let (mut buffer, mut got) = ([0; 16], Vec::new());
            while got.len() < (1..=40).sum() {
                let count = ours
                    .io(Direction::Read, |mut stream| {
                        counted.set(counted.get() + 1);
                        stream.read(&mut buffer)
                    })
                    .await
                    .unwrap();
                got.extend_from_slice(&buffer[..count]);
                if count < buffer.len() {
                    ours.fell_short(Direction::Read);
                }
            }
            got
        });
        let mut sent = Vec::new();
        for size in 1..=40 {
            theirs.write_all(&vec![size; size.into()]).unwrap();
            sent.extend(vec![size; size.into()]);
            settle().await;
        }
        assert!(reader.await.unwrap() == sent, "what was sent is what came");
        // For each message, the reader fills some buffers and tries once more. That try is short or finds nothing.
        let needed: usize = (1..=40).map(|size| size / 16 + 1).sum();
        assert!(tries.get() <= needed + 1, "{} tries where {needed} and a first one do", tries.get());
    });
}

#[test]
fn hazard_32_two_tasks_read_one_source() {
    everywhere(async |_| {
        let (ours, mut theirs) = unix();
        let (ours, got) = (Rc::new(ours), Rc::new(RefCell::new(Vec::new())));
        let readers = [2, 3].map(|size| {
            let (ours, got) = (Rc::clone(&ours), Rc::clone(&got));
            spawn(async move {
                let mut buffer = vec![0; size];
                loop {
                    match read(&ours, &mut buffer).await.unwrap() {
                        0 => break,
                        count => got.borrow_mut().extend_from_slice(&buffer[..count]),
                    }
                }
            })
        });
        let mut sent = Vec::new();
        for message in (0..60).map(|round: u8| vec![round; usize::from(round) % 7 + 1]) {
            theirs.write_all(&message).unwrap();
            sent.extend(message);
            if sent.len() % 2 == 0 {
                settle().await;
            }
        }
        settle().await;
        drop(theirs);
        for reader in readers {
            reader.await.unwrap();
        }
        assert!(*got.borrow() == sent, "no byte was lost, doubled or moved");
    });
}

#[test]
fn hazard_32_data_that_comes_before_the_would_block_is_noted() {
    everywhere(async |_| {
        let (ours, mut theirs) = unix();
        for _ in 0..20 {
            let mut tries = 0;
            let count = ours.io(Direction::Read, |mut stream| {
                tries += 1;
                let result = stream.read(&mut [0; 16]);
                if result.is_err() {
                    theirs.write_all(b"x")?;
                }
                result
            });
            assert_eq!((count.await.unwrap(), tries), (1, 2));
        }
    });
}

#[test]
fn hazard_32_room_that_comes_before_the_would_block_is_noted() {
    everywhere(async |_| {
        let (ours, theirs) = unix();
        for _ in 0..5 {
            fill(ours.get_ref());
            let mut tries = 0;
            let count = ours.io(Direction::Write, |mut stream| {
                tries += 1;
                let result = stream.write(b"x");
                if result.is_err() {
                    drain(&theirs);
                }
                result
            });
            assert_eq!((count.await.unwrap(), tries), (1, 2));
        }
    });
}

#[test]
fn hazard_32_data_that_comes_before_the_short_read_is_told_is_noted() {
    everywhere(async |_| {
        let (ours, mut theirs) = unix();
        theirs.write_all(b"x").unwrap();
        for _ in 0..20 {
            let mut buffer = [0; 16];
            assert_eq!(ours.io(Direction::Read, |mut stream| stream.read(&mut buffer)).await.unwrap(), 1);
            theirs.write_all(b"x").unwrap();
            ours.fell_short(Direction::Read);
        }
    });
}

#[test]
fn hazard_32_many_waiters_each_way_are_all_woken() {
    everywhere(async |_| {
        let (ours, mut theirs) = unix();
        let ours = Rc::new(ours);
        fill(ours.get_ref());
        let readers = [(); 10].map(|()| {
            let ours = Rc::clone(&ours);
            spawn(async move { read(&ours, &mut [0]).await })
        });
        let writers = [(); 10].map(|()| {
            let ours = Rc::clone(&ours);
            spawn(async move { ours.io(Direction::Write, |mut stream| stream.write(b"x")).await })
        });
        settle().await;
        assert!(readers.iter().chain(&writers).all(|task| !task.is_finished()));
        theirs.write_all(&[0; 10]).unwrap();
        drain(&theirs);
        for task in readers.into_iter().chain(writers) {
            assert_eq!(task.await.unwrap().unwrap(), 1);
        }
    });
}

#[test]
fn hazard_32_one_source_is_read_and_written_at_once() {
    const TOTAL: usize = 300_000;
    everywhere(async |_| {
        let (ours, theirs) = unix();
        let (ours, theirs) = (Rc::new(ours), Source::new(UnixStream::from_std(theirs)).unwrap());
        let echo = spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let count = read(&theirs, &mut buffer).await.unwrap();
                if count == 0 {
                    break;
                }
                write_all(&theirs, &buffer[..count]).await.unwrap();
            }
        });
        let pattern = (0..TOTAL).map(|place| (place % 251) as u8).collect::<Vec<_>>();
        let (stream, sent) = (Rc::clone(&ours), pattern.clone());
        let writer = spawn(async move { write_all(&stream, &sent).await });
        let mut got = Vec::new();
        while got.len() < TOTAL {
            let mut buffer = [0; 1000];
            let count = read(&ours, &mut buffer).await.unwrap();
            got.extend_from_slice(&buffer[..count]);
        }
        assert!(got == pattern, "what came back is what was sent");
        writer.await.unwrap().unwrap();
        drop(ours);
        echo.await.unwrap();
    });
}

#[test]
fn hazard_32_a_waiter_that_is_dropped_takes_its_waker_along() {
    virtually(async |_| {
        let (ours, mut theirs) = unix();
        let [(a, first), (b, second), (c, third)] = [(); 3].map(|()| Flag::new());
        let [mut one, mut two, mut three] = [(); 3].map(|()| one_byte(&ours));
        assert!(poll(&mut one, &first).is_pending());
        assert!(poll(&mut two, &second).is_pending());
        assert!(poll(&mut three, &third).is_pending());
        assert_eq!([&a, &b, &c].map(Flag::clones), [1, 1, 1]);
        drop(two);
        assert_eq!([&a, &b, &c].map(Flag::clones), [1, 0, 1]);
        theirs.write_all(b"x").unwrap();
        settle().await;
        assert_eq!([a.wakes(), b.wakes(), c.wakes()], [1, 0, 1]);
        assert_eq!([&a, &b, &c].map(Flag::clones), [0, 0, 0]);
    });
}

#[test]
fn hazard_32_a_task_that_is_cancelled_leaves_the_other_waiters() {
    everywhere(async |_| {
        let (ours, mut theirs) = unix();
        let ours = Rc::new(ours);
        let [first, second, third] = [(); 3].map(|()| {
            let ours = Rc::clone(&ours);
            spawn(async move { read(&ours, &mut [0]).await })
        });
        settle().await;
        second.cancel();
        theirs.write_all(b"xy").unwrap();
        assert_eq!(first.await.unwrap().unwrap(), 1);
        assert_eq!(third.await.unwrap().unwrap(), 1);
        assert!(second.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn hazard_32_a_waiter_of_old_does_not_take_a_new_ones_place() {
    virtually(async |_| {
        let (ours, mut theirs) = unix();
        let [(a, first), (b, second)] = [(); 2].map(|()| Flag::new());
        let mut old = one_byte(&ours);
        assert!(poll(&mut old, &first).is_pending());
        theirs.write_all(b"x").unwrap();
        settle().await;
        assert_eq!(a.wakes(), 1);
        assert_eq!(read(&ours, &mut [0; 2]).await.unwrap(), 1);
        let mut new = one_byte(&ours);
        assert!(poll(&mut new, &second).is_pending());
        // It was woken and is dropped without another poll. Another future has its place by now.
        drop(old);
        assert_eq!(b.clones(), 1);
        theirs.write_all(b"x").unwrap();
        settle().await;
        assert_eq!((a.wakes(), b.wakes()), (1, 1));
    });
}

#[test]
fn hazard_32_a_waiter_that_changes_its_waker_is_woken_by_the_last() {
    virtually(async |_| {
        let (ours, mut theirs) = unix();
        let [(a, first), (b, second)] = [(); 2].map(|()| Flag::new());
        let mut waiter = one_byte(&ours);
        assert!(poll(&mut waiter, &first).is_pending());
        assert!(poll(&mut waiter, &second).is_pending());
        assert!(poll(&mut waiter, &second).is_pending());
        assert_eq!((a.clones(), b.clones()), (0, 1));
        theirs.write_all(b"x").unwrap();
        settle().await;
        assert_eq!((a.wakes(), b.wakes()), (0, 1));
        assert!(matches!(poll(&mut waiter, &second), Poll::Ready(Ok(1))));
    });
}

#[test]
fn hazard_32_one_task_waits_twice_and_drops_the_first() {
    virtually(async |_| {
        let (ours, mut theirs) = unix();
        let (flag, waker) = Flag::new();
        let [mut first, mut second] = [(); 2].map(|()| one_byte(&ours));
        assert!(poll(&mut first, &waker).is_pending());
        assert!(poll(&mut second, &waker).is_pending());
        drop(first);
        theirs.write_all(b"x").unwrap();
        settle().await;
        assert!(flag.wakes() > 0, "the second still waits");
    });
}

#[test]
fn hazard_32_one_task_waits_twice_and_drops_the_second() {
    virtually(async |_| {
        let (ours, mut theirs) = unix();
        let (flag, waker) = Flag::new();
        let [mut first, mut second] = [(); 2].map(|()| one_byte(&ours));
        assert!(poll(&mut first, &waker).is_pending());
        assert!(poll(&mut second, &waker).is_pending());
        drop(second);
        theirs.write_all(b"x").unwrap();
        settle().await;
        assert!(flag.wakes() > 0, "the first still waits");
    });
}

#[test]
fn hazard_32_a_future_that_is_dropped_leaves_a_poll_io_of_its_task() {
    virtually(async |_| {
        let (ours, mut theirs) = unix();
        let (flag, waker) = Flag::new();
        let mut future = one_byte(&ours);
        assert!(poll(&mut future, &waker).is_pending());
        let mut cx = Context::from_waker(&waker);
        assert!(ours.poll_io(&mut cx, Direction::Read, |mut stream| stream.read(&mut [0])).is_pending());
        drop(future);
        theirs.write_all(b"x").unwrap();
        settle().await;
        assert!(flag.wakes() > 0, "`poll_io` has left its word");
    });
}

#[test]
fn hazard_32_poll_io_leaves_one_word_however_often_it_asks() {
    virtually(async |_| {
        let (ours, mut theirs) = unix();
        let (flag, waker) = Flag::new();
        let mut cx = Context::from_waker(&waker);
        for _ in 0..100 {
            assert!(ours.poll_io(&mut cx, Direction::Read, |mut stream| stream.read(&mut [0])).is_pending());
        }
        assert_eq!(flag.clones(), 1);
        theirs.write_all(b"x").unwrap();
        settle().await;
        assert_eq!((flag.clones(), flag.wakes()), (0, 1));
    });
}

/// The loop that programmers write who know asyncio's `add_reader`.
#[test]
fn hazard_32_readable_and_a_read_of_ones_own_do_not_spin() {
    everywhere(async |_| {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let tries = Rc::new(Cell::new(0));
        let counted = Rc::clone(&tries);
        let reader = spawn(async move {
            let fd = AsyncFd::new(ours).unwrap();
            loop {
                fd.readable().await.unwrap();
                counted.set(counted.get() + 1);
                assert!(counted.get() < 1000, "it spins: nothing has come, and it is told to try again");
                match fd.get_ref().read(&mut [0]) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    result => return result.unwrap(),
                }
            }
        });
        settle().await;
        theirs.write_all(b"x").unwrap();
        assert_eq!(reader.await.unwrap(), 1);
        assert!(tries.get() < 10, "{} tries for one byte", tries.get());
    });
}

/// The same with a source, which is told the result of the read.
#[test]
fn hazard_32_a_would_block_that_is_told_is_waited_for() {
    everywhere(async |_| {
        let (ours, mut theirs) = unix();
        let reader = spawn(async move {
            let mut tries = 0;
            loop {
                ours.readable().await.unwrap();
                tries += 1;
                assert!(tries < 1000, "it spins: nothing has come, and it is told to try again");
                match ours.get_ref().read(&mut [0]) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => ours.would_block(Direction::Read),
                    result => return (result.unwrap(), tries),
                }
            }
        });
        settle().await;
        theirs.write_all(b"x").unwrap();
        let (count, tries) = reader.await.unwrap();
        assert!(count == 1 && tries <= 2, "{tries} tries for one byte");
    });
}

/// Bytes that were not read cause no new report. A task that asks again must learn of them all the same.
#[test]
fn hazard_32_a_descriptor_is_ready_as_long_as_there_is_more() {
    everywhere(async |_| {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let fd = Rc::new(AsyncFd::new(ours).unwrap());
        theirs.write_all(b"abc").unwrap();
        for expected in b"abc" {
            let mut byte = [0];
            fd.readable().await.unwrap();
            assert_eq!(fd.get_ref().read(&mut byte).unwrap(), 1);
            assert_eq!(byte, [*expected]);
        }
        fill(fd.get_ref());
        let (reading, writing) = (Rc::clone(&fd), Rc::clone(&fd));
        let reader = spawn(async move { reading.readable().await });
        let writer = spawn(async move { writing.writable().await });
        settle().await;
        assert!(!reader.is_finished() && !writer.is_finished());
        drain(&theirs);
        writer.await.unwrap().unwrap();
        fd.writable().await.unwrap();
        settle().await;
        assert!(!reader.is_finished());
        theirs.write_all(b"x").unwrap();
        reader.await.unwrap().unwrap();
    });
}

#[test]
fn hazard_32_tasks_that_ask_about_one_descriptor_do_not_disturb_each_other() {
    everywhere(async |_| {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let fd = Rc::new(AsyncFd::new(ours).unwrap());
        let readers = [(); 3].map(|()| {
            let fd = Rc::clone(&fd);
            spawn(async move {
                let mut bytes = 0;
                loop {
                    fd.readable().await.unwrap();
                    match fd.get_ref().read(&mut [0; 2]) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                        Ok(0) => return bytes,
                        count => bytes += count.unwrap(),
                    }
                }
            })
        });
        for size in 1..20 {
            theirs.write_all(&vec![0; size]).unwrap();
            if size % 3 == 0 {
                settle().await;
            }
        }
        drop(theirs);
        let mut bytes = 0;
        for reader in readers {
            bytes += reader.await.unwrap();
        }
        assert_eq!(bytes, (1..20).sum());
    });
}
