//! Unix sockets: whose file it is, a full queue, and everything that TCP streams can do.

#![forbid(unsafe_code)]
#![cfg(all(unix, not(miri)))]

mod common;

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net as std_net;
use std::rc::Rc;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use roundel::group::gather;
use roundel::{Runtime, spawn, time, yield_now};
use roundel_net::{UnixDatagram, UnixListener, UnixStream};

use common::{Path, noise, path, really, settle, virtually, watchdog};

fn expect<T>(result: io::Result<T>, kind: ErrorKind, says: &str) {
    let Err(error) = result else { panic!("{says}: there was no error") };
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

/// Leaves the file of a listener that is closed.
fn abandon(path: &Path) {
    drop(std_net::UnixListener::bind(path).unwrap());
    assert!(path.0.exists());
}

#[test]
fn a_client_and_a_server() {
    virtually(async |_| {
        let path = path();
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(path.0.as_path()));
        let client = UnixStream::connect(&path).await.unwrap();
        let (server, peer) = listener.accept().await.unwrap();
        assert!(peer.is_unnamed() && client.local_addr().unwrap().is_unnamed());
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(path.0.as_path()));
        client.write_all(b"question").await.unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut asked = Vec::new();
        server.read_to_end(&mut asked).await.unwrap();
        assert_eq!(asked, b"question");
        server.write_all(b"answer").await.unwrap();
        drop(server);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
    });
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernel_says_which_process_the_peer_is() {
    virtually(async |_| {
        let (one, _other) = UnixStream::pair().unwrap();
        let peer = one.peer_credentials().unwrap();
        assert_eq!(peer.process.unsigned_abs(), std::process::id());
        assert_eq!(peer.user, rustix::process::getuid().as_raw());
        assert_eq!(peer.group, rustix::process::getgid().as_raw());
    });
}

#[test]
fn the_file_goes_with_its_listener() {
    virtually(async |_| {
        let path = path();
        let listener = UnixListener::bind(&path).unwrap();
        assert!(path.0.exists());
        drop(listener);
        assert!(!path.0.exists());
        expect(UnixStream::connect(&path).await, ErrorKind::NotFound, "cannot connect to /");
        // The file stays if the listener was given away, or is not ours.
        let listener = UnixListener::bind(&path).unwrap().into_std().unwrap();
        assert!(!is_non_blocking(&listener));
        let listener = UnixListener::from_std(listener).unwrap();
        drop(listener);
        assert!(path.0.exists());
    });
}

fn is_non_blocking(fd: impl AsFd) -> bool {
    rustix::fs::fcntl_getfl(fd).unwrap().contains(rustix::fs::OFlags::NONBLOCK)
}

#[test]
fn a_listener_does_not_remove_the_file_of_another() {
    virtually(async |_| {
        let path = path();
        let listener = UnixListener::bind(&path).unwrap();
        // A server that removes files of others.
        std::fs::remove_file(&path).unwrap();
        let other = std_net::UnixListener::bind(&path).unwrap();
        drop(listener);
        assert!(path.0.exists());
        UnixStream::connect(&path).await.unwrap();
        drop(other);
    });
}

#[test]
fn an_abandoned_file_is_taken_over() {
    virtually(async |_| {
        let path = path();
        abandon(&path);
        expect(UnixStream::connect(&path).await, ErrorKind::ConnectionRefused, "cannot connect to /");
        let listener = UnixListener::bind(&path).unwrap();
        UnixStream::connect(&path).await.unwrap();
        listener.accept().await.unwrap();
    });
}

#[test]
fn the_file_of_a_running_server_is_not_taken_over() {
    virtually(async |_| {
        let path = path();
        let listener = UnixListener::bind(&path).unwrap();
        let file = std::fs::metadata(&path).unwrap().ino();
        expect(UnixListener::bind(&path), ErrorKind::AddrInUse, "a server is there already");
        assert_eq!(std::fs::metadata(&path).unwrap().ino(), file);
        UnixStream::connect(&path).await.unwrap();
        // Nor is the file of a server whose queue is full, because it runs.
        drop(listener);
        let busy = full(&path);
        expect(UnixListener::bind(&path), ErrorKind::AddrInUse, "a server is there already");
        drop(busy);
    });
}

#[test]
fn a_file_that_is_not_a_socket_is_left_alone() {
    virtually(async |_| {
        let path = path();
        std::fs::write(&path, "precious").unwrap();
        expect(UnixListener::bind(&path), ErrorKind::AddrInUse, "not a socket");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        // Nor is a link to an abandoned file.
        std::fs::remove_file(&path).unwrap();
        let (other, link) = (common::path(), common::path());
        abandon(&other);
        std::os::unix::fs::symlink(&other.0, &link.0).unwrap();
        expect(UnixListener::bind(&link), ErrorKind::AddrInUse, "not a socket");
        assert!(other.0.exists());
    });
}

#[test]
fn a_directory_that_another_program_has_locked() {
    really(async |_| {
        let folder = path();
        std::fs::create_dir(&folder).unwrap();
        let path = Path(folder.0.join("socket"));
        abandon(&path);
        let lock = std::fs::File::open(&folder).unwrap();
        lock.lock().unwrap();
        expect(UnixListener::bind(&path), ErrorKind::AddrInUse, "another server may be about to start");
        // A new file needs no lock.
        let fresh = Path(folder.0.join("fresh"));
        drop(UnixListener::bind(&fresh).unwrap());
        drop(lock);
        drop(UnixListener::bind(&path).unwrap());
        std::fs::remove_dir(&folder).unwrap();
    });
}

#[test]
fn impossible_paths() {
    virtually(async |_| {
        let long = format!("/tmp/{}", "x".repeat(200));
        expect(UnixListener::bind(&long), ErrorKind::InvalidInput, "cannot listen on /tmp/xxx");
        expect(UnixStream::connect(&long).await, ErrorKind::InvalidInput, "cannot connect to /tmp/xxx");
        expect(
            UnixListener::bind("/no/such/folder"),
            ErrorKind::NotFound,
            "cannot listen on /no/such/folder: ",
        );
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_a_file() {
    virtually(async |_| {
        let name = format!("\0{}", path().0.display());
        let listener = UnixListener::bind(&name).unwrap();
        expect(UnixListener::bind(&name), ErrorKind::AddrInUse, "cannot listen on");
        UnixStream::connect(&name).await.unwrap();
        listener.accept().await.unwrap();
        drop(listener);
        expect(UnixStream::connect(&name).await, ErrorKind::ConnectionRefused, "cannot connect to");
        drop(UnixListener::bind(&name).unwrap());
    });
}

/// Many servers start at once where an abandoned file is. One gets the file and all others get an error.
/// From then on, every client reaches that server.
#[test]
fn of_many_servers_that_start_at_once_one_gets_the_file() {
    let _watchdog = watchdog();
    for _ in 0..if cfg!(debug_assertions) { 30 } else { 300 } {
        let path = Arc::new(path());
        abandon(&path);
        let gate = Arc::new(Barrier::new(8));
        let start = |_| {
            let (path, gate) = (Arc::clone(&path), Arc::clone(&gate));
            std::thread::spawn(move || {
                let runtime = Runtime::new().unwrap();
                gate.wait();
                let listener = runtime.block_on(async { UnixListener::bind(&*path) });
                // All have tried before the first one leaves.
                gate.wait();
                let serves = match &listener {
                    Ok(_) => std_net::UnixStream::connect(&*path).is_ok(),
                    Err(error) => error.kind() != ErrorKind::AddrInUse,
                };
                gate.wait();
                (listener.is_ok(), serves)
            })
        };
        let threads: Vec<_> = (0..8).map(start).collect();
        let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(results.iter().filter(|(has, _)| *has).count(), 1, "{results:?}");
        assert!(results.iter().all(|(has, serves)| has == serves), "{results:?}");
        assert!(!path.0.exists());
    }
}

/// A listener whose queue is full, and the clients in it.
fn full(path: &Path) -> (std_net::UnixListener, Vec<socket2::Socket>) {
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    let address = socket2::SockAddr::unix(path).unwrap();
    socket.bind(&address).unwrap();
    socket.listen(2).unwrap();
    let mut waiting = Vec::new();
    loop {
        let client = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        match client.connect(&address) {
            Ok(()) => waiting.push(client),
            Err(_) => return (std::os::fd::OwnedFd::from(socket).into(), waiting),
        }
    }
}

/// Linux does not report when there is room, so `connect` tries again and again. On a virtual clock that
/// takes no real time, and the test counts the tries.
#[cfg(target_os = "linux")]
#[test]
fn connect_waits_while_the_queue_is_full() {
    virtually(async |log| {
        let path = path();
        let (listener, waiting) = full(&path);
        let place = path.0.clone();
        let connecting = spawn(async move { UnixStream::connect(place).await });
        time::sleep(Duration::from_secs(10)).await;
        assert!(!connecting.is_finished());
        let polls = log.polls(connecting.id());
        assert!((100..300).contains(&polls), "{polls} attempts in ten seconds: one each 64 ms");
        for _ in &waiting {
            listener.accept().unwrap();
        }
        let client = connecting.await.unwrap().unwrap();
        client.write_all(b"x").await.unwrap();
        io::Read::read_exact(&mut listener.accept().unwrap().0, &mut [0]).unwrap();
    });
}

#[test]
fn several_tasks_accept_and_each_connection_is_accepted_once() {
    virtually(async |_| {
        let path = path();
        let listener = Rc::new(UnixListener::bind(&path).unwrap());
        let seen = Rc::new(RefCell::new(Vec::new()));
        let accepters: Vec<_> = (0..5)
            .map(|_| {
                let (listener, seen) = (Rc::clone(&listener), Rc::clone(&seen));
                spawn(async move {
                    let mut incoming = listener.incoming();
                    loop {
                        let stream = incoming.next().await.unwrap();
                        let mut byte = [0];
                        stream.read_exact(&mut byte).await.unwrap();
                        seen.borrow_mut().push(byte[0]);
                    }
                })
            })
            .collect();
        let clients = gather((0..100_u8).map(|number| {
            let path = &path;
            async move {
                let client = UnixStream::connect(path).await.unwrap();
                client.write_all(&[number]).await.unwrap();
                assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
            }
        }));
        clients.await;
        accepters.iter().for_each(|accepter| accepter.cancel());
        seen.borrow_mut().sort_unstable();
        assert_eq!(*seen.borrow(), (0..100).collect::<Vec<u8>>());
    });
}

/// The end and the reset of Unix sockets: closing with unread bytes is a reset here, too.
#[test]
fn hazard_40_closing_with_unread_bytes_resets() {
    virtually(async |_| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"never read").await.unwrap();
        drop(theirs);
        let error = ours.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn hazard_34_a_close_wakes_a_task_that_only_writes() {
    virtually(async |_| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let writer = spawn(async move {
            loop {
                if let Err(error) = ours.write(&[0; 65536]).await {
                    return error.kind();
                }
            }
        });
        settle().await;
        assert!(!writer.is_finished());
        drop(theirs);
        assert_eq!(writer.await.unwrap(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn five_megabytes_through_a_slow_reader_and_flat_memory() {
    const TOTAL: usize = 5 << 20;
    really(async |_| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        // Whatever the system's default is.
        ours.options().set_send_buffer_size(100_000).unwrap();
        let (written, mut most, mut read) = (Rc::new(Cell::new(0)), 0, 0);
        let count = Rc::clone(&written);
        let writer = spawn(async move {
            let piece = noise(1, 65536);
            while count.get() < TOTAL {
                let at = count.get() % piece.len();
                count.set(count.get() + ours.write(&piece[at..]).await.unwrap());
            }
        });
        let (expected, mut buffer) = (noise(1, 65536), vec![0; 50_000]);
        loop {
            let count = theirs.read(&mut buffer).await.unwrap();
            if count == 0 {
                break;
            }
            let (at, buffer) = (read % expected.len(), &buffer[..count]);
            let both = expected[at..].iter().chain(&expected);
            assert!(buffer.iter().zip(both).all(|(one, other)| one == other));
            read += count;
            most = most.max(written.get() - read);
            yield_now().await;
        }
        writer.await.unwrap();
        assert_eq!(read, TOTAL);
        assert!(most < TOTAL / 4, "{most} bytes were on the way");
    });
}

/// The source learns from a try without waiting. So tasks that wait do not poll again and again.
#[test]
fn a_try_does_not_wait() {
    virtually(async |_| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let hour = Duration::from_secs(3600 / 2);
        let mut buffer = [0; 10];
        assert_eq!(ours.try_read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(time::timeout(hour, ours.readable()).await.is_err());
        theirs.write_all(b"x").await.unwrap();
        ours.readable().await.unwrap();
        assert_eq!(ours.try_read(&mut buffer).unwrap(), 1);
        while ours.try_write(&[0; 65536]).is_ok() {}
        assert!(time::timeout(hour / 2, ours.writable()).await.is_err());
        while theirs.try_read(&mut [0; 65536]).is_ok() {}
        ours.writable().await.unwrap();
    });
}

#[test]
fn streams_of_the_standard_library_come_and_go() {
    virtually(async |_| {
        let (mut theirs, ours) = std_net::UnixStream::pair().unwrap();
        let ours = UnixStream::from_std(ours).unwrap();
        theirs.write_all(b"hello").unwrap();
        ours.read_exact(&mut [0; 5]).await.unwrap();
        let ours = ours.into_std().unwrap();
        assert!(!is_non_blocking(&ours));
    });
}

// The tests of datagrams.

#[test]
fn datagrams_by_name() {
    virtually(async |_| {
        let (here, there) = (path(), path());
        let (ours, theirs) = (UnixDatagram::bind(&here).unwrap(), UnixDatagram::bind(&there).unwrap());
        expect(UnixDatagram::bind(&here), ErrorKind::AddrInUse, "cannot bind /");
        assert_eq!(ours.send_to(b"hello", &there).await.unwrap(), 5);
        let mut buffer = [0; 100];
        let (count, from) = theirs.recv_from(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..count], from.as_pathname()), (b"hello".as_slice(), Some(here.0.as_path())));
        let nameless = UnixDatagram::unbound().unwrap();
        expect(nameless.send(b"x").await, ErrorKind::NotConnected, "");
        nameless.connect(&here).unwrap();
        assert_eq!(nameless.peer_addr().unwrap().as_pathname(), Some(here.0.as_path()));
        nameless.send(b"").await.unwrap();
        let (count, from) = ours.recv_from(&mut buffer).await.unwrap();
        assert!(count == 0 && from.is_unnamed(), "an empty datagram is a datagram");
        drop(ours);
        expect(nameless.send(b"x").await, ErrorKind::ConnectionRefused, "");
        expect(nameless.connect(&here), ErrorKind::ConnectionRefused, "cannot connect to /");
        expect(nameless.send_to(b"x", "/no/such/file").await, ErrorKind::NotFound, "");
    });
}

#[test]
fn a_datagram_that_is_longer_than_the_buffer_is_cut() {
    virtually(async |_| {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        ours.send(b"hello").await.unwrap();
        ours.send(b"next").await.unwrap();
        let mut buffer = [0; 3];
        assert_eq!(theirs.recv(&mut buffer).await.unwrap(), 3);
        assert_eq!(&buffer, b"hel");
        let mut buffer = [0; 10];
        assert_eq!(theirs.recv(&mut buffer).await.unwrap(), 4);
        let theirs = theirs.into_std().unwrap();
        assert!(!is_non_blocking(&theirs));
        ours.send(b"x").await.unwrap();
        assert_eq!(UnixDatagram::from_std(theirs).unwrap().recv(&mut buffer).await.unwrap(), 1);
    });
}

/// Both ways to send wait for a slow receiver. Nothing is lost or overtaken.
#[test]
fn a_send_waits_while_the_receiver_is_full() {
    virtually(async |_| {
        let there = path();
        let theirs = UnixDatagram::bind(&there).unwrap();
        let place = there.0.clone();
        let connected = spawn(async move {
            let ours = UnixDatagram::unbound().unwrap();
            ours.connect(&place).unwrap();
            for number in 0..1000_u32 {
                ours.send(&number.to_le_bytes()).await.unwrap();
            }
        });
        let place = there.0.clone();
        let other = spawn(async move {
            let ours = UnixDatagram::unbound().unwrap();
            for number in 0..1000_u32 {
                ours.send_to(&(number + 5000).to_le_bytes(), &place).await.unwrap();
            }
        });
        settle().await;
        assert!(!connected.is_finished() && !other.is_finished());
        let (mut one, mut two) = (0, 5000);
        let mut buffer = [0; 4];
        for _ in 0..2000 {
            theirs.recv(&mut buffer).await.unwrap();
            let number = u32::from_le_bytes(buffer);
            let next = if number < 5000 { &mut one } else { &mut two };
            assert_eq!(number, *next);
            *next += 1;
        }
        connected.await.unwrap();
        other.await.unwrap();
    });
}
