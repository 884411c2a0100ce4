//! `io::copy`: everything arrives, no buffer is held while nothing is on the way, and a slow reader holds
//! back a fast writer.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::net::Shutdown;
use std::rc::Rc;
use std::task::{Context, Poll};

use proptest::prelude::*;
use roundel::spawn;
use roundel::testing::settle;
use roundel_net::io::{Buffers, copy, copy_with};
use roundel_net::testing::{Evil, duplex};
use roundel_net::{TcpListener, TcpStream, UnixStream};

use super::{Lazy, Scripted, all_of, numbered, really, tcp, virtually};

proptest! {
    #![proptest_config(super::cases())]

    #[test]
    fn everything_arrives(length in 0usize..5000, pipe in 1usize..300, size in 1usize..300, seed: u64) {
        let bytes = numbered(length);
        virtually(async {
            let ((writer, from), (to, reader)) = (duplex(pipe), duplex(pipe));
            let source = bytes.clone();
            spawn(async move { copy(&source[..], Evil::new(writer, seed)).await }).detach();
            let copying = spawn(async move {
                let to = Lazy { inner: Evil::new(to, !seed), kept: Vec::new() };
                copy_with(Evil::new(from, seed ^ 1), to, &Buffers::new(size)).await
            });
            assert_eq!(all_of(Evil::new(reader, seed ^ 2)).await, (bytes, None));
            assert_eq!(copying.await.unwrap().unwrap(), length as u64);
        });
    }
}

#[test]
fn it_does_not_close_the_writer() {
    virtually(async {
        let (ours, theirs) = duplex(100);
        copy(&b"one "[..], &ours).await.unwrap();
        copy(&b"two"[..], &ours).await.unwrap();
        drop(ours);
        assert_eq!(all_of(theirs).await.0, b"one two");
    });
}

#[test]
fn a_thousand_idle_copies_hold_no_buffer() {
    virtually(async {
        let buffers = Buffers::new(64);
        let mut ends = Vec::new();
        for _ in 0..1000 {
            let ((writer, from), (to, reader)) = (duplex(64), duplex(64));
            let shared = buffers.clone();
            let copying = spawn(async move { copy_with(from, to, &shared).await });
            ends.push((writer, reader, copying));
        }
        settle().await;
        assert_eq!(buffers.spare(), 1, "all copies have used the same buffer");
        for (writer, ..) in &ends {
            copy(&b"message"[..], writer).await.unwrap();
        }
        settle().await;
        assert!(ends.iter().all(|(_, reader, _)| reader.waiting() == 7));
        assert_eq!(buffers.spare(), 1, "the same buffer has carried all messages");
        for (writer, reader, copying) in ends {
            drop(writer);
            assert_eq!(copying.await.unwrap().unwrap(), 7);
            drop(reader);
        }
    });
}

#[test]
fn hazard_22_a_stuck_writer_holds_back_the_reader() {
    virtually(async {
        let read = Rc::<Cell<usize>>::default();
        let count = Rc::clone(&read);
        let endless = move |_: &mut Context<'_>, buffer: &mut [u8]| {
            count.set(count.get() + buffer.len());
            Poll::Ready(Ok(buffer.len()))
        };
        let (to, stuck) = duplex(1000);
        let from = Scripted { read: endless, write: () };
        let copying = spawn(async move { copy_with(from, to, &Buffers::new(64)).await });
        settle().await;
        assert_eq!(stuck.waiting(), 1000);
        assert_eq!(read.get(), 1000_usize.next_multiple_of(64), "what is on the way, and one buffer");
        let mut some = [0; 100];
        roundel_net::io::Reader::new(&stuck).read(&mut some).await.unwrap();
        settle().await;
        assert_eq!(read.get(), 1100_usize.next_multiple_of(64));
        drop(stuck);
        assert_eq!(copying.await.unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

/// Writes until there is no room, also after all other tasks have run.
async fn fill(stream: &TcpStream) -> usize {
    let (mut total, mut tries) = (0, 0);
    while tries < 50 {
        match stream.try_write(&[7; 4096]) {
            Ok(count) => (total, tries) = (total + count, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => tries += 1,
            Err(error) => panic!("{error}"),
        }
        if tries > 0 {
            roundel::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
    total
}

#[test]
fn hazard_22_backpressure_reaches_the_peer() {
    really(async {
        let ((client, from), (to, stuck)) = (tcp().await, tcp().await);
        for stream in [&client, &from, &to, &stuck] {
            stream.options().set_send_buffer_size(1 << 16).unwrap();
            stream.options().set_recv_buffer_size(1 << 16).unwrap();
        }
        let buffers = Buffers::default();
        let shared = buffers.clone();
        let copying = spawn(async move { copy_with(&from, &to, &shared).await });
        // This returns only because the client is held back. Otherwise it would write for ever.
        let mut sent = fill(&client).await;
        // The copy holds the only buffer while it waits for room. If the kernel was slow, it may still wait for bytes.
        while buffers.spare() == 1 {
            sent += fill(&client).await;
        }
        drop(client);
        let (received, error) = all_of(&stuck).await;
        assert_eq!((received.len(), error), (sent, None));
        assert_eq!(copying.await.unwrap().unwrap(), sent as u64);
        assert_eq!(buffers.spare(), 1);
    });
}

#[test]
fn hazard_33_the_end_may_come_with_the_last_bytes() {
    really(async {
        for _ in 0..100 {
            let (client, server) = tcp().await;
            client.try_write(b"all").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(all_of(&server).await, (b"all".to_vec(), None));
        }
        // The same while the copy already waits for bytes.
        let (client, server) = tcp().await;
        let reading = spawn(async move { all_of(&server).await });
        settle().await;
        client.try_write(b"all").unwrap();
        drop(client);
        assert_eq!(reading.await.unwrap(), (b"all".to_vec(), None));
    });
}

#[test]
fn what_was_read_before_an_error_is_delivered() {
    virtually(async {
        let mut script = vec![Err(ErrorKind::ConnectionReset.into()), Ok(3), Ok(5)];
        let read = move |_: &mut Context<'_>, _: &mut [u8]| Poll::Ready(script.pop().unwrap());
        let (to, reader) = duplex(100);
        let error =
            copy(Scripted { read, write: () }, Lazy { inner: to, kept: Vec::new() }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(all_of(reader).await.0.len(), 8, "written, and flushed");
    });
}

#[test]
fn a_writer_is_flushed_when_there_is_nothing_more_to_read() {
    virtually(async {
        let ((writer, from), (to, reader)) = (duplex(100), duplex(100));
        let copying = spawn(copy(from, Lazy { inner: to, kept: Vec::new() }));
        for round in 1..4 {
            copy(&b"request"[..], &writer).await.unwrap();
            settle().await;
            assert_eq!(reader.waiting(), 7 * round, "it did not wait for the end");
        }
        copying.cancel();
    });
}

#[test]
fn a_writer_that_takes_nothing_is_an_error() {
    virtually(async {
        let to = Scripted { read: (), write: |_: &[u8]| Poll::Ready(Ok(0)) };
        assert_eq!(copy(&b"bytes"[..], to).await.unwrap_err().kind(), ErrorKind::WriteZero);
    });
}

#[test]
fn a_copy_that_never_waits_lets_others_run() {
    virtually(async {
        let endless = |_: &mut Context<'_>, buffer: &mut [u8]| Poll::Ready(Ok(buffer.len()));
        let swallowed = Rc::<RefCell<u64>>::default();
        let total = Rc::clone(&swallowed);
        let write = move |bytes: &[u8]| {
            *total.borrow_mut() += bytes.len() as u64;
            Poll::Ready(Ok(bytes.len()))
        };
        let copying = spawn(copy(Scripted { read: endless, write: () }, Scripted { read: (), write }));
        for _ in 0..10 {
            let before = *swallowed.borrow();
            roundel::yield_now().await;
            assert!(*swallowed.borrow() > before, "the copy goes on, and so does this task");
        }
        copying.cancel();
    });
}

#[test]
fn read_chunk_takes_a_buffer_only_for_bytes() {
    really(async {
        let buffers = Buffers::default();
        let mut peers = Vec::new();
        for _ in 0..100 {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let shared = buffers.clone();
            let task = spawn(async move {
                let mut total = 0;
                loop {
                    let chunk = theirs.read_chunk(&shared).await.unwrap();
                    total += chunk.len();
                    if chunk.is_empty() {
                        return total;
                    }
                }
            });
            peers.push((ours, task));
        }
        for round in 0..5 {
            settle().await;
            assert!(buffers.spare() <= 1, "round {round}: {} for one message at a time", buffers.spare());
            for (ours, _) in &peers {
                ours.write_all(b"message").await.unwrap();
            }
        }
        for (ours, task) in peers {
            drop(ours);
            assert_eq!(task.await.unwrap(), 5 * 7);
        }
        assert_eq!(buffers.spare(), 1, "no message needed a new buffer");
    });
}

#[test]
fn a_listener_and_a_copy_are_an_echo_server() {
    really(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            copy(&stream, &stream).await
        });
        let client = TcpStream::connect(address).await.unwrap();
        let bytes = numbered(300_000);
        let (sent, echoed) = roundel::group::join!(
            async {
                client.write_all(&bytes).await.unwrap();
                client.shutdown(Shutdown::Write).unwrap();
            },
            all_of(&client)
        );
        assert_eq!((sent, echoed.0 == bytes, echoed.1), ((), true, None));
        assert_eq!(server.await.unwrap().unwrap(), 300_000);
    });
}
