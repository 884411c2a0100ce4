//! Lab 6: a source whose kernel reports edges.
//!
//! Facts. The kernel reports a socket once, when it becomes readable, and not again while it stays so. One report can stand
//! for several things: some bytes, more bytes, and the end. Only a read that says `WouldBlock` tells that there is nothing
//! left.
//!
//! What follows. A [`Socket`] of the grader is a queue of bytes that counts how often it is read. The grader reports an edge
//! for what arrives, and compares with what a reader must see.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::check::{Check, ensure, ensure_with, miss_with, same};
use crate::diary::{act, new_case, spend};
use crate::hands::{Hand, Random, calls};
use crate::outcome::Outcome;

/// What the learner writes.
pub trait Source: Sized + 'static {
    /// A source on this socket. Nothing was reported yet.
    fn new(socket: Socket) -> Self;
    /// The kernel reports the socket as readable. This is an edge: it comes once.
    fn report(&self);
    /// Reads what is there, or notes the waker and waits for the next report.
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;
}

/// A socket that does not block. Its clones are the same socket.
#[derive(Clone, Debug, Default)]
pub struct Socket(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    bytes: RefCell<VecDeque<u8>>,
    ended: Cell<bool>,
    reads: Cell<usize>,
}

impl Socket {
    /// Reads up to as many bytes as fit. 0 is the end. Each call is a system call.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, if nothing is there.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        spend(1_000_000);
        self.0.reads.set(self.0.reads.get() + 1);
        let mut bytes = self.0.bytes.borrow_mut();
        if bytes.is_empty() && !self.0.ended.get() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = bytes.len().min(buffer.len());
        buffer.iter_mut().zip(bytes.drain(..count)).for_each(|(to, byte)| *to = byte);
        Ok(count)
    }
}

/// The checks of lab 6.
#[must_use]
pub fn checks<A: Source>() -> Vec<Check> {
    vec![
        Check::new("a read waits for a report, and then has the bytes", waits::<A>, WAITS),
        Check::new("a report that comes before the read is not forgotten", before::<A>, BEFORE),
        Check::new("eight bytes of one report are read four by four", four_by_four::<A>, KEEP),
        Check::new("bytes and the end in one report are both seen", end::<A>, SHORT),
        Check::new("a poll without a report costs no system call", idle::<A>, IDLE),
        Check::new("the newest waker is woken, with nothing borrowed", wakers::<A>, WAKER),
        Check::new("it never hangs and never asks in vain, in 3,000 random runs", model::<A>, KEEP),
    ]
}

const WAITS: &str = "To wait for an edge, the waker has to be kept where `report` finds it. After the report, the task looks again.";
const BEFORE: &str =
    "An edge comes once. If no task waits at that moment, the source itself has to remember it.";
const KEEP: &str = "The kernel does not report again what it has reported. So after a read that found something, is the socket \
    known to be empty? Only one answer of `read` says that it is.";
const SHORT: &str = "One report may stand for several things. A read that does not fill the buffer has taken all the bytes. But \
    the end may have come with them.";
const IDLE: &str = "A task can be polled for reasons that have nothing to do with the socket. The source knows whether a report has \
    come since the last `WouldBlock`. Let that decide whether a system call is worth it.";
const WAKER: &str = "The waker of the last poll is the one that counts. It is foreign code, so nothing may be borrowed while it runs.";

/// A source, and its socket.
struct Case<A> {
    source: Rc<A>,
    socket: Socket,
}

impl<A: Source> Case<A> {
    fn new() -> Case<A> {
        let socket = Socket::default();
        Case { source: Rc::new(A::new(socket.clone())), socket }
    }

    /// Bytes arrive, and the kernel reports an edge.
    fn arrive(&self, bytes: &[u8]) {
        act(format_args!("{} bytes arrive, and are reported", bytes.len()));
        self.socket.0.bytes.borrow_mut().extend(bytes);
        self.source.report();
    }

    /// A read into a buffer of four bytes.
    fn read(&self) -> Hand<Vec<u8>> {
        let source = self.source.clone();
        Hand::new(poll_fn(move |cx| {
            let mut buffer = [0; 4];
            let read = source.poll_read(cx, &mut buffer);
            read.map(|count| buffer[..count.expect("the socket has no errors")].to_vec())
        }))
    }

    /// Polls a read, which has to return these bytes, or has to wait.
    fn polls(&self, read: &mut Hand<Vec<u8>>, expected: Option<&[u8]>) -> Outcome {
        act("read up to four bytes");
        read.poll();
        let shown = |bytes: Option<&[u8]>| match bytes {
            Some([]) => "the end".to_owned(),
            Some(bytes) => format!("the bytes {:?}", String::from_utf8_lossy(bytes)),
            None => "it waits".to_owned(),
        };
        let seen = read.output.as_deref();
        ensure(seen == expected, shown(expected), shown(seen))
    }
}

fn waits<A: Source>() -> Outcome {
    let case = Case::<A>::new();
    let mut read = case.read();
    case.polls(&mut read, None)?;
    case.arrive(b"abc");
    ensure(read.is_woken(), "the task is woken", "it is not")?;
    case.polls(&mut read, Some(b"abc"))
}

fn before<A: Source>() -> Outcome {
    let case = Case::<A>::new();
    case.arrive(b"ab");
    case.polls(&mut case.read(), Some(b"ab"))
}

fn four_by_four<A: Source>() -> Outcome {
    let case = Case::<A>::new();
    case.arrive(b"abcdefgh");
    case.polls(&mut case.read(), Some(b"abcd"))?;
    case.polls(&mut case.read(), Some(b"efgh"))?;
    let mut last = case.read();
    case.polls(&mut last, None)?;
    case.arrive(b"i");
    ensure(last.is_woken(), "the task is woken", "it is not")?;
    case.polls(&mut last, Some(b"i"))
}

fn end<A: Source>() -> Outcome {
    let case = Case::<A>::new();
    act("the other side has closed");
    case.socket.0.ended.set(true);
    case.arrive(b"ab");
    case.polls(&mut case.read(), Some(b"ab"))?;
    case.polls(&mut case.read(), Some(b""))?;
    case.polls(&mut case.read(), Some(b""))
}

fn idle<A: Source>() -> Outcome {
    let case = Case::<A>::new();
    let mut read = case.read();
    case.polls(&mut read, None)?;
    let before = case.socket.0.reads.get();
    act("poll it 100 times more");
    for _ in 0..100 {
        read.poll();
    }
    same("more system calls", &0, &(case.socket.0.reads.get() - before))
}

fn wakers<A: Source>() -> Outcome {
    let case = Case::<A>::new();
    let mut read = case.read();
    act("poll a read with a waker that nothing listens to");
    read.poll_with(std::task::Waker::noop());
    case.polls(&mut read, None)?;
    case.arrive(b"a");
    ensure(read.is_woken(), "the waker of the last poll is woken", "it is not")?;
    // A waker that reads at once finds nothing borrowed.
    new_case();
    let case = Case::<A>::new();
    let source = case.source.clone();
    let waker = calls(move || {
        act("its waker reads at once");
        let mut buffer = [0; 4];
        let _ = source.poll_read(&mut Context::from_waker(std::task::Waker::noop()), &mut buffer);
    });
    act("poll a read");
    case.read().poll_with(&waker);
    case.arrive(b"a");
    same("bytes that are left", &0, &case.socket.0.bytes.borrow().len())
}

fn model<A: Source>() -> Outcome {
    let mut random = Random(0xED6E);
    for _ in 0..3_000 {
        new_case();
        run::<A>(&mut random)?;
    }
    Ok(())
}

/// A random run with one reader. After each step, it must not wait while bytes are there. A system call in vain needs a report
/// since the last one.
fn run<A: Source>(random: &mut Random) -> Outcome {
    let (case, mut vain, mut reports) = (Case::<A>::new(), 0, 1);
    let mut read = case.read();
    for _ in 0..12 {
        match random.below(3) {
            0 => {
                reports += 1;
                case.arrive(&b"abcdefgh"[..1 + random.below(8) as usize]);
            }
            _ => {
                act("read up to four bytes");
                let (reads, empty) = (case.socket.0.reads.get(), case.socket.0.bytes.borrow().is_empty());
                read.poll();
                vain += usize::from(empty) * (case.socket.0.reads.get() - reads);
                read = if read.is_pending() { read } else { case.read() };
            }
        }
        // A reader that sleeps beside bytes has lost a report.
        let left = case.socket.0.bytes.borrow().len();
        let asleep = read.is_pending() && read.was_polled() && !read.is_woken();
        if asleep && left > 0 {
            let seen = format!("it waits, and {left} bytes are there, which will not be reported again");
            return Err(miss_with(KEEP, "the reader is woken, or has the bytes", seen));
        }
        // A read in vain is how one learns that nothing is left, so each report allows one.
        let seen = format!("{vain} reads in vain after {reports} reports");
        ensure_with(IDLE, vain <= reports, "at most one read in vain for each report", seen)?;
    }
    Ok(())
}
