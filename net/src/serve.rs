//! Serving: a loop of accepts that nothing knocks over.
//!
//! Facts. `accept` fails for three kinds of reasons.
//!
//! - *One connection is bad*: it was gone before it was accepted (`ECONNABORTED`, `EPROTO`), or the network has an
//!   error to tell that belongs to it. The next one may be good.
//! - *Something is lacking*: descriptors (`EMFILE`, `ENFILE`) or memory (`ENOBUFS`, `ENOMEM`). The connection stays
//!   in the kernel's queue, so the listener stays ready: who tries again at once burns a core, and who waits for
//!   the next report may wait for ever.
//! - *The listener is no listener* (`EBADF`, `EINVAL`, `ENOTSOCK`, `EOPNOTSUPP`). That does not pass.
//!
//! What follows. The first kind is passed over. The second is waited out: until one of our own connections ends, which
//! frees a descriptor, or for 25 ms, in case somebody else frees one. The third ends the server, and its handlers.
//!
//! ```text
//!            ┌──────── accept ◄────────────────────────────┐
//!   until ──►│           │ connection ──► task(handler)    │ a handler ends,
//!     │      │           │ full, or lacking ──► wait ──────┘ or PAUSE is over
//!     ▼      └───────────┘
//!   listener closed ──► handlers end by themselves ──► Served
//!                             │ grace is over
//!                             └──► they are cancelled ──► Served
//! ```
//!
//! Invariants. A handler is a task of its own, so that its panic or error touches no other. A descriptor is closed
//! before the end of its handler is told. When the server is over or dropped, no handler of it is left; when it is over,
//! no cleanup of one either.
//!
//! Idle connections. Nobody keeps a timer per connection: now and then, all connections are asked whether bytes
//! have moved since last time (`serve/crowd.rs`).
//!
//! | future | cancel safe |
//! |---|---|
//! | `serve(..).await` | it ends the server: the listener is closed, the handlers are cancelled |
//!
//! What it does not know: protocols.

mod crowd;

use std::fmt;
use std::future::{IntoFuture, Pending};
use std::io::{self, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use roundel::time::{self, Sleep};
use roundel::{JoinError, JoinHandle};
use rustix::io::Errno;

pub use crowd::{Accept, Outcome, Served};
use crowd::{Crowd, Rounds};

/// How long to wait for a descriptor that somebody else may free. A client waits for at most this; and forty tries a
/// second are a ten-thousandth of a core.
const PAUSE: Duration = Duration::from_millis(25);
/// After so many connections in a row, the others get their turn, even if the listener knows no budget.
const BATCH: u32 = 128;
/// After so many bad connections without a good one, something else is the matter, and it is waited out, too.
const BAD: u32 = 100;
/// How long handlers may go on after the end was asked for.
const GRACE: Duration = Duration::from_secs(10);
/// At most one complaint in this time.
const QUIET: Duration = Duration::from_secs(1);

/// Accepts connections and runs `handler` for each, as a task of its own, until the future given to
/// [`until`](Serve::until) is done. The handler may return nothing or a `Result`.
///
/// ```
/// use roundel_net::{TcpListener, TcpStream, serve};
///
/// async fn shout(stream: TcpStream) -> std::io::Result<()> {
///     let mut buffer = [0; 100];
///     while let n @ 1.. = stream.read(&mut buffer).await? {
///         buffer.make_ascii_uppercase();
///         stream.write_all(&buffer[..n]).await?;
///     }
///     Ok(())
/// }
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let address = listener.local_addr()?;
///     let client = async move {
///         let stream = TcpStream::connect(address).await.unwrap();
///         stream.write_all(b"hello").await.unwrap();
///         let mut answer = [0; 5];
///         stream.read_exact(&mut answer).await.unwrap();
///         assert_eq!(&answer, b"HELLO");
///     };
///     let served = serve(listener, shout).until(client).await?;
///     assert_eq!(served.accepted, 1);
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
pub fn serve<L, H, F>(listener: L, handler: H) -> Serve<L, H>
where
    L: Accept,
    H: Fn(L::Stream) -> F + 'static,
    F: Future<Output: Outcome> + 'static,
{
    Serve {
        listener,
        handler,
        until: std::future::pending(),
        max_connections: usize::MAX,
        idle_timeout: None,
        grace: GRACE,
        report: Box::new(|trouble| {
            // Not `eprintln`, which panics if nobody reads it.
            let _ = writeln!(io::stderr(), "{trouble}");
        }),
    }
}

/// A server that has not begun: await it. See [`serve`].
#[must_use = "a server does nothing unless awaited"]
pub struct Serve<L, H, U = Pending<()>> {
    listener: L,
    handler: H,
    until: U,
    max_connections: usize,
    idle_timeout: Option<Duration>,
    grace: Duration,
    report: Report,
}

type Report = Box<dyn FnMut(&Trouble)>;

/// Why no connection is accepted at present.
#[derive(Debug)]
pub struct Trouble {
    /// What the system says.
    pub error: io::Error,
    /// How many connections are open.
    pub connections: usize,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Trouble { error, connections } = self;
        write!(f, "cannot accept: {error}; {connections} connections are open, new ones wait until one ends")
    }
}

impl<L, H, U> Serve<L, H, U> {
    /// Serves at most this many connections at once. More wait in the kernel's queue.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn max_connections(mut self, most: usize) -> Self {
        assert!(most > 0, "`max_connections` was given zero: then nobody would ever be served");
        self.max_connections = most;
        self
    }

    /// Cancels the handler of a connection on which no byte has moved for this long, in either direction; at most an
    /// eighth (or two milliseconds) later. Without this, or with `None`, a connection may be idle for ever.
    ///
    /// # Panics
    ///
    /// If it is zero.
    #[track_caller]
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = timeout.into();
        let is_zero = self.idle_timeout.is_some_and(|timeout| timeout.is_zero());
        assert!(!is_zero, "`idle_timeout` was given zero: then every connection would be idle at once");
        self
    }

    /// Serves until this future is done: then no more connections are accepted (the listener is closed), and the handlers
    /// may end by themselves for the time of [`grace`](Serve::grace). For a program, take
    /// `roundel::signal::shutdown`.
    pub fn until<V: Future>(self, until: V) -> Serve<L, H, V> {
        let Serve { listener, handler, max_connections, idle_timeout, grace, report, .. } = self;
        Serve { listener, handler, until, max_connections, idle_timeout, grace, report }
    }

    /// How long the handlers may go on after the end was asked for; then they are cancelled. Ten seconds unless
    /// said otherwise.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Whom to tell that no connection can be accepted at present; at most once a second. Unless said otherwise,
    /// a line is written to the standard error.
    pub fn on_trouble(mut self, report: impl FnMut(&Trouble) + 'static) -> Self {
        self.report = Box::new(report);
        self
    }
}

impl<L, H, F, U> IntoFuture for Serve<L, H, U>
where
    L: Accept,
    H: Fn(L::Stream) -> F + 'static,
    F: Future<Output: Outcome> + 'static,
    U: Future,
{
    type Output = io::Result<Served>;
    type IntoFuture = Serving<L, H, U>;

    fn into_future(self) -> Serving<L, H, U> {
        let rounds = self.idle_timeout.map(Rounds::of);
        Serving {
            listener: Some(self.listener),
            handler: Rc::new(self.handler),
            until: Box::pin(self.until),
            crowd: Rc::new(Crowd::new(rounds)),
            max_connections: self.max_connections,
            bad: 0,
            pause: None,
            round: rounds.map(|rounds| rounds.period),
            next_round: None,
            grace: self.grace,
            stage: Stage::Open,
            failed: None,
            report: self.report,
            complained: None,
        }
    }
}

/// See [`serve`].
pub struct Serving<L, H, U> {
    /// `None` from the moment when no more are accepted.
    listener: Option<L>,
    handler: Rc<H>,
    until: Pin<Box<U>>,
    crowd: Rc<Crowd>,
    max_connections: usize,
    /// How many bad connections have come in a row.
    bad: u32,
    /// Something is lacking: until when we do not try.
    pause: Option<Timer>,
    /// How often to ask who is idle.
    round: Option<Duration>,
    next_round: Option<Timer>,
    grace: Duration,
    stage: Stage,
    /// The error that has ended it.
    failed: Option<io::Error>,
    report: Report,
    complained: Option<Instant>,
}

type Timer = Pin<Box<Sleep>>;

enum Stage {
    Open,
    /// The handlers end by themselves, until the timer says that this was long enough.
    Draining(Timer),
    /// They have been cancelled; some may have cleanups to do.
    Ending(Vec<JoinHandle<()>>),
    Over,
}

impl<L, H, F, U> Serving<L, H, U>
where
    L: Accept,
    H: Fn(L::Stream) -> F + 'static,
    F: Future<Output: Outcome> + 'static,
    U: Future,
{
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        self.poll_rounds(cx);
        for _ in 0..BATCH {
            ready!(self.poll_room(cx));
            let Some(listener) = &self.listener else { return Poll::Ready(Ok(())) };
            match ready!(listener.poll_stream(cx)) {
                Ok(stream) => self.take_in(stream),
                Err(error) => match Verdict::on(&error) {
                    Verdict::GoOn if self.bad < BAD => self.bad += 1,
                    Verdict::GoOn | Verdict::Wait => self.begin_pause(error),
                    Verdict::GiveUp => return Poll::Ready(Err(error)),
                },
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ready when there is room for one more: we have not too many, and nothing is known to be lacking.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            // A handler that has ended has freed a descriptor.
            if !self.crowd.has_shrunk() && pause.as_mut().poll(cx).is_pending() {
                self.crowd.tell_when_one_ends(cx.waker());
                return Poll::Pending;
            }
            self.pause = None;
        }
        if self.crowd.len() < self.max_connections {
            return Poll::Ready(());
        }
        self.crowd.tell_when_one_ends(cx.waker());
        Poll::Pending
    }

    fn take_in(&mut self, stream: L::Stream) {
        self.bad = 0;
        self.crowd.take_in::<L, H, F>(stream, Rc::clone(&self.handler));
    }

    fn begin_pause(&mut self, error: io::Error) {
        self.bad = 0;
        self.crowd.forget_shrinking();
        self.pause = Some(Box::pin(time::sleep(PAUSE)));
        let now = time::now();
        if self.complained.is_none_or(|last| now.saturating_duration_since(last) >= QUIET) {
            self.complained = Some(now);
            (self.report)(&Trouble { error, connections: self.crowd.len() });
        }
    }
}

impl<L, H, U> Serving<L, H, U> {
    /// Asks now and then who has been idle.
    fn poll_rounds(&mut self, cx: &mut Context<'_>) {
        let Some(period) = self.round else { return };
        loop {
            let timer = self.next_round.get_or_insert_with(|| Box::pin(time::sleep(period)));
            if timer.as_mut().poll(cx).is_pending() {
                return;
            }
            self.next_round = None;
            self.crowd.dismiss_idle();
        }
    }

    fn poll_draining(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.stage {
                Stage::Draining(limit) => {
                    if self.crowd.len() > 0 && limit.as_mut().poll(cx).is_pending() {
                        self.crowd.tell_when_one_ends(cx.waker());
                        return Poll::Pending;
                    }
                    self.stage = Stage::Ending(self.crowd.cut_off());
                }
                Stage::Ending(handles) => {
                    handles.retain_mut(|handle| poll_handle(handle, cx).is_pending());
                    return if handles.is_empty() { Poll::Ready(()) } else { Poll::Pending };
                }
                Stage::Open | Stage::Over => return Poll::Ready(()),
            }
        }
    }
}

fn poll_handle(handle: &mut JoinHandle<()>, cx: &mut Context<'_>) -> Poll<Result<(), JoinError>> {
    Pin::new(handle).poll(cx)
}

impl<L, H, F, U> Future for Serving<L, H, U>
where
    L: Accept,
    H: Fn(L::Stream) -> F + 'static,
    F: Future<Output: Outcome> + 'static,
    U: Future,
{
    type Output = io::Result<Served>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Served>> {
        let server = &mut *self;
        if let Stage::Over = server.stage {
            panic!("a server was polled again after it had ended");
        }
        if let Stage::Open = server.stage {
            let ended = ready!(server.poll_open(cx));
            server.listener = None;
            server.stage = match &ended {
                Ok(()) => Stage::Draining(Box::pin(time::sleep(server.grace))),
                Err(_) => Stage::Ending(server.crowd.cut_off()),
            };
            server.failed = ended.err();
        }
        if let Stage::Draining(_) = server.stage {
            server.poll_rounds(cx);
        }
        ready!(server.poll_draining(cx));
        server.stage = Stage::Over;
        Poll::Ready(match server.failed.take() {
            None => Ok(server.crowd.served()),
            Some(error) => Err(error),
        })
    }
}

// Nothing in it is pinned but what is in a box.
impl<L, H, U> Unpin for Serving<L, H, U> {}

impl<L, H, U> Drop for Serving<L, H, U> {
    fn drop(&mut self) {
        self.listener = None;
        self.crowd.dismiss_all();
    }
}

/// What to make of an error of `accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    GoOn,
    Wait,
    GiveUp,
}

impl Verdict {
    fn on(error: &io::Error) -> Verdict {
        match Errno::from_io_error(error) {
            // It belongs to a connection that was accepted just now, or to the network it came from.
            Some(
                Errno::CONNABORTED
                | Errno::PROTO
                | Errno::INTR
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::NOPROTOOPT
                | Errno::TIMEDOUT
                | Errno::PERM, // a firewall
            ) => Verdict::GoOn,
            Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP) => Verdict::GiveUp,
            // EMFILE, ENFILE, ENOBUFS, ENOMEM; and whatever we have not thought of must not become a busy loop.
            _ => Verdict::Wait,
        }
    }
}

impl<L: fmt::Debug, H, U> fmt::Debug for Serve<L, H, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl<L: fmt::Debug, H, U> fmt::Debug for Serving<L, H, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = self.crowd.len();
        f.debug_struct("Serving")
            .field("listener", &self.listener)
            .field("connections", &connections)
            .finish()
    }
}
