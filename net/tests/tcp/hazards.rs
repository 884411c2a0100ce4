//! Hazards 32 to 35, through the public streams. (Tests that need a separate process are in `children.rs`.)

use std::cell::Cell;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use roundel::{spawn, task, time, yield_now};
use roundel_net::TcpStream;

use super::common::{Random, noise, really, settle, tcp};

/// Two readers of one stream: each byte goes to one of them, and neither sleeps while there are bytes.
#[test]
fn hazard_32_two_tasks_read_one_stream() {
    really(async |_| {
        let (server, client) = tcp().await;
        let server = Rc::new(server);
        let readers: Vec<_> = (0..2)
            .map(|number| {
                let server = Rc::clone(&server);
                spawn(async move {
                    let (mut random, mut got) = (Random::new(number), Vec::new());
                    loop {
                        // Sometimes this reads exactly as much as there is. That says nothing about what is
                        // left.
                        let mut buffer = vec![0; [1, 64, 640, 1000][random.below(4)]];
                        match server.read(&mut buffer).await.unwrap() {
                            0 => return got,
                            count => got.extend_from_slice(&buffer[..count]),
                        }
                    }
                })
            })
            .collect();
        let mut sent = noise(7, 640 * 500);
        for piece in sent.chunks(640) {
            client.write_all(piece).await.unwrap();
            yield_now().await;
        }
        drop(client);
        let mut got = Vec::new();
        for reader in readers {
            got.extend(reader.await.unwrap());
        }
        sent.sort_unstable();
        got.sort_unstable();
        assert!(got == sent);
    });
}

/// The last bytes and the end come in one report, and a read that was shorter than its buffer asks again.
#[test]
fn hazard_33_data_and_the_end_in_one_report() {
    really(async |_| {
        for _ in 0..50 {
            let (server, client) = tcp().await;
            let mut buffer = [0; 100];
            // The reader waits first, so that it is woken by a report.
            assert!(time::timeout(Duration::ZERO, server.read(&mut buffer)).await.is_err());
            client.write_all(b"last").await.unwrap();
            drop(client);
            assert_eq!(server.read(&mut buffer).await.unwrap(), 4);
            assert_eq!(server.read(&mut buffer).await.unwrap(), 0);
            assert_eq!(server.read(&mut buffer).await.unwrap(), 0);
        }
    });
}

fn reset(stream: TcpStream) {
    stream.options().set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

#[test]
fn hazard_34_a_reset_wakes_reader_and_writer() {
    really(async |_| {
        let (server, client) = tcp().await;
        let server = Rc::new(server);
        let (one, other) = (Rc::clone(&server), server);
        let reader = spawn(async move { one.read(&mut [0]).await });
        let writer = spawn(async move {
            loop {
                if let Err(error) = other.write(&[0; 65536]).await {
                    return error;
                }
            }
        });
        settle().await;
        assert!(!reader.is_finished() && !writer.is_finished());
        reset(client);
        let (read, wrote) = (reader.await.unwrap(), writer.await.unwrap());
        // The kernel returns the error once. The second call learns only that the connection is over.
        let expected = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert!(expected.contains(&wrote.kind()), "{wrote}");
        assert!(read.as_ref().map_or_else(|error| expected.contains(&error.kind()), |count| *count == 0));
        assert!(wrote.kind() == ErrorKind::ConnectionReset || read.is_err());
    });
}

#[test]
fn hazard_34_a_task_that_only_writes_notices_a_reset() {
    really(async |_| {
        let (server, client) = tcp().await;
        let writer = spawn(async move {
            loop {
                if let Err(error) = server.write(&[0; 65536]).await {
                    return error.kind();
                }
            }
        });
        settle().await;
        reset(client);
        assert!([ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&writer.await.unwrap()));
    });
}

/// The peer has closed its half. That must not look like room to write.
#[test]
fn hazard_35_a_half_closed_peer_does_not_make_the_loop_spin() {
    really(async |log| {
        let (server, client) = tcp().await;
        // Small buffers are full soon, whatever the system's default is.
        server.options().set_send_buffer_size(100_000).unwrap();
        client.options().set_recv_buffer_size(100_000).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
        let (id, sent) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(0)));
        let (theirs, total) = (Rc::clone(&id), Rc::clone(&sent));
        let writer = spawn(async move {
            theirs.set(task::current());
            while total.get() < 3_000_000 {
                total.set(total.get() + server.write(&[7; 65536]).await.unwrap());
            }
        });
        // The kernel may acknowledge what it has up to a fifth of a second later, and then there is room again.
        let (mut before, mut calm) = (usize::MAX, 0);
        while calm < 15 {
            calm = if before == sent.get() { calm + 1 } else { 0 };
            before = sent.get();
            time::sleep(Duration::from_millis(20)).await;
        }
        log.clear();
        time::sleep(Duration::from_millis(100)).await;
        assert!(log.polls(id.get().unwrap()) <= 1, "{} polls", log.polls(id.get().unwrap()));
        assert!(!writer.is_finished(), "the buffers hold more than was written: nothing was tested");
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        writer.await.unwrap();
        assert_eq!(got.len(), sent.get());
    });
}

/// The reads and writes of the traits are the same operations.
#[test]
fn the_traits_do_the_same_as_the_methods() {
    use futures_io::{AsyncRead, AsyncWrite};
    use std::pin::Pin;
    really(async |_| {
        let (server, client) = tcp().await;
        let written = poll_fn(|cx| Pin::new(&mut &client).poll_write(cx, b"hello")).await.unwrap();
        poll_fn(|cx| Pin::new(&mut &client).poll_close(cx)).await.unwrap();
        let mut buffer = [0; 10];
        assert_eq!(poll_fn(|cx| Pin::new(&mut &server).poll_read(cx, &mut buffer)).await.unwrap(), written);
        assert_eq!(poll_fn(|cx| Pin::new(&mut &server).poll_read(cx, &mut buffer)).await.unwrap(), 0);
        server.write_all(b"back").await.unwrap();
        assert_eq!(client.read(&mut buffer).await.unwrap(), 4);
        drop(client);
        poll_fn(|cx| Pin::new(&mut &server).poll_close(cx)).await.unwrap();
    });
}
