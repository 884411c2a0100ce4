//! `http_hello` over a network: installed clients, our own, and hostile ones. The parser has its own tests.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustix::process::Signal;

use crate::common::{GRACE, Program, has, in_time, noise, read_all, shell, watchdog};

fn hello(args: &[&str]) -> Program {
    Program::start("http_hello", &[&["--addr", "127.0.0.1:0"], args].concat())
}

/// One answer, exactly as it arrived.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// A client that sends any bytes, right or wrong.
struct Client {
    stream: TcpStream,
    answers: BufReader<TcpStream>,
}

impl Client {
    fn new(program: &Program) -> Client {
        let stream = program.connect();
        Client { answers: BufReader::new(stream.try_clone().unwrap()), stream }
    }

    fn sends(&mut self, text: &str) {
        self.tries_to_send(text).unwrap();
    }

    /// The same to a server that may have hung up.
    fn tries_to_send(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes())
    }

    /// The next answer; `with_body` unless it answers `HEAD`.
    fn hears(&mut self, with_body: bool) -> Answer {
        self.tries_to_hear(with_body).unwrap()
    }

    /// The same from a server that may have hung up.
    fn tries_to_hear(&mut self, with_body: bool) -> io::Result<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.answers.read_line(&mut head)? == 0 {
                return Err(io::Error::other(format!("the end, after {head:?}")));
            }
        }
        let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let length = head.split("Content-Length: ").nth(1).unwrap().split("\r\n").next().unwrap();
        let mut body = vec![0; if with_body { length.parse().unwrap() } else { 0 }];
        self.answers.read_exact(&mut body)?;
        Ok(Answer { status, head, body: String::from_utf8(body).unwrap() })
    }

    /// The status of the answer to this request.
    fn asks(&mut self, text: &str) -> u16 {
        self.sends(text);
        self.hears(true).status
    }

    /// Nothing more arrives, and the end is orderly. We hang up, too: until then, the server would go on reading.
    fn is_hung_up_on(&mut self) {
        self.hears_the_end().unwrap();
    }

    /// The same from a server that may have sent a reset.
    fn hears_the_end(&mut self) -> io::Result<()> {
        let (bytes, is_orderly) = read_all(&mut self.answers);
        assert_eq!(bytes, b"");
        let _ = self.stream.shutdown(Shutdown::Both);
        is_orderly.then_some(()).ok_or(ErrorKind::ConnectionReset.into())
    }
}

/// After it has refused a request, the server reads no longer than that.
const PARTING: Duration = Duration::from_secs(2);
/// With this much patience, a request is never too late.
const PATIENT: [&str; 2] = ["--patience", "600"];

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn one_connection_has_many_answers() {
    let _watchdog = watchdog();
    let program = hello(&[]);
    let mut client = Client::new(&program);
    for _ in 0..3 {
        client.sends(GET);
        let answer = client.hears(true);
        assert_eq!((answer.status, &*answer.body), (200, "Hello from a single thread.\n"));
        assert!(answer.head.contains("Connection: keep-alive\r\n"), "{}", answer.head);

        client.sends("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
        let head = client.hears(false);
        assert_eq!((head.status, head.head), (200, answer.head));

        client.sends("DELETE / HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = client.hears(true);
        assert!(answer.status == 405 && answer.head.contains("\r\nAllow: GET, HEAD\r\n"), "{answer:?}");
        assert_eq!(client.asks("GET /?query HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
        assert_eq!(client.asks("GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n"), 404);
        let with_body = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{GET}", GET.len());
        assert_eq!(client.asks(&with_body), 405); // The body is not taken for a request.
    }
    drop(client);
    program.stop();
}

#[test]
fn requests_may_come_all_at_once() {
    let _watchdog = watchdog();
    let program = hello(&[]);
    let mut client = Client::new(&program);
    let many = 2000;
    let mut writer = client.stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        writer.write_all(GET.repeat(many).as_bytes()).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    for _ in 0..many {
        assert_eq!(client.hears(true).status, 200);
    }
    client.is_hung_up_on();
    writing.join().unwrap();
    program.stop();
}

#[test]
fn a_client_that_asks_for_the_end_gets_it() {
    let _watchdog = watchdog();
    let program = hello(&[]);
    for request in ["GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"] {
        let mut client = Client::new(&program);
        client.sends(&format!("{request}{GET}")); // Nothing after that is answered.
        let answer = client.hears(true);
        assert!(answer.status == 200 && answer.head.contains("Connection: close\r\n"), "{answer:?}");
        client.is_hung_up_on();
    }
    // The client may send the body after the answer, or another request: the server cannot tell which of them it is.
    let mut client = Client::new(&program);
    let expecting = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
    client.sends(expecting);
    let answer = client.hears(true);
    assert!(answer.status == 405 && answer.head.contains("Connection: close\r\n"), "{answer:?}");
    client.is_hung_up_on();

    let mut client = Client::new(&program);
    assert_eq!(client.asks("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), 200);
    assert_eq!(client.asks("GET / HTTP/1.0\r\n\r\n"), 200);
    client.is_hung_up_on();
    program.stop();
}

/// A client that is refused learns why, even if more has arrived than was read: there is no reset.
#[test]
fn hazard_54_what_cannot_be_understood_is_refused_and_that_is_the_end() {
    let _watchdog = watchdog();
    let program = hello(&PATIENT);
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: x\r\n".repeat(100));
    let body =
        format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n{}", "x".repeat(3_000_000));
    for (request, status) in [
        (&*body, 413), // A client that writes everything before it reads finds the answer.
        ("hello\r\n", 400),
        ("\x16\x03\x01 TLS", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n", 413),
        (&format!("GET /{}", "x".repeat(100_000)), 414),
        (&long, 431),
        (&many, 431),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 501),
        ("GET / HTTP/2.0\r\n\r\n", 505),
    ] {
        in_time(PARTING, || {
            let mut client = Client::new(&program);
            client.tries_to_send(&format!("{GET}{request}"))?;
            assert_eq!(client.tries_to_hear(true)?.status, 200);
            let answer = client.tries_to_hear(true)?;
            assert_eq!(answer.status, status, "{request:?}");
            assert!(answer.head.contains("Connection: close\r\n"), "{answer:?}");
            client.hears_the_end()
        });
    }
    program.stop();
}

/// A client that is still sending when it is refused may finish, because a reset might reach it before it has read why.
#[test]
fn a_refused_client_may_finish_sending() {
    let _watchdog = watchdog();
    let program = hello(&[]);
    in_time(PARTING, || {
        let mut client = Client::new(&program);
        assert_eq!(client.asks("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n"), 413);
        (0..20).try_for_each(|_| client.tries_to_send(&"x".repeat(100_000)))?;
        client.hears_the_end()
    });
    program.stop();
}

#[test]
fn hazard_54_noise_is_refused_and_fills_no_memory() {
    let _watchdog = watchdog();
    let program = hello(&[]);
    let mut client = Client::new(&program);
    assert_eq!(client.asks(GET), 200);
    #[cfg(target_os = "linux")]
    let before = program.memory();
    let noise = noise(if cfg!(debug_assertions) { 1 << 20 } else { 8 << 20 });
    for part in noise.chunks(1 << 18) {
        let mut stream = program.connect();
        // This fails when the server has read enough.
        let _ = stream.write_all(part);
        let _ = stream.shutdown(Shutdown::Write);
        let (answer, _) = read_all(&mut stream);
        assert!(answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
    }
    assert_eq!(client.asks(GET), 200);
    #[cfg(target_os = "linux")]
    assert!(program.memory() < before + (1 << 20), "from {before} to {} bytes", program.memory());
    drop(client);
    program.stop();
}

/// The server does not read from a client that does not read its answers, so the answers do not pile up.
#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    let _watchdog = watchdog();
    let program = hello(&[]);
    let mut client = Client::new(&program);
    assert_eq!(client.asks(GET), 200);
    #[cfg(target_os = "linux")]
    let before = program.memory();
    let (requests, mut written) = (GET.repeat(10_000), 0);
    client.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let stopped = loop {
        match client.stream.write(requests.as_bytes()) {
            Ok(count) => written += count,
            Err(error) => break error.kind(),
        }
        assert!(written < 200 << 20, "requests are read, and their answers are not");
    };
    assert!(matches!(stopped, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{stopped}");
    #[cfg(target_os = "linux")]
    assert!(program.memory() < before + (1 << 20), "from {before} to {} bytes", program.memory());
}

#[test]
fn a_request_that_has_begun_has_a_deadline() {
    let _watchdog = watchdog();
    let program = hello(&["--patience", "0.3"]);
    let mut silent = Client::new(&program);
    let mut slow = Client::new(&program);
    slow.sends("GET / HT");
    assert_eq!(slow.hears(true).status, 408);
    slow.is_hung_up_on();

    // A byte now and then does not help, and neither do earlier requests.
    let mut drop_by_drop = Client::new(&program);
    assert_eq!(drop_by_drop.asks(GET), 200);
    let mut writer = drop_by_drop.stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        while writer.write_all(b"X").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(drop_by_drop.hears(true).status, 408);
    let _ = drop_by_drop.stream.shutdown(Shutdown::Both);
    writing.join().unwrap();

    // In the middle of a body, the answer has been sent already, so there is only the end.
    let mut body = Client::new(&program);
    assert_eq!(body.asks("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345"), 405);
    body.is_hung_up_on();

    // The server waits for a client that has not begun a request.
    assert_eq!(silent.asks(GET), 200);
    drop(silent);
    program.stop();
}

#[test]
fn an_idle_client_is_disconnected() {
    let _watchdog = watchdog();
    let program = hello(&["--idle-timeout", "0.3"]);
    let mut silent = Client::new(&program);
    let mut idle = in_time(Duration::from_millis(300), || {
        let mut idle = Client::new(&program);
        idle.tries_to_send(GET)?;
        assert_eq!(idle.tries_to_hear(true)?.status, 200);
        Ok(idle)
    });
    idle.is_hung_up_on();
    silent.is_hung_up_on();
    program.stop();
}

#[test]
fn at_the_end_idle_clients_are_disconnected_and_a_request_is_answered() {
    let _watchdog = watchdog();
    in_time(GRACE, || {
        let program = hello(&PATIENT);
        let (mut idle, mut busy) = (Client::new(&program), Client::new(&program));
        assert_eq!((idle.asks(GET), busy.asks(GET)), (200, 200));
        // The answer proves that the rest has arrived, too.
        busy.sends(&format!("{GET}GET / HTTP/1.1\r\n"));
        assert_eq!(busy.hears(true).status, 200);
        program.signal(Signal::TERM);
        idle.is_hung_up_on();
        busy.tries_to_send("Host: x\r\n\r\n")?;
        let answer = busy.tries_to_hear(true)?;
        assert!(answer.status == 200 && answer.head.contains("Connection: close\r\n"), "{answer:?}");
        busy.hears_the_end()?;
        drop((idle, busy));
        let ended = program.end();
        assert!(ended.status.success() && ended.complaints.is_empty(), "{ended:?}");
        Ok(())
    });
}

#[test]
fn curl_is_content() {
    let _watchdog = watchdog();
    if !has("curl", "curl_is_content") {
        return;
    }
    let program = hello(&[]);
    let curl =
        |options: &str| shell(&format!("curl -sS -w '%{{http_code}}.' {options}"), &[&program.address]);
    let kept = shell("curl -sSv http://$1/ http://$1/ 2>&1", &[&program.address]);
    assert!(kept.contains("Re-using existing connection") && kept.matches("200 OK").count() == 2, "{kept}");
    assert!(curl("--head http://$1/").contains("200 OK"));
    assert!(curl("http://$1/nowhere").ends_with("Try /.\n404.\n"), "{}", curl("http://$1/nowhere"));
    for (options, status) in [
        ("-0 http://$1/", "200."),
        ("-X OPTIONS http://$1/", "405."),
        ("-d some=data http://$1/", "405."),
        ("-H \"X: $(printf '%9000s' x)\" http://$1/", "431."),
        ("-H 'Transfer-Encoding: chunked' -d data http://$1/", "501."),
        ("-H 'Content-Length: 3' -H 'Content-Length: 4' http://$1/", "400."),
        ("-H 'Host:' http://$1/", "400."),
        ("-F some=field http://$1/", "405."),
        ("-T - http://$1/ < /dev/null", "501."), // It sends chunks, because it does not know the length.
    ] {
        assert!(curl(options).contains(status), "{options}: {}", curl(options));
    }
    // Longer than curl sends without asking.
    let big = curl("--data-binary @\"$(command -v curl)\" --max-time 100 http://$1/");
    assert!(big.contains("405.") || big.contains("413."), "{big}");
    program.stop();
}

#[test]
fn wrk_finds_no_errors() {
    let _watchdog = watchdog();
    if !has("wrk", "wrk_finds_no_errors") {
        return;
    }
    let program = hello(&[]);
    let said = shell("wrk -t1 -c20 -d1s --timeout 60s http://$1/", &[&program.address]);
    assert!(said.contains("Requests/sec") && !said.contains("errors") && !said.contains("Non-2xx"), "{said}");
    program.stop();
}
