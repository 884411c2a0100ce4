//! Channels where something happens in the middle of an operation: a waker that uses the channel while it is woken, a
//! stream whose `next` is dropped, a value whose destructor panics.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;
use roundel::channel::{
    self, Closed, OneshotReceiver, OneshotSender, Receiver, Sender, bounded, broadcast, lifo, oneshot,
    priority, unbounded,
};

thread_local! {
    /// The action of the next wake of a [`Meddler`].
    static ACTION: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// A waker that does something with the channel while it is woken.
struct Meddler;

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        if let Some(action) = ACTION.take() {
            action();
        }
    }
}

/// A waker that runs `action` at its first wake.
fn waker_that(action: impl FnOnce() + 'static) -> Waker {
    ACTION.set(Some(Box::new(action)));
    Waker::from(Arc::new(Meddler))
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

type Received = Rc<RefCell<Vec<Result<u8, Closed>>>>;

/// The receiver that is called first, in a place where its waker can reach it.
type First = Rc<RefCell<Pin<Box<dyn Future<Output = Result<u8, Closed>>>>>>;

/// What a meddler does with a rendezvous channel after a value has been put into it for the first receiver.
fn meddle(how: &str, first: &First, receiver: &Receiver<u8>, received: &Received) {
    match how {
        "polls itself" => {
            if let Poll::Ready(result) = poll(&mut *first.borrow_mut(), Waker::noop()) {
                received.borrow_mut().push(result);
            }
        }
        "receives" => {
            received.borrow_mut().extend(receiver.try_recv().map(Ok));
        }
        "polls another recv" => {
            if let Poll::Ready(result) = poll(&mut receiver.recv(), Waker::noop()) {
                received.borrow_mut().push(result);
            }
        }
        "closes" => receiver.close(),
        "does nothing" => {}
        _ => unreachable!(),
    }
}

#[test]
fn a_rendezvous_ends_however_the_receivers_waker_meddles() {
    for how in ["does nothing", "polls itself", "receives", "polls another recv", "closes"] {
        for then in ["polled", "dropped"] {
            let (sender, receiver) = bounded(0);
            let (received, asking) = (Received::default(), receiver.clone());
            let first: First = Rc::new(RefCell::new(Box::pin(async move { asking.recv().await })));
            let waker = waker_that({
                let (first, receiver, received) = (first.clone(), receiver.clone(), received.clone());
                move || meddle(how, &first, &receiver, &received)
            });
            assert!(poll(&mut *first.borrow_mut(), &waker).is_pending());
            // The value goes in, the first receiver is called, and its waker meddles.
            let mut sending = sender.send(7);
            let mut sent = poll(&mut sending, Waker::noop());
            if how != "polls itself"
                && let Poll::Ready(result) = poll(&mut *first.borrow_mut(), Waker::noop())
            {
                received.borrow_mut().push(result);
            }
            if sent.is_pending() && then == "polled" {
                sent = poll(&mut sending, Waker::noop());
            }
            drop(sending);
            // Each value was received once, or came back, or was dropped with the send.
            let got = received.borrow().iter().filter(|result| result.is_ok()).count();
            match sent {
                Poll::Ready(Ok(())) => assert_eq!(got, 1, "{how}, {then}"),
                Poll::Ready(Err(Closed(7))) => assert_eq!((got, how), (0, "closes"), "{then}"),
                Poll::Ready(Err(_)) => unreachable!(),
                Poll::Pending => assert_eq!(then, "dropped", "{how}: the send waits for ever"),
            }
            drop(first);
            assert_empty(&sender, &receiver, &format!("{how}, {then}"));
        }
    }
}

/// Holds nothing, and lets exactly one value pass at a time.
fn assert_empty(sender: &Sender<u8>, receiver: &Receiver<u8>, what: &str) {
    assert!(receiver.try_recv().is_err(), "{what}: a value is left");
    assert_eq!(receiver.len(), 0, "{what}");
    if receiver.is_closed() {
        return;
    }
    let (mut one, mut two) = (sender.send(1), sender.send(2));
    assert!(poll(&mut one, Waker::noop()).is_pending(), "{what}");
    assert!(poll(&mut two, Waker::noop()).is_pending(), "{what}");
    assert_eq!(receiver.len(), 1, "{what}: room for one value in passing");
    assert_eq!(receiver.try_recv(), Ok(1), "{what}");
    assert_eq!(poll(&mut one, Waker::noop()), Poll::Ready(Ok(())), "{what}");
    assert!(poll(&mut two, Waker::noop()).is_pending(), "{what}");
    assert_eq!(receiver.try_recv(), Ok(2), "{what}");
    assert_eq!(poll(&mut two, Waker::noop()), Poll::Ready(Ok(())), "{what}");
}

#[test]
fn a_stream_that_is_polled_no_more_keeps_no_value_from_the_other_receivers() {
    type Make = fn() -> (Sender<u8>, Receiver<u8>);
    let channels: [Make; 4] = [|| bounded(1), unbounded, || lifo(1), || priority(1)];
    for make in channels {
        let (sender, mut stream) = make();
        let clone = stream.clone();
        // As in `select! { stream.next(), tick }`: the `next` is polled once and then dropped.
        assert!(Pin::new(&mut stream).poll_next(&mut Context::from_waker(Waker::noop())).is_pending());
        let mut recv = pin!(clone.recv());
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        assert!(recv.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        sender.try_send(7).unwrap();
        assert!(woken.0.load(std::sync::atomic::Ordering::SeqCst), "the one that waits is woken");
        assert_eq!(recv.poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(7)));
    }
}

#[derive(Default)]
struct Woken(std::sync::atomic::AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn two_streams_that_wait_are_both_woken_and_the_first_to_come_has_the_value() {
    let (sender, mut one) = bounded(2);
    let mut two = one.clone();
    let wokens: [Arc<Woken>; 2] = Default::default();
    let wakers = wokens.clone().map(Waker::from);
    assert!(Pin::new(&mut one).poll_next(&mut Context::from_waker(&wakers[0])).is_pending());
    assert!(Pin::new(&mut two).poll_next(&mut Context::from_waker(&wakers[1])).is_pending());
    sender.try_send(7).unwrap();
    assert!(wokens.iter().all(|woken| woken.0.load(std::sync::atomic::Ordering::SeqCst)));
    assert_eq!(Pin::new(&mut two).poll_next(&mut Context::from_waker(&wakers[1])), Poll::Ready(Some(7)));
    assert!(Pin::new(&mut one).poll_next(&mut Context::from_waker(&wakers[0])).is_pending());
    drop(sender);
    assert_eq!(Pin::new(&mut one).poll_next(&mut Context::from_waker(&wakers[0])), Poll::Ready(None));
}

/// A request with a client that waits for the reply. Some requests panic when they are dropped.
struct Request {
    rank: u8,
    _reply: OneshotSender<()>,
    bomb: Bomb,
}

struct Bomb {
    explodes: bool,
    dropped: Rc<Cell<u32>>,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        self.dropped.set(self.dropped.get() + 1);
        assert!(!self.explodes, "a value that panics when it is dropped");
    }
}

impl PartialEq for Request {
    fn eq(&self, other: &Request) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Request {}

impl PartialOrd for Request {
    fn partial_cmp(&self, other: &Request) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Request {
    fn cmp(&self, other: &Request) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}

/// Five requests and their clients. The second and the fourth request panic when they are dropped.
fn requests(dropped: &Rc<Cell<u32>>) -> (Vec<Request>, Vec<OneshotReceiver<()>>) {
    let request = |rank| {
        let (reply, client) = oneshot();
        let bomb = Bomb { explodes: rank % 2 == 1, dropped: dropped.clone() };
        (Request { rank, _reply: reply, bomb }, client)
    };
    (0..5).map(request).unzip()
}

#[test]
fn what_is_in_a_channel_goes_with_its_last_receiver_also_if_some_of_it_panics() {
    type Fill = fn(Vec<Request>) -> Box<dyn std::any::Any>;
    fn filled(
        (sender, receiver): (Sender<Request>, Receiver<Request>),
        requests: Vec<Request>,
    ) -> Box<dyn std::any::Any> {
        for request in requests {
            assert!(sender.try_send(request).is_ok());
        }
        // The sender stays, so the drop of the last receiver empties the channel.
        std::mem::forget(sender);
        Box::new(receiver)
    }
    let kinds: [(&str, Fill); 6] = [
        ("bounded", |requests| filled(bounded(5), requests)),
        ("unbounded", |requests| filled(unbounded(), requests)),
        ("lifo", |requests| filled(lifo(5), requests)),
        ("priority", |requests| filled(priority(5), requests)),
        ("queue", |requests| {
            let queue = channel::Queue::new(5);
            requests.into_iter().for_each(|request| assert!(queue.try_put(request).is_ok()));
            Box::new(queue)
        }),
        ("broadcast", |requests| {
            let (sender, receiver) = broadcast(5);
            requests.into_iter().for_each(|request| drop(sender.send(Rc::new(request))));
            std::mem::forget(sender);
            Box::new(receiver)
        }),
    ];
    for (kind, fill) in kinds {
        let dropped = Rc::new(Cell::new(0));
        let (requests, clients) = requests(&dropped);
        assert_eq!(requests.iter().filter(|request| request.bomb.explodes).count(), 2);
        let channel = fill(requests);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(channel))).is_err(), "{kind}: the first panic goes on");
        assert_eq!(dropped.get(), 5, "{kind}");
        for mut client in clients {
            assert_eq!(
                poll(&mut client, Waker::noop()),
                Poll::Ready(Err(Closed(()))),
                "{kind}: a client hears of it"
            );
        }
    }
}

/// A value, or a waker, whose destructor panics.
#[derive(Clone)]
struct Explosive;

impl Wake for Explosive {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Explosive {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "as planned");
    }
}

#[test]
fn a_broadcast_wakes_its_receivers_also_if_the_oldest_value_panics() {
    let (sender, _first) = broadcast(1);
    assert!(sender.send(Some(Explosive)).is_ok());
    let mut receiver = sender.subscribe();
    let mut hears = pin!(receiver.recv());
    let woken = Rc::new(Cell::new(false));
    let flag = woken.clone();
    assert!(poll(&mut hears, &waker_that(move || flag.set(true))).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| sender.send(None))).is_err(), "the panic is the sender's");
    assert!(woken.get(), "the receiver is woken");
    assert!(poll(&mut hears, Waker::noop()).is_ready());
}

#[test]
fn a_receiver_of_a_oneshot_tells_its_sender_that_it_is_gone_also_if_its_waker_panics() {
    let (mut sender, mut receiver) = oneshot::<u8>();
    let mut closed = pin!(sender.closed());
    let woken = Rc::new(Cell::new(false));
    let flag = woken.clone();
    assert!(poll(&mut closed, &waker_that(move || flag.set(true))).is_pending());
    assert!(poll(&mut receiver, &Waker::from(Arc::new(Explosive))).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(receiver))).is_err(), "the panic is the receiver's");
    assert!(woken.get(), "the sender is woken");
    assert!(poll(&mut closed, Waker::noop()).is_ready());
}

/// A value that runs an action when it is compared, and reports its drop.
struct Compared(Rc<Cell<u32>>);

impl Drop for Compared {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

impl Ord for Compared {
    fn cmp(&self, _: &Compared) -> std::cmp::Ordering {
        if let Some(action) = ACTION.take() {
            action();
        }
        std::cmp::Ordering::Equal
    }
}

impl PartialOrd for Compared {
    fn partial_cmp(&self, other: &Compared) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Compared {
    fn eq(&self, other: &Compared) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Compared {}

#[test]
fn what_is_in_a_channel_goes_with_its_last_receiver_also_while_values_are_compared() {
    let (sender, receiver) = priority(3);
    let dropped = Rc::new(Cell::new(0));
    assert!(sender.try_send(Compared(dropped.clone())).is_ok());
    ACTION.set(Some(Box::new(move || drop(receiver))));
    let _ = sender.try_send(Compared(dropped.clone()));
    assert_eq!((sender.receivers(), sender.len(), dropped.get()), (0, 0, 2));
}
