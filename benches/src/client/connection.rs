//! One connection of the client: what it should ask, what it has sent, what has come back.
//!
//! Facts. Large messages fill the buffers of the kernel: a client that writes everything before it reads may wait for a
//! server that waits for it. A connection that is closed in order keeps its port for a minute, and a benchmark runs out
//! of ports.
//!
//! What follows. Nothing blocks: what the kernel does not take is written later, and what has arrived is read first. A
//! connection ends with a reset (`SO_LINGER` 0).
//!
//! Invariants. `answered <= asked`. Bytes that were not asked for, or that are wrong, are an error.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use crate::client::tape::{PIECE, at_a_line};
use crate::client::words::Words;
use crate::faceoff::job::Miss;

#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    /// In bytes.
    sent: u64,
    received: u64,
    /// In messages.
    pub(super) asked: u64,
    pub(super) answered: u64,
    /// Since when each message has been waiting for its answer.
    since: VecDeque<Instant>,
}

impl Connection {
    /// Begins to connect. The first event comes when that has succeeded.
    pub(super) fn to(address: SocketAddr, registry: &Registry, token: Token) -> Result<Connection, Miss> {
        let open = || {
            let mut stream = TcpStream::connect(address)?;
            let socket = SockRef::from(&stream);
            socket.set_tcp_nodelay(true)?;
            socket.set_linger(Some(Duration::ZERO))?;
            registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
            Ok(stream)
        };
        let stream = open().map_err(|error: std::io::Error| broken("cannot connect", &error))?;
        let since = VecDeque::new();
        Ok(Connection { stream, sent: 0, received: 0, asked: 0, answered: 0, since })
    }

    /// Asks for one more message, whose latency is counted from `since`.
    pub(super) fn ask(&mut self, since: Instant) {
        self.asked += 1;
        self.since.push_back(since);
    }

    /// Writes what was asked, as far as the kernel takes it.
    pub(super) fn write(&mut self, words: &Words) -> Result<(), Miss> {
        let end = self.asked * words.ask.period();
        while self.sent < end {
            match self.stream.write(words.ask.piece(self.sent, end - self.sent)) {
                Ok(count) => self.sent += count as u64,
                Err(error) if not_now(error.kind()) => return Ok(()),
                Err(error) => return Err(broken("cannot write", &error)),
            }
        }
        Ok(())
    }

    /// Reads what has arrived, and calls `answer` with the latency of each answer. Returns whether anything had
    /// arrived.
    pub(super) fn read(
        &mut self,
        words: &Words,
        buffer: &mut [u8],
        mut answer: impl FnMut(Duration),
    ) -> Result<bool, Miss> {
        let (before, buffer) = (self.received, at_a_line(buffer));
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(Miss::Wrong("it ends a connection before it has answered".into())),
                Ok(count) => {
                    self.check(words, &buffer[..count])?;
                    self.count(words, &mut answer);
                    if count < PIECE {
                        return Ok(true);
                    }
                }
                Err(error) if not_now(error.kind()) => return Ok(self.received > before),
                Err(error) => return Err(broken("cannot read", &error)),
            }
        }
    }

    fn check(&mut self, words: &Words, came: &[u8]) -> Result<(), Miss> {
        if words.answer.piece(self.received, came.len() as u64) != came {
            let message = self.received / words.answer.period();
            return Err(Miss::Wrong(format!("the answer to message {message} is wrong")));
        }
        self.received += came.len() as u64;
        match self.received > self.asked * words.answer.period() {
            true => Err(Miss::Wrong("it answers more than it was asked".into())),
            false => Ok(()),
        }
    }

    fn count(&mut self, words: &Words, answer: &mut impl FnMut(Duration)) {
        let whole = self.received / words.answer.period();
        if self.answered == whole {
            return;
        }
        let now = Instant::now();
        let new = (whole - self.answered) as usize;
        self.since.drain(..new).for_each(|since| answer(now.saturating_duration_since(since)));
        self.answered = whole;
    }
}

/// Try later, or not connected yet.
fn not_now(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::NotConnected)
}

fn broken(what: &str, error: &std::io::Error) -> Miss {
    Miss::Wrong(format!("a client {what}: {error}"))
}
