//! The sender of a channel as a `Sink`: the room that it keeps is neither lost nor used twice.

#![forbid(unsafe_code)]
#![cfg(feature = "sink")]

use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use roundel::channel::{self, Closed, SinkSender};
use roundel::futures_sink::Sink;
use roundel::testing::{at_every_await, settle};
use roundel::{Runtime, spawn, yield_now};

fn virtually<T>(main: impl Future<Output = T>) -> T {
    Runtime::builder().virtual_time(true).build().unwrap().block_on(main)
}

async fn ready<T>(sink: &mut SinkSender<T>) -> Result<(), Closed> {
    poll_fn(|cx| Pin::new(&mut *sink).poll_ready(cx)).await
}

async fn send<T>(sink: &mut SinkSender<T>, value: T) -> Result<(), Closed> {
    ready(sink).await?;
    Pin::new(&mut *sink).start_send(value)?;
    poll_fn(|cx| Pin::new(&mut *sink).poll_flush(cx)).await
}

/// Whether it is ready at once.
fn is_ready<T>(sink: &mut SinkSender<T>) -> bool {
    Pin::new(sink).poll_ready(&mut Context::from_waker(Waker::noop())).is_ready()
}

async fn close<T>(sink: &mut SinkSender<T>) -> Result<(), Closed> {
    poll_fn(|cx| Pin::new(&mut *sink).poll_close(cx)).await
}

#[test]
fn values_arrive_in_order_and_never_more_than_there_is_room_for() {
    virtually(async {
        for capacity in [0, 1, 3] {
            let (sender, receiver) = channel::bounded(capacity);
            let mut sink = sender.into_sink();
            let producer = spawn(async move {
                for value in 0..10 {
                    send(&mut sink, value).await.unwrap();
                }
                close(&mut sink).await.unwrap();
            });
            let mut got = Vec::new();
            loop {
                settle().await;
                assert!(receiver.len() <= capacity.max(1), "a rendezvous has room for one in passing");
                let Ok(value) = receiver.recv().await else { break };
                got.push(value);
            }
            assert_eq!(got, (0..10).collect::<Vec<_>>(), "capacity {capacity}");
            producer.await.unwrap();
        }
    });
}

#[test]
fn the_room_is_kept_and_given_back() {
    virtually(async {
        let (sender, receiver) = channel::bounded(1);
        let mut sink = sender.clone().into_sink();
        ready(&mut sink).await.unwrap();
        ready(&mut sink).await.unwrap();
        assert!(sender.try_send(1).is_err(), "the sink has the only place");
        drop(sink);
        sender.try_send(1).unwrap();

        // One that waits, and is dropped: the next in line has its turn.
        let mut waits = sender.clone().into_sink();
        assert!(!is_ready(&mut waits));
        let theirs = sender.clone();
        let next = spawn(async move { theirs.send(2).await });
        yield_now().await;
        assert_eq!(receiver.recv().await, Ok(1), "the place goes to the sink, which stands first");
        drop(waits);
        next.await.unwrap().unwrap();
        assert_eq!(receiver.recv().await, Ok(2));

        // A closed sink gives its place back, too.
        let mut closed = sender.clone().into_sink();
        ready(&mut closed).await.unwrap();
        close(&mut closed).await.unwrap();
        assert_eq!(ready(&mut closed).await, Err(Closed(())));
        assert_eq!(Pin::new(&mut closed).start_send(3), Err(Closed(())));
        sender.try_send(3).unwrap();
        assert_eq!((sender.senders(), receiver.is_closed()), (1, false), "only its own end is gone");
    });
}

#[test]
fn a_closed_channel_takes_nothing() {
    virtually(async {
        let (sender, receiver) = channel::bounded(1);
        let mut sink = sender.into_sink();
        ready(&mut sink).await.unwrap();
        drop(receiver);
        assert_eq!(ready(&mut sink).await, Err(Closed(())), "also with room");
        let value = Rc::new(());
        assert_eq!(Pin::new(&mut sink).start_send(value.clone()), Err(Closed(())));
        assert_eq!(Rc::strong_count(&value), 1);

        let (sender, receiver) = channel::bounded(1);
        sender.try_send(0).unwrap();
        let mut waits = sender.into_sink();
        let waiting = spawn(async move { ready(&mut waits).await });
        settle().await;
        receiver.close();
        assert_eq!(waiting.await.unwrap(), Err(Closed(())));
    });
}

#[test]
fn an_unbounded_channel_always_has_room() {
    virtually(async {
        let (sender, receiver) = channel::unbounded();
        let mut sink = sender.into_sink();
        for value in 0..100 {
            assert!(is_ready(&mut sink));
            Pin::new(&mut sink).start_send(value).unwrap();
        }
        assert_eq!(receiver.len(), 100);
    });
}

#[test]
fn a_value_without_room_is_a_mistake_of_the_program() {
    let (sender, receiver) = channel::bounded(1);
    let mut sink = sender.into_sink();
    let sends = || Pin::new(&mut sink).start_send(1);
    let panic = catch_unwind(AssertUnwindSafe(sends)).unwrap_err();
    assert_eq!(
        panic.downcast_ref::<&str>().copied(),
        Some("`start_send` was called on a sink without room: wait for `poll_ready` before each value")
    );
    assert!(receiver.is_empty());
}

#[test]
fn sinks_and_senders_stand_in_one_line_and_lose_no_room_when_they_are_cut() {
    virtually(async {
        let places = at_every_await(async |cut| {
            let (sender, receiver) = channel::bounded(1);
            sender.try_send(0).unwrap();
            let sent = Rc::new(RefCell::new(vec![0]));
            let (theirs, mut sink) = (sent.clone(), sender.clone().into_sink());
            // The sink is dropped with the future. As long as it lives, it keeps its place in line.
            let first = async move {
                send(&mut sink, 1).await.unwrap();
                theirs.borrow_mut().push(1);
            };
            let second = async {
                sender.send(2).await.unwrap();
                sent.borrow_mut().push(2);
            };
            let receives = async {
                settle().await;
                let mut got = vec![receiver.recv().await.unwrap()];
                settle().await;
                while let Ok(value) = receiver.try_recv() {
                    got.push(value);
                    settle().await;
                }
                got
            };
            let cut_off = cut.run(first);
            let (_, (), got) = roundel::group::join!(cut_off, second, receives);
            assert_eq!(got, *sent.borrow());
        })
        .await;
        assert!(places >= 2, "{places}");
    });
}
