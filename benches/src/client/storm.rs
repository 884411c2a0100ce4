//! Connections that come and go: connect, one message, its answer, a reset; as fast as possible.
//!
//! Facts. One connection at a time would measure how long a wake takes. All at once would overflow the listener's
//! queue, and a connection that the kernel has dropped comes back a second later.
//!
//! What follows. This many are open at any time; when one is over, the next begins in its place.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Registry, Token};

use crate::client::connection::Connection;
use crate::client::patience::{no_poll, patient, poll};
use crate::client::tape::room;
use crate::client::words::Words;
use crate::faceoff::job::Miss;

/// How long `all` connections took, of which `at_once` were open at any time.
pub fn storm(
    to: SocketAddr,
    at_once: usize,
    all: usize,
    words: &Words,
    patience: Duration,
) -> Result<Duration, Miss> {
    let mut waits = Poll::new().map_err(|error| no_poll(&error))?;
    let (mut events, mut buffer) = (Events::with_capacity(1024), room());
    let start = Instant::now();
    let (mut heard, mut begun, mut ended) = (start, at_once.min(all), 0);
    let mut places = Vec::with_capacity(begun);
    for place in 0..begun {
        places.push(begin(to, waits.registry(), place, words)?);
    }
    while ended < all {
        poll(&mut waits, &mut events, Some(patience))?;
        for event in &events {
            let Token(place) = event.token();
            let connection = &mut places[place];
            if connection.answered > 0 {
                continue; // It is over, and no other has taken its place.
            }
            connection.write(words)?;
            connection.read(words, &mut buffer, |_| heard = Instant::now())?;
            if connection.answered == 0 {
                continue;
            }
            ended += 1;
            if begun < all {
                begun += 1;
                places[place] = begin(to, waits.registry(), place, words)?;
            }
        }
        patient(heard, patience)?;
    }
    drop(places);
    Ok(start.elapsed())
}

fn begin(to: SocketAddr, registry: &Registry, place: usize, words: &Words) -> Result<Connection, Miss> {
    let mut connection = Connection::to(to, registry, Token(place))?;
    connection.ask(Instant::now());
    connection.write(words)?;
    Ok(connection)
}
