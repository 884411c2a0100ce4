//! Serving: a loop of accepts that keeps running whatever goes wrong.
//!
//! Facts. `accept` fails for three kinds of reasons.
//!
//! - *One connection is bad*: it was gone before it was accepted (`ECONNABORTED`, `EPROTO`), or the network
//!   reports an error that belongs to it. The next one may be good.
//! - *Something has run out*: descriptors (`EMFILE`, `ENFILE`) or memory (`ENOBUFS`, `ENOMEM`). The
//!   connection stays in the kernel's queue, so the listener stays ready. A server that tries again at once
//!   burns a core; one that waits for the next report may wait for ever.
//! - *The listener is broken* (`EBADF`, `EINVAL`, `ENOTSOCK`, `EOPNOTSUPP`). Waiting does not help.
//!
//! What follows. The server skips a bad connection. When something has run out, it pauses until one of its
//! own connections ends, which frees a descriptor. The pause is 25 ms at most, because another part of the
//! program may free one. A broken listener ends the server and its handlers.
//!
//! ```text
//!            ┌──────── accept ◄────────────────────────────┐
//!   until ──►│           │ connection ──► task(handler)    │ a handler ends,
//!     │      │           │ full, or run out ──► wait ──────┘ or PAUSE is over
//!     ▼      └───────────┘
//!   listener closed, guests told ──► handlers end by themselves ──► Served
//!                                          │ grace is over
//!                                          └──► they are cancelled ──► Served
//! ```
//!
//! Invariants. Each handler is a task of its own, so its panic or error affects no other. A handler's
//! descriptor is closed before the server learns that the handler has ended. When the server is over or
//! dropped, none of its handlers is left. When it is over, none of their cleanups is left either.
//!
//! Idle connections. There is no timer per connection. At intervals, the server asks each connection whether
//! bytes have moved since the last time (`serve/connections.rs`).
//!
//! | future | cancel safe |
//! |---|---|
//! | `serve(..).await` | it ends the server: the listener is closed, the handlers are cancelled |
//!
//! What it does not know: protocols.

mod accept;
mod builder;
mod connections;
mod guest;
mod handler;

use std::fmt;
use std::future::IntoFuture;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use roundel::cancel::CancelToken;
use roundel::time::{self, Sleep};
use roundel::{JoinError, JoinHandle};
use rustix::io::Errno;

pub use accept::{Accept, Outcome};
use builder::{Report, Settings};
pub use builder::{Serve, Trouble, serve, serve_guests};
pub use connections::Served;
use connections::{Connections, IdleCheck};
pub use guest::{Guest, Peer};
pub use handler::{Handler, OnError, WithGuest};

/// How long to wait for a descriptor that another part of the program may free. No client waits longer than this, and
/// forty tries a second take a ten-thousandth of a core.
const PAUSE: Duration = Duration::from_millis(25);
/// After this many connections in a row, the server yields to other tasks, even if the listener spends no budget.
const BATCH: u32 = 128;
/// After this many bad connections without a good one, something else is wrong, and the server pauses for that, too.
const BAD: u32 = 100;
/// The shortest time between two reports of trouble.
const QUIET: Duration = Duration::from_secs(1);

impl<L, H, U> IntoFuture for Serve<L, H, U>
where
    L: Accept,
    H: Handler<L::Stream>,
    U: Future,
{
    type Output = io::Result<Served>;
    type IntoFuture = Serving<L, H, U>;

    fn into_future(self) -> Serving<L, H, U> {
        let check = self.settings.idle_timeout.map(IdleCheck::new);
        Serving {
            listener: Some(self.listener),
            handler: Rc::new(self.handler),
            until: Box::pin(self.until),
            connections: Rc::new(Connections::new(check)),
            settings: self.settings,
            stop: CancelToken::new(),
            bad: 0,
            pause: None,
            check_period: check.map(|check| check.period),
            next_check: None,
            state: ServerState::Accepting,
            failed: None,
            report: self.report,
            reported: None,
        }
    }
}

/// A server that runs. See [`serve`].
pub struct Serving<L, H, U> {
    /// `None` once the server accepts no more: dropping the listener closes it.
    listener: Option<L>,
    handler: Rc<H>,
    until: Pin<Box<U>>,
    connections: Rc<Connections>,
    settings: Settings,
    /// Cancelled when the server accepts no more. Each [`Guest`] has a clone.
    stop: CancelToken,
    /// How many bad connections have come in a row. A good one and a pause set it to zero.
    bad: u32,
    /// Set while something has run out: the server does not accept until the timer fires or a connection ends.
    pause: Option<Timer>,
    /// The time between two checks for idle connections. `None` if there is no idle timeout.
    check_period: Option<Duration>,
    /// The timer of the next check, made when it is first polled.
    next_check: Option<Timer>,
    state: ServerState,
    /// The error that has ended the server. Set when it begins to end, returned when it is over.
    failed: Option<io::Error>,
    report: Report,
    /// When `report` was last called.
    reported: Option<Instant>,
}

type Timer = Pin<Box<Sleep>>;

/// A server goes through these in order. An error of the listener skips `Draining`.
enum ServerState {
    /// It accepts connections.
    Accepting,
    /// The listener is closed. The handlers may end by themselves until the timer fires.
    Draining(Timer),
    /// The handlers have been cancelled. These are still to end, because they may have cleanups to do.
    Ending(Vec<JoinHandle<()>>),
    /// It has returned its result and must not be polled again.
    Over,
}

impl<L, H, U> Serving<L, H, U>
where
    L: Accept,
    H: Handler<L::Stream>,
    U: Future,
{
    /// Accepts connections. Ready when the server has to end: with an error if the listener is broken.
    fn poll_accepting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The end comes first, so that new connections cannot put it off.
        if self.until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        self.poll_idle_check(cx);
        // Accept while there is room and a connection, but not for ever.
        for _ in 0..BATCH {
            ready!(self.poll_room(cx));
            let Some(listener) = &self.listener else { return Poll::Ready(Ok(())) };
            match ready!(listener.poll_connection(cx)) {
                Ok((stream, peer)) => self.handle(stream, peer),
                Err(error) => match Verdict::on(&error) {
                    Verdict::GoOn if self.bad < BAD => self.bad += 1,
                    Verdict::GoOn | Verdict::Wait => self.begin_pause(error),
                    Verdict::GiveUp => return Poll::Ready(Err(error)),
                },
            }
        }
        // The batch is full, and more may wait: other tasks run first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ready when there is room for one more: no pause is under way, and the limit is not reached.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            // A connection that has ended has freed a descriptor.
            if !self.connections.has_one_ended() && pause.as_mut().poll(cx).is_pending() {
                self.connections.wake_when_one_ends(cx.waker());
                return Poll::Pending;
            }
            self.pause = None;
        }
        if self.connections.len() < self.settings.max_connections {
            return Poll::Ready(());
        }
        self.connections.wake_when_one_ends(cx.waker());
        Poll::Pending
    }

    fn handle(&mut self, stream: L::Stream, peer: Peer) {
        self.bad = 0;
        if let Some(nodelay) = self.settings.nodelay {
            // It fails only if the peer is gone, which the handler will notice.
            let _ = L::set_nodelay(&stream, nodelay);
        }
        let guest = Guest::new(peer, &self.stop);
        self.connections.add::<L, H>(stream, guest, Rc::clone(&self.handler));
    }

    fn begin_pause(&mut self, error: io::Error) {
        self.bad = 0;
        self.connections.forget_ended();
        self.pause = Some(Box::pin(time::sleep(PAUSE)));
        let now = time::now();
        if self.reported.is_none_or(|last| now.saturating_duration_since(last) >= QUIET) {
            self.reported = Some(now);
            (self.report)(&Trouble { error, connections: self.connections.len() });
        }
    }
}

impl<L, H, U> Serving<L, H, U> {
    /// Checks for idle connections each time the period is over.
    fn poll_idle_check(&mut self, cx: &mut Context<'_>) {
        let Some(period) = self.check_period else { return };
        loop {
            let timer = self.next_check.get_or_insert_with(|| Box::pin(time::sleep(period)));
            if timer.as_mut().poll(cx).is_pending() {
                return;
            }
            self.next_check = None;
            self.connections.cancel_idle();
        }
    }

    /// Ready when no handler is left.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.state {
                // Wait for the handlers until the grace period is over.
                ServerState::Draining(limit) => {
                    if self.connections.len() > 0 && limit.as_mut().poll(cx).is_pending() {
                        self.connections.wake_when_one_ends(cx.waker());
                        return Poll::Pending;
                    }
                    self.state = ServerState::Ending(self.connections.cut_off());
                }
                // A cancelled handler has ended when its cleanups have.
                ServerState::Ending(handles) => {
                    handles.retain_mut(|handle| poll_handle(handle, cx).is_pending());
                    return if handles.is_empty() { Poll::Ready(()) } else { Poll::Pending };
                }
                ServerState::Accepting | ServerState::Over => return Poll::Ready(()),
            }
        }
    }
}

fn poll_handle(handle: &mut JoinHandle<()>, cx: &mut Context<'_>) -> Poll<Result<(), JoinError>> {
    Pin::new(handle).poll(cx)
}

impl<L, H, U> Future for Serving<L, H, U>
where
    L: Accept,
    H: Handler<L::Stream>,
    U: Future,
{
    type Output = io::Result<Served>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Served>> {
        let server = &mut *self;
        if let ServerState::Over = server.state {
            panic!("a server was polled again after it had ended");
        }
        // Accept until the end is asked for or the listener fails.
        if let ServerState::Accepting = server.state {
            let ended = ready!(server.poll_accepting(cx));
            server.listener = None;
            // An orderly end gives the handlers time; an error does not.
            server.state = match &ended {
                Ok(()) => ServerState::Draining(Box::pin(time::sleep(server.settings.grace))),
                Err(_) => ServerState::Ending(server.connections.cut_off()),
            };
            server.failed = ended.err();
            // The handlers that wait for a next request end at once.
            server.stop.cancel();
        }
        // Wait for the handlers. Idle ones are still cancelled early.
        if let ServerState::Draining(_) = server.state {
            server.poll_idle_check(cx);
        }
        ready!(server.poll_ending(cx));
        server.state = ServerState::Over;
        Poll::Ready(match server.failed.take() {
            None => Ok(server.connections.served()),
            Some(error) => Err(error),
        })
    }
}

// What is pinned inside is in boxes.
impl<L, H, U> Unpin for Serving<L, H, U> {}

impl<L, H, U> Drop for Serving<L, H, U> {
    fn drop(&mut self) {
        self.listener = None;
        self.connections.cancel_all();
    }
}

/// What to do after an error of `accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Accept the next one: only this connection is bad.
    GoOn,
    /// Pause: something has run out.
    Wait,
    /// End the server: the listener is broken.
    GiveUp,
}

impl Verdict {
    fn on(error: &io::Error) -> Verdict {
        match Errno::from_io_error(error) {
            // These belong to the connection being accepted, or to the network that it came from.
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
            // EMFILE, ENFILE, ENOBUFS, ENOMEM. Any other error pauses, too, so that it cannot become a busy loop.
            _ => Verdict::Wait,
        }
    }
}

impl<L: fmt::Debug, H, U> fmt::Debug for Serving<L, H, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = self.connections.len();
        f.debug_struct("Serving")
            .field("listener", &self.listener)
            .field("connections", &connections)
            .finish()
    }
}
