//! The last rung as a server: it passes the load test that the real one passes, and outlives its clients' faults.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use crate::common::{Program, in_time, run, try_there_and_back, watchdog};
use socket2::SockRef;

/// A client that does nothing for so long is closed, and so is one that a busy machine does not let do anything.
const IDLE: Duration = Duration::from_secs(5);

fn server() -> Program {
    Program::start("from_scratch_12", &["--addr", "127.0.0.1:0"])
}

#[test]
fn the_load_test_finds_no_error() {
    let _watchdog = watchdog();
    let server = server();
    for options in [["--connections", "200"], ["--size", "40000"], ["--pipeline", "16"]] {
        let arguments = [&["--addr", &*server.address, "--seconds", "1"][..], &options].concat();
        in_time(IDLE, || {
            let ended = run("load", &arguments);
            let is_well = ended.status.success() && ended.text().contains("errors 0");
            is_well.then_some(()).ok_or_else(|| io::Error::other(format!("{options:?}: {ended:?}")))
        });
    }
}

#[test]
fn clients_that_reset_harm_no_other() {
    let _watchdog = watchdog();
    let server = server();
    in_time(IDLE, || {
        let mut steady = server.connect();
        for round in 0..200 {
            let mut client = server.connect();
            if round % 2 == 0 {
                client.write_all(b"these bytes are never read")?;
            }
            SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
            drop(client);
            try_there_and_back(&mut steady, b"still here")?;
        }
        Ok(())
    });
}

#[test]
fn much_comes_back_as_it_was() {
    let _watchdog = watchdog();
    // Longer than all buffers between us.
    let much: Vec<u8> = (0..9_000_000_u32).map(|n| (n % 251) as u8).collect();
    let server = server();
    in_time(IDLE, || {
        let mut client = server.connect();
        let (mut writer, sent) = (client.try_clone()?, much.clone());
        let writing = std::thread::spawn(move || writer.write_all(&sent));
        std::thread::sleep(Duration::from_millis(100));
        let mut back = vec![0; much.len()];
        client.read_exact(&mut back)?;
        assert!(back == much, "what comes back is not what was sent");
        writing.join().unwrap()
    });
}

#[test]
fn a_client_that_does_nothing_is_closed_and_delays_no_other() {
    let _watchdog = watchdog();
    let server = server();
    let (start, mut silent) = in_time(IDLE, || {
        let (start, mut silent, mut steady) = (Instant::now(), server.connect(), server.connect());
        try_there_and_back(&mut steady, b"at once")?;
        silent.set_nonblocking(true)?;
        // Until then, the silent one was not closed, and has delayed nothing.
        match silent.read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok((start, silent)),
            other => Err(io::Error::other(format!("{other:?}"))),
        }
    });
    silent.set_nonblocking(false).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    assert!(start.elapsed() >= Duration::from_secs(4), "{:?}", start.elapsed());
}
