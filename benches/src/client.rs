//! A client that is the same for all servers: one thread, a bare loop on `mio`, and no runtime.
//!
//! Facts. A client that sends the next message when the last one is answered does not see the messages that it would
//! have sent while a server stood still: *coordinated omission*. A client that is slower than the server measures
//! itself.
//!
//! What follows. There are two paces. *In flight*: each connection has this many messages in flight, and asks again
//! when one is answered; this shows how much a server can do. *Per second*: messages are due at fixed times, one
//! connection after the other, and are sent whether or not others were answered; the latency of a message is counted
//! from the time at which it was due. At this pace the client does not sleep, because nothing wakes it on time to
//! within some microseconds.
//!
//! Contract. Each connection has been answered once before the clock starts. Every byte that comes back is compared.
//! Every message is answered, or there is a [`Miss`]: a server that sends nothing for as long as the client's patience
//! is absent.

mod connection;
mod patience;
mod storm;
mod tape;
mod words;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};

use crate::faceoff::job::Miss;
use connection::Connection;
use patience::{no_poll, patient, poll};
pub use storm::storm;
use tape::room;
pub use words::Words;

/// Connections that are opened at the same time: no more than any listener's queue holds.
const TOGETHER: usize = 100;

/// When the next message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Each connection has this many messages in flight.
    InFlight(u64),
    /// This many messages per second, over all connections.
    PerSecond(u64),
}

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    pub took: Duration,
    pub answered: u64,
    /// In nanoseconds.
    pub latencies: Histogram<u64>,
}

/// Three digits, from a nanosecond to a minute.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("a minute fits")
}

#[derive(Debug)]
pub struct Client {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    words: Words,
    buffer: Vec<u8>,
    patience: Duration,
    /// When the server last sent anything.
    heard: Instant,
}

impl Client {
    /// This many connections, each of which has been answered once.
    pub fn connect(to: SocketAddr, count: usize, words: Words, patience: Duration) -> Result<Client, Miss> {
        let (poll, events) = (Poll::new().map_err(|error| no_poll(&error))?, Events::with_capacity(1024));
        let (connections, buffer) = (Vec::with_capacity(count), room());
        let mut client = Client { poll, events, connections, words, buffer, patience, heard: Instant::now() };
        while client.connections.len() < count {
            client.connect_some((count - client.connections.len()).min(TOGETHER), to)?;
        }
        Ok(client)
    }

    fn connect_some(&mut self, count: usize, to: SocketAddr) -> Result<(), Miss> {
        self.heard = Instant::now();
        for _ in 0..count {
            let token = Token(self.connections.len());
            let mut connection = Connection::to(to, self.poll.registry(), token)?;
            connection.ask(self.heard);
            connection.write(&self.words)?;
            self.connections.push(connection);
        }
        let mut left = count as u64;
        while left > 0 {
            left -= self.turn(Some(self.patience), 0, &mut histogram())?;
        }
        Ok(())
    }

    /// Sends this many messages on each connection.
    pub fn run(&mut self, each: u64, pace: Pace) -> Result<Outcome, Miss> {
        let mut latencies = histogram();
        let start = Instant::now();
        self.heard = start;
        match pace {
            Pace::InFlight(most) => self.in_flight(each, most, &mut latencies)?,
            Pace::PerSecond(rate) => self.per_second(each, rate, &mut latencies)?,
        }
        let (took, answered) = (start.elapsed(), latencies.len());
        Ok(Outcome { took, answered, latencies })
    }

    fn in_flight(&mut self, each: u64, most: u64, latencies: &mut Histogram<u64>) -> Result<(), Miss> {
        let goal = self.connections.first().map_or(0, |connection| connection.asked) + each;
        let mut left = each * self.connections.len() as u64;
        for connection in &mut self.connections {
            (0..most.min(each)).for_each(|_| connection.ask(Instant::now()));
            connection.write(&self.words)?;
        }
        while left > 0 {
            left -= self.turn(Some(self.patience), goal, latencies)?;
        }
        Ok(())
    }

    fn per_second(&mut self, each: u64, rate: u64, latencies: &mut Histogram<u64>) -> Result<(), Miss> {
        let count = self.connections.len() as u64;
        let (all, start) = (each * count, Instant::now());
        let due = |message: u64| start + Duration::from_nanos(message * 1_000_000_000 / rate);
        let (mut next, mut left) = (0, all);
        while left > 0 {
            while next < all && due(next) <= Instant::now() {
                let connection = &mut self.connections[(next % count) as usize];
                connection.ask(due(next));
                connection.write(&self.words)?;
                next += 1;
            }
            match self.turn(Some(Duration::ZERO), 0, latencies)? {
                0 => std::thread::yield_now(),
                answered => left -= answered,
            }
        }
        Ok(())
    }

    /// Waits for events, takes the answers, and asks again on connections that have asked less often than `goal`.
    /// Returns how many answers came.
    fn turn(
        &mut self,
        wait: Option<Duration>,
        goal: u64,
        latencies: &mut Histogram<u64>,
    ) -> Result<u64, Miss> {
        poll(&mut self.poll, &mut self.events, wait)?;
        let mut answers = 0;
        for event in &self.events {
            let connection = &mut self.connections[event.token().0];
            let before = connection.answered;
            let record = |took: Duration| latencies.saturating_record(took.as_nanos() as u64);
            if connection.read(&self.words, &mut self.buffer, record)? {
                self.heard = Instant::now();
            }
            let new = connection.answered - before;
            let again = new.min(goal.saturating_sub(connection.asked));
            (0..again).for_each(|_| connection.ask(self.heard));
            connection.write(&self.words)?;
            answers += new;
        }
        if answers == 0 {
            patient(self.heard, self.patience)?;
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests;
