//! Channels, compared with a simple model, and then row by row.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;
use roundel::channel::{
    self, BroadcastError, Closed, Queue, Receiver, Sender, TryRecvError, TrySendError, bounded, broadcast,
    lifo, oneshot, priority, unbounded, watch,
};
use roundel::group::{gather, join};
use roundel::testing::{at_every_await, settle};
use roundel::{Runtime, spawn, time, yield_now};

fn virtually<T>(main: impl Future<Output = T>) -> T {
    Runtime::builder().virtual_time(true).build().unwrap().block_on(main)
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

// The model.

/// What a program can do to a channel.
#[derive(Clone, Debug)]
enum Step {
    TrySend,
    TryRecv,
    /// Starts a send and does not poll it again for now.
    Send,
    Recv,
    /// Polls the oldest, or the third oldest, waiting send or receive.
    PollSend(usize),
    PollRecv(usize),
    DropSend(usize),
    DropRecv(usize),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::TrySend),
        4 => Just(Step::TryRecv),
        4 => Just(Step::Send),
        4 => Just(Step::Recv),
        3 => (0..3_usize).prop_map(Step::PollSend),
        3 => (0..3_usize).prop_map(Step::PollRecv),
        2 => (0..3_usize).prop_map(Step::DropSend),
        2 => (0..3_usize).prop_map(Step::DropRecv),
        1 => Just(Step::Close),
    ]
}

type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), Closed<u32>>> + 'a>>;
type Receiving<'a> = Pin<Box<dyn Future<Output = Result<u32, Closed>> + 'a>>;

/// A channel as one would draw it on paper: a queue of values, and the waiting sends and receives in the order in which
/// they came, each with what it has been given.
struct Model {
    capacity: Option<usize>,
    values: VecDeque<u32>,
    closed: bool,
    /// Waiting sends: the value, and whether a place is kept for it.
    sends: Vec<(u32, bool)>,
    /// Waiting receives: whether a value is kept for it.
    receives: Vec<bool>,
}

impl Model {
    fn new(capacity: Option<usize>) -> Model {
        Model { capacity, values: VecDeque::new(), closed: false, sends: Vec::new(), receives: Vec::new() }
    }

    fn room(&self) -> bool {
        let promised = self.sends.iter().filter(|(_, promised)| *promised).count();
        self.capacity.is_none_or(|capacity| self.values.len() + promised < capacity)
    }

    fn spare(&self) -> bool {
        let claimed = self.receives.iter().filter(|claimed| **claimed).count();
        self.values.len() > claimed
    }

    /// Gives away what there is to give, first come, first served.
    fn promise(&mut self) {
        while self.room()
            && !self.closed
            && let Some(at) = self.sends.iter().position(|(_, promised)| !promised)
        {
            self.sends[at].1 = true;
        }
        while self.spare()
            && !self.closed
            && let Some(at) = self.receives.iter().position(|claimed| !claimed)
        {
            self.receives[at] = true;
        }
    }

    fn waits(&self) -> (bool, bool) {
        (self.sends.iter().any(|(_, promised)| !promised), self.receives.iter().any(|claimed| !claimed))
    }

    fn try_send(&mut self, value: u32) -> Result<(), TrySendError<u32>> {
        if self.closed {
            return Err(TrySendError::Closed(value));
        }
        if !self.room() || self.waits().0 {
            return Err(TrySendError::Full(value));
        }
        self.values.push_back(value);
        self.promise();
        Ok(())
    }

    fn try_recv(&mut self) -> Result<u32, TryRecvError> {
        let may = if self.closed { !self.values.is_empty() } else { self.spare() && !self.waits().1 };
        if !may {
            return Err(if self.closed { TryRecvError::Closed } else { TryRecvError::Empty });
        }
        let value = self.values.pop_front().unwrap();
        self.promise();
        Ok(value)
    }

    fn poll_send(&mut self, at: usize) -> Poll<Result<(), Closed<u32>>> {
        let (value, promised) = self.sends[at];
        if self.closed {
            self.sends.remove(at);
            return Poll::Ready(Err(Closed(value)));
        }
        if !promised {
            return Poll::Pending;
        }
        self.sends.remove(at);
        self.values.push_back(value);
        self.promise();
        Poll::Ready(Ok(()))
    }

    fn poll_recv(&mut self, at: usize) -> Poll<Result<u32, Closed>> {
        let claimed = self.receives[at];
        if !claimed && !self.closed {
            return Poll::Pending;
        }
        self.receives.remove(at);
        let value = self.values.pop_front();
        self.promise();
        Poll::Ready(value.ok_or(Closed(())))
    }
}

fn poll<T>(future: &mut Pin<Box<dyn Future<Output = T> + '_>>) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn agree(capacity: Option<usize>, steps: &[Step]) {
    let (sender, receiver) = match capacity {
        Some(capacity) => bounded(capacity),
        None => unbounded(),
    };
    let mut model = Model::new(capacity);
    let mut sends: Vec<Sending<'_>> = Vec::new();
    let mut receives: Vec<Receiving<'_>> = Vec::new();
    for (value, step) in (0..).zip(steps) {
        match *step {
            Step::TrySend => assert_eq!(sender.try_send(value), model.try_send(value)),
            Step::TryRecv => assert_eq!(receiver.try_recv(), model.try_recv()),
            Step::Send => {
                sends.push(Box::pin(sender.send(value)));
                // The model puts it into the line right away. The first poll gives the answer at once.
                model.sends.push((value, false));
                model.promise();
                poll_one_send(&mut sends, &mut model, usize::MAX);
            }
            Step::Recv => {
                receives.push(Box::pin(receiver.recv()));
                model.receives.push(false);
                model.promise();
                poll_one_recv(&mut receives, &mut model, usize::MAX);
            }
            Step::PollSend(at) => poll_one_send(&mut sends, &mut model, at),
            Step::PollRecv(at) => poll_one_recv(&mut receives, &mut model, at),
            Step::DropSend(at) if at < sends.len() => {
                drop(sends.remove(at));
                model.sends.remove(at);
                model.promise();
            }
            Step::DropRecv(at) if at < receives.len() => {
                drop(receives.remove(at));
                model.receives.remove(at);
                model.promise();
            }
            Step::DropSend(_) | Step::DropRecv(_) => {}
            Step::Close => {
                sender.close();
                model.closed = true;
            }
        }
        assert_eq!(receiver.len(), model.values.len(), "after {step:?}");
    }
}

fn poll_one_send(sends: &mut Vec<Sending<'_>>, model: &mut Model, at: usize) {
    let at = at.min(sends.len().saturating_sub(1));
    let Some(send) = sends.get_mut(at) else { return };
    let result = poll(send);
    assert_eq!(result, model.poll_send(at));
    if result.is_ready() {
        drop(sends.remove(at));
    }
}

fn poll_one_recv(receives: &mut Vec<Receiving<'_>>, model: &mut Model, at: usize) {
    let at = at.min(receives.len().saturating_sub(1));
    let Some(receive) = receives.get_mut(at) else { return };
    let result = poll(receive);
    assert_eq!(result, model.poll_recv(at));
    if result.is_ready() {
        drop(receives.remove(at));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 1 } else if cfg!(debug_assertions) { 500 } else { 20_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn hazard_17_a_bounded_channel_is_its_model(
        capacity in 1..4_usize,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        agree(Some(capacity), &steps);
    }

    #[test]
    fn hazard_17_an_unbounded_channel_is_its_model(steps in prop::collection::vec(step(), 1..60)) {
        agree(None, &steps);
    }

    #[test]
    fn a_priority_channel_sorts_and_keeps_the_order_of_equals(ranks in prop::collection::vec(0..5_u8, 0..40)) {
        /// Compares by rank alone.
        #[derive(Debug, Eq, PartialEq)]
        struct Job(u8, usize);
        impl Ord for Job {
            fn cmp(&self, other: &Job) -> std::cmp::Ordering { self.0.cmp(&other.0) }
        }
        impl PartialOrd for Job {
            fn partial_cmp(&self, other: &Job) -> Option<std::cmp::Ordering> { Some(self.cmp(other)) }
        }
        let (sender, receiver) = priority(100);
        for (number, rank) in ranks.iter().enumerate() {
            sender.try_send(Job(*rank, number)).unwrap();
        }
        let got: Vec<(u8, usize)> = std::iter::from_fn(|| receiver.try_recv().ok()).map(|job| (job.0, job.1)).collect();
        let mut sorted = got.clone();
        sorted.sort(); // by rank, then by number
        prop_assert_eq!(&got, &sorted);
        prop_assert_eq!(got.len(), ranks.len());
    }
}

// Row 67: who waits, and in which order.

#[test]
fn row_67_a_producer_waits_when_the_queue_is_full_and_join_when_it_is_not_done() {
    virtually(async {
        let queue = Queue::new(2);
        let producer = spawn({
            let queue = queue.clone();
            async move {
                for i in 0..5 {
                    queue.put(i).await.unwrap();
                }
            }
        });
        settle().await;
        assert_eq!((queue.len(), queue.unfinished(), producer.is_finished()), (2, 3, false));
        let joined = spawn({
            let queue = queue.clone();
            async move { queue.join().await }
        });
        for i in 0..5 {
            assert_eq!(queue.get().await, Ok(i));
            settle().await;
            assert!(!joined.is_finished(), "{i} is in a worker's hands");
            queue.task_done();
        }
        joined.await.unwrap();
        queue.join().await; // at once
        queue.close();
        assert_eq!(queue.put(7).await, Err(Closed(7)));
        assert_eq!(queue.unfinished(), 0, "what was not put in is not to be done");
        assert_eq!(queue.get().await, Err(Closed(())));
    });
}

#[test]
fn row_67_each_kind_has_its_order() {
    let order = |queue: Queue<i32>| {
        [3, 1, 2].into_iter().for_each(|i| queue.try_put(i).unwrap());
        std::iter::from_fn(|| queue.try_get().ok()).collect::<Vec<_>>()
    };
    assert_eq!(order(Queue::bounded(3)), [3, 1, 2]);
    assert_eq!(order(Queue::unbounded()), [3, 1, 2]);
    assert_eq!(order(Queue::lifo(3)), [2, 1, 3]);
    assert_eq!(order(Queue::priority(3)), [1, 2, 3]);
    let (sender, receiver) = lifo(2);
    sender.try_send(1).unwrap();
    sender.try_send(2).unwrap();
    assert!(sender.try_send(3).unwrap_err().is_full());
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(2), Ok(1)));
}

#[test]
#[should_panic(expected = "`task_done` was called more often")]
fn row_67_task_done_too_often_is_a_mistake() {
    Queue::<()>::new(1).task_done();
}

#[test]
fn row_69_workers_end_when_the_last_sender_is_gone_or_a_sentinel_comes() {
    virtually(async {
        let (sender, receiver) = bounded(2);
        let (results, collected) = unbounded();
        for _ in 0..4 {
            let (receiver, results) = (receiver.clone(), results.clone());
            spawn(async move {
                while let Ok(i) = receiver.recv().await {
                    time::sleep(Duration::from_millis(1)).await;
                    results.send((i, 2 * i)).await.unwrap();
                }
            })
            .detach();
        }
        drop((results, receiver));
        for i in 0..20 {
            sender.send(i).await.unwrap();
        }
        drop(sender);
        let mut all = Vec::new();
        while let Ok(result) = collected.recv().await {
            all.push(result);
        }
        all.sort();
        assert_eq!(all, (0..20).map(|i| (i, 2 * i)).collect::<Vec<_>>());
        assert_eq!(roundel::task::count(), 1, "no worker is left");

        let queue = Queue::new(2);
        let worker = spawn({
            let queue = queue.clone();
            async move {
                let mut done = 0;
                while let Ok(Some(_work)) = queue.get().await {
                    done += 1;
                }
                done
            }
        });
        for work in [Some(1), Some(2), None] {
            queue.put(work).await.unwrap();
        }
        assert_eq!(worker.await.unwrap(), 2);
    });
}

#[test]
fn row_70_producer_and_consumer() {
    virtually(async {
        let (sender, receiver) = bounded(3);
        let producer = async move {
            for i in 0..10 {
                time::sleep(Duration::from_millis(100)).await;
                sender.send(i).await.unwrap();
            }
        };
        let consumer = async {
            let mut got = Vec::new();
            while let Ok(i) = receiver.recv().await {
                got.push(i);
            }
            got
        };
        let start = time::now();
        let ((), got) = join!(producer, consumer);
        assert_eq!(got, (0..10).collect::<Vec<_>>());
        assert_eq!(time::now() - start, seconds(1));
    });
}

#[test]
fn row_71_hazard_22_a_fast_producer_waits_for_a_slow_consumer() {
    virtually(async {
        let (sender, receiver) = bounded(100);
        // The values that are alive: those in the channel, one with the sender, one with the receiver.
        let (live, most) = (Rc::new(Cell::new(0_usize)), Rc::new(Cell::new(0)));
        struct Counted(Rc<Cell<usize>>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        let (count, peak) = (live.clone(), most.clone());
        let producer = spawn(async move {
            for _ in 0..if cfg!(miri) { 300 } else { 10_000 } {
                count.set(count.get() + 1);
                peak.set(peak.get().max(count.get()));
                assert!(sender.send(Counted(count.clone())).await.is_ok());
            }
        });
        while let Ok(value) = receiver.recv().await {
            yield_now().await;
            drop(value);
        }
        producer.await.unwrap();
        assert_eq!((live.get(), most.get()), (0, 102));
    });
}

#[test]
fn row_72_three_stages() {
    virtually(async {
        let (numbers, to_double) = bounded(1);
        let (doubled, to_square) = bounded(1);
        let (squared, results) = bounded(1);
        spawn(async move {
            for n in -5..=9 {
                numbers.send(n).await.unwrap();
            }
        })
        .detach();
        spawn(async move {
            while let Ok(n) = to_double.recv().await {
                if n > 0 {
                    doubled.send(2 * n).await.unwrap();
                }
            }
        })
        .detach();
        spawn(async move {
            while let Ok(n) = to_square.recv().await {
                squared.send(n * n).await.unwrap();
            }
        })
        .detach();
        let mut all = Vec::new();
        while let Ok(n) = results.recv().await {
            all.push(n);
        }
        assert_eq!(all, [4, 16, 36, 64, 100, 144, 196, 256, 324]);
    });
}

// Both ends, closed, dropped, empty.

#[test]
fn what_is_in_a_closed_channel_can_still_be_received() {
    virtually(async {
        for close in [
            |ends: (Sender<i32>, Receiver<i32>)| {
                ends.0.close();
                ends
            },
            |ends: (Sender<i32>, Receiver<i32>)| {
                ends.1.close();
                ends
            },
        ] {
            let ends = bounded(2);
            ends.0.try_send(1).unwrap();
            let (sender, receiver) = close(ends);
            assert!(sender.is_closed() && receiver.is_closed());
            assert_eq!(sender.try_send(2), Err(TrySendError::Closed(2)));
            assert_eq!(sender.send(3).await, Err(Closed(3)));
            assert!(sender.reserve().await.is_err());
            assert_eq!(receiver.recv().await, Ok(1));
            assert_eq!(receiver.recv().await, Err(Closed(())));
            assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
        }
    });
}

#[test]
fn closing_wakes_all_waiters() {
    virtually(async {
        let (sender, receiver) = bounded::<u8>(1);
        let waits: Vec<_> = (0..3)
            .map(|_| {
                let receiver = receiver.clone();
                spawn(async move { receiver.recv().await.is_err() })
            })
            .collect();
        settle().await;
        drop(sender);
        for wait in waits {
            assert!(wait.await.unwrap());
        }

        let (sender, receiver) = bounded(1);
        sender.try_send(0).unwrap();
        let waits: Vec<_> = (1..4)
            .map(|i| {
                let sender = sender.clone();
                spawn(async move { sender.send(i).await })
            })
            .collect();
        settle().await;
        drop(receiver);
        for (i, wait) in (1..).zip(waits) {
            assert_eq!(wait.await.unwrap(), Err(Closed(i)), "the value comes back");
        }
    });
}

#[test]
fn a_value_that_cannot_be_received_any_more_is_dropped_with_the_last_receiver() {
    let value = Rc::new(());
    let (sender, receiver) = bounded(1);
    let other = receiver.clone();
    sender.try_send(value.clone()).unwrap();
    assert_eq!((sender.senders(), sender.receivers(), sender.capacity()), (1, 2, Some(1)));
    drop(receiver);
    assert_eq!(Rc::strong_count(&value), 2);
    drop(other);
    assert_eq!(Rc::strong_count(&value), 1);
    assert!(sender.is_empty());
}

#[test]
fn room_that_was_reserved_is_for_a_value_or_goes_back() {
    virtually(async {
        let (sender, receiver) = bounded(1);
        let permit = sender.reserve().await.unwrap();
        assert!(sender.try_send(1).unwrap_err().is_full());
        drop(permit);
        let permit = sender.reserve().await.unwrap();
        permit.send(2).unwrap();
        assert_eq!(receiver.recv().await, Ok(2));
        let permit = sender.reserve().await.unwrap();
        receiver.close();
        assert_eq!(permit.send(3), Err(Closed(3)));
    });
}

#[test]
fn a_receiver_is_a_stream() {
    use futures_core::Stream;
    virtually(async {
        let (sender, mut receiver) = bounded(1);
        let sending = async move {
            for i in 0..3 {
                sender.send(i).await.unwrap();
            }
        };
        let receiving = async {
            let mut all = Vec::new();
            while let Some(i) = std::future::poll_fn(|cx| Pin::new(&mut receiver).poll_next(cx)).await {
                all.push(i);
            }
            all
        };
        assert_eq!(join!(sending, receiving).1, [0, 1, 2]);
    });
}

// Capacity 0.

#[test]
fn a_rendezvous_ends_for_the_sender_when_a_receiver_has_the_value() {
    virtually(async {
        let (sender, receiver) = bounded(0);
        assert!(sender.try_send(0).unwrap_err().is_full(), "no receiver is there");
        let sending = spawn({
            let sender = sender.clone();
            async move { sender.send(1).await }
        });
        settle().await;
        assert!(!sending.is_finished());
        assert_eq!(receiver.recv().await, Ok(1));
        sending.await.unwrap().unwrap();
        let receiving = spawn(async move { receiver.recv().await });
        settle().await;
        sender.try_send(2).unwrap();
        assert!(sender.try_send(3).unwrap_err().is_full(), "it has one");
        assert_eq!(receiving.await.unwrap(), Ok(2));
    });
}

#[test]
fn a_rendezvous_that_is_cut_takes_its_value_back() {
    virtually(async {
        let places = at_every_await(async |cut| {
            let (sender, receiver) = bounded(0);
            let value = Rc::new(());
            let receives = async {
                yield_now().await;
                yield_now().await;
                time::timeout(seconds(1), receiver.recv()).await.is_ok()
            };
            let (sent, received) = join!(cut.run(sender.send(value.clone())), receives);
            // The value was sent and received, or neither, or it was received just before the sender was cut.
            assert!(received || sent.is_none());
            assert_eq!(Rc::strong_count(&value), 1);
            // And the channel works as before.
            let (again, got) = join!(sender.send(value.clone()), receiver.recv());
            assert!(again.is_ok() && got.is_ok());
            assert!(receiver.is_empty());
        })
        .await;
        assert!(places >= 3, "{places}");
    });
}

#[test]
fn a_rendezvous_gives_the_value_back_when_it_is_closed_in_the_middle() {
    virtually(async {
        let (sender, receiver) = bounded(0);
        let (sent, ()) = join!(sender.send(5), async {
            yield_now().await;
            receiver.close();
        });
        assert_eq!(sent, Err(Closed(5)));
        assert_eq!(receiver.recv().await, Err(Closed(())));
    });
}

#[test]
fn a_claim_whose_value_was_taken_back_is_no_claim() {
    virtually(async {
        let (sender, receiver) = bounded(0);
        let receiving = spawn({
            let receiver = receiver.clone();
            async move { receiver.recv().await }
        });
        settle().await;
        {
            // The value is offered to the receiver, which is woken. It is taken back before the receiver is polled.
            let mut send = pin!(sender.send(1));
            assert!(send.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        settle().await;
        assert!(!receiving.is_finished());
        sender.send(2).await.unwrap();
        assert_eq!(receiving.await.unwrap(), Ok(2));
    });
}

#[test]
fn values_that_were_taken_back_leave_nothing_to_look_through() {
    virtually(async {
        let (sender, receiver) = bounded(0);
        for _ in 0..1_000 {
            // Each has its own budget.
            yield_now().await;
            let mut send = pin!(sender.send(1));
            assert!(send.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        yield_now().await;
        let polls = Cell::new(0);
        let mut recv = pin!(receiver.recv());
        let counted = std::future::poll_fn(|cx| {
            polls.set(polls.get() + 1);
            recv.as_mut().poll(cx)
        });
        let (got, sent) = join!(counted, async {
            settle().await;
            sender.send(2).await
        });
        assert_eq!((got, sent, polls.get()), (Ok(2), Ok(()), 2));
    });
}

// What "cancel safe" means.

#[test]
fn cut_at_every_await_no_value_is_lost_by_a_receiver_nor_room_by_a_sender() {
    virtually(async {
        for capacity in [0, 1, 3] {
            at_every_await(async |cut| {
                let (sender, receiver) = bounded(capacity);
                let got = RefCell::new(Vec::new());
                let receives = async {
                    let first = cut.run(receiver.recv()).await;
                    got.borrow_mut().extend(first.map(Result::unwrap));
                    let begun = got.borrow().len();
                    for _ in begun..4 {
                        let value = receiver.recv().await.unwrap();
                        got.borrow_mut().push(value);
                    }
                };
                let sends = async {
                    for i in 0..4 {
                        sender.send(i).await.unwrap();
                    }
                };
                join!(receives, sends);
                assert_eq!(*got.borrow(), [0, 1, 2, 3]);
            })
            .await;
            at_every_await(async |cut| {
                let (sender, receiver) = bounded(capacity.max(1));
                (0..capacity.max(1)).for_each(|i| sender.try_send(i).unwrap());
                let (permit, first) = join!(cut.run(sender.reserve()), receiver.recv());
                assert_eq!(first, Ok(0));
                drop(permit);
                sender.try_send(9).unwrap();
            })
            .await;
        }
    });
}

#[test]
fn hazard_18_a_send_that_is_cut_loses_its_value_and_reserve_does_not() {
    virtually(async {
        // The table says "no". Here the value is lost.
        let lost = Cell::new(0);
        at_every_await(async |cut| {
            let (sender, receiver) = bounded(1);
            sender.try_send(Rc::new(())).unwrap();
            let value = Rc::new(());
            let alive = Rc::downgrade(&value);
            let (_, first) = join!(cut.run(sender.send(value)), receiver.recv());
            // The value is neither in the channel nor with a task.
            lost.set(lost.get() + usize::from(first.is_ok() && alive.upgrade().is_none()));
        })
        .await;
        assert!(lost.get() > 0);
        // The cure: the value stays in hand until there is room for it.
        at_every_await(async |cut| {
            let (sender, receiver) = bounded(1);
            sender.try_send(0).unwrap();
            let value = Some(1);
            let (permit, first) = join!(cut.run(sender.reserve()), receiver.recv());
            assert_eq!(first, Ok(0));
            if let Some(permit) = permit {
                permit.unwrap().send(1).unwrap();
                assert_eq!(receiver.try_recv(), Ok(1));
            } else {
                assert_eq!(value, Some(1), "still ours");
            }
        })
        .await;
    });
}

// One value; every value; the latest value.

#[test]
fn a_oneshot_gives_its_value_or_says_that_none_will_come() {
    virtually(async {
        let (sender, receiver) = oneshot();
        assert_eq!(sender.send(1), Ok(()));
        assert_eq!(receiver.await, Ok(1));
        let (sender, receiver) = oneshot::<u8>();
        drop(sender);
        assert_eq!(receiver.await, Err(Closed(())));
        let (sender, receiver) = oneshot();
        drop(receiver);
        assert!(sender.is_closed());
        assert_eq!(sender.send(2), Err(Closed(2)));
        let (sender, mut receiver) = oneshot();
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
        sender.send(3).unwrap();
        receiver.close();
        assert_eq!(receiver.try_recv(), Ok(3), "it had been sent before");
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    });
}

#[test]
fn hazard_20_a_oneshot_dropped_in_any_order_drops_its_value_once() {
    for order in 0..4 {
        let value = Rc::new(());
        let (sender, mut receiver) = oneshot();
        let mut cx = Context::from_waker(Waker::noop());
        let _ = order & 1 == 0 || Pin::new(&mut receiver).poll(&mut cx).is_ready();
        if order & 2 == 0 {
            sender.send(value.clone()).unwrap();
            drop(receiver);
        } else {
            drop(receiver);
            assert!(sender.send(value.clone()).is_err());
        }
        assert_eq!(Rc::strong_count(&value), 1);
    }
}

#[test]
fn a_oneshots_sender_can_wait_for_the_end_of_interest() {
    virtually(async {
        let (mut sender, receiver) = oneshot::<u8>();
        let interest = spawn(async move { time::timeout(seconds(1), receiver).await.is_err() });
        let start = time::now();
        sender.closed().await;
        assert_eq!(time::now() - start, seconds(1));
        assert!(interest.await.unwrap());
    });
}

#[test]
fn everybody_hears_a_broadcast_and_the_slow_hear_what_they_missed() {
    virtually(async {
        let (sender, mut quick) = broadcast(3);
        let mut slow = sender.subscribe();
        for i in 0..5 {
            assert_eq!(sender.send(i), Ok(2));
            assert_eq!(quick.recv().await, Ok(i));
        }
        let mut late = sender.subscribe();
        assert_eq!((slow.len(), late.len()), (5, 0));
        assert_eq!(slow.recv().await, Err(BroadcastError::Lagged(2)));
        let mut copy = slow.clone();
        for i in 2..5 {
            assert_eq!((slow.recv().await, copy.recv().await), (Ok(i), Ok(i)));
        }
        sender.send(5).unwrap();
        drop(sender);
        assert_eq!((late.recv().await, late.recv().await), (Ok(5), Err(BroadcastError::Closed)));
        let text = BroadcastError::Lagged(2).to_string();
        assert!(text.contains("missed 2 values"), "{text}");
    });
}

#[test]
fn a_broadcast_without_receivers_comes_back_and_keeps_nothing() {
    let value = Rc::new(());
    let (sender, receiver) = broadcast(3);
    sender.send(value.clone()).unwrap();
    drop(receiver);
    assert_eq!(Rc::strong_count(&value), 1);
    assert!(sender.send(value.clone()).is_err());
    assert_eq!(sender.subscribe().len(), 0);
    assert_eq!(sender.receivers(), 0);
}

#[test]
fn a_watch_tells_of_the_latest_once() {
    virtually(async {
        let (sender, mut receiver) = watch(0);
        let mut other = receiver.clone();
        assert!(!receiver.has_changed());
        for i in 1..4 {
            sender.send(i).unwrap();
        }
        receiver.changed().await.unwrap();
        assert_eq!(*receiver.borrow(), 3);
        assert!(time::timeout(seconds(1), receiver.changed()).await.is_err());
        assert!(other.has_changed());
        assert_eq!(*other.borrow_and_update(), 3);
        assert!(!other.has_changed());
        let kept = receiver.borrow(); // this does not stop the sender
        let (found, ()) = join!(receiver.wait_for(|value| *value == 5), async {
            for i in 4..7 {
                let _ = sender.send(i);
                yield_now().await;
            }
        });
        assert_eq!((*kept, found.map(|value| *value)), (3, Ok(5)));
        drop(other);
        let (closed, ()) = join!(time::timeout(seconds(1), sender.closed()), async { drop(receiver) });
        assert!(closed.is_ok());
        assert_eq!(sender.send(9), Err(Closed(9)));
        assert_eq!((*sender.replace(9), *sender.borrow()), (6, 9));
        let mut late = sender.subscribe();
        drop(sender);
        assert_eq!(late.changed().await, Err(Closed(())));
    });
}

// Foreign code.

#[test]
fn hazard_5_a_value_that_uses_the_channel_while_it_is_compared_or_dropped() {
    thread_local!(static ENDS: RefCell<Option<(Sender<Meddler>, Receiver<Meddler>)>> = const { RefCell::new(None) });

    struct Meddler(u8);
    impl Meddler {
        fn meddle(&self) {
            let ends = ENDS.with(|ends| ends.borrow().clone());
            if let Some((sender, receiver)) = ends
                && self.0 < 100
            {
                let _ = sender.try_send(Meddler(100));
                assert!(sender.len() <= 10 && receiver.capacity() == Some(10));
            }
        }
    }
    impl Ord for Meddler {
        fn cmp(&self, other: &Meddler) -> std::cmp::Ordering {
            self.meddle();
            self.0.cmp(&other.0)
        }
    }
    impl PartialOrd for Meddler {
        fn partial_cmp(&self, other: &Meddler) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }
    impl PartialEq for Meddler {
        fn eq(&self, other: &Meddler) -> bool {
            self.cmp(other).is_eq()
        }
    }
    impl Eq for Meddler {}
    impl Drop for Meddler {
        fn drop(&mut self) {
            self.meddle();
        }
    }

    ENDS.set(Some(priority(10)));
    let (sender, receiver) = ENDS.with(|ends| ends.borrow().clone()).unwrap();
    for rank in [3, 1, 2] {
        sender.try_send(Meddler(rank)).ok().unwrap();
    }
    // The value that the comparison has sent is there, too, and comes last.
    let mut ranks = Vec::new();
    while let Ok(value) = receiver.try_recv() {
        ranks.push(value.0);
        if ranks.len() > 50 {
            break;
        }
    }
    assert_eq!(&ranks[..3], [1, 2, 3]);
    assert!(ranks[3..].iter().all(|rank| *rank == 100) && ranks.len() > 3, "{ranks:?}");
    ENDS.set(None);
}

#[test]
fn hazard_13_an_always_full_channel_does_not_hold_the_loop() {
    virtually(async {
        let (sender, receiver) = unbounded();
        (0..1_000).for_each(|i| sender.try_send(i).unwrap());
        let polls = Rc::new(Cell::new(0));
        let count = polls.clone();
        let greedy = spawn(async move { while receiver.recv().await.is_ok() {} });
        let other = spawn(async move {
            loop {
                count.set(count.get() + 1);
                yield_now().await;
            }
        });
        settle_after(&greedy, sender).await;
        assert!(polls.get() >= 1_000 / 128, "{}", polls.get());
        other.cancel();
    });
}

async fn settle_after(task: &roundel::JoinHandle<()>, sender: Sender<i32>) {
    drop(sender);
    while !task.is_finished() {
        yield_now().await;
    }
}

#[test]
fn values_of_many_senders_reach_many_receivers_once() {
    for seed in 0..if cfg!(miri) { 2 } else { 100 } {
        let runtime = Runtime::builder().virtual_time(true).shuffle(seed).build().unwrap();
        runtime.block_on(async {
            let (sender, receiver) = bounded((seed % 4) as usize);
            let senders = (0..5).map(|from| {
                let sender = sender.clone();
                spawn(async move {
                    for i in 0..20 {
                        sender.send((from, i)).await.unwrap();
                    }
                })
            });
            let senders: Vec<_> = senders.collect();
            let receivers: Vec<_> = (0..3)
                .map(|_| {
                    let receiver = receiver.clone();
                    spawn(async move {
                        let mut got = Vec::new();
                        while let Ok(value) = receiver.recv().await {
                            got.push(value);
                        }
                        got
                    })
                })
                .collect();
            drop(sender);
            gather(senders).await;
            let mut all: Vec<(u32, u32)> = Vec::new();
            for got in gather(receivers).await {
                let got = got.unwrap();
                // Each receiver sees the values of one sender in their order.
                assert!((0..5).all(|from| got.iter().filter(|value| value.0 == from).is_sorted()));
                all.extend(got);
            }
            all.sort();
            let expected: Vec<_> = (0..5).flat_map(|from| (0..20).map(move |i| (from, i))).collect();
            assert_eq!(all, expected, "seed {seed}");
        });
    }
}

#[test]
fn errors_say_what_to_do() {
    let (sender, receiver) = bounded(1);
    sender.try_send(1).unwrap();
    assert_eq!(sender.try_send(2).unwrap_err().to_string(), "there is no room: wait for it with `send`");
    assert_eq!(sender.try_send(2).unwrap_err().into_inner(), 2);
    receiver.try_recv().unwrap();
    assert_eq!(receiver.try_recv().unwrap_err().to_string(), "there is no value: wait for one with `recv`");
    assert_eq!(Closed(5).into_inner(), 5);
    assert_eq!(format!("{sender:?}"), "Sender(Channel { len: 0, capacity: Some(1), closed: false })");
    let smallest = channel::priority(2);
    smallest.0.try_send(Reverse(1)).unwrap();
    smallest.0.try_send(Reverse(2)).unwrap();
    assert_eq!(smallest.1.try_recv(), Ok(Reverse(2)));
}
