//! `http`, `https`, `axum` and `client`, with curl and openssl.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;

use rustix::process::Signal;

use crate::common::{Program, has, lines_of, read, read_all, run, shell, watchdog};

fn server(name: &str, args: &[&str]) -> Program {
    Program::start(name, &[&["--addr", "127.0.0.1:0"], args].concat())
}

fn url(program: &Program, path: &str) -> String {
    format!("http://{}{path}", program.address)
}

/// What curl prints: the body, and then the version and the status.
fn curl(args: &[&str]) -> String {
    let script = r#"curl --silent --show-error --max-time 100 --noproxy '*' -w '[%{http_version} %{http_code}]' "$@" 2>&1"#;
    shell(script, args).trim().to_owned()
}

#[test]
fn http_speaks_both_versions() {
    let _watchdog = watchdog();
    if !has("curl", "http_speaks_both_versions") {
        return;
    }
    let program = server("http", &[]);
    let (front, echo) = (url(&program, "/"), url(&program, "/echo"));
    assert_eq!(curl(&[&front]), "hello, visitor 1\n[1.1 200]");
    assert_eq!(curl(&["--http2-prior-knowledge", &front]), "hello, visitor 2\n[2 200]");
    assert_eq!(curl(&["--http2-prior-knowledge", "-d", "words", &echo]), "words[2 200]");
    assert_eq!(curl(&["-d", "words", &echo]), "words[1.1 200]");
    assert_eq!(curl(&["--data-binary", "@/bin/sh", &echo]), "the body is not UTF-8\n[1.1 415]");
    assert!(curl(&[&url(&program, "/other")]).ends_with("[1.1 404]"));
    assert!(program.stop().is_empty());
}

#[test]
fn http_refuses_a_body_that_is_too_long() {
    let _watchdog = watchdog();
    if !has("curl", "http_refuses_a_body_that_is_too_long") {
        return;
    }
    let program = server("http", &[]);
    let script = r#"head -c 3000000 /dev/zero | curl -s -o /dev/null -w '%{http_code}' --noproxy '*' --data-binary @- "$1""#;
    assert!(shell(script, &[&url(&program, "/echo")]).starts_with("413"));
    assert!(program.stop().is_empty());
}

/// The request is under way when the signal comes. An idle connection does not hold up the end.
#[test]
fn http_answers_what_it_has_begun_and_then_ends() {
    let _watchdog = watchdog();
    let program = server("http", &[]);
    let (mut slow, mut other, _idle) = (program.connect(), program.connect(), program.connect());
    slow.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    // Once the other request is answered, the server has also read the slow one, which came before it.
    other.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert_eq!(read(&mut other, 15), b"HTTP/1.1 200 OK");
    program.signal(Signal::TERM);
    let answer = String::from_utf8(read_all(&mut slow).0).unwrap();
    assert!(answer.ends_with("a second later\n"), "{answer}");
    assert!(program.ended_well().is_empty());
}

/// A server with a certificate, and the file that it wrote.
fn https(test: &str) -> (Program, PathBuf) {
    let file = std::env::temp_dir().join(format!("roundel-{test}-{}.pem", std::process::id()));
    let program = server("https", &["--certificate", file.to_str().unwrap()]);
    (program, file)
}

#[test]
fn https_is_trusted_by_curl_only_with_its_certificate() {
    let _watchdog = watchdog();
    if !has("curl", "https_is_trusted_by_curl_only_with_its_certificate") {
        return;
    }
    let (program, file) = https("curl");
    let url = format!("https://localhost:{}/here", program.socket_address().port());
    let trusted = ["--cacert", file.to_str().unwrap(), &url];
    assert_eq!(curl(&trusted), "hello over TLS and HTTP/2.0, from /here\n[2 200]");
    let first = curl(&[&["--http1.1"], &trusted[..]].concat());
    assert_eq!(first, "hello over TLS and HTTP/1.1, from /here\n[1.1 200]");
    assert!(curl(&[&url]).contains("certificate"), "curl must not trust it by itself");
    assert!(program.stop().is_empty());
    std::fs::remove_file(file).unwrap();
}

#[test]
fn https_agrees_with_openssl_on_every_version() {
    let _watchdog = watchdog();
    if !has("openssl", "https_agrees_with_openssl_on_every_version") {
        return;
    }
    let (program, file) = https("openssl");
    for version in ["-tls1_2", "-tls1_3"] {
        let script = r#"openssl s_client -connect "$1" -CAfile "$2" -verify_return_error -servername localhost \
                        -alpn h2 "$3" </dev/null 2>&1"#;
        let said = shell(script, &[&program.address, file.to_str().unwrap(), version]);
        assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
        assert!(said.contains("ALPN protocol: h2"), "{said}");
    }
    assert!(program.stop().is_empty());
    std::fs::remove_file(file).unwrap();
}

/// One client speaks no TLS, one stops in the middle of its handshake, and one is silent.
#[test]
fn https_survives_clients_that_do_not_shake_hands() {
    let _watchdog = watchdog();
    if !has("curl", "https_survives_clients_that_do_not_shake_hands") {
        return;
    }
    let (program, file) = https("rude");
    let (mut plain, mut half, _silent) = (program.connect(), program.connect(), program.connect());
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    half.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).unwrap();
    // The server refuses the first with an alert of TLS, and ends it.
    let (alert, _) = read_all(&mut plain);
    assert_eq!(alert.first(), Some(&0x15), "{alert:?}");
    let url = format!("https://localhost:{}/", program.socket_address().port());
    assert!(curl(&["--insecure", &url]).ends_with("[2 200]"));
    // The other two do not hold up the end.
    assert!(program.stop().is_empty());
    std::fs::remove_file(file).unwrap();
}

#[test]
fn axum_routes_and_speaks_json() {
    let _watchdog = watchdog();
    if !has("curl", "axum_routes_and_speaks_json") {
        return;
    }
    let program = server("axum", &[]);
    let (notes, json) = (url(&program, "/notes"), "content-type: application/json");
    assert_eq!(curl(&[&notes]), "[][1.1 200]");
    assert_eq!(curl(&["-H", json, "-d", r#"{"text":"milk"}"#, &notes]), "/notes/1\n[1.1 201]");
    assert_eq!(curl(&["--http2-prior-knowledge", &url(&program, "/notes/1")]), r#"{"text":"milk"}[2 200]"#);
    assert_eq!(curl(&[&url(&program, "/notes/2")]), "[1.1 404]");
    assert_eq!(curl(&[&url(&program, "/notes/0")]), "[1.1 404]");
    assert!(curl(&["-H", json, "-d", "milk", &notes]).ends_with("[1.1 400]"));
    assert!(curl(&["-X", "DELETE", &notes]).ends_with("[1.1 405]"));
    assert!(program.stop().is_empty());
}

/// A request that waits is answered by the next note, and by the end of the server.
#[test]
fn axum_lets_a_handler_wait_for_the_loop() {
    let _watchdog = watchdog();
    let program = server("axum", &[]);
    let (mut waiting, mut writing) = (program.connect(), program.connect());
    let ask = b"GET /next HTTP/1.1\r\nhost: x\r\n\r\n";
    let write = |text: &str| {
        let length = text.len();
        format!(
            "POST /notes HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{text}"
        )
    };
    waiting.write_all(ask).unwrap();
    // Until the waiting request has been read, a note may be too early for it. So notes are written until it is answered.
    let answered = thread::spawn(move || {
        let answer = until(&mut waiting, "}");
        (waiting, answer)
    });
    while !answered.is_finished() {
        writing.write_all(write(r#"{"text":"tea"}"#).as_bytes()).unwrap();
        until(&mut writing, "/notes/");
    }
    let (mut waiting, answer) = answered.join().unwrap();
    assert!(answer.ends_with(r#"{"text":"tea"}"#), "{answer}");
    // The second one has been read when a request after it is answered.
    waiting.write_all(ask).unwrap();
    writing.write_all(write(r#"{"text":1}"#).as_bytes()).unwrap();
    until(&mut writing, "422");
    program.signal(Signal::TERM);
    let (last, _) = read_all(&mut waiting);
    assert!(last.ends_with(b"null"), "{last:?}");
    assert!(program.ended_well().is_empty());
}

/// Reads until this text.
fn until(stream: &mut impl Read, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        text.push(char::from(read(stream, 1)[0]));
    }
    text
}

#[test]
fn client_shares_few_connections() {
    let _watchdog = watchdog();
    let program = server("http", &[]);
    let mut lines = lines_of("client", &["--requests", "20", "--connections", "3", &url(&program, "/")]);
    assert_eq!(lines.pop().unwrap(), "20 requests, 3 connections");
    lines.sort();
    let mut expected: Vec<String> =
        (1..=20).map(|number| format!("200 OK: hello, visitor {number}")).collect();
    expected.sort();
    assert_eq!(lines, expected);
    let missing = lines_of("client", &["--requests", "1", &url(&program, "/other")]);
    assert_eq!(missing[0], "404 Not Found: there is no /other here");
    assert!(program.stop().is_empty());
}

#[test]
fn client_bears_servers_that_close_at_once_never_end_or_are_at_ipv6() {
    let _watchdog = watchdog();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        // The first connection is closed when its request has begun.
        listener.accept().unwrap().0.read_exact(&mut [0; 4]).unwrap();
        // The second one gets a body without an end.
        let (mut stream, _) = listener.accept().unwrap();
        until(&mut stream, "\r\n\r\n");
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        while stream.write_all(&[b'x'; 1 << 16]).is_ok() {}
    });
    let closed = run("client", &["--requests", "1", &address]);
    assert_eq!((closed.code(), closed.complaints.lines().count()), (Some(1), 1), "{closed:?}");
    let endless = run("client", &["--requests", "1", &address]);
    assert_eq!((endless.code(), endless.complaints.lines().count()), (Some(1), 1), "{endless:?}");
    assert!(endless.complaints.contains("length limit exceeded"), "{endless:?}");
    server.join().unwrap();
    // Not every machine has IPv6.
    if TcpListener::bind("[::1]:0").is_ok() {
        let program = Program::start("http", &["--addr", "[::1]:0"]);
        let lines = lines_of("client", &["--requests", "1", &url(&program, "/")]);
        assert_eq!(lines[0], "200 OK: hello, visitor 1");
    }
}

/// Python's server speaks HTTP/1.0: each answer ends its connection.
#[test]
fn client_bears_a_server_that_keeps_no_connection() {
    let _watchdog = watchdog();
    if !has("python3", "client_bears_a_server_that_keeps_no_connection") {
        return;
    }
    let script = "import http.server as h, sys\n\
                  class Hello(h.BaseHTTPRequestHandler):\n \
                   def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b'hello')\n \
                   def log_message(self, *_): pass\n\
                  s = h.ThreadingHTTPServer(('127.0.0.1', 0), Hello)\n\
                  print(s.server_address[1], flush=True); s.serve_forever()";
    let python = Program::launch(std::process::Command::new("python3").args(["-c", script]));
    let url = format!("http://127.0.0.1:{}/", python.next_line().unwrap());
    let lines = lines_of("client", &["--requests", "30", "--connections", "2", &url]);
    assert_eq!(lines.iter().filter(|line| *line == "200 OK: hello").count(), 30, "{lines:?}");
}
