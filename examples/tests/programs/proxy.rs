//! `proxy`, in front of `echo` or of a server of the test's own, which then has both ends.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use socket2::{Domain, Socket, Type};

use crate::common::{PATIENCE, Program, has, noise, read, read_all, shell, there_and_back, watchdog};

/// A server of our own, and the proxy in front of it.
struct Bench {
    server: TcpListener,
    proxy: Program,
}

impl Bench {
    fn new(options: &[&str]) -> Bench {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = server.local_addr().unwrap().to_string();
        let proxy = Program::start("proxy", &[&["--listen", "127.0.0.1:0", "--to", &to], options].concat());
        Bench { server, proxy }
    }

    /// Both ends of one connection.
    fn connect(&self) -> (TcpStream, TcpStream) {
        let client = self.proxy.connect();
        let (server, _) = self.server.accept().unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        server.set_write_timeout(Some(PATIENCE)).unwrap();
        (client, server)
    }
}

#[test]
fn echo_behind_it_is_as_good_as_echo() {
    let _watchdog = watchdog();
    let echo = Program::start("echo", &["--addr", "127.0.0.1:0"]);
    let proxy = Program::start("proxy", &["--listen", "127.0.0.1:0", "--to", &echo.address]);
    let mut clients: Vec<_> = (0..10).map(|_| proxy.connect()).collect();
    for round in 1..10_usize {
        clients.iter_mut().for_each(|client| there_and_back(client, &noise(round * 1000)));
    }
    for mut client in clients {
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut client), (Vec::new(), true));
    }
    proxy.stop();
    echo.stop();
}

#[test]
fn each_direction_ends_by_itself() {
    let _watchdog = watchdog();
    let bench = Bench::new(&[]);
    for client_is_first in [true, false] {
        let (client, server) = bench.connect();
        let (mut first, mut last) = if client_is_first { (client, server) } else { (server, client) };
        first.write_all(b"that is all").unwrap();
        first.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut last), (b"that is all".to_vec(), true));
        for _ in 0..10 {
            last.write_all(b"not yet").unwrap();
            assert_eq!(read(&mut first, 7), b"not yet");
        }
        last.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut first), (Vec::new(), true));
    }
    bench.proxy.stop();
}

/// If the receiver does not read, the sender soon has to stop, and the proxy does not hold what was sent by then.
#[test]
fn a_slow_reader_slows_the_writer_and_fills_no_memory() {
    let _watchdog = watchdog();
    let bench = Bench::new(&[]);
    let (mut client, mut server) = bench.connect();
    there_and_back_through(&mut client, &mut server);
    #[cfg(target_os = "linux")]
    let before = bench.proxy.memory();
    let bytes = noise(1_000_003).repeat(64);
    client.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut written = 0;
    let stopped = loop {
        match client.write(&bytes[written..]) {
            Ok(0) => break ErrorKind::WriteZero,
            Ok(count) => written += count,
            Err(error) => break error.kind(),
        }
    };
    assert!(written >= 5 << 20 || stopped == ErrorKind::WouldBlock, "{written} bytes, then {stopped}");
    assert!(written < bytes.len(), "64 MB were written, and none of them was read");
    #[cfg(target_os = "linux")]
    assert!(bench.proxy.memory() < before + (1 << 20), "from {before} to {} bytes", bench.proxy.memory());

    // All of it arrives when the receiver reads, in pieces.
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    let end = written + (5 << 20);
    let rest = bytes[written..end].to_vec();
    let writing = std::thread::spawn(move || {
        client.write_all(&rest).unwrap();
        client
    });
    let mut got = Vec::new();
    while got.len() < end {
        let mut buffer = [0; 4096];
        let count = server.read(&mut buffer).unwrap();
        assert_ne!(count, 0);
        got.extend_from_slice(&buffer[..count]);
    }
    assert!(got == bytes[..end], "other bytes came than were sent");
    #[cfg(target_os = "linux")]
    assert!(bench.proxy.memory() < before + (1 << 20), "from {before} to {} bytes", bench.proxy.memory());
    drop((writing.join().unwrap(), server));
    bench.proxy.stop();
}

fn there_and_back_through(client: &mut TcpStream, server: &mut TcpStream) {
    client.write_all(b"there").unwrap();
    assert_eq!(read(server, 5), b"there");
    server.write_all(b"back").unwrap();
    assert_eq!(read(client, 4), b"back");
}

/// A port that is taken, so that no other program gets it meanwhile, but on which no program listens.
fn port_without_a_listener() -> (Socket, String) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address.to_string())
}

#[test]
fn a_server_that_cannot_be_reached_is_an_end_in_order_and_a_line() {
    let _watchdog = watchdog();
    let (_nobody, to) = port_without_a_listener();
    let proxy = Program::start("proxy", &["--listen", "127.0.0.1:0", "--to", &to]);
    for _ in 0..3 {
        let start = Instant::now();
        let mut client = proxy.connect();
        // Bytes that were never read would turn the close into a reset. (The proxy waits for them for two seconds. On a busy
        // machine they may come later.)
        let written = client.write_all(&noise(5000));
        let is_late = start.elapsed() >= Duration::from_secs(2);
        let (bytes, in_order) = read_all(&mut client);
        assert!(bytes.is_empty() && (written.is_ok() && in_order || is_late), "{written:?}");
    }
    proxy.signal(rustix::process::Signal::TERM);
    let ended = proxy.end();
    assert!(ended.status.success(), "{ended:?}");
    let lines: Vec<&str> = ended.complaints.lines().collect();
    assert!(lines.len() == 3 && lines.iter().all(|line| line.contains(&to)), "{lines:?}");
}

#[test]
fn a_reset_goes_on_as_a_reset() {
    let _watchdog = watchdog();
    let bench = Bench::new(&[]);
    for client_resets in [true, false] {
        let (mut client, mut server) = bench.connect();
        there_and_back_through(&mut client, &mut server);
        let (doomed, mut other) = if client_resets { (client, server) } else { (server, client) };
        sockopt::set_socket_linger(&doomed, Some(Duration::ZERO)).unwrap();
        drop(doomed);
        let (_, in_order) = read_all(&mut other);
        assert!(!in_order, "a reset was passed on as an end in order");
    }
    bench.proxy.stop();
}

#[test]
fn with_room_for_one_the_second_waits() {
    let _watchdog = watchdog();
    let bench = Bench::new(&["--max-connections", "1"]);
    let (client, server) = bench.connect();
    let mut second = bench.proxy.connect();
    second.write_all(b"hello").unwrap();
    bench.server.set_nonblocking(true).unwrap();
    let (mut client, mut server) = (client, server);
    (0..100).for_each(|_| there_and_back_through(&mut client, &mut server));
    assert_eq!(bench.server.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    bench.server.set_nonblocking(false).unwrap();
    drop((client, server));
    let (mut next, _) = bench.server.accept().unwrap();
    next.set_nonblocking(false).unwrap();
    assert_eq!(read(&mut next, 5), b"hello");
    drop((second, next));
    bench.proxy.stop();
}

#[test]
fn tools_go_through_it() {
    let _watchdog = watchdog();
    let echo = Program::start("echo", &["--addr", "127.0.0.1:0"]);
    let proxy = Program::start("proxy", &["--listen", "127.0.0.1:0", "--to", &echo.address]);
    let (host, port) = proxy.address.rsplit_once(':').unwrap();
    for (tool, script) in [
        ("nc", "printf hello | nc -N \"$1\" \"$2\""),
        ("ncat", "printf hello | ncat \"$1\" \"$2\""),
        ("socat", "printf hello | socat -t 100 - TCP:\"$1\":\"$2\""),
    ] {
        if has(tool, "tools_go_through_it") {
            let said = shell(script, &[host, port]);
            assert!(said.starts_with("hello"), "{tool}: {said:?}");
        }
    }
    let http = Program::start("http_hello", &["--addr", "127.0.0.1:0"]);
    let proxy = Program::start("proxy", &["--listen", "127.0.0.1:0", "--to", &http.address]);
    if has("curl", "tools_go_through_it") {
        let said = shell("curl -sS http://$1/ http://$1/", &[&proxy.address]);
        assert_eq!(said.matches("Hello from").count(), 2, "{said:?}");
    }
    proxy.stop();
}
