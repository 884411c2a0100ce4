//! Hazards 32 to 36, 40 to 43, through the public streams.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use roundel::group::gather;
use roundel::{Runtime, spawn, task, time, yield_now};
use roundel_net::{
    TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream, pipe,
};

use super::common::{Random, alone, has, noise, path, really, settle, tcp, watchdog};

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
                        // Sometimes exactly as much as there is, which says nothing about what is left.
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
            // It has waited before, so that what comes is a report.
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
        // The kernel tells the error once; whoever comes second learns that it is over.
        let expected = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
        assert!(expected.contains(&wrote.kind()), "{wrote}");
        assert!(read.as_ref().map_or_else(|error| expected.contains(&error.kind()), |count| *count == 0));
        assert!(wrote.kind() == ErrorKind::ConnectionReset || read.is_err());
    });
}

#[test]
fn hazard_34_a_reset_is_noticed_by_one_who_only_writes() {
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

/// The peer has closed its half: that must not look like room to write.
#[test]
fn hazard_35_a_half_closed_peer_is_no_reason_to_spin() {
    really(async |log| {
        let (server, client) = tcp().await;
        // So that they are full soon, whatever the system would like.
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
        let mut before = usize::MAX;
        while before != sent.replace(sent.get()) {
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

/// In one batch of reports, the task of the first closes the second, and a new connection gets its number.
#[test]
fn hazard_36_a_report_for_a_stream_that_is_another_now() {
    const NAME: &str = "hazards::hazard_36_a_report_for_a_stream_that_is_another_now";
    alone(NAME, || {
        really(async |_| {
            for _ in 0..20 {
                a_number_changes_hands().await;
            }
        });
    });
}

async fn a_number_changes_hands() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let pair = async || {
        let client = TcpStream::connect(at).await.unwrap();
        (listener.accept().await.unwrap().0, client)
    };
    let ((one, one_peer), (two, two_peer)) = (pair().await, pair().await);
    // The third is accepted by the kernel already, and gets the number of `two` when that is closed.
    let waiting = std::net::TcpStream::connect(at).unwrap();
    let number = two.options().as_raw_fd();
    let replaced = spawn(async move {
        let mut buffer = [0; 10];
        assert_eq!(one.read(&mut buffer).await.unwrap(), 1);
        drop(two);
        let (fresh, _) = listener.accept().await.unwrap();
        assert_eq!(fresh.options().as_raw_fd(), number);
        let read = time::timeout(Duration::from_millis(5), fresh.read(&mut buffer)).await;
        assert!(read.is_err(), "{read:?}: nothing was sent to the new one");
        fresh
    });
    yield_now().await;
    one_peer.write_all(b"x").await.unwrap();
    two_peer.write_all(b"for the old owner of the number").await.unwrap();
    let fresh = replaced.await.unwrap();
    (&waiting).write_all(b"yes").unwrap();
    assert_eq!(fresh.read(&mut [0; 10]).await.unwrap(), 3);
}

/// The usual client that has said everything: `printf question | nc -N`.
#[test]
fn hazard_40_a_client_that_closes_its_half_gets_the_whole_reply() {
    let name = "hazard_40_a_client_that_closes_its_half_gets_the_whole_reply";
    if !has(name, "nc", &["-h"]) {
        return;
    }
    really(async |_| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let mut nc = Command::new("nc")
            .args(["-N", "127.0.0.1", &port])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        nc.stdin.take().unwrap().write_all(b"question").unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        server.read_to_end(&mut asked).await.unwrap();
        assert_eq!(asked, b"question");
        let reply = noise(8, 2_000_000);
        let reader = roundel::blocking::unblock(move || nc.wait_with_output().unwrap());
        server.write_all(&reply).await.unwrap();
        drop(server);
        assert!(reader.await.unwrap().stdout == reply);
    });
}

/// The signal is caught here, so that it can be counted; a pipe shows that it would be.
#[test]
fn hazard_41_no_socket_raises_sigpipe() {
    alone("hazards::hazard_41_no_socket_raises_sigpipe", || {
        let raised = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGPIPE, Arc::clone(&raised)).unwrap();
        really(async |_| {
            let both = [IoSlice::new(b"one"), IoSlice::new(b"two")];
            let (ours, theirs) = tcp().await;
            reset(theirs);
            settle().await;
            let mut errors = Vec::new();
            for _ in 0..3 {
                errors.extend(ours.write(b"x").await.err());
                errors.extend(ours.write_vectored(&both).await.err());
                errors.extend(ours.try_write(b"x").err());
            }
            assert!(errors.len() >= 8 && errors.last().unwrap().kind() == ErrorKind::BrokenPipe);
            let (ours, theirs) = UnixStream::pair().unwrap();
            drop(theirs);
            assert_eq!(ours.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            assert_eq!(ours.write_vectored(&both).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            assert_eq!(ours.try_write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
            let (ours, theirs) = UnixDatagram::pair().unwrap();
            drop(theirs);
            ours.send(b"x").await.unwrap_err();
            let (ours, _theirs) = UnixDatagram::pair().unwrap();
            ours.options().shutdown(Shutdown::Both).unwrap();
            ours.send(b"x").await.unwrap_err();
            assert!(!raised.load(SeqCst), "a socket has raised SIGPIPE");
            let (sender, receiver) = pipe().unwrap();
            drop(receiver);
            assert_eq!(sender.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            assert!(raised.load(SeqCst), "this test would not have noticed");
        });
    });
}

#[cfg(target_os = "linux")]
#[test]
fn hazard_42_a_child_inherits_no_descriptor_of_ours() {
    alone("hazards::hazard_42_a_child_inherits_no_descriptor_of_ours", || {
        let list = || {
            let output = Command::new("ls").arg("/proc/self/fd").output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let before = list();
        really(async |_| {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let server = listener.accept().await.unwrap();
            let socket = TcpSocket::new_v6().unwrap();
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let path = path();
            let unix = UnixListener::bind(&path).unwrap();
            let unix_client = UnixStream::connect(&path).await.unwrap();
            let unix_server = unix.accept().await.unwrap();
            let pairs = (UnixStream::pair().unwrap(), UnixDatagram::pair().unwrap(), pipe().unwrap());
            let datagram = UnixDatagram::unbound().unwrap();
            assert_eq!(list(), before);
            drop((listener, client, server, socket, udp, unix, unix_client, unix_server, pairs, datagram));
        });
    });
}

/// Several loops, each with a thread and a listener of its own, share a port; together they accept everything once.
#[cfg(target_os = "linux")]
#[test]
fn hazard_43_loops_that_share_a_port_all_get_connections() {
    const CLIENTS: usize = 300;
    let _watchdog = watchdog();
    let listen = |at| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(at).unwrap();
        socket.listen(1024).unwrap()
    };
    roundel::run(async move {
        let listener = listen("127.0.0.1:0".parse().unwrap());
        let at = listener.local_addr().unwrap();
        let (ready, listening) = std::sync::mpsc::channel();
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let ready = ready.clone();
                std::thread::spawn(move || {
                    Runtime::new().unwrap().block_on(async {
                        let listener = listen(at);
                        ready.send(()).unwrap();
                        accept_all(&listener).await
                    })
                })
            })
            .collect();
        drop(ready);
        (0..4).for_each(|_| listening.recv().expect("all of them listen"));
        // It only held the port: from now on the four share it.
        drop(listener);
        let clients = gather((0..CLIENTS).map(|_| async move {
            let client = TcpStream::connect(at).await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 1, "somebody has accepted it");
        }));
        clients.await;
        // Whoever gets one of these ends, and the next one goes to the others.
        while workers.iter().any(|worker| !worker.is_finished()) {
            if let Ok(client) = TcpStream::connect(at).await {
                let _ = client.write_all(b"stop").await;
                let _ = client.read(&mut [0]).await;
            }
        }
        let shares: Vec<usize> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
        assert_eq!(shares.iter().sum::<usize>(), CLIENTS, "{shares:?}");
    });
}

/// Greets everybody until one says `stop`. How many did not.
async fn accept_all(listener: &TcpListener) -> usize {
    let mut served = 0;
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"!").await.unwrap();
        let mut word = Vec::new();
        let _ = stream.read_to_end(&mut word).await;
        if word == b"stop" {
            return served;
        }
        served += 1;
    }
}

/// The trait's reads and writes take part in all this: they are the same operations.
#[test]
fn the_traits_say_the_same_as_the_methods() {
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
