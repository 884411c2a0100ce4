//! What a future is made of: its size, what happens when it is created and not polled, and where each poll ends.
//!
//! Run it with `cargo run --release --example future_sizes`, and add the name of a part to see only that one. It has no
//! loop: it polls by hand.
//!
//! Facts. An `async fn` has no stack of its own. What it still needs after an `.await` has to be in the future that it
//! returns. What it does not need after any `.await` is not there.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::future::{pending, ready};
use std::panic::{self, AssertUnwindSafe};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use examples::{args, println};

/// `Pending` once, and then `Ready`. It keeps no waker, because code that polls by hand needs none.
#[derive(Default)]
struct Pause {
    is_over: bool,
}

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.is_over, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

async fn nothing() {}

async fn holds_a_byte() -> u8 {
    let byte = 7;
    Pause::default().await;
    byte
}

async fn holds_64_bytes() -> u8 {
    let buffer = [7; 64];
    Pause::default().await;
    buffer[63]
}

struct Buffer([u8; 64]);

/// Fills the buffer, as a read would.
fn fill(buffer: &mut Buffer) {
    buffer.0 = [7; 64];
}

fn take(buffer: Buffer) -> u8 {
    buffer.0[63]
}

/// Wrong: the compiler keeps a borrowed value until its block ends, even if it was given away before.
async fn gives_its_buffer_away() -> u8 {
    let mut buffer = Buffer([0; 64]);
    fill(&mut buffer);
    let byte = take(buffer);
    Pause::default().await;
    byte
}

async fn ends_its_block() -> u8 {
    let byte = {
        let mut buffer = Buffer([0; 64]);
        fill(&mut buffer);
        take(buffer)
    };
    Pause::default().await;
    byte
}

/// Two awaits that are never active at the same time share their space.
async fn one_after_the_other() -> u8 {
    holds_64_bytes().await + holds_64_bytes().await
}

/// Two futures that live at the same time each need their own space.
async fn both_at_once() -> u8 {
    let (first, second) = (holds_64_bytes(), holds_64_bytes());
    first.await + second.await
}

fn sizes() {
    let size = |what: &str, size: usize| println!("{size:>5} bytes  {what}");
    size("an async fn without an await", size_of_val(&nothing()));
    size("holds a byte across an await", size_of_val(&holds_a_byte()));
    size("holds 64 bytes across an await", size_of_val(&holds_64_bytes()));
    size("fills a buffer, gives it away and keeps a byte", size_of_val(&gives_its_buffer_away()));
    size("the same, but with braces around the buffer", size_of_val(&ends_its_block()));
    size("awaits the 64 bytes twice, one after the other", size_of_val(&one_after_the_other()));
    size("has both futures before it awaits the first", size_of_val(&both_at_once()));
    size("the same, in a box", size_of_val(&Box::pin(both_at_once())));
}

/// An async fn of three parts; it prints which of them runs.
async fn order(log: &Cell<&'static str>) -> u32 {
    log.set("from the beginning to the first await");
    let rice = cooked(20).await;
    log.set("from the first await to the second");
    let tea = cooked(22).await;
    log.set("from the second await to the end");
    rice + tea
}

async fn cooked(value: u32) -> u32 {
    Pause::default().await;
    value
}

/// What the compiler makes of `order`, written by hand: a variant for each place where it can wait, with the values
/// that it still needs from there on.
enum Order {
    Begin,
    Rice { pause: Pause },
    Tea { pause: Pause, rice: u32 },
    End,
}

impl Order {
    fn name(&self) -> &'static str {
        match self {
            Order::Begin => "Begin",
            Order::Rice { .. } => "Rice",
            Order::Tea { .. } => "Tea",
            Order::End => "End",
        }
    }
}

impl Future for Order {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        loop {
            *self = match &mut *self {
                Order::Begin => Order::Rice { pause: Pause::default() },
                Order::Rice { pause } => match Pin::new(pause).poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => Order::Tea { pause: Pause::default(), rice: 20 },
                },
                Order::Tea { pause, rice } => match Pin::new(pause).poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => {
                        let sum = *rice + 22;
                        *self = Order::End;
                        return Poll::Ready(sum);
                    }
                },
                Order::End => panic!("`Order` was polled after it was done"),
            };
        }
    }
}

fn polls() {
    let (mut cx, log) = (Context::from_waker(Waker::noop()), Cell::new("nothing"));
    let (mut written, mut by_hand) = (pin!(order(&log)), Order::Begin);
    println!("called: it has run {}; by hand: {}", log.get(), by_hand.name());
    for number in 1..=3 {
        let (one, other) = (written.as_mut().poll(&mut cx), Pin::new(&mut by_hand).poll(&mut cx));
        println!("poll {number}: {one:?}; it has run {}; by hand: {other:?}, {}", log.get(), by_hand.name());
    }
    panic::set_hook(Box::new(|_| ()));
    let again = panic::catch_unwind(AssertUnwindSafe(|| written.as_mut().poll(&mut cx)));
    let payload = again.expect_err("a future that is done cannot go on");
    println!("poll 4: a panic, {:?}", payload.downcast_ref::<&str>().expect("a text"));
}

/// Wrong, and shown here: without `.await`, a call makes a value and does nothing else.
fn forgotten() {
    let eggs = Rc::new(Cell::new(0));
    let fry = async |eggs: Rc<Cell<u32>>| eggs.set(eggs.get() + 1);
    let (one, another) = (fry(Rc::clone(&eggs)), fry(Rc::clone(&eggs)));
    println!("two eggs ordered, {} fried", eggs.get());
    drop(one);
    assert!(pin!(another).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    println!("one future dropped, the other polled: {} fried", eggs.get());
}

/// An `.await` is a place where a task may stop, not one where it always stops.
fn ready_or_not() {
    let mut cx = Context::from_waker(Waker::noop());
    let at_once = pin!(async {
        for _ in 0..1000 {
            ready(()).await;
        }
    });
    println!("1000 awaits of what is ready: {:?} at the first poll", at_once.poll(&mut cx));
    let never = pin!(pending::<()>());
    println!("1 await of what is not: {:?}", never.poll(&mut cx));
}

/// The parts of this program by name.
const PARTS: [(&str, fn()); 4] =
    [("forgotten", forgotten), ("sizes", sizes), ("polls", polls), ("ready", ready_or_not)];

fn main() {
    let wanted = args::part(&PARTS.map(|(name, _)| name));
    let is_wanted = |part: &str| wanted.as_deref().is_none_or(|wanted| wanted == part);
    PARTS.iter().filter(|(name, _)| is_wanted(name)).for_each(|(_, show)| show());
}
