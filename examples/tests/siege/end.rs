//! How an echo server ends: it accepts no new client, lets the present ones finish, and ends at once at a second
//! signal.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use crate::common::{Echo, close_in_order, echoes, is_ended_by_server, turn, until};

/// Waits until no program listens there any more.
fn wait_until_closed(echo: &Echo) {
    until("a server that accepts no client", || match echo.try_connect() {
        Ok(stream) => {
            // It may have been accepted just before the signal was heard.
            close_in_order(&stream);
            false
        }
        Err(error) => error.kind() == ErrorKind::ConnectionRefused,
    });
}

#[test]
fn clients_that_are_connected_at_the_signal_may_finish() {
    let _turn = turn();
    in_grace(|| {
        let mut echo = Echo::start(&[]);
        let clients: Vec<TcpStream> = (0..10).map(|_| echo.connect()).collect();
        clients.iter().for_each(|client| echoes(client, b"before").unwrap());
        echo.terminate();
        wait_until_closed(&echo);
        for client in clients {
            echoes(&client, b"after").map_err(|error| error.to_string())?;
            assert!(close_in_order(&client));
        }
        until("the end, now that all have gone", || echo.has_ended());
        echo.end_well();
        Ok(())
    });
}

/// Tries something that has to be done within the three seconds that the server gives its clients. A machine that is too busy
/// for that may try again; an attempt that was quick enough must not fail.
fn in_grace(attempt: impl Fn() -> Result<(), String>) {
    for _ in 0..9 {
        let start = Instant::now();
        match attempt() {
            Ok(()) => return,
            Err(why) => assert!(start.elapsed() >= Duration::from_secs(3), "{why}"),
        }
    }
    panic!("nine attempts have all taken longer than three seconds");
}

#[test]
fn a_client_that_stays_is_cut_off() {
    let _turn = turn();
    let mut echo = Echo::start(&[]);
    let client = echo.connect();
    echoes(&client, b"before").unwrap();
    echo.terminate();
    assert!(is_ended_by_server(&client));
    until("the end", || echo.has_ended());
    echo.end_well();
}

#[test]
fn to_ask_twice_is_to_be_in_a_hurry() {
    let _turn = turn();
    in_grace(|| {
        let mut echo = Echo::start(&[]);
        let client = echo.connect();
        echoes(&client, b"before").unwrap();
        echo.terminate();
        wait_until_closed(&echo);
        echo.terminate();
        until("the end", || echo.has_ended());
        match echo.end().0.signal() {
            Some(15) => Ok(()),
            _ => Err("it is the three seconds that have ended it".to_owned()),
        }
    });
}

#[test]
fn several_loops_share_a_port_and_end_together() {
    let _turn = turn();
    let echo = Echo::start(&["--threads", "3"]);
    let clients: Vec<TcpStream> = (0..60).map(|_| echo.connect()).collect();
    for _ in 0..3 {
        clients.iter().for_each(|client| echoes(client, b"hello").unwrap());
    }
    clients.iter().for_each(|client| assert!(close_in_order(client)));
    echo.end_well();
}
