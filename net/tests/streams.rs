//! One script for every kind of stream: TCP, Unix sockets, pipes. The other end is the oracle: a blocking
//! stream of the standard library, on its own threads.
//!
//! A script follows from a seed. Both sides write and read pieces of random sizes at random moments, with all
//! methods that they have. Each side ends when it has written everything, one before the other. Each side
//! must read exactly what the other one has written, then the end, and neither may hang.

#![forbid(unsafe_code)]
#![cfg(all(unix, not(miri)))]

mod common;

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use roundel::{Runtime, spawn, time, yield_now};
use roundel_net::io::Buffers;
use roundel_net::pipe::{Receiver, Sender};
use roundel_net::{ByteStream, TcpStream, Transport, UnixStream};

use common::{Random, noise, watchdog_of};

/// How many conversations of each kind.
const SCRIPTS: u64 = if cfg!(debug_assertions) { 100 } else { 300 };

/// What one side writes: mostly little, sometimes much.
fn words(seed: u64, random: &mut Random) -> Vec<u8> {
    let most = [0, 1, 100, 20_000, 300_000][random.below(5)];
    noise(seed, random.below(most + 1))
}

/// Writes some of `bytes`, with a random method.
async fn write_some<S>(stream: &ByteStream<S>, bytes: &[u8], random: &mut Random) -> io::Result<usize>
where
    S: Transport,
    for<'a> &'a S: Write,
{
    match random.below(6) {
        0 => stream.write(bytes).await,
        1 => stream.write_all(bytes).await.map(|()| bytes.len()),
        2 => {
            let (one, other) = bytes.split_at(random.below(bytes.len() + 1));
            stream.write_vectored(&[IoSlice::new(one), IoSlice::new(&[]), IoSlice::new(other)]).await
        }
        3 => poll_fn(|cx| Pin::new(&mut &*stream).poll_write(cx, bytes)).await,
        4 => match time::timeout(Duration::ZERO, stream.write(bytes)).await {
            Ok(written) => written,
            Err(_) => stream.writable().await.map(|()| 0),
        },
        _ => match stream.try_write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => stream.writable().await.map(|()| 0),
            tried => tried,
        },
    }
}

/// Reads some bytes, with a random method. `None`: nothing came, and this is not the end.
async fn read_some<S>(
    stream: &ByteStream<S>,
    got: &mut Vec<u8>,
    buffers: &Buffers,
    random: &mut Random,
) -> io::Result<Option<usize>>
where
    S: mio::event::Source,
    for<'a> &'a S: Read,
{
    let most = [1, 100, 70_000][random.below(3)];
    let mut buffer = vec![0; 1 + random.below(most)];
    let read = match random.below(7) {
        0 => stream.read(&mut buffer).await?,
        1 => {
            let middle = random.below(buffer.len());
            let (one, other) = buffer.split_at_mut(middle);
            stream.read_vectored(&mut [IoSliceMut::new(one), IoSliceMut::new(other)]).await?
        }
        2 => poll_fn(|cx| Pin::new(&mut &*stream).poll_read(cx, &mut buffer)).await?,
        3 => {
            let chunk = stream.read_chunk(buffers).await?;
            got.extend_from_slice(&chunk);
            return Ok(Some(chunk.len()));
        }
        4 => match time::timeout(Duration::ZERO, stream.read(&mut buffer)).await {
            Ok(read) => read?,
            Err(_) => {
                yield_now().await;
                return Ok(None);
            }
        },
        5 => {
            stream.readable().await?;
            match stream.try_read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                tried => tried?,
            }
        }
        _ => match stream.read_exact(&mut buffer[..1]).await {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => 0,
            result => result.map(|()| 1)?,
        },
    };
    got.extend_from_slice(&buffer[..read]);
    Ok(Some(read))
}

async fn speak<S>(stream: Rc<ByteStream<S>>, bytes: Vec<u8>, mut random: Random)
where
    S: Transport,
    for<'a> &'a S: Write,
{
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + 1 + random.below(50_000));
        at += write_some(&stream, &bytes[at..end], &mut random).await.unwrap();
        if random.below(4) == 0 {
            yield_now().await;
        }
    }
    poll_fn(|cx| Pin::new(&mut &*stream).poll_close(cx)).await.unwrap();
}

async fn listen<S>(stream: Rc<ByteStream<S>>, mut random: Random) -> Vec<u8>
where
    S: mio::event::Source,
    for<'a> &'a S: Read,
{
    let (mut got, buffers) = (Vec::new(), Buffers::new(5000));
    while read_some(&stream, &mut got, &buffers, &mut random).await.unwrap() != Some(0) {
        if random.below(4) == 0 {
            yield_now().await;
        }
    }
    assert_eq!(stream.read(&mut [0; 10]).await.unwrap(), 0, "the end stays the end");
    got
}

/// The oracle writes.
fn speak_blocking(mut stream: impl Write, bytes: &[u8], mut random: Random) {
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + 1 + random.below(50_000));
        at += stream.write(&bytes[at..end]).unwrap();
        if random.below(30) == 0 {
            thread::sleep(Duration::from_micros(50));
        }
    }
}

/// The oracle reads.
fn listen_blocking(mut stream: impl Read, mut random: Random) -> Vec<u8> {
    let (mut got, mut buffer) = (Vec::new(), vec![0; 70_000]);
    loop {
        match stream.read(&mut buffer[..1 + random.below(70_000)]).unwrap() {
            0 => return got,
            count => got.extend_from_slice(&buffer[..count]),
        }
        if random.below(30) == 0 {
            thread::sleep(Duration::from_micros(50));
        }
    }
}

fn randoms(seed: u64) -> [Random; 4] {
    [1, 2, 3, 4].map(|part| Random::new(seed * 4 + part))
}

/// One conversation: `writer` and `reader` are ours; the oracle's two run on threads.
fn converse<W, R>(
    seed: u64,
    ours: impl FnOnce() -> (Rc<ByteStream<W>>, Rc<ByteStream<R>>),
    their_end: impl Read + Send + 'static,
    mut their_words: impl Write + Send + 'static,
    hang_up: impl FnOnce() + Send + 'static,
) where
    W: Transport + 'static,
    for<'a> &'a W: Write,
    R: mio::event::Source + 'static,
    for<'a> &'a R: Read,
{
    let [mut choice, one, two, three] = randoms(seed);
    let (we_say, they_say) = (words(seed, &mut choice), words(seed + 1000, &mut choice));
    let (expected, their_expected, four) = (they_say.clone(), we_say.clone(), choice);
    let speaker = thread::spawn(move || {
        speak_blocking(&mut their_words, &they_say, one);
        drop(their_words);
        hang_up();
    });
    let listener = thread::spawn(move || listen_blocking(their_end, two));
    let runtime = Runtime::builder().shuffle(seed).build().unwrap();
    let got = runtime.block_on(async {
        let (writer, reader) = ours();
        let speaking = spawn(speak(writer, we_say, three));
        let got = listen(reader, four).await;
        speaking.await.unwrap();
        got
    });
    speaker.join().unwrap();
    assert!(listener.join().unwrap() == their_expected, "seed {seed}: the oracle did not read what we wrote");
    assert!(got == expected, "seed {seed}: we did not read what the oracle wrote");
}

#[test]
fn tcp_streams() {
    let _watchdog = watchdog_of(Duration::from_secs(90));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for seed in 0..SCRIPTS {
        let theirs = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let ours = listener.accept().unwrap().0;
        let ours = || {
            let ours = Rc::new(TcpStream::from_std(ours).unwrap());
            (Rc::clone(&ours), ours)
        };
        let copies = [(); 2].map(|()| theirs.try_clone().unwrap());
        let [end, words] = copies;
        converse(seed, ours, end, words, move || theirs.shutdown(Shutdown::Write).unwrap());
    }
}

#[test]
fn unix_streams() {
    let _watchdog = watchdog_of(Duration::from_secs(90));
    for seed in 0..SCRIPTS {
        let (theirs, ours) = std::os::unix::net::UnixStream::pair().unwrap();
        let ours = || {
            let ours = Rc::new(UnixStream::from_std(ours).unwrap());
            (Rc::clone(&ours), ours)
        };
        let [end, words] = [(); 2].map(|()| theirs.try_clone().unwrap());
        converse(seed, ours, end, words, move || theirs.shutdown(Shutdown::Write).unwrap());
    }
}

#[test]
fn pipes() {
    let _watchdog = watchdog_of(Duration::from_secs(90));
    for seed in 0..SCRIPTS {
        let ((their_end, our_words), (our_end, their_words)) = (io::pipe().unwrap(), io::pipe().unwrap());
        let ours = || {
            let writer = Sender::from_owned_fd(our_words.into()).unwrap();
            (Rc::new(writer), Rc::new(Receiver::from_owned_fd(our_end.into()).unwrap()))
        };
        converse(seed, ours, their_end, their_words, || {});
    }
}
