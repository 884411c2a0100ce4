//! Tests an echo server with any number of connections, and of messages in flight on each. It compares every byte that
//! comes back with what it sent. It ends with one line, and with code 1 if anything was wrong.
//!
//! Run it with `cargo run --release --example load -- --addr 127.0.0.1:7000`, while `echo` runs.
//!
//! Each connection writes and reads at the same time, with `join!` on one `TcpStream`: nothing has to be split. The end
//! is orderly, too: a connection that has sent enough closes its direction, and reads until the server does the same. A
//! server that hangs up earlier has failed, even if it does so between two messages.

#![forbid(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use examples::args::{Args, end};
use examples::limits::need_open_files;
use examples::{loops, println, status};
use hdrhistogram::Histogram;
use roundel::group::{gather, join, select};
use roundel::sync::Semaphore;
use roundel::{signal, time};
use roundel_net::io::Buffers;
use roundel_net::{TcpStream, lookup_host};

const USAGE: &str = "\
usage: load --addr HOST:PORT [--connections 50] [--size 64] [--seconds 5] [--pipeline 1]
  --connections  how many connections
  --size         bytes of each message
  --seconds      how long to send messages
  --pipeline     messages in flight on each connection";

/// How long connecting may take, and how long the last answers may take after everything was sent.
const PATIENCE: Duration = Duration::from_secs(10);
/// This many connections are started at once; more would overrun the queue of most servers.
const CONNECTING: usize = 128;

struct Load {
    size: usize,
    pipeline: usize,
    /// Random bytes, long enough for a message to begin at each of the first `SHIFTS` places.
    pattern: Vec<u8>,
    start: Instant,
    end: Cell<Instant>,
    requests: Cell<u64>,
    latencies: RefCell<Histogram<u64>>,
    buffers: Buffers,
}

/// Messages of at most a gigabyte.
const LARGEST: usize = 1 << 30;
/// The longest latency that is recorded as it is: a minute, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;
/// A prime, so that messages with neighbouring numbers, and those of two connections, begin at different places.
const SHIFTS: usize = 251;

impl Load {
    /// The message with this number.
    fn message(&self, number: usize) -> &[u8] {
        let shift = number % SHIFTS;
        &self.pattern[shift..shift + self.size]
    }

    async fn connection(&self, stream: io::Result<TcpStream>, number: usize) -> Result<(), Failure> {
        let stream =
            stream.map_err(|error| Failure { what: format!("no connection: {error}"), after: None })?;
        let flight = Flight {
            sent: RefCell::default(),
            room: Semaphore::new(self.pipeline),
            closed: Cell::new(false),
        };
        let work = async {
            join!(self.write(&stream, number, &flight), async {
                let read = self.read(&stream, number, &flight).await;
                flight.room.close(); // If reading has failed, writing must end, too.
                read
            })
        };
        let limit = self.end.get() + PATIENCE;
        let late = |_| io::Error::new(ErrorKind::TimedOut, "an answer did not come within 10 seconds");
        let ended = time::timeout_at(limit, work).await.map_err(late);
        let failed = |error| Failure { what: told(&error), after: Some(time::now() - self.start) };
        ended.and_then(|(written, read)| read.and(written)).map_err(failed)
    }

    async fn write(&self, stream: &TcpStream, first: usize, flight: &Flight) -> io::Result<()> {
        for number in first.. {
            let Ok(permit) = flight.room.acquire().await else { return Ok(()) };
            permit.forget();
            let now = time::now();
            if now >= self.end.get() {
                break;
            }
            flight.sent.borrow_mut().push_back(now);
            stream.write_all(self.message(number)).await?;
        }
        flight.closed.set(true);
        stream.shutdown(Shutdown::Write)
    }

    /// Reads and compares until the server closes. It must do so only after we have closed, and after the last message.
    async fn read(&self, stream: &TcpStream, first: usize, flight: &Flight) -> io::Result<()> {
        let (mut number, mut place) = (first, 0);
        loop {
            let chunk = stream.read_chunk(&self.buffers).await?;
            if chunk.is_empty() {
                let in_order = flight.closed.get() && flight.sent.borrow().is_empty();
                return if in_order { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
            let mut bytes = &chunk[..];
            while !bytes.is_empty() {
                let expected = &self.message(number)[place..];
                let (now, later) = bytes.split_at(bytes.len().min(expected.len()));
                if now != &expected[..now.len()] {
                    return Err(io::Error::new(
                        ErrorKind::InvalidData,
                        "other bytes came back than were sent",
                    ));
                }
                (bytes, place) = (later, place + now.len());
                if place == self.size {
                    (number, place) = (number + 1, 0);
                    self.answered(flight.sent.borrow_mut().pop_front())?;
                    flight.room.add_permits(1);
                }
            }
        }
    }

    fn answered(&self, sent: Option<Instant>) -> io::Result<()> {
        let Some(sent) = sent else {
            return Err(io::Error::new(ErrorKind::InvalidData, "more came back than was sent"));
        };
        self.requests.set(self.requests.get() + 1);
        self.latencies.borrow_mut().saturating_record((time::now() - sent).as_nanos() as u64);
        Ok(())
    }

    /// After Ctrl-C it sends no more, but still waits for the messages in flight.
    async fn stop_when_told(&self) -> Infallible {
        signal::shutdown().await;
        self.end.set(time::now());
        pending().await
    }

    async fn show_progress(&self, start: Instant) -> Infallible {
        let mut before = 0;
        let mut ticks = time::interval(Duration::from_millis(200));
        while status::is_seen() {
            let now = ticks.tick().await;
            let (done, all) = ((now - start).as_secs_f64(), (self.end.get() - start).as_secs_f64());
            let rate = status::grouped((self.requests.get() - before) * 5);
            before = self.requests.get();
            status::show_progress(done / all, &format!("{done:.1} of {all:.0} s, {rate} requests/s"));
        }
        pending().await
    }

    /// The last line.
    fn report(&self, took: Duration, errors: usize) {
        let latencies = self.latencies.borrow();
        let at = |quantile| format!("{:.1} µs", latencies.value_at_quantile(quantile) as f64 / 1000.0);
        let rate = self.requests.get() as f64 / took.as_secs_f64();
        let (p50, p99, p999) = (at(0.5), at(0.99), at(0.999));
        println!("{rate:.0} requests/s, p50 {p50}, p99 {p99}, p99.9 {p999}, errors {errors}");
    }
}

/// What is in flight on one connection.
struct Flight {
    /// When each message that has not come back was sent.
    sent: RefCell<VecDeque<Instant>>,
    /// Wakes the writer when there is room for more messages.
    room: Semaphore,
    /// Set when the last message has been sent. From then on, the server may hang up.
    closed: Cell<bool>,
}

/// Why a connection has failed, and when, counted from the start. A connection that was never made has no time.
struct Failure {
    what: String,
    after: Option<Duration>,
}

/// What an error says about the server. A server can hang up in several ways: in order, or with a reset that a read or
/// a write finds.
fn told(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => "the server ended the connection early".to_owned(),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            format!("the server ended the connection early: {error}")
        }
        _ => error.to_string(),
    }
}

/// Random enough to notice any byte that is lost, doubled or moved.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(next).collect()
}

/// Opens all connections, a few at a time.
async fn connect(addr: &str, connections: usize) -> io::Result<Vec<io::Result<TcpStream>>> {
    let (addresses, gate) = (lookup_host(addr).await?, Semaphore::new(CONNECTING));
    let attempts = (0..connections).map(|_| async {
        let _permit = gate.acquire().await;
        let late = |_| io::Error::new(ErrorKind::TimedOut, "no connection within 10 seconds");
        let stream = time::timeout(PATIENCE, TcpStream::connect(&addresses)).await.map_err(late)??;
        stream.set_nodelay(true)?;
        Ok(stream)
    });
    Ok(gather(attempts).await)
}

/// What went wrong: how often each kind of failure happened, and when the first and the last were.
fn tell_failures(failures: &[Failure]) {
    let mut kinds = BTreeMap::<&str, Vec<Option<Duration>>>::new();
    for failure in failures {
        kinds.entry(&failure.what).or_default().push(failure.after);
    }
    for (what, times) in kinds {
        let seconds =
            |time: Option<&Option<Duration>>| time.copied().flatten().map(|time| time.as_secs_f64());
        let when = match (seconds(times.iter().min()), seconds(times.iter().max())) {
            (Some(first), Some(last)) => format!(", first {first:.2} s and last {last:.2} s after the start"),
            _ => String::new(),
        };
        status::complain(format_args!("{} × {what}{when}", times.len()));
    }
}

async fn run(
    addr: String,
    connections: usize,
    seconds: Duration,
    size: usize,
    pipeline: usize,
) -> io::Result<bool> {
    let streams = connect(&addr, connections).await?;
    let start = time::now();
    let load = Load {
        size,
        pipeline,
        pattern: noise(size + SHIFTS),
        start,
        end: Cell::new(start + seconds),
        requests: Cell::new(0),
        latencies: Histogram::new_with_max(LONGEST, 3).expect("three digits are possible").into(),
        buffers: Buffers::default(),
    };
    let work =
        gather(streams.into_iter().enumerate().map(|(number, stream)| load.connection(stream, number)));
    let watch = async { join!(load.stop_when_told(), load.show_progress(start)).0 };
    let results = select! {
        results = work => results,
        never = watch => match never {},
    };
    let took = time::now() - start;
    if status::is_seen() {
        status::show("");
    }
    let failures: Vec<Failure> = results.into_iter().filter_map(Result::err).collect();
    tell_failures(&failures);
    load.report(took, failures.len());
    Ok(failures.is_empty())
}

fn main() -> ExitCode {
    let mut args = Args::new(USAGE);
    let Some(addr) = args.option::<String>("--addr") else { args.refuse("--addr is missing: which server?") };
    let connections = args.count("--connections", 50);
    let size = args.count("--size", 64);
    if size > LARGEST {
        args.refuse(&format!("--size {size} is too much: give at most {LARGEST} bytes"));
    }
    let seconds = args.seconds("--seconds").unwrap_or(Duration::from_secs(5));
    let pipeline = args.count("--pipeline", 1);
    args.finish();
    if let Err(error) = need_open_files(connections, &format!("{connections} connections")) {
        return end(Err(error));
    }
    match loops::one(run(addr, connections, seconds, size, pipeline)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => end(Err(error)),
    }
}
