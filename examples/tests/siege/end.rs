//! How an echo server ends: it accepts no new client, lets the present ones finish, and ends at once at a second
//! signal.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;

use crate::common::{Echo, close_in_order, echoes, is_ended_by_server, turn, until};

/// Waits until no program listens there any more.
fn wait_until_closed(echo: &Echo) {
    until("a server that accepts no client", || match echo.try_connect() {
        Ok(stream) => !is_ended_by_server(&stream),
        Err(error) => error.kind() == ErrorKind::ConnectionRefused,
    });
}

#[test]
fn clients_that_are_connected_at_the_signal_may_finish() {
    let _turn = turn();
    let mut echo = Echo::start(&[]);
    let clients: Vec<TcpStream> = (0..10).map(|_| echo.connect()).collect();
    clients.iter().for_each(|client| echoes(client, b"before").unwrap());
    echo.terminate();
    wait_until_closed(&echo);
    for client in clients {
        echoes(&client, b"after").unwrap();
        assert!(close_in_order(&client));
    }
    until("the end, now that all have gone", || echo.has_ended());
    echo.end_well();
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
    let mut echo = Echo::start(&[]);
    let client = echo.connect();
    echoes(&client, b"before").unwrap();
    echo.terminate();
    wait_until_closed(&echo);
    echo.terminate();
    until("the end", || echo.has_ended());
    let (status, _) = echo.end();
    assert_eq!(status.signal(), Some(15), "it is not the three seconds that have ended it");
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
