//! `chaos`: its plans, and the program in front of `echo`.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use examples::chaos_plan::{Faults, Step, Way};
use proptest::prelude::*;

use crate::common::{self, Program, noise, read_all, watchdog};

fn faults(seed: u64) -> Faults {
    let longest_delay = Duration::from_millis(10);
    Faults { seed, piece: 100, delays: 0.1, longest_delay, truncate: 0.3, reset: 0.3, within: 5000 }
}

/// What happens to this many bytes if they arrive in parts of these sizes: where the pieces end, the waits, and the
/// end.
fn follow(faults: Faults, connection: u64, way: Way, bytes: u64, sizes: &[usize]) -> Vec<(u64, Step)> {
    let (mut plan, mut steps, mut sizes) = (faults.plan(connection, way), Vec::new(), sizes.iter().cycle());
    let mut there = 0;
    while plan.passed() < bytes {
        if there == 0 {
            there = (*sizes.next().unwrap()).min((bytes - plan.passed()) as usize);
        }
        match plan.next(there) {
            Step::Pass(count) => there -= count,
            step => steps.push((plan.passed(), step)),
        }
        if let Some((_, Step::Truncate | Step::Reset)) = steps.last() {
            break;
        }
    }
    steps
}

proptest! {
    /// The kernels may split the bytes anywhere: the same faults happen at the same places.
    #[test]
    fn the_same_seed_does_the_same_however_the_bytes_come(
        seed: u64,
        connection in 0..1000_u64,
        sizes in prop::collection::vec(1..3000_usize, 1..10),
    ) {
        for way in [Way::ToServer, Way::ToClient] {
            let whole = follow(faults(seed), connection, way, 6000, &[6000]);
            prop_assert_eq!(whole, follow(faults(seed), connection, way, 6000, &sizes));
        }
    }

    #[test]
    fn a_connection_has_one_end_at_most(seed: u64, connection: u64) {
        let mut faults = faults(seed);
        (faults.truncate, faults.reset) = (0.5, 0.5);
        let ends = [Way::ToServer, Way::ToClient].map(|way| {
            let steps = follow(faults, connection, way, 6000, &[1]);
            steps.iter().filter(|(_, step)| matches!(step, Step::Truncate | Step::Reset)).count()
        });
        prop_assert_eq!(ends[0] + ends[1], 1);
    }
}

#[test]
fn rates_are_kept() {
    let (mut truncated, mut reset, mut late, mut pieces) = (0, 0, 0, 0);
    for connection in 0..2000 {
        for way in [Way::ToServer, Way::ToClient] {
            let mut plan = faults(7).plan(connection, way);
            while plan.passed() < 5000 {
                match plan.next(6000) {
                    Step::Pass(count) if (1..=100).contains(&count) => pieces += 1,
                    Step::Pass(count) => panic!("a piece of {count} bytes"),
                    Step::Wait(delay) if delay < Duration::from_millis(10) => late += 1,
                    Step::Wait(delay) => panic!("a delay of {delay:?}"),
                    end => {
                        *(if end == Step::Reset { &mut reset } else { &mut truncated }) += 1;
                        break;
                    }
                }
            }
        }
    }
    assert!((500..700).contains(&truncated) && (500..700).contains(&reset), "{truncated}, {reset} of 2000");
    assert!((pieces / 12..pieces / 8).contains(&late), "{late} of {pieces}");
}

#[test]
#[should_panic(expected = "without any bytes")]
fn without_bytes_nothing_is_decided() {
    faults(1).plan(1, Way::ToServer).next(0);
}

/// `echo`, and `chaos` in front of it.
fn start(options: &[&str]) -> (Program, Program) {
    let echo = Program::start("echo", &["--addr", "127.0.0.1:0"]);
    let chaos =
        Program::start("chaos", &[&["--listen", "127.0.0.1:0", "--to", &echo.address], options].concat());
    assert!(chaos.next_line().unwrap().starts_with("--seed "));
    (echo, chaos)
}

/// Writes all of it, as far as that is possible, while it reads what comes back. Also returns whether the end was
/// orderly.
fn send_and_read(mut stream: TcpStream, bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut writer = stream.try_clone().unwrap();
    thread::scope(|scope| {
        let writing = scope.spawn(move || {
            let written = writer.write_all(bytes); // It fails if the connection is reset.
            let _ = writer.shutdown(Shutdown::Write);
            written.is_ok()
        });
        let (got, in_order) = read_all(&mut stream);
        // The kernel tells only one of the two that there was a reset; for the other, it looks like an end in order.
        (got, writing.join().unwrap() && in_order)
    })
}

#[test]
fn every_byte_arrives_late_and_in_small_pieces() {
    let _watchdog = watchdog();
    let (echo, chaos) = start(&["--piece", "50", "--delays", "0.05", "--delay", "0.002"]);
    let bytes = noise(100_000);
    thread::scope(|scope| {
        for stream in (0..8).map(|_| chaos.connect()) {
            let bytes = &bytes;
            scope.spawn(move || assert!(send_and_read(stream, bytes) == (bytes.clone(), true)));
        }
    });
    chaos.stop();
    echo.stop();
}

/// One connection after the other, each with the same bytes. Returns what `chaos` says that it did to each.
fn suffer(seed: &str, connections: usize, bytes: &[u8]) -> BTreeMap<usize, String> {
    let options = ["--seed", seed, "--truncate", "0.3", "--reset", "0.3", "--within", "60000"];
    let (echo, chaos) = start(&options);
    let results: Vec<_> = (0..connections).map(|_| send_and_read(chaos.connect(), bytes)).collect();
    let mut done = BTreeMap::new();
    for line in chaos.stop() {
        let (number, what) = line.strip_prefix("connection ").and_then(|line| line.split_once(": ")).unwrap();
        assert!(done.insert(number.parse::<usize>().unwrap(), what.to_owned()).is_none(), "{line}");
    }
    for (index, (got, in_order)) in results.iter().enumerate() {
        assert!(bytes.starts_with(got), "connection {}: other bytes came back than were sent", index + 1);
        let what = done.get(&(index + 1)).map(String::as_str);
        let told = |what: &str| what.split(' ').nth(2).unwrap().parse::<usize>().unwrap();
        match what {
            None => assert!(*in_order && got.len() == bytes.len(), "{} bytes, unharmed", got.len()),
            Some(what) if what.starts_with("truncated") => {
                assert!(*in_order && got.len() == told(what), "{} bytes, {what}", got.len());
            }
            Some(what) => assert!(!in_order && got.len() <= bytes.len(), "{} bytes, {what}", got.len()),
        }
    }
    echo.stop();
    done
}

#[test]
fn what_arrives_is_a_prefix_and_the_same_seed_breaks_the_same() {
    let _watchdog = watchdog();
    let bytes = noise(60_000);
    let first = suffer("42", 30, &bytes);
    assert!(first.len() > 5, "{first:?}");
    for what in ["truncated", "reset", "to the server", "to the client"] {
        assert!(first.values().any(|done| done.contains(what)), "no {what} in {first:?}");
    }
    assert_eq!(first, suffer("42", 30, &bytes));
    assert_ne!(first, suffer("43", 30, &bytes));
}

#[test]
fn without_a_seed_there_is_another_one_each_time() {
    let _watchdog = watchdog();
    let seed = || Program::start("chaos", &["--listen", "127.0.0.1:0", "--to", "x:1"]).next_line().unwrap();
    assert_ne!(seed(), seed());
}

#[test]
fn load_notices() {
    let _watchdog = watchdog();
    let (_echo, chaos) = start(&["--reset", "1", "--within", "1000", "--seed", "1"]);
    // It ends when all five connections have, which is long before the time is over.
    let ended = common::run("load", &["--addr", &chaos.address, "--connections", "5", "--seconds", "60"]);
    assert!(ended.code() == Some(1) && ended.text().ends_with("errors 5"), "{ended:?}");
}
