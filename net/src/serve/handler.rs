//! How the server calls the program's function for a connection.
//!
//! Facts. Some handlers take only the stream, others also the [`Guest`]. A server that reports errors has to keep the
//! address until the handler is over. A server that does neither should not pay for it: ten thousand idle connections
//! would hold ten thousand addresses.
//!
//! What follows. Each kind of handler says what it needs [`Beside`](Handler::Beside) the stream, and only that is kept
//! in the task.
//!
//! Invariant. The function that reports errors is not borrowed while it runs, because it is foreign code (4).
//!
//! What it does not know: the server, what is served.

use std::cell::Cell;

use super::accept::Outcome;
use super::guest::{Guest, Peer};

/// A function that serves a connection: any `Fn(stream) -> future`, and what [`serve_guests`](crate::serve_guests) and
/// [`Serve::on_error`](super::Serve::on_error) make. A program does not implement it.
pub trait Handler<S>: 'static {
    /// What the task keeps beside the stream.
    type Beside: 'static;
    /// What the handler returns.
    type Output: Outcome;

    /// Takes from the guest what [`handle`](Handler::handle) needs.
    fn beside(&self, guest: Guest) -> Self::Beside;

    /// Serves one connection.
    fn handle(&self, stream: S, beside: Self::Beside) -> impl Future<Output = Self::Output>;
}

impl<S, H, F> Handler<S> for H
where
    H: Fn(S) -> F + 'static,
    F: Future<Output: Outcome>,
{
    type Beside = ();
    type Output = F::Output;

    fn beside(&self, _: Guest) {}

    #[inline]
    fn handle(&self, stream: S, (): ()) -> impl Future<Output = F::Output> {
        self(stream)
    }
}

/// A handler that takes the guest, too. See [`serve_guests`](crate::serve_guests).
#[derive(Debug)]
pub struct WithGuest<H> {
    pub(super) handler: H,
}

impl<S, H, F> Handler<S> for WithGuest<H>
where
    H: Fn(S, Guest) -> F + 'static,
    F: Future<Output: Outcome>,
{
    type Beside = Guest;
    type Output = F::Output;

    fn beside(&self, guest: Guest) -> Guest {
        guest
    }

    fn handle(&self, stream: S, guest: Guest) -> impl Future<Output = F::Output> {
        (self.handler)(stream, guest)
    }
}

/// A handler whose errors are reported. See [`Serve::on_error`](super::Serve::on_error).
pub struct OnError<H, R> {
    handler: H,
    /// `None` only while it runs.
    report: Cell<Option<R>>,
}

impl<H, R> OnError<H, R> {
    pub(super) fn new(handler: H, report: R) -> OnError<H, R> {
        OnError { handler, report: Cell::new(Some(report)) }
    }

    /// Takes the function out, calls it and puts it back, also if it panics.
    fn report<E>(&self, peer: &Peer, error: &E)
    where
        R: FnMut(&Peer, &E),
    {
        let Some(report) = self.report.take() else { return };
        let mut taken = Taken { home: &self.report, report: Some(report) };
        if let Some(report) = &mut taken.report {
            report(peer, error);
        }
    }
}

/// A function that goes back to its place when this is dropped.
struct Taken<'a, R> {
    home: &'a Cell<Option<R>>,
    report: Option<R>,
}

impl<R> Drop for Taken<'_, R> {
    fn drop(&mut self) {
        self.home.set(self.report.take());
    }
}

impl<S, H, R, T, E> Handler<S> for OnError<H, R>
where
    H: Handler<S, Output = Result<T, E>>,
    R: FnMut(&Peer, &E) + 'static,
{
    type Beside = (Peer, H::Beside);
    type Output = Result<T, E>;

    fn beside(&self, guest: Guest) -> (Peer, H::Beside) {
        (guest.peer().clone(), self.handler.beside(guest))
    }

    async fn handle(&self, stream: S, (peer, beside): (Peer, H::Beside)) -> Result<T, E> {
        // The stream is closed by the time its error is reported.
        let result = self.handler.handle(stream, beside).await;
        if let Err(error) = &result {
            self.report(&peer, error);
        }
        result
    }
}

impl<H, R> std::fmt::Debug for OnError<H, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnError").finish_non_exhaustive()
    }
}
