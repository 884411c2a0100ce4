//! What a handler may know beside its stream: who the peer is, and whether the server is stopping.
//!
//! Facts. `accept` tells the address of the peer. Later, the kernel no longer knows it if the peer is gone.
//! A connection that is kept alive between two requests waits for its peer, perhaps for hours. It cannot know that the
//! server wants to end, so it would hold up the end for the whole grace period.
//!
//! What follows. The address is kept from the start. A handler that waits for the next request also waits for
//! [`Guest::stopping`], and ends then.
//!
//! Contract. The signal comes once and stays, so a handler cannot miss it. If the listener fails, the handlers do not get
//! the chance to see it: they are cancelled at once.
//!
//! | method | cancel safe |
//! |---|---|
//! | `stopping` | yes |
//! | `run` | as the future: it is dropped |
//!
//! What it does not know: the server.

use std::fmt;
use std::net::SocketAddr;
use std::os::unix::net;

use roundel::cancel::{CancelToken, Cancelled};

/// One connection, as its handler sees it. See [`serve_guests`](crate::serve_guests).
#[derive(Clone, Debug)]
pub struct Guest {
    peer: Peer,
    /// Cancelled when the server begins to end.
    stop: CancelToken,
}

impl Guest {
    pub(crate) fn new(peer: Peer, stop: &CancelToken) -> Guest {
        Guest { peer, stop: stop.clone() }
    }

    /// The address from which the connection came.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether the server accepts no more connections and waits for its handlers to end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until the server begins to end.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Runs `future` until the server begins to end, and then drops it. A result that is ready by then is not lost. Give
    /// it the wait for the next request, which should be cancel safe.
    ///
    /// # Errors
    ///
    /// If the server began to end before the future was done.
    pub async fn run<F: Future>(&self, future: F) -> Result<F::Output, Cancelled> {
        self.stop.run(future).await
    }
}

/// From where a connection came.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Peer {
    /// From this address, over TCP.
    Ip(SocketAddr),
    /// From this address within the machine, which nearly always has no name.
    Unix(net::SocketAddr),
    /// The listener did not tell.
    #[default]
    Unknown,
}

impl Peer {
    /// The address, if it is one of TCP.
    #[must_use]
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Peer::Ip(address) => Some(*address),
            Peer::Unix(_) | Peer::Unknown => None,
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Peer {
        Peer::Ip(address)
    }
}

impl From<net::SocketAddr> for Peer {
    fn from(address: net::SocketAddr) -> Peer {
        Peer::Unix(address)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Ip(address) => address.fmt(f),
            Peer::Unix(address) => match address.as_pathname() {
                Some(path) => path.display().fmt(f),
                None => f.write_str("a process of this machine"),
            },
            Peer::Unknown => f.write_str("an unknown address"),
        }
    }
}
