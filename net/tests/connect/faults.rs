//! Connecting when the system says no: errors that one cannot bring about without a broken network.
//!
//! `strace` answers in the kernel's place. Each test runs itself again under it, in a process of its own; where it is
//! missing, the test says so and has tested nothing.

use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use roundel::source;
use roundel_net::{ConnectError, TcpStream};

use super::common::{is_alone, rerun};
use super::{DELAY, hole, open, outcome, virtually};

/// Runs `body` in a process whose call number `when` of `connect` fails with `errno`.
fn refused_by_the_system(name: &str, errno: &str, when: &str, body: impl AsyncFn()) {
    if is_alone(name) {
        return virtually(body());
    }
    let works = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        // Not by `eprintln`, which the harness would keep to itself.
        let message =
            format!("SKIPPED: there is no strace, or it may not trace; {name} has tested nothing\n");
        io::stderr().write_all(message.as_bytes()).unwrap();
        return;
    }
    let inject = format!("inject=connect:error={errno}:when={when}");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "trace=connect", "-e", &inject]);
    rerun(&mut command, name);
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{name}, traced:\n{out}\n{err}");
    assert!(err.contains("(INJECTED)"), "nothing was injected: {err}");
}

fn addresses() -> ((std::net::TcpListener, std::net::TcpListener), [SocketAddr; 2]) {
    let ((one, first), (other, second)) = (open("127.0.0.1"), open("127.0.0.1"));
    ((one, other), [first, second])
}

#[test]
fn hazard_31_an_interrupted_connect_is_begun_anew() {
    refused_by_the_system(
        "faults::hazard_31_an_interrupted_connect_is_begun_anew",
        "EINTR",
        "1..3",
        async || {
            let (_listeners, addresses) = addresses();
            assert_eq!(outcome(&addresses[..1]).await, (std::time::Duration::ZERO, addresses[0]));
        },
    );
}

#[test]
fn a_network_that_is_not_there_costs_no_time() {
    refused_by_the_system(
        "faults::a_network_that_is_not_there_costs_no_time",
        "ENETUNREACH",
        "1",
        async || {
            let (_listeners, addresses) = addresses();
            assert_eq!(outcome(&addresses).await, (std::time::Duration::ZERO, addresses[1]));
        },
    );
}

#[test]
fn without_a_port_of_our_own_it_says_so() {
    let name = "faults::without_a_port_of_our_own_it_says_so";
    refused_by_the_system(name, "EADDRNOTAVAIL", "1+", async || {
        let addresses: [SocketAddr; 2] = ["127.0.0.1:1".parse().unwrap(), "[::1]:1".parse().unwrap()];
        let error = TcpStream::connect(addresses).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        let why = error.get_ref().unwrap().downcast_ref::<ConnectError>().unwrap();
        assert_eq!(why.attempts().len(), 2);
        assert_eq!(source::count(), 0);
    });
}

/// The first attempts go nowhere; the fifth call (there are four to fill the backlog) is refused by the system.
#[test]
fn one_that_cannot_be_begun_leaves_the_others_alone() {
    let name = "faults::one_that_cannot_be_begun_leaves_the_others_alone";
    refused_by_the_system(name, "ENETUNREACH", "6", async || {
        let (_listeners, addresses) = addresses();
        let hole = hole("127.0.0.1");
        let all = [hole.address, addresses[0], addresses[1]];
        assert_eq!(outcome(&all).await, (DELAY, addresses[1]));
    });
}
