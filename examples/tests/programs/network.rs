//! The programs that fetch pages, and the server and the client that they share.
//!
//! The server is a task of the same process, so a virtual clock is exact here, too: bytes that are sent over the
//! loopback arrive before time goes on.

use std::io::{Read, Write};
use std::time::Duration;

use rustix::process::Signal;

use crate::common::{Program, gold, in_order, lines_of, read_all, watchdog};
use examples::delays::DelayServer;
use examples::http_client::{Client, FetchError};
use roundel::group::gather;
use roundel::{Runtime, time};
use roundel_net::{TcpListener, TcpSocket};

const DIGEST: &str = "5cd539c7ca6be10ec4b0de38f1e05caf7f8a94220864da54aba0127ab3cddb61\
                      c4686a2641bc322e4ee74e3ce3e2d5f83da33dd7760c70442ce21989d0258277";

#[test]
fn connection_pool() {
    let _watchdog = watchdog();
    let text = gold("connection_pool", &["--virtual"]);
    in_order(
        &text,
        &["100 requests on 100 connections", "100 requests on 5 connections", "no answer within 50 ms"],
    );
}

#[test]
fn web_scraper() {
    let _watchdog = watchdog();
    let text = gold("web_scraper", &["--virtual"]);
    in_order(
        &text,
        &[
            "archive: nothing: connection refused",
            "orders: nothing: status 500",
            "users: ann,bob",
            "2 of 5 endpoints",
        ],
    );
    in_order(
        &text,
        &[
            "1000 pages over new connections: 100 ms",
            "1000 pages over the same connections: 100 ms",
            "1000 made",
        ],
    );
    in_order(
        &text,
        &["5000 pages over five hundred connections: 1000 ms", "at most 500 connections at once, 500 made"],
    );
}

#[test]
fn etl() {
    let _watchdog = watchdog();
    let text = gold("etl", &["--virtual"]);
    in_order(
        &text,
        &[
            "committed: [111, 222, 333, 444, 555, 666, 777, 888]",
            "── bad",
            "rolled back",
            "the group has failed",
        ],
    );
    assert_eq!(text.matches("  committed").count(), 1, "{text}");
}

#[test]
fn hybrid_scraper_streaming() {
    let _watchdog = watchdog();
    let text = gold("hybrid_scraper", &["--streaming", "--virtual"]);
    in_order(
        &text,
        &["0.10 s  page 1: hashed", "1.00 s  page 10: fetched", "10 digests, 1 distinct", DIGEST],
    );
}

/// The digests come in any order, but none before the last page.
#[test]
fn hybrid_scraper() {
    let _watchdog = watchdog();
    for pool in ["--virtual", "--processes"] {
        let lines = lines_of("hybrid_scraper", &[pool]);
        let last_fetched = lines.iter().rposition(|line| line.contains(": fetched"));
        let first_hashed = lines.iter().position(|line| line.contains(": hashed"));
        assert!(last_fetched < first_hashed, "{pool}: {lines:#?}");
        assert_eq!(lines.iter().filter(|line| line.contains(": hashed")).count(), 10);
        assert_eq!(lines.last().map(String::as_str), Some(DIGEST), "{pool}");
    }
}

#[test]
fn hybrid_scraper_compares_what_is_equal() {
    let _watchdog = watchdog();
    assert_eq!(lines_of("hybrid_scraper", &["--compare"]).len(), 12);
}

#[test]
fn delay_server() {
    let _watchdog = watchdog();
    let program = Program::start("delay_server", &["--addr", "127.0.0.1:0"]);
    let mut client = program.connect();
    // Two requests at once are answered one after the other, even if the first takes longer.
    client.write_all(b"GET /a?wait=50&text=first HTTP/1.1\r\nHost: x\r\n\r\nGET /b?status=503&text=no&times=2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let (bytes, in_order) = read_all(&mut client);
    let text = String::from_utf8(bytes).unwrap();
    let (first, second) = text.split_once("first").expect("the first answer");
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n") && first.contains("Content-Length: 5\r\n"), "{text}");
    assert!(second.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{text}");
    assert!(second.ends_with("Connection: close\r\n\r\nnono") && in_order, "{text}");
    let refused = |request: &[u8]| {
        let mut client = program.connect();
        client.write_all(request).unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).unwrap();
        String::from_utf8(answer.into()).unwrap()
    };
    assert_eq!(refused(b"GET /?wait=soon HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 400");
    assert_eq!(refused(b"GET /?text=abc&times=99999999 HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 400");
    assert_eq!(refused(b"hello\r\n"), "HTTP/1.1 400");
    assert_eq!(refused(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 405");
    // A request that has begun when the server is asked to end is answered.
    client = program.connect();
    client
        .write_all(
            b"GET /?text=x HTTP/1.1\r\nHost: x\r\n\r\nGET /?wait=200&text=late HTTP/1.1\r\nHost: x\r\n\r\n",
        )
        .unwrap();
    client.read_exact(&mut [0; 40]).unwrap();
    program.signal(Signal::TERM);
    assert!(String::from_utf8(read_all(&mut client).0).unwrap().ends_with("late"));
    assert_eq!(program.ended_well(), ["8 requests on 6 connections"]);
}

/// Runs a client and a server on a virtual clock.
fn with_a_server(test: impl AsyncFnOnce(DelayServer)) {
    let _watchdog = watchdog();
    let _nothing_starts = testkit::alone::nothing_starts();
    let runtime = Runtime::builder().virtual_time(true).build().unwrap();
    runtime.block_on(async { test(DelayServer::start().await.unwrap()).await });
}

#[test]
fn a_client_uses_its_connections_again_and_no_more_than_its_limit() {
    with_a_server(async |server| {
        let (client, start) = (Client::new(3), time::now());
        let url = server.url("/?wait=100&text=ab&times=3");
        for answer in gather((0..12).map(|_| client.get(&url))).await {
            let answer = answer.unwrap();
            assert_eq!((answer.status, &*answer.body), (200, &b"ababab"[..]));
        }
        assert_eq!(time::now() - start, Duration::from_millis(400));
        assert_eq!((client.connected(), server.seen.most_open.get(), server.seen.requests.get()), (3, 3, 12));
    });
}

#[test]
fn a_late_answer_goes_to_no_other_request() {
    with_a_server(async |server| {
        let client = Client::new(1).patience(Duration::from_millis(100));
        let error = client.get(&server.url("/?wait=150&text=old")).await.unwrap_err();
        assert!(matches!(error, FetchError::TimedOut(_)), "{error}");
        time::sleep(Duration::from_millis(100)).await; // By now it has arrived, if there is a listener.
        assert_eq!(client.get(&server.url("/?text=new")).await.unwrap().body, b"new");
        assert_eq!(client.connected(), 2);
    });
}

#[test]
fn a_failure_is_an_answer_and_what_is_no_answer_is_an_error() {
    with_a_server(async |server| {
        let client = Client::new(2);
        assert_eq!(client.get(&server.url("/?status=503")).await.unwrap().status, 503);
        let taken = TcpSocket::new_v4().unwrap(); // A port at which no program listens.
        taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}/", taken.local_addr().unwrap());
        let error = client.get(&url).await.unwrap_err();
        assert!(matches!(error, FetchError::NoConnection(_)), "{error}");
        let error = client.get("ftp://example.org/").await.unwrap_err();
        assert!(error.to_string().contains("has to be http://HOST:PORT/TARGET"), "{error}");
    });
}

/// A server that hangs up after each answer, without saying so.
#[test]
fn a_connection_that_the_server_has_closed_is_replaced() {
    with_a_server(async |_| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = roundel::spawn(async move {
            for answer in ["Content-Length: 2\r\n\r\nok", "Content-Length: 9\r\n\r\ncut", "\r\n"] {
                let (stream, _) = listener.accept().await.unwrap();
                stream.read(&mut [0; 1000]).await.unwrap();
                stream.write_all(format!("HTTP/1.1 200 OK\r\n{answer}").as_bytes()).await.unwrap();
            }
        });
        let client = Client::new(1);
        assert_eq!(client.get(&url).await.unwrap().body, b"ok");
        time::sleep(Duration::from_millis(1)).await;
        let cut = client.get(&url).await.unwrap_err();
        assert!(matches!(cut, FetchError::Broken(_)), "{cut}");
        let endless = client.get(&url).await.unwrap_err();
        assert!(matches!(endless, FetchError::NotUnderstood(_)), "{endless}");
        server.await.unwrap();
    });
}
