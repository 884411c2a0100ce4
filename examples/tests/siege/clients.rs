//! Clients that behave badly: they come and go by the thousand (hazard 53), they drip (hazard 51), they never read.
//!
//! ```text
//! cargo test --release -p examples --test siege clients -- --nocapture --test-threads=1
//! ROUNDEL_FULL=1 cargo test --release -p examples --test siege clients -- --nocapture --test-threads=1
//! ```

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::common::{
    self, Echo, echoes, example, is_ended_by_server, is_full, noise, quantile, raise_descriptor_limit, reset,
    scaled, tell, turn,
};

/// Connects, talks, and ends with a reset, this many times.
fn churn(address: SocketAddr, times: usize) {
    for number in 0..times {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
        echoes(&stream, &[number as u8; 64]).unwrap();
        reset(stream);
    }
}

/// Many clients at once, each of which connects again and again.
fn churn_together(echo: &Echo, clients: usize, times: usize) -> f64 {
    let (start, address) = (Instant::now(), echo.address());
    thread::scope(|scope| {
        (0..clients).for_each(|_| drop(scope.spawn(move || churn(address, times / clients))));
    });
    times as f64 / start.elapsed().as_secs_f64()
}

#[test]
fn hazard_53_connections_that_come_and_go_leave_nothing_behind() {
    let _turn = turn();
    let echo = Echo::start(&[]);
    let descriptors = echo.idle_descriptors();
    churn_together(&echo, 8, 2_000);
    let before = echo.rss();
    let times = scaled(4_000, 300_000, 1_000_000);
    let rate = churn_together(&echo, 8, times);
    echo.wait_for_descriptors(descriptors);
    let after = echo.rss();
    tell!("churn: {times} connections, {rate:.0}/s; memory {before} KiB before, {after} KiB after");
    assert!(after <= before + 1024, "{after} KiB, {before} KiB before");
    echo.end_well();
}

/// They leave before they are accepted; some have not even waited for the connection.
#[test]
fn hazard_53_a_storm_of_connections_that_are_reset_at_once() {
    let _turn = turn();
    let echo = Echo::start(&[]);
    let (descriptors, before) = (echo.idle_descriptors(), echo.rss());
    let times = scaled(3_000, 50_000, 500_000);
    let address = echo.address().into();
    for number in 0..times {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        socket.set_nonblocking(number % 2 == 0).unwrap();
        match socket.connect(&address) {
            Err(error) if error.raw_os_error() != Some(115) => panic!("{error}"),
            _ => {}
        }
        // It also waits until those before have been accepted: all at once would need much memory.
        if number % 200 == 0 {
            echoes(&echo.connect(), b"and others are served").unwrap();
        }
    }
    echo.wait_for_descriptors(descriptors);
    let after = echo.rss();
    tell!("resets: {times} of them; memory {before} KiB before, {after} KiB after");
    echoes(&echo.connect(), b"still there").unwrap();
    assert!(after <= before + 2048, "{after} KiB, {before} KiB before");
    echo.end_well();
}

/// A hundred good clients; every half millisecond one of them sends something. Returns how long the echoes take.
fn good_ones(echo: &Echo, time: Duration) -> io::Result<Vec<Duration>> {
    let clients: Vec<TcpStream> = (0..100).map(|_| echo.connect()).collect();
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < time {
        for client in &clients {
            let before = Instant::now();
            echoes(client, &[7; 64])?;
            times.push(before.elapsed());
            thread::sleep(Duration::from_micros(500));
        }
    }
    clients.into_iter().for_each(reset);
    Ok(times)
}

fn told(what: &str, times: &mut [Duration]) -> Duration {
    let [p50, p99, p999] = [500, 990, 999].map(|thousandth| quantile(times, thousandth));
    tell!("drips: {what}: {} echoes, p50 {p50:?}, p99 {p99:?}, p99.9 {p999:?}", times.len());
    p99
}

const BETWEEN_DRIPS: Duration = Duration::from_millis(if cfg!(debug_assertions) { 400 } else { 1_500 });

/// Sends a byte on each connection now and then, and reads what has come back, until it is told to stop. Not on all of
/// them at once. Returns how often, or an error if a connection was ended.
fn drip(drips: &[TcpStream], stop: &AtomicBool) -> io::Result<u64> {
    let mut rounds = 0;
    while !stop.load(Relaxed) {
        let start = Instant::now();
        for (number, mut drip) in drips.iter().enumerate() {
            if number % 4 == 0 {
                let due = BETWEEN_DRIPS * number as u32 / drips.len() as u32;
                thread::sleep(due.saturating_sub(start.elapsed()));
            }
            assert_eq!(drip.write(b".")?, 1);
            match drip.read(&mut [0; 64]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        rounds += 1;
    }
    Ok(rounds)
}

#[test]
fn hazard_51_ten_thousand_dripping_clients_do_not_hold_up_the_good_ones() {
    let _turn = turn();
    let count = scaled(500, 10_000, 10_000).min(raise_descriptor_limit() as usize - 200);
    // They drip for longer than the timeout, and more often than that. If a busy machine lets one of us do nothing for so long,
    // that connection is ended; then the timeout has to be longer.
    let short = scaled((2, [500, 2_500]), (4, [5_000, 5_000]), (4, [20_000, 20_000]));
    let (timeout, [alone, beside]) = short;
    let longer = (15 * timeout, [alone, 15 * 1000 * timeout + beside]);
    if let Err(error) = drips_beside_good_ones(count, short) {
        tell!("drips: {error}; now with a longer timeout");
        drips_beside_good_ones(count, longer).expect("a busy connection is not ended");
    }
}

/// So many that drip, with this timeout in seconds. The good ones are alone for so many milliseconds, and then beside them.
fn drips_beside_good_ones(count: usize, (timeout, times): (u64, [u64; 2])) -> io::Result<()> {
    let [short, time] = times.map(Duration::from_millis);
    let echo = Echo::start(&["--idle-timeout", &timeout.to_string()]);
    let descriptors = echo.idle_descriptors();
    let alone = told("100 good ones alone", &mut good_ones(&echo, short)?);
    let drips: Vec<TcpStream> = (0..count).map(|_| echo.connect()).collect();
    drips.iter().for_each(|drip| drip.set_nonblocking(true).unwrap());
    let stop = AtomicBool::new(false);
    let mut beside = thread::scope(|scope| {
        let dripping = scope.spawn(|| drip(&drips, &stop));
        let times = good_ones(&echo, time);
        stop.store(true, Relaxed);
        let rounds = dripping.join().unwrap()?;
        tell!("drips: {count} of them sent {rounds} bytes each meanwhile; memory {} KiB", echo.rss());
        times
    })?;
    let beside = told(&format!("100 good ones beside {count} that drip"), &mut beside);
    tell!("drips: p99 is {:.2} times as long beside them", beside.as_secs_f64() / alone.as_secs_f64());
    assert!(echo.rss() <= 64 << 10, "{} KiB", echo.rss());
    // Now they are silent.
    let start = Instant::now();
    drips.iter().for_each(|drip| drip.set_nonblocking(false).unwrap());
    drips.iter().for_each(|drip| drip.set_read_timeout(Some(common::PATIENCE)).unwrap());
    drips.iter().for_each(|drip| assert!(is_ended_by_server(drip)));
    tell!("drips: all are gone {:.2?} after they fell silent; the timeout is {timeout} s", start.elapsed());
    echo.wait_for_descriptors(descriptors);
    echo.end_well();
    Ok(())
}

#[test]
fn hazard_51_clients_that_never_read_cost_a_buffer_each_and_no_more() {
    let _turn = turn();
    let count = scaled(50, 1_000, 1_000).min(raise_descriptor_limit() as usize - 200);
    let echo = Echo::start(&[]);
    let before = echo.rss();
    let mut clients: Vec<TcpStream> = (0..count).map(|_| modest_client(&echo)).collect();
    let bytes = noise(64 << 10, 7);
    // Each is offered as much as it takes, up to 100 MB, until none has taken any for a while.
    let (mut taken, mut last) = (vec![0; count], Instant::now());
    while last.elapsed() < Duration::from_millis(scaled(300, 1_000, 1_000)) {
        for (mut client, taken) in clients.iter().zip(&mut taken) {
            match client.write(&bytes[*taken % bytes.len()..]) {
                Ok(0) => panic!("nothing was written"),
                Ok(count) => (*taken, last) = (*taken + count, Instant::now()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
            assert!(*taken < 100_000_000, "it is read although nothing can be sent back");
        }
    }
    let rss = echo.rss();
    let total = taken.iter().sum::<usize>() >> 20;
    tell!(
        "slow readers: {count}; the kernel has taken {total} MiB, the server has {rss} KiB ({before} before)"
    );
    // Sixteen of them hold 128 KiB, and the others 16 KiB. Their tasks and a burst of spare buffers are in the last megabyte.
    let most = before as usize + 16 * 128 + count * 16 + 1024;
    assert!(rss as usize <= most, "{rss} KiB for {count} clients that do not read, of at most {most}");
    // Other clients are served, and a client that reads in the end gets everything. (Most leave before that, because
    // the kernel may be short of memory.)
    echoes(&echo.connect(), b"are you there?").unwrap();
    clients.split_off(10).into_iter().for_each(reset);
    for (client, taken) in clients.iter().zip(&taken) {
        client.set_nonblocking(false).unwrap();
        gets_back(client, &bytes, *taken);
    }
    clients.into_iter().for_each(reset);
    echo.end_well();
}

/// With small buffers; otherwise the kernel takes so much that it runs short of memory.
fn modest_client(echo: &Echo) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    socket.set_send_buffer_size(16 << 10).unwrap();
    socket.set_read_timeout(Some(common::PATIENCE)).unwrap();
    socket.connect(&echo.address().into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.into()
}

/// Reads this many bytes of a pattern that was sent over and over.
fn gets_back(mut client: &TcpStream, bytes: &[u8], mut left: usize) {
    let (mut place, mut buffer) = (0, vec![0; 64 << 10]);
    while left > 0 {
        let count = client.read(&mut buffer).unwrap();
        assert!(count > 0 && count <= left, "{count} bytes, and {left} were to come");
        for &byte in &buffer[..count] {
            assert_eq!(byte, bytes[place % bytes.len()], "byte {place}");
            place += 1;
        }
        left -= count;
    }
}

/// All at once, for a minute. Only with `ROUNDEL_FULL=1`.
#[test]
fn everything_at_once_for_a_minute() {
    let _turn = turn();
    if !is_full() {
        return;
    }
    let echo = Echo::start(&["--idle-timeout", "3"]);
    let descriptors = echo.idle_descriptors();
    let (address, stop) = (echo.address(), AtomicBool::new(false));
    let idle: Vec<TcpStream> = (0..2_000).map(|_| echo.connect()).collect();
    let mut rss = Vec::new();
    thread::scope(|scope| {
        let churning = scope.spawn(|| {
            let mut times = 0;
            while !stop.load(Relaxed) {
                churn(address, 100);
                times += 100;
            }
            times
        });
        for (connections, size, pipeline) in [("50", "64", "1"), ("20", "5000", "8"), ("3", "1000000", "2")] {
            let mut command = Command::new(example("load"));
            command.args(["--addr", &address.to_string(), "--connections", connections, "--size", size]);
            command.args(["--pipeline", pipeline, "--seconds", "60"]);
            scope.spawn(move || {
                let output = command.output().unwrap();
                tell!("mixed: {connections} × {size}: {}", String::from_utf8_lossy(&output.stdout).trim());
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            });
        }
        for _ in 0..12 {
            thread::sleep(Duration::from_secs(5));
            rss.push(echo.rss());
        }
        stop.store(true, Relaxed);
        tell!("mixed: {} connections came and went", churning.join().unwrap());
    });
    tell!("mixed: memory every 5 s, in KiB: {rss:?}");
    idle.iter().for_each(|client| assert!(is_ended_by_server(client)));
    drop(idle);
    echo.wait_for_descriptors(descriptors);
    echo.end_well();
    assert!(rss[11] <= rss[5] + 1024, "it grows: {rss:?}");
}
