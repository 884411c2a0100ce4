//! Connecting when the kernel reports an error that a test cannot cause without a broken network.
//!
//! `strace` answers in place of the kernel. Each test runs itself again under it, in a separate process.
//! Without `strace`, the test says so and tests nothing.

use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::process::Command;

use roundel::source;
use roundel_net::{ConnectError, TcpStream};

use super::common::{is_alone, output, rerun};
use super::{DELAY, hole, open, outcome, virtually};

/// Runs `body` in a process whose call number `when` of `connect` fails with `errno`. A kernel under load may answer late,
/// and then virtual time passes. So there are three tries.
fn with_connect_failing(name: &str, errno: &str, when: &str, body: impl AsyncFn()) {
    if is_alone(name) {
        return virtually(body());
    }
    let works = output(Command::new("strace").args(["-o", "/dev/null", "true"]));
    if !works.is_ok_and(|output| output.status.success()) {
        // The harness would not show the output of `eprintln`.
        let message =
            format!("SKIPPED: there is no strace, or it may not trace; {name} has tested nothing\n");
        io::stderr().write_all(message.as_bytes()).unwrap();
        return;
    }
    let inject = format!("inject=connect:error={errno}:when={when}");
    let run = || {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", "trace=connect", "-e", &inject]);
        rerun(&mut command, name);
        output(&mut command).unwrap()
    };
    let mut output = run();
    for _ in 0..2 {
        if !output.status.success() {
            output = run();
        }
    }
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{name}, traced:\n{out}\n{err}");
    assert!(err.contains("(INJECTED)"), "nothing was injected: {err}");
}

fn addresses() -> ((std::net::TcpListener, std::net::TcpListener), [SocketAddr; 2]) {
    let ((one, first), (other, second)) = (open("127.0.0.1"), open("127.0.0.1"));
    ((one, other), [first, second])
}

#[test]
fn hazard_31_an_interrupted_connect_begins_again() {
    with_connect_failing(
        "faults::hazard_31_an_interrupted_connect_begins_again",
        "EINTR",
        "1..3",
        async || {
            let (_listeners, addresses) = addresses();
            assert_eq!(outcome(&addresses[..1]).await, (std::time::Duration::ZERO, addresses[0]));
        },
    );
}

#[test]
fn an_unreachable_network_costs_no_time() {
    with_connect_failing("faults::an_unreachable_network_costs_no_time", "ENETUNREACH", "1", async || {
        let (_listeners, addresses) = addresses();
        assert_eq!(outcome(&addresses).await, (std::time::Duration::ZERO, addresses[1]));
    });
}

#[test]
fn without_a_free_port_the_error_says_so() {
    let name = "faults::without_a_free_port_the_error_says_so";
    with_connect_failing(name, "EADDRNOTAVAIL", "1+", async || {
        let addresses: [SocketAddr; 2] = ["127.0.0.1:1".parse().unwrap(), "[::1]:1".parse().unwrap()];
        let error = TcpStream::connect(addresses).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
        let why = error.get_ref().unwrap().downcast_ref::<ConnectError>().unwrap();
        assert_eq!(why.attempts().len(), 2);
        assert_eq!(source::count(), 0);
    });
}

/// The first attempts get no answer. The fifth call of `connect` fails; the first four fill the backlog.
#[test]
fn an_attempt_that_cannot_begin_does_not_disturb_the_others() {
    let name = "faults::an_attempt_that_cannot_begin_does_not_disturb_the_others";
    with_connect_failing(name, "ENETUNREACH", "6", async || {
        let (_listeners, addresses) = addresses();
        let hole = hole("127.0.0.1");
        let all = [hole.address, addresses[0], addresses[1]];
        assert_eq!(outcome(&all).await, (DELAY, addresses[1]));
    });
}
