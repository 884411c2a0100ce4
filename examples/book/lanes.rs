//! Sixteen tasks that never stop, and one that waits for a message: from a task, and then from the kernel.
//!
//! Run it with `cargo run --release --example lanes`. It counts polls, so its figures are exact.
//!
//! Facts. The loop looks at the kernel after a stretch of polls. On virtual time, a stretch always has 32. A task that
//! is woken then goes to the end of a queue, and sixteen tasks are already in one.
//!
//! What follows. The queue has two lanes, and the loop takes from them alternately. A task that the kernel has woken
//! waits for one of the others, and not for sixteen.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::io::Write;
use std::os::unix::net;
use std::rc::Rc;

use examples::{args, println};
use roundel::probe::Event;
use roundel::{JoinHandle, Runtime, channel, spawn, yield_now};
use roundel_net::UnixStream;

/// A task that reads, and what sends to it.
type Pair = (JoinHandle<()>, Box<dyn FnOnce()>);

async fn never_stop() {
    loop {
        yield_now().await;
    }
}

/// Sends something to a reader in the middle of all this. How many polls are there between the message and the reader's
/// wake, and between the wake and its poll?
fn delays(make: fn() -> Pair) -> (usize, usize) {
    let events: Rc<RefCell<Vec<Event>>> = Rc::default();
    let sink = Rc::clone(&events);
    let builder = Runtime::builder().virtual_time(true).probe(move |event| sink.borrow_mut().push(event));
    let runtime = builder.build().expect("descriptors for a loop");
    let (sent, reader) = runtime.block_on(async {
        (0..16).for_each(|_| spawn(never_stop()).detach());
        let (reader, send) = make();
        let id = reader.id();
        for _ in 0..100 {
            yield_now().await;
        }
        let sent = events.borrow().len();
        send();
        reader.await.expect("it only reads");
        (sent, id)
    });
    let events = &events.borrow()[sent..];
    let at = |wanted: &dyn Fn(&Event) -> bool| events.iter().position(wanted).expect("it happened");
    let woken = at(&|event| matches!(event, Event::Wake { task, .. } if *task == reader));
    let polled = at(&|event| matches!(event, Event::PollBegin { task } if *task == reader));
    let polls = |events: &[Event]| events.iter().filter(|e| matches!(e, Event::PollBegin { .. })).count();
    (polls(&events[..woken]), polls(&events[woken..polled]))
}

fn by_a_task() -> Pair {
    let (sender, receiver) = channel::unbounded();
    let reader = spawn(async move { receiver.recv().await.expect("the sender is there") });
    (reader, Box::new(move || sender.try_send(()).expect("there is room")))
}

fn by_the_kernel() -> Pair {
    let (mut theirs, ours) = net::UnixStream::pair().expect("a pair of sockets");
    let ours = UnixStream::from_std(ours).expect("a socket that is ours");
    let reader = spawn(async move { ours.read_exact(&mut [0]).await.expect("one byte comes") });
    (reader, Box::new(move || theirs.write_all(b"!").expect("there is room")))
}

fn main() {
    args::none();
    for (who, make) in [("a task", by_a_task as fn() -> Pair), ("the kernel", by_the_kernel)] {
        let (before, after) = delays(make);
        println!("woken by {who}: {before} polls until the wake, {after} from there to its own");
    }
}
