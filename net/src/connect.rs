//! Connecting to the address that answers first.
//!
//! Facts. `connect` returns before the connection is established. When the socket becomes writable, the
//! connection is established or has failed. But readiness is a hint: a socket that was reported is connected
//! only if it has no error *and* has a peer. A host may have many addresses, and some of them may lead
//! nowhere.
//!
//! What follows. The attempts of a [`Schedule`] run side by side within one future. Each is only a socket
//! that is checked when the task is woken. The first one that connects is returned, and the others are
//! closed. With one address there is no timer at all.
//!
//! Contract. Dropping the future closes all attempts and stops waiting for the lookup. An error names the
//! target and says how each attempt failed.
//!
//! What it does not know: why the addresses are in this order.

mod schedule;

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use roundel::source::Direction;
use roundel::time::{self, Sleep};

use crate::details;
use crate::kernel::{self, explain};
use crate::names::ToAddrs;
use crate::socket::TcpSocket;
use crate::stream::ByteStream;
use crate::tcp::TcpStream;
use schedule::{Schedule, Step};

impl TcpStream {
    /// Connects to the first of the addresses that answers.
    ///
    /// # Errors
    ///
    /// Names the target and says how each attempt failed: a [`ConnectError`].
    pub async fn connect(to: impl ToAddrs) -> io::Result<TcpStream> {
        let target = to.target()?;
        let name = target.to_string();
        let mut race = Race::new(Schedule::new(target.resolve().await?));
        match poll_fn(|cx| race.poll(cx)).await {
            Some(stream) => {
                details::describe(stream.source());
                Ok(stream)
            }
            None => Err(ConnectError { target: name, attempts: race.failed }.into()),
        }
    }
}

impl TcpSocket {
    /// Connects.
    ///
    /// # Errors
    ///
    /// Names the address: `ConnectionRefused` if no socket listens there.
    pub async fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        let failed = |error: io::Error| explain("connect to", address, &error);
        kernel::begin_connect(self.get_ref(), &address.into()).map_err(failed)?;
        let stream = ByteStream::new_plain(mio::net::TcpStream::from_std(self.into_inner().into()))?;
        stream.source().io(Direction::Write, check).await.map_err(failed)?;
        details::describe(stream.source());
        Ok(stream)
    }
}

/// Whether the connection is established. `WouldBlock` while it is neither established nor has failed.
fn check(io: &mio::net::TcpStream) -> io::Result<()> {
    match io.take_error()? {
        Some(error) => Err(error),
        None => match io.peer_addr() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            result => result.map(drop),
        },
    }
}

/// The attempts that are running, and those that have failed.
struct Race {
    schedule: Schedule,
    running: Vec<(SocketAddr, TcpStream)>,
    failed: Vec<(SocketAddr, io::Error)>,
    /// Wakes the task for the next attempt. `None` until the race waits for that time.
    alarm: Option<Sleep>,
}

impl Race {
    fn new(schedule: Schedule) -> Race {
        Race { schedule, running: Vec::new(), failed: Vec::new(), alarm: None }
    }

    /// Ready with the first connection; `None` if all attempts have failed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<TcpStream>> {
        loop {
            if let Some(stream) = self.winner(cx) {
                return Poll::Ready(Some(stream));
            }
            match self.schedule.next(time::now()) {
                Step::Begin(address) => self.begin(address),
                Step::Wait(None) => return Poll::Pending,
                Step::Wait(Some(at)) => ready!(self.poll_alarm(cx, at)),
                Step::Over => return Poll::Ready(None),
            }
        }
    }

    /// The first attempt that has connected. Attempts that have failed move to `failed`.
    fn winner(&mut self, cx: &mut Context<'_>) -> Option<TcpStream> {
        let mut index = 0;
        while let Some((_, stream)) = self.running.get(index) {
            match stream.source().poll_io(cx, Direction::Write, check) {
                Poll::Pending => index += 1,
                Poll::Ready(Ok(())) => return Some(self.running.swap_remove(index).1),
                Poll::Ready(Err(error)) => {
                    let (address, _) = self.running.remove(index);
                    self.fail(address, error);
                }
            }
        }
        None
    }

    fn begin(&mut self, address: SocketAddr) {
        match begin(address) {
            Ok(stream) => self.running.push((address, stream)),
            Err(error) => self.fail(address, error),
        }
        self.alarm = None;
    }

    fn fail(&mut self, address: SocketAddr, error: io::Error) {
        self.failed.push((address, error));
        self.schedule.failed();
    }

    /// Ready when it is time for the next attempt.
    fn poll_alarm(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let alarm = self.alarm.get_or_insert_with(|| time::sleep_until(at));
        ready!(Pin::new(alarm).poll(cx));
        self.alarm = None;
        Poll::Ready(())
    }
}

/// Sends the first packet; the kernel does the rest in the background. If a signal interrupts that, it is
/// unknown whether the socket connects, so it is closed and a new one is taken.
fn begin(address: SocketAddr) -> io::Result<TcpStream> {
    loop {
        match mio::net::TcpStream::connect(address) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return ByteStream::new_plain(result?),
        }
    }
}

/// Why none of a target's addresses could be connected to. The [`io::Error`] of [`TcpStream::connect`]
/// contains it.
///
/// ```
/// use roundel_net::{ConnectError, TcpSocket, TcpStream};
///
/// # #[cfg(not(miri))]
/// roundel::run(async {
///     // The port is taken, but no program listens on it.
///     let silent = TcpSocket::new_v4()?;
///     silent.bind("127.0.0.1:0".parse().unwrap())?;
///     let there = silent.local_addr()?;
///     let error = TcpStream::connect(there).await.unwrap_err();
///     assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
///     assert!(error.to_string().starts_with(&format!("cannot connect to {there}: Connection refused")));
///     let why = error.get_ref().unwrap().downcast_ref::<ConnectError>().unwrap();
///     assert_eq!(why.attempts()[0].0, there);
///     std::io::Result::Ok(())
/// })
/// .unwrap();
/// ```
#[derive(Debug)]
pub struct ConnectError {
    target: String,
    attempts: Vec<(SocketAddr, io::Error)>,
}

impl ConnectError {
    /// How each attempt failed, in the order in which they failed.
    #[must_use]
    pub fn attempts(&self) -> &[(SocketAddr, io::Error)] {
        &self.attempts
    }

    /// The kind of the last attempt's error.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.attempts.last().map_or(io::ErrorKind::InvalidInput, |(_, error)| error.kind())
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.attempts[..] {
            [] => write!(f, "there is no address to connect to: the list is empty"),
            [(address, error)] if address.to_string() == self.target => {
                write!(f, "cannot connect to {address}: {error}")
            }
            attempts => {
                write!(f, "cannot connect to {}", self.target)?;
                for (index, (address, error)) in attempts.iter().enumerate() {
                    write!(f, "{} {address}: {error}", if index == 0 { ":" } else { ";" })?;
                }
                Ok(())
            }
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.attempts.last().map(|(_, error)| error as _)
    }
}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}
