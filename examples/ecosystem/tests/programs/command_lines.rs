//! What all programs have in common: help, and errors that are one line.

use std::net::TcpListener;

use crate::common::{path_of, run, shell, watchdog};

const ALL: [&str; 8] = ["axum", "client", "database", "http", "https", "quic", "redis", "websocket"];
const SERVERS: [&str; 4] = ["axum", "http", "https", "websocket"];

#[test]
fn every_program_explains_itself_and_refuses_what_it_does_not_know() {
    let _watchdog = watchdog();
    for name in ALL {
        let help = run(name, &["--help"]);
        assert!(help.status.success() && help.lines[0].starts_with(&format!("usage: {name} ")), "{help:?}");
        assert!(help.lines.iter().all(|line| line.len() <= 80), "{help:?}");
        let refused = run(name, &["http://x/", "--colour", "red"]);
        assert_eq!(refused.code(), Some(2), "{name}: {refused:?}");
        let closed = shell(r#""$1" --help >&- ; "$1" --help | true"#, &[path_of(name).to_str().unwrap()]);
        assert!(!closed.contains("panicked"), "{name}: {closed}");
    }
}

/// Numbers that are too large are refused, and bring down nothing.
#[test]
fn a_number_that_is_too_large_is_refused() {
    let _watchdog = watchdog();
    let most = usize::MAX.to_string();
    for args in [&["database", "--tasks", &most][..], &["client", "--requests", &most, "http://x/"]] {
        let refused = run(args[0], &args[1..]);
        assert_eq!(refused.code(), Some(2), "{refused:?}");
        assert!(refused.complaints.contains("can be at most"), "{refused:?}");
    }
}

#[test]
fn a_server_whose_port_is_taken_says_so() {
    let _watchdog = watchdog();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    for name in SERVERS {
        let ended = run(name, &["--addr", &address]);
        assert_eq!((ended.code(), ended.lines.len()), (Some(1), 0), "{name}: {ended:?}");
        assert!(ended.complaints.starts_with(&format!("{name}: ")), "{ended:?}");
        assert_eq!(ended.complaints.lines().count(), 1, "{ended:?}");
    }
}

#[test]
fn a_client_whose_server_is_not_there_says_so() {
    let _watchdog = watchdog();
    // A port that is taken, so that no other program gets it meanwhile, but on which no program listens.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (name, args) in [
        ("client", vec![format!("http://{address}/")]),
        ("redis", vec!["--addr".into(), address.clone(), "ping".into()]),
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ended = run(name, &args);
        assert_eq!(ended.code(), Some(1), "{name}: {ended:?}");
        assert!(ended.complaints.contains("refused"), "{ended:?}");
        assert_eq!(ended.complaints.lines().count(), 1, "{ended:?}");
    }
}
