//! The end of a stream, in its many forms: after the last bytes (hazard 33), as an error or a hang-up (hazard 34), and
//! in one direction only (hazard 35).

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use mio::event;
use mio::unix::pipe;
use roundel::source::{Direction, Source};
use roundel::{JoinHandle, spawn};
use socket2::SockRef;

use super::common::{Log, everywhere, read, really, settle, tcp, unix, write_all};
use super::{drain, fill};

// Hazard 33: a short read that means more than "that was all".

/// Three bytes, and then the end.
async fn abc_and_the_end<S>(source: Source<S>)
where
    S: event::Source,
    for<'a> &'a S: Read,
{
    let mut buffer = [0; 64];
    assert_eq!(read(&source, &mut buffer).await.unwrap(), 3);
    assert_eq!(&buffer[..3], b"abc");
    assert_eq!(read(&source, &mut buffer).await.unwrap(), 0);
    assert_eq!(read(&source, &mut buffer).await.unwrap(), 0, "the end stays the end");
}

#[test]
#[cfg_attr(not(feature = "diagnostics"), ignore = "it needs to hear what the loop does")]
fn hazard_33_fin_in_the_same_event_as_data() {
    everywhere(async |log| {
        let (ours, mut theirs) = unix();
        let reader = spawn(abc_and_the_end(ours));
        settle().await;
        log.clear();
        theirs.write_all(b"abc").unwrap();
        drop(theirs);
        reader.await.unwrap();
        assert_eq!(log.reports().len(), 1, "the data and the end came at once");
    });
    really(async |_| {
        let (ours, mut theirs) = tcp();
        let reader = spawn(abc_and_the_end(ours));
        settle().await;
        theirs.write_all(b"abc").unwrap();
        drop(theirs);
        reader.await.unwrap();
    });
}

#[test]
fn hazard_33_fin_before_the_first_look() {
    everywhere(async |_| {
        let (ours, mut theirs) = unix();
        theirs.write_all(b"abc").unwrap();
        drop(theirs);
        abc_and_the_end(ours).await;
    });
    really(async |_| {
        let (ours, mut theirs) = tcp();
        theirs.write_all(b"abc").unwrap();
        drop(theirs);
        abc_and_the_end(ours).await;
    });
}

#[test]
fn hazard_33_fin_right_after_a_short_read() {
    everywhere(async |_| {
        let (ours, mut theirs) = unix();
        let mut buffer = [0; 64];
        theirs.write_all(b"abc").unwrap();
        assert_eq!(ours.io(Direction::Read, |mut stream| stream.read(&mut buffer)).await.unwrap(), 3);
        theirs.shutdown(Shutdown::Write).unwrap();
        ours.fell_short(Direction::Read);
        assert_eq!(read(&ours, &mut buffer).await.unwrap(), 0);
    });
}

/// Settles until the kernel has nothing more to report. Over TCP, that takes some time.
async fn quiet(log: &Log) {
    loop {
        log.clear();
        settle().await;
        if log.reports().is_empty() {
            return;
        }
    }
}

// Hazard 34: a report of an error or a hang-up that mentions neither reading nor writing.

#[test]
fn hazard_34_a_pipe_whose_writer_closes_ends_the_read() {
    everywhere(async |_| {
        let (sender, receiver) = pipe::new().unwrap();
        let receiver = Source::new(receiver).unwrap();
        let reader = spawn(async move { read(&receiver, &mut [0; 16]).await });
        settle().await;
        assert!(!reader.is_finished());
        drop(sender);
        assert_eq!(reader.await.unwrap().unwrap(), 0);
    });
}

#[test]
fn hazard_34_a_pipe_whose_reader_closes_ends_the_write() {
    everywhere(async |_| {
        let (sender, receiver) = pipe::new().unwrap();
        fill(&sender);
        let sender = Source::new(sender).unwrap();
        let writer = spawn(async move { write_all(&sender, b"x").await });
        settle().await;
        assert!(!writer.is_finished());
        drop(receiver);
        assert_eq!(writer.await.unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

/// On Linux, a datagram to a port without a listener is answered. The answer is an error of the sending socket.
#[cfg(target_os = "linux")]
#[test]
#[cfg_attr(not(feature = "diagnostics"), ignore = "it needs to hear what the loop does")]
fn hazard_34_a_refused_datagram_wakes_the_reader() {
    really(async |log| {
        // This socket holds the port, but is connected to itself. So the port is closed to all other senders.
        let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        closed.connect(closed.local_addr().unwrap()).unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(closed.local_addr().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let socket = Rc::new(Source::new(mio::net::UdpSocket::from_std(socket)).unwrap());
        let reading = Rc::clone(&socket);
        let reader =
            spawn(async move { reading.io(Direction::Read, |socket| socket.recv(&mut [0; 16])).await });
        settle().await;
        log.clear();
        socket.io(Direction::Write, |socket| socket.send(b"hello")).await.unwrap();
        assert_eq!(reader.await.unwrap().unwrap_err().kind(), ErrorKind::ConnectionRefused);
        assert!(log.reports().contains(&(true, true)), "an error concerns both directions");
    });
}

/// Writes until there is an error.
async fn write_until_error<S>(source: &Source<S>) -> io::Error
where
    S: event::Source,
    for<'a> &'a S: Write,
{
    loop {
        if let Err(error) = write_all(source, &[0; 4096]).await {
            return error;
        }
    }
}

/// Closes a connection with a reset instead of an end.
fn reset(stream: std::net::TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn hazard_34_a_reset_wakes_a_task_that_only_writes() {
    really(async |log| {
        let (ours, theirs) = tcp();
        let writer = spawn(async move { write_until_error(&ours).await });
        quiet(&log).await;
        assert!(!writer.is_finished(), "the buffers are full, and it waits");
        reset(theirs);
        let error = writer.await.unwrap();
        assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    });
}

#[test]
#[cfg_attr(not(feature = "diagnostics"), ignore = "it needs to hear what the loop does")]
fn hazard_34_a_reset_wakes_both_directions() {
    really(async |log| {
        let (ours, theirs) = tcp();
        let ours = Rc::new(ours);
        let (reading, writing) = (Rc::clone(&ours), Rc::clone(&ours));
        let reader = spawn(async move { read(&reading, &mut [0; 16]).await });
        let writer = spawn(async move { write_until_error(&writing).await });
        quiet(&log).await;
        assert!(!reader.is_finished() && !writer.is_finished());
        reset(theirs);
        // The kernel returns a socket's error once. The second call finds the stream closed.
        let (read, written) = (reader.await.unwrap(), writer.await.unwrap().kind());
        let told = [read.as_ref().err().map(io::Error::kind), Some(written)];
        assert!(told.contains(&Some(ErrorKind::ConnectionReset)), "{read:?}, {written:?}");
        assert!(log.reports().contains(&(true, true)), "an error concerns both directions");
    });
}

// Hazard 35: half-closed is not closed.

/// Writes `total` bytes, and counts the attempts.
fn write_and_count<S>(source: &Rc<Source<S>>, total: usize) -> (JoinHandle<()>, Rc<Cell<usize>>)
where
    S: event::Source + 'static,
    for<'a> &'a S: Write,
{
    let (source, tries) = (Rc::clone(source), Rc::new(Cell::new(0)));
    let counted = Rc::clone(&tries);
    let writer = spawn(async move {
        let (chunk, mut left) = (vec![0; 65536], total);
        while left > 0 {
            let size = chunk.len().min(left);
            let count = source.io(Direction::Write, |mut stream| {
                counted.set(counted.get() + 1);
                assert!(counted.get() < 10_000, "it spins: there is no room");
                stream.write(&chunk[..size])
            });
            left -= count.await.unwrap();
        }
    });
    (writer, tries)
}

const BUFFER: usize = 65536;

/// The peer closes its sending half, but does not read what we send either. That wakes the reader. The writer should
/// try no more often than `allowed`.
async fn writes_to_a_half_closed_peer<S, T>(
    log: Log,
    ours: Source<S>,
    theirs: T,
    total: usize,
    allowed: usize,
) where
    S: event::Source + AsFd + 'static,
    for<'a> &'a S: Read + Write,
    T: AsFd,
    for<'a> &'a T: Read,
{
    // Buffers whose size the kernel neither chooses nor changes. They are full after a few tries, so even if the kernel
    // is late and is not quiet yet, there are not many tries to come.
    SockRef::from(ours.get_ref()).set_send_buffer_size(BUFFER).unwrap();
    SockRef::from(&theirs).set_recv_buffer_size(BUFFER).unwrap();
    let ours = Rc::new(ours);
    let (writer, tries) = write_and_count(&ours, total);
    quiet(&log).await;
    let tried = tries.get();
    log.clear();
    SockRef::from(&theirs).shutdown(Shutdown::Write).unwrap();
    assert_eq!(read(&*ours, &mut [0]).await.unwrap(), 0);
    for _ in 0..20 {
        settle().await;
    }
    assert!(!writer.is_finished(), "{total} bytes are more than the buffers hold");
    let (tries, polls) = (tries.get() - tried, log.polls(writer.id()));
    assert!(tries <= allowed && polls <= allowed, "{tries} tries to write, {polls} polls, and no room");
    receive(&theirs, total, writer).await;
}

/// Reads the writer's bytes until the writer is done and nothing is left.
async fn receive<T>(stream: &T, total: usize, writer: JoinHandle<()>)
where
    for<'a> &'a T: Read,
{
    let mut received = 0;
    while !writer.is_finished() {
        received += drain(stream);
        settle().await;
    }
    writer.await.unwrap();
    while received < total {
        received += drain(stream);
        settle().await;
    }
    assert_eq!(received, total);
}

#[test]
fn hazard_35_a_half_closed_peer_does_not_make_the_writer_spin() {
    everywhere(async |log| {
        let (ours, theirs) = unix();
        writes_to_a_half_closed_peer(log, ours, theirs, 2 << 20, 0).await;
    });
    really(async |log| {
        let (ours, theirs) = tcp();
        // A late acknowledgement may make a little room.
        writes_to_a_half_closed_peer(log, ours, theirs, 4 << 20, 20).await;
    });
}

#[test]
fn hazard_35_a_peer_that_is_half_closed_from_the_start_gets_everything() {
    everywhere(async |_| {
        let (ours, theirs) = unix();
        theirs.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read(&ours, &mut [0; 16]).await.unwrap(), 0);
        let (writer, tries) = write_and_count(&Rc::new(ours), 1 << 20);
        settle().await;
        let tried = tries.get();
        settle().await;
        assert_eq!(tries.get(), tried, "there is no room");
        receive(&theirs, 1 << 20, writer).await;
    });
}
