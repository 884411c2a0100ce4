//! From scratch, 6 of 6: a server for strangers, with a deadline for every wait.
//!
//! Run it with `cargo run --release --example from_scratch_6`: it is its own client, and ends. With an address, such as
//! `127.0.0.1:7000`, it serves until it is killed.
//!
//! What rung 5 got wrong. It waited for ever for a silent peer.
//!
//! Facts. Giving up means dropping a future in the middle. Whatever it has left with the loop has to go with it.
//!
//! What follows. A sleep removes its deadline when it is dropped, and a source removes itself. With that, a timeout is
//! two futures, of which the first to finish counts, and it can be put around any future. The end of this file says
//! what the crate does differently.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use examples::args::{Args, end};
use examples::println;
use mio::{Events, Interest, Token, event, net::TcpListener, net::TcpStream};

type Task = Pin<Box<dyn Future<Output = ()>>>;

struct Loop {
    tasks: RefCell<HashMap<u64, Task>>,
    next_number: Cell<u64>,
    queue: Arc<Mutex<VecDeque<u64>>>,
    timers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    kernel: RefCell<mio::Poll>,
    reactor: RefCell<HashMap<Token, Waker>>,
}

thread_local!(static HERE: Loop = Loop::new().expect("the kernel has a place where we can wait"));

struct TaskWaker {
    number: u64,
    queue: Arc<Mutex<VecDeque<u64>>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.queue.lock().unwrap().push_back(self.number);
    }
}

impl Loop {
    fn new() -> io::Result<Loop> {
        let kernel = RefCell::new(mio::Poll::new()?);
        let (tasks, queue, timers, reactor) = Default::default();
        Ok(Loop { tasks, next_number: Cell::new(1), queue, timers, kernel, reactor })
    }

    fn new_number(&self) -> u64 {
        self.next_number.replace(self.next_number.get() + 1)
    }

    fn poll<F: Future + ?Sized>(&self, number: u64, task: Pin<&mut F>) -> Poll<F::Output> {
        let waker = Waker::from(Arc::new(TaskWaker { number, queue: Arc::clone(&self.queue) }));
        task.poll(&mut Context::from_waker(&waker))
    }

    fn turn(&self) {
        let batch = std::mem::take(&mut *self.queue.lock().unwrap());
        for number in batch {
            let Some(mut task) = self.tasks.borrow_mut().remove(&number) else { continue };
            if self.poll(number, task.as_mut()).is_pending() {
                self.tasks.borrow_mut().insert(number, task);
            }
        }
        self.look();
        let now = Instant::now();
        while let Some(due) = self.timers.borrow_mut().first_entry().filter(|first| first.key().0 <= now) {
            due.remove().wake();
        }
    }

    fn look(&self) {
        let first = self.timers.borrow().first_key_value().map(|((deadline, _), _)| *deadline);
        let until = if self.queue.lock().unwrap().is_empty() { first } else { Some(Instant::now()) };
        let wait = until.map(|until| until.saturating_duration_since(Instant::now()));
        let mut events = Events::with_capacity(64);
        let _ = self.kernel.borrow_mut().poll(&mut events, wait); // Fails if a signal has ended it early.
        for event in &events {
            let waiter = self.reactor.borrow_mut().remove(&event.token());
            waiter.into_iter().for_each(Waker::wake);
        }
    }
}

/// Polls this future in each turn. Its number belongs to no task: waking it only keeps the loop from sleeping.
fn block_on<T>(main: impl Future<Output = T>) -> T {
    let mut main = pin!(main);
    loop {
        if let Poll::Ready(output) = HERE.with(|here| here.poll(0, main.as_mut())) {
            return output;
        }
        HERE.with(Loop::turn);
    }
}

fn spawn(task: impl Future<Output = ()> + 'static) {
    HERE.with(|here| {
        let number = here.new_number();
        here.tasks.borrow_mut().insert(number, Box::pin(task));
        here.queue.lock().unwrap().push_back(number);
    });
}

/// A place among the timers, which it leaves when it is dropped.
struct Timer(Instant, u64);

impl Drop for Timer {
    fn drop(&mut self) {
        let _ = HERE.try_with(|here| here.timers.borrow_mut().remove(&(self.0, self.1)));
    }
}

async fn sleep(duration: Duration) {
    let timer = Timer(Instant::now() + duration, HERE.with(Loop::new_number));
    poll_fn(|cx| {
        if Instant::now() >= timer.0 {
            return Poll::Ready(());
        }
        HERE.with(|here| here.timers.borrow_mut().insert((timer.0, timer.1), cx.waker().clone()));
        Poll::Pending
    })
    .await;
}

/// The output or the deadline, whichever comes first. The other is dropped.
async fn timeout<F: Future>(duration: Duration, future: F) -> Option<F::Output> {
    let (mut future, mut late) = (pin!(future), pin!(sleep(duration)));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => late.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// Something that the kernel watches for us. One task at a time waits for it.
struct Source<S: event::Source> {
    inner: S,
    token: Token,
}

impl<S: event::Source> Source<S> {
    fn new(mut inner: S) -> io::Result<Source<S>> {
        HERE.with(|here| {
            let (token, both) = (Token(here.new_number() as usize), Interest::READABLE | Interest::WRITABLE);
            here.kernel.borrow().registry().register(&mut inner, token, both)?;
            Ok(Source { inner, token })
        })
    }

    async fn io<T>(&self, mut operation: impl FnMut(&S) -> io::Result<T>) -> io::Result<T> {
        poll_fn(|cx| match operation(&self.inner) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                HERE.with(|here| here.reactor.borrow_mut().insert(self.token, cx.waker().clone()));
                Poll::Pending
            }
            result => Poll::Ready(result),
        })
        .await
    }
}

impl<S: event::Source> Drop for Source<S> {
    fn drop(&mut self) {
        let _ = HERE.try_with(|here| {
            let _ = here.kernel.borrow().registry().deregister(&mut self.inner);
            here.reactor.borrow_mut().remove(&self.token);
        });
    }
}

/// Sends back what it reads; zero bytes are the end.
async fn echo_once(source: &Source<TcpStream>) -> io::Result<usize> {
    let mut buffer = [0; 16_384];
    let count = source.io(|mut stream| stream.read(&mut buffer)).await?;
    let mut written = 0;
    while written < count {
        written += source.io(|mut stream| stream.write(&buffer[written..count])).await?;
    }
    Ok(count)
}

async fn connection(number: u32, source: Source<TcpStream>, patience: Duration) {
    let mut total = 0;
    let end = loop {
        match timeout(patience, echo_once(&source)).await {
            None => break format!("nothing for {patience:?}: closed"),
            Some(Err(error)) => break error.to_string(),
            Some(Ok(0)) => break "it left".to_owned(),
            Some(Ok(count)) => total += count,
        }
    };
    println!("connection {number}: {total} bytes sent back, then {end}");
}

/// A client that does not speak, or does not read, keeps us waiting no longer than the patience lasts.
async fn serve(listener: Source<TcpListener>, patience: Duration) {
    for number in 1.. {
        let (stream, _) = listener.io(TcpListener::accept).await.expect("a connection");
        spawn(connection(number, Source::new(stream).expect("a new source"), patience));
    }
}

/// Says something `times` times, 100 ms apart; then stays until the server disconnects it.
async fn client(address: SocketAddr, times: u32) {
    let stream = std::net::TcpStream::connect(address).expect("the server listens");
    stream.set_nonblocking(true).expect("a socket can do that");
    let source = Source::new(TcpStream::from_std(stream)).expect("a new source");
    let read = || source.io(|mut stream| stream.read(&mut [0]));
    for _ in 0..times {
        source.io(|mut stream| stream.write(b"!")).await.expect("room for a byte");
        assert_eq!(read().await.expect("an echo"), 1);
        sleep(Duration::from_millis(100)).await;
    }
    let deadlines = HERE.with(|here| here.timers.borrow().len());
    println!("{times} bytes have come back; deadlines that the loop knows: {deadlines}");
    assert_eq!(read().await.expect("an end in order"), 0);
}

/// Serves strangers at this address; without one, is its own client.
fn run(wanted: Option<SocketAddr>) -> io::Result<()> {
    let address = wanted.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
    let listener = TcpListener::bind(address)
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
    let address = listener.local_addr()?;
    let patience = Duration::from_millis(if wanted.is_some() { 5000 } else { 500 });
    let serving = serve(Source::new(listener)?, patience);
    if wanted.is_some() {
        println!("listening on {address}");
        block_on(serving);
        return Ok(());
    }
    spawn(serving);
    block_on(client(address, 10));
    block_on(client(address, 0));
    Ok(())
}

const USAGE: &str = "\
usage: from_scratch_6 [HOST:PORT]
  HOST:PORT  where to listen; port 0 is any free one (without it, the server is its own client)";

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let wanted = args.positional("HOST:PORT");
    args.finish();
    end(run(wanted))
}

// The crate is the last rung. In `runtime/src`, a waker is a number and no `Arc` (`waker.rs`, `id.rs`). Tasks are in
// slots that are used again; a number is in the queue at most once, and the queue has no lock (`ready.rs`). A panic
// ends only its task; a task can be cancelled, and its output awaited (`executor.rs`, `join.rs`). The loop hears other
// threads while it waits (`inbox.rs`). A source remembers an edge, and takes any number of waiters (`reactor.rs`). A
// busy loop asks the kernel by the clock (`pace.rs`), deadlines can be virtual (`timers.rs`), and a server ends in
// order (`net/src/serve.rs`).
