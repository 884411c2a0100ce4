//! Lab 12: an accept loop that outlives a lack of descriptors.
//!
//! Facts. If a process has no descriptor left, `accept` fails with EMFILE at once, and the client stays in the queue of the
//! kernel. So the next call fails as well, until a connection is closed.
//!
//! What follows. The listener here is not a real one: it has a queue of clients and a limit, and it counts the calls. Time is
//! virtual, so a minute without descriptors takes no time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use roundel::time::{now, sleep, timeout};
use roundel::{Runtime, spawn};

use crate::check::{Check, ensure, miss, miss_with, same};
use crate::diary::{act, spend};
use crate::outcome::Outcome;

/// The code of the operating system for "this process has no descriptor left", as in `io::Error::raw_os_error`.
pub const EMFILE: i32 = 24;
/// The code for "this is no descriptor". It comes when the listener is closed, and it comes for ever.
pub const EBADF: i32 = 9;

/// What the learner writes.
pub trait Serve: 'static {
    /// Accepts connections and serves them, several at a time. Returns the error after which there is nothing left to accept.
    fn run(listener: Listener) -> impl Future<Output = io::Error>;
}

/// What clients connect to. Its clones are the same listener.
#[derive(Clone, Debug, Default)]
pub struct Listener(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    queue: RefCell<VecDeque<Client>>,
    waker: RefCell<Option<Waker>>,
    limit: Cell<usize>,
    open: Cell<usize>,
    closed: Cell<bool>,
    calls: Cell<usize>,
    /// When each client was accepted, and when it had been served.
    accepted: RefCell<Vec<(char, Duration)>>,
    served: RefCell<Vec<(char, Duration)>>,
}

/// A client in the queue of the kernel.
#[derive(Clone, Copy, Debug)]
enum Client {
    /// It wants to be served for this time.
    Comes(char, Duration),
    /// It has gone before it was accepted.
    Gone,
}

/// A connection. It has a descriptor until it is dropped.
#[derive(Debug)]
pub struct Connection {
    client: char,
    time: Duration,
    listener: Listener,
}

impl Listener {
    /// Waits for the next client.
    ///
    /// # Errors
    ///
    /// `EMFILE` if no descriptor is left, `ConnectionAborted` if the client has gone, `EBADF` if the listener is closed.
    pub async fn accept(&self) -> io::Result<Connection> {
        spend(100_000);
        self.0.calls.set(self.0.calls.get() + 1);
        poll_fn(|cx| {
            if self.0.closed.get() {
                return Poll::Ready(Err(io::Error::from_raw_os_error(EBADF)));
            }
            if let Some(accepted) = self.next() {
                return Poll::Ready(accepted);
            }
            drop(self.0.waker.replace(Some(cx.waker().clone())));
            Poll::Pending
        })
        .await
    }

    fn next(&self) -> Option<io::Result<Connection>> {
        let first = self.0.queue.borrow().front().copied()?;
        let Client::Comes(client, time) = first else {
            self.0.queue.borrow_mut().pop_front();
            return Some(Err(ErrorKind::ConnectionAborted.into()));
        };
        if self.0.open.get() == self.0.limit.get() {
            return Some(Err(io::Error::from_raw_os_error(EMFILE)));
        }
        self.0.queue.borrow_mut().pop_front();
        self.0.open.set(self.0.open.get() + 1);
        self.0.accepted.borrow_mut().push((client, now().saturating_duration_since(start())));
        Some(Ok(Connection { client, time, listener: self.clone() }))
    }

    fn wake(&self) {
        let waker = self.0.waker.take();
        waker.into_iter().for_each(Waker::wake);
    }

    fn comes(&self, client: char, seconds: u64) {
        act(format_args!(
            "at {} s: client {client} comes, and wants to be served for {seconds} s",
            clock().as_secs()
        ));
        self.0.queue.borrow_mut().push_back(Client::Comes(client, Duration::from_secs(seconds)));
        self.wake();
    }

    fn goes(&self) {
        act(format_args!("at {} s: a client comes, and goes before it was accepted", clock().as_secs()));
        self.0.queue.borrow_mut().push_back(Client::Gone);
        self.wake();
    }

    fn close(&self) {
        act(format_args!("at {} s: the listener is closed", clock().as_secs()));
        self.0.closed.set(true);
        self.wake();
    }
}

impl Connection {
    /// Serves the client, and closes the connection.
    pub async fn serve(self) {
        sleep(self.time).await;
        let clock = clock();
        act(format_args!("at {} s: client {} has been served", clock.as_secs(), self.client));
        self.listener.0.served.borrow_mut().push((self.client, clock));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let open = &self.listener.0.open;
        open.set(open.get() - 1);
    }
}

/// The checks of lab 12.
#[must_use]
pub fn checks<A: Serve>() -> Vec<Check> {
    vec![
        Check::new("a client is served", one::<A>, SPAWN),
        Check::new("several clients are served at the same time", several::<A>, SPAWN),
        Check::new("a client that has gone does no harm to the next", gone::<A>, GONE),
        Check::new("a minute without descriptors does not end the loop, and does not burn", lack::<A>, BURNS),
        Check::new("when a descriptor is free, the next client is served within a second", soon::<A>, SOON),
        Check::new("an error that stays ends the loop", fatal::<A>, FATAL),
    ]
}

const SPAWN: &str = "While one client is served, the next one is already there. Which part of the work does the accept loop have to \
    do itself?";
const GONE: &str = "`ConnectionAborted` tells of one client. It says nothing about the listener, and nothing about the next client.";
const BURNS: &str = "A lack of descriptors passes when a connection ends, and no event tells the accept loop of it. Asking again at once \
    gets the same answer at once. What can the loop do in between that costs nothing?";
const ENDS: &str = "A server that ends because it is busy for a while serves no client any more. Which errors pass, and which stay?";
const SOON: &str =
    "The client waits as long as your loop sleeps. How long may it wait, if each look costs one system call?";
const FATAL: &str = "Some errors come again whatever the loop does. Which ones do you know will pass? All others are for the caller.";

thread_local! {
    static START: Cell<Option<std::time::Instant>> = const { Cell::new(None) };
}

/// When the run has begun, on the virtual clock.
fn start() -> std::time::Instant {
    START.get().expect("a run has begun")
}

fn clock() -> Duration {
    now().saturating_duration_since(start())
}

/// Runs the learner's loop beside a script, until the script is over. Returns how the loop has ended, if it has.
fn run<A: Serve>(limit: usize, script: impl AsyncFnOnce(&Listener)) -> (Listener, Option<io::Error>) {
    act(format_args!("a process has a listener, and descriptors for {limit} more"));
    let runtime = Runtime::builder().virtual_time(true).build().expect("a runtime can be built");
    let listener = Listener::default();
    listener.0.limit.set(limit);
    let ended = runtime.block_on(async {
        START.set(Some(now()));
        let server = spawn(A::run(listener.clone()));
        script(&listener).await;
        let ended = timeout(Duration::from_millis(1), server).await;
        ended.ok().map(|ended| ended.unwrap_or_else(|error| resume_unwind(error.into_panic())))
    });
    (listener, ended)
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

fn times(times: &RefCell<Vec<(char, Duration)>>) -> Vec<(char, u64)> {
    times.borrow().iter().map(|(client, time)| (*client, time.as_secs())).collect()
}

/// Each client has been served, at the time in seconds.
fn served(listener: &Listener, expected: &[(char, u64)]) -> Outcome {
    same("served, with the seconds", &expected.to_vec(), &times(&listener.0.served))
}

fn still_runs(ended: Option<io::Error>) -> Outcome {
    match ended {
        Some(error) => Err(miss("the loop goes on", format!("it has ended: {error}"))),
        None => Ok(()),
    }
}

fn one<A: Serve>() -> Outcome {
    let (listener, ended) = run::<A>(10, async |listener| {
        listener.comes('A', 1);
        seconds(5).await;
    });
    still_runs(ended)?;
    served(&listener, &[('A', 1)])
}

fn several<A: Serve>() -> Outcome {
    let (listener, _) = run::<A>(10, async |listener| {
        listener.comes('A', 3);
        listener.comes('B', 1);
        seconds(1).await;
        listener.comes('C', 1);
        seconds(5).await;
    });
    served(&listener, &[('B', 1), ('C', 2), ('A', 3)])
}

fn gone<A: Serve>() -> Outcome {
    let (listener, ended) = run::<A>(10, async |listener| {
        listener.goes();
        listener.comes('A', 1);
        seconds(5).await;
    });
    still_runs(ended)?;
    let accepted = listener.0.accepted.borrow().first().map(|(_, time)| *time);
    ensure(
        accepted == Some(Duration::ZERO),
        "A is accepted at once",
        format!("it is accepted after {accepted:?}"),
    )
}

/// More calls of `accept` in a minute than this are too many: 20 in each second.
const MOST_CALLS: usize = 1_200;

fn lack<A: Serve>() -> Outcome {
    let (listener, ended) = run::<A>(2, async |listener| {
        listener.comes('A', 60);
        listener.comes('B', 60);
        listener.comes('C', 1);
        seconds(59).await;
    });
    if let Some(error) = ended {
        return Err(miss_with(ENDS, "the loop goes on", format!("it has ended: {error}")));
    }
    let calls = listener.0.calls.get();
    ensure(
        calls <= MOST_CALLS,
        format!("at most {MOST_CALLS} calls of `accept` in a minute"),
        format!("{calls}"),
    )
}

fn soon<A: Serve>() -> Outcome {
    let (listener, ended) = run::<A>(1, async |listener| {
        listener.comes('A', 10);
        listener.comes('B', 1);
        seconds(60).await;
    });
    still_runs(ended)?;
    let accepted =
        listener.0.accepted.borrow().iter().find(|(client, _)| *client == 'B').map(|(_, time)| *time);
    let late = accepted.map(|time| time.saturating_sub(Duration::from_secs(10)));
    let in_time = late.is_some_and(|late| late <= Duration::from_secs(1));
    let seen =
        late.map_or("it is never accepted".to_owned(), |late| format!("it is accepted after {late:?}"));
    ensure(in_time, "B is accepted within a second after A has been served", seen)
}

fn fatal<A: Serve>() -> Outcome {
    let (_, ended) = run::<A>(2, async |listener| {
        listener.comes('A', 1);
        seconds(2).await;
        listener.close();
        seconds(60).await;
    });
    let code = ended.as_ref().and_then(io::Error::raw_os_error);
    let seen = ended.map_or("it goes on".to_owned(), |error| format!("it returned: {error}"));
    ensure(code == Some(EBADF), "the loop returns the error EBADF", seen)
}
