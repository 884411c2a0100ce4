//! What a server tells its handlers, and what its handlers tell it: the peer, the stop signal, errors, and an option.

#![forbid(unsafe_code)]
#![cfg(not(miri))]

#[path = "../../runtime/tests/common/mod.rs"]
mod common;

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use roundel::channel::oneshot;
use roundel::testing::settle;
use roundel::{JoinHandle, spawn, time};
use roundel_net::io::Reader;
use roundel_net::serve::{Guest, Peer, Served};
use roundel_net::{TcpListener, TcpStream, UnixListener, UnixStream, serve, serve_guests};

use common::{really, virtually};

type Stop = roundel::channel::OneshotSender<()>;
type Server = JoinHandle<io::Result<Served>>;

/// Answers each line with itself, until the peer ends or the server stops.
async fn echo(stream: UnixStream, guest: Guest) {
    let mut lines = Reader::new(&stream);
    while let Ok(Ok(Some(line))) = guest.run(lines.read_line()).await {
        let answer = format!("{line}\n");
        time::sleep(Duration::from_secs(1)).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

/// A server at a path of its own, and what stops it.
struct Fixture {
    path: std::path::PathBuf,
    server: Server,
    stop: Stop,
}

impl Fixture {
    fn new<F: Future<Output = ()> + 'static>(handler: impl Fn(UnixStream, Guest) -> F + 'static) -> Fixture {
        static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("roundel-guests-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let (stop, stopped) = oneshot();
        let listener = UnixListener::bind(&path).unwrap();
        let server = spawn(serve_guests(listener, handler).until(stopped).into_future());
        Fixture { path, server, stop }
    }

    async fn client(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.unwrap()
    }

    /// Stops the server. Returns what it has done, and how long its end took.
    async fn stop(self) -> (Served, Duration) {
        let start = time::now();
        self.stop.send(()).unwrap();
        let served = self.server.await.unwrap().unwrap();
        (served, time::now() - start)
    }
}

#[test]
fn a_connection_that_waits_for_its_next_request_does_not_hold_up_the_end() {
    virtually(async |_| {
        let fixture = Fixture::new(echo);
        let clients = [fixture.client().await, fixture.client().await];
        clients[0].write_all(b"hello\n").await.unwrap();
        assert_eq!(Reader::new(&clients[0]).read_line().await.unwrap(), Some("hello"));
        let (served, took) = fixture.stop().await;
        assert_eq!((took, served.accepted, served.cut_off), (Duration::ZERO, 2, 0));
    });
}

#[test]
fn a_request_under_way_is_answered_before_the_end() {
    virtually(async |_| {
        let fixture = Fixture::new(echo);
        let client = fixture.client().await;
        client.write_all(b"hello\n").await.unwrap();
        settle().await;
        let (served, took) = fixture.stop().await;
        assert_eq!(Reader::new(&client).read_line().await.unwrap(), Some("hello"));
        assert_eq!((took, served.cut_off), (Duration::from_secs(1), 0));
    });
}

#[test]
fn a_handler_that_does_not_listen_has_the_grace_and_no_more() {
    virtually(async |_| {
        let fixture = Fixture::new(|_, _| pending());
        let _client = fixture.client().await;
        settle().await;
        let (served, took) = fixture.stop().await;
        assert_eq!((took, served.cut_off), (Duration::from_secs(10), 1));
    });
}

#[test]
fn the_signal_comes_once_and_stays() {
    virtually(async |_| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::clone(&seen);
        let fixture = Fixture::new(move |_, guest| {
            let told = Rc::clone(&told);
            async move {
                told.borrow_mut().push(guest.is_stopping());
                let copy = guest.clone();
                guest.stopping().await;
                copy.stopping().await;
                told.borrow_mut().push(copy.is_stopping());
            }
        });
        let _client = fixture.client().await;
        settle().await;
        assert_eq!(*seen.borrow(), [false]);
        fixture.stop().await;
        assert_eq!(*seen.borrow(), [false, true]);
    });
}

#[test]
fn a_guest_knows_its_peer_even_if_the_peer_is_gone() {
    really(async |_| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let expected = client.local_addr().unwrap();
        // With a reset in its queue, the socket no longer knows.
        client.options().set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        let (tell, told) = oneshot();
        let tell = Cell::new(Some(tell));
        let handler = move |stream: TcpStream, guest: Guest| {
            let tell = tell.take().expect("one connection");
            async move {
                // The reset may come later than the connection.
                let _ = stream.read(&mut [0]).await;
                drop(tell.send((stream.peer_addr().is_ok(), guest)));
            }
        };
        let _server = spawn(serve_guests(listener, handler).into_future());
        let (socket_knows, guest) = told.await.unwrap();
        assert!(!socket_knows || cfg!(not(target_os = "linux")));
        assert_eq!((guest.peer().ip(), guest.peer().to_string()), (Some(expected), expected.to_string()));
    });
}

#[test]
fn a_peer_has_a_name_for_people() {
    virtually(async |_| {
        let names = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::clone(&names);
        let fixture = Fixture::new(move |_, guest| {
            told.borrow_mut().push(guest.peer().to_string());
            async {}
        });
        drop(fixture.client().await);
        settle().await;
        fixture.stop().await;
        names.borrow_mut().push(Peer::default().to_string());
        assert_eq!(*names.borrow(), ["a process of this machine", "an unknown address"]);
    });
}

/// Connects this many clients to a server whose handler counts and fails, and gives `report` the errors.
async fn failures(count: u32, report: impl FnMut(&Peer, &u32) + 'static) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let number = Cell::new(0);
    let handler = move |stream: TcpStream| {
        number.set(number.get() + 1);
        let number = number.get();
        async move {
            drop(stream);
            // Every second one fails.
            if number % 2 == 1 { Err(number) } else { Ok(()) }
        }
    };
    let clients = async move {
        for _ in 0..count {
            let client = TcpStream::connect(address).await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        }
    };
    serve(listener, handler).on_error(report).until(clients).await.unwrap()
}

#[test]
fn each_error_is_reported_once_and_counted() {
    really(async |_| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::clone(&seen);
        let served = failures(5, move |peer, error| told.borrow_mut().push((peer.ip(), *error))).await;
        assert_eq!((served.failed, served.panicked), (3, 0));
        let seen = seen.borrow();
        assert_eq!(seen.iter().map(|(_, error)| *error).collect::<Vec<_>>(), [1, 3, 5]);
        assert!(seen.iter().all(|(peer, _)| peer.is_some_and(|address| address.ip().is_loopback())));
    });
}

#[test]
fn a_report_that_panics_is_called_again() {
    really(async |_| {
        let calls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&calls);
        let served = failures(6, move |_, _| {
            counted.set(counted.get() + 1);
            assert!(counted.get() != 1, "the first report panics");
        })
        .await;
        assert_eq!((calls.get(), served.failed, served.panicked), (3, 2, 1));
    });
}

#[test]
fn errors_of_guests_are_reported_too() {
    virtually(async |_| {
        let (listener, path) = {
            let path = std::env::temp_dir().join(format!("roundel-guests-errors-{}", std::process::id()));
            (UnixListener::bind(&path).unwrap(), path)
        };
        let seen = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::clone(&seen);
        let handler = async |_: UnixStream, guest: Guest| Err::<(), _>(format!("{} was", guest.peer()));
        let client = async move { drop(UnixStream::connect(path).await.unwrap().read(&mut [0]).await) };
        let report = move |peer: &Peer, error: &String| told.borrow_mut().push(format!("{peer}: {error}"));
        let served = serve_guests(listener, handler).on_error(report).until(client).await.unwrap();
        assert_eq!(served.failed, 1);
        assert_eq!(*seen.borrow(), ["a process of this machine: a process of this machine was"]);
    });
}

#[test]
fn nodelay_is_set_on_every_connection_or_left_alone() {
    really(async |_| {
        for wanted in [None, Some(true), Some(false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            // What a connection has if the server leaves it alone: that of the listener.
            listener.options().set_tcp_nodelay(wanted == Some(false)).unwrap();
            let address = listener.local_addr().unwrap();
            let seen = Rc::new(RefCell::new(Vec::new()));
            let told = Rc::clone(&seen);
            let handler = move |stream: TcpStream| {
                told.borrow_mut().push(stream.nodelay().unwrap());
                async {}
            };
            let clients = async move {
                for _ in 0..2 {
                    let client = TcpStream::connect(address).await.unwrap();
                    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
                }
            };
            let server = serve(listener, handler).until(clients);
            match wanted {
                None => server.await.unwrap(),
                Some(nodelay) => server.nodelay(nodelay).await.unwrap(),
            };
            assert_eq!(*seen.borrow(), [wanted == Some(true); 2], "{wanted:?}");
        }
    });
}
