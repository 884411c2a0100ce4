//! The parser of `http_hello`, and its conversation, without a network (hazard 54).

use examples::http::{
    BAD_REQUEST, HEADERS_TOO_LARGE, MOST_BYTES, MOST_HEADERS, NOT_IMPLEMENTED, Status, URI_TOO_LONG,
    VERSION_NOT_SUPPORTED, parse,
};
use examples::http_talk::Talk;
use proptest::prelude::*;

fn accepted(text: &str) -> bool {
    matches!(parse(text.as_bytes()), Ok(Some((_, used))) if used == text.len())
}

fn refused(text: &str) -> Status {
    match parse(text.as_bytes()) {
        Err(status) => status,
        parsed => panic!("{text:?}: {parsed:?}"),
    }
}

#[test]
fn what_is_right_is_understood() {
    let (request, used) =
        parse(b"GET /a?b HTTP/1.1\r\nHost:x\r\nContent-Length: 12\r\n\r\nbody").unwrap().unwrap();
    assert_eq!((request.method, request.target, request.minor_version), ("GET", "/a?b", 1));
    assert_eq!((request.body, request.keep_alive, request.expects_continue, used), (12, true, false, 49));
    for text in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nhOsT: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.9\r\nHost: x\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "M-SEARCH / HTTP/1.1\r\nHost: x\r\nX:\t tab \t\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0000\r\n\r\n",
    ] {
        assert!(accepted(text), "{text:?}");
    }
    let caf = b"GET / HTTP/1.1\r\nHost: x\r\nX: caf\xe9\r\n\r\n";
    assert!(matches!(parse(caf), Ok(Some((_, used))) if used == caf.len()));
}

#[test]
fn the_connection_stays_open_only_where_it_should() {
    let stays = |version: &str, connection: &str| {
        let text = format!("GET / HTTP/{version}\r\nHost: x\r\n{connection}\r\n");
        parse(text.as_bytes()).unwrap().unwrap().0.keep_alive
    };
    assert!(stays("1.1", "") && !stays("1.0", ""));
    assert!(!stays("1.1", "Connection: close\r\n") && stays("1.0", "Connection: Keep-Alive\r\n"));
    assert!(!stays("1.1", "Connection: upgrade, CLOSE\r\n") && !stays("1.0", "Connection: upgrade\r\n"));
    assert!(!stays("1.0", "Connection: keep-alive\r\nConnection: close\r\n"));
}

/// Everything that two servers might read differently.
#[test]
fn hazard_54_nothing_is_ambiguous() {
    for (what, text) in [
        (
            "both lengths",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            "both, other order",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        ),
        ("two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n"),
        (
            "the same length twice",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
        ),
        ("a list of lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\n"),
        ("a signed length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\n"),
        ("a negative length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\n"),
        ("a hexadecimal length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\n"),
        ("an empty length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n"),
        (
            "a length beyond numbers",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
        ),
        ("chunks in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("a folded line", "GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n"),
        ("a line folded by a tab", "GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n\tb\r\n\r\n"),
        ("a fold at once", "GET / HTTP/1.1\r\n Host: x\r\n\r\n"),
        ("a space before the colon", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\n"),
        ("no colon", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length\r\n\r\n"),
        ("no name", "GET / HTTP/1.1\r\nHost: x\r\n: 3\r\n\r\n"),
        ("bare LF", "GET / HTTP/1.1\nHost: x\n\n"),
        ("bare LF after a value", "GET / HTTP/1.1\r\nHost: x\nContent-Length: 3\r\n\r\n"),
        ("bare CR in a value", "GET / HTTP/1.1\r\nHost: x\r\nX: a\rContent-Length: 3\r\n\r\n"),
        ("CR CR LF", "GET / HTTP/1.1\r\nHost: x\r\r\n\r\n"),
        ("NUL in a value", "GET / HTTP/1.1\r\nHost: x\0\r\n\r\n"),
        ("DEL in a value", "GET / HTTP/1.1\r\nHost: x\x7f\r\n\r\n"),
        ("NUL in a name", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length\0: 3\r\n\r\n"),
        ("no host", "GET / HTTP/1.1\r\n\r\n"),
        ("two hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"),
        ("two hosts in 1.0", "GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n"),
        ("two spaces", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a tab for a space", "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a space at the end", "GET / HTTP/1.1 \r\nHost: x\r\n\r\n"),
        ("a space at the beginning", " GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("no version", "GET /\r\n\r\n"),
        ("small letters", "GET / http/1.1\r\nHost: x\r\n\r\n"),
        ("half a version", "GET / HTTP/1\r\nHost: x\r\n\r\n"),
        ("a long version", "GET / HTTP/1.10\r\nHost: x\r\n\r\n"),
        ("a method that is none", "G(T / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a target beyond ASCII", "GET /caf\u{e9} HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("two empty lines", "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ] {
        assert_eq!(refused(text), BAD_REQUEST, "{what}");
    }
    let chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refused(chunked), NOT_IMPLEMENTED);
    assert_eq!(refused(&chunked.replace("chunked", "identity")), NOT_IMPLEMENTED);
    assert_eq!(refused("GET / HTTP/2.0\r\nHost: x\r\n\r\n"), VERSION_NOT_SUPPORTED);
    assert_eq!(refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), VERSION_NOT_SUPPORTED);
}

#[test]
fn hazard_54_there_are_limits_and_what_is_at_the_limit_passes() {
    let of_size = |size: usize| {
        let text = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(size));
        (text.len(), text)
    };
    let (rest, _) = of_size(0);
    let (size, text) = of_size(MOST_BYTES - rest);
    assert!(size == MOST_BYTES && accepted(&text));
    assert_eq!(refused(&of_size(MOST_BYTES - rest + 1).1), HEADERS_TOO_LARGE);
    assert_eq!(refused(&format!("GET /{}", "x".repeat(MOST_BYTES))), URI_TOO_LONG);
    let of_lines = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(count - 1) + "Host: x\r\n");
    assert!(accepted(&of_lines(MOST_HEADERS)));
    assert_eq!(refused(&of_lines(MOST_HEADERS + 1)), HEADERS_TOO_LARGE);
}

/// Requests that are mostly right, with some bytes changed.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let lines = prop::sample::select(vec![
        "Host: x",
        "Content-Length: 5",
        "Content-Length: 0",
        "Transfer-Encoding: chunked",
        "Connection: close",
        "Connection: keep-alive",
        "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "Expect: 100-continue",
        "Bad Name: x",
        " folded",
        "Accept: */*",
    ]);
    let first = prop::sample::select(vec![
        "GET / HTTP/1.1",
        "HEAD / HTTP/1.0",
        "POST /x?y HTTP/1.1",
        "GET / HTTP/2.0",
        "\r\nGET / HTTP/1.1",
        "hello",
    ]);
    let body = prop::sample::select(vec!["", "12345", "123"]);
    let one = (first, prop::collection::vec(lines, 0..6), body).prop_map(|(first, lines, body)| {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        format!("{first}\r\n{lines}\r\n{body}")
    });
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (prop::collection::vec(one, 1..4), changes).prop_map(|(requests, changes)| {
        let mut bytes = requests.concat().into_bytes();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let few = prop::sample::select(b"GET /HTP1.0:\r\n \t\0Host".to_vec());
    prop_oneof![
        4 => requests(),
        1 => prop::collection::vec(any::<u8>(), 0..300),
        1 => prop::collection::vec(few, 0..300),
    ]
}

/// The answers if the bytes arrive in these parts, and whether that was the end.
fn converse(bytes: &[u8], cuts: &[usize]) -> (Vec<u8>, bool) {
    let (mut talk, mut rest, mut cuts) = (Talk::default(), bytes, cuts.iter().cycle());
    let mut output = Vec::new();
    while !rest.is_empty() && !talk.is_over {
        let (part, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
        talk.hear(part, false);
        assert!(talk.held() <= MOST_BYTES || talk.is_over, "{} bytes are held", talk.held());
        output.append(&mut talk.output);
        rest = later;
    }
    (output, talk.is_over)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 1000 } else { 20_000 }))]

    /// With any part of the bytes, the answer is "more is needed", or the same as with all of them.
    #[test]
    fn hazard_54_a_part_is_answered_as_the_whole_is(bytes in bytes()) {
        let whole = parse(&bytes);
        for end in 0..bytes.len() {
            let part = parse(&bytes[..end]);
            prop_assert!(part == Ok(None) || part == whole, "{end} bytes: {part:?}, not {whole:?}");
        }
        if let Ok(Some((_, used))) = whole {
            prop_assert!((1..=bytes.len().min(MOST_BYTES)).contains(&used));
            prop_assert_eq!(parse(&bytes[..used]), whole);
            prop_assert_eq!(parse(&bytes[..used - 1]), Ok(None));
        }
    }

    /// However the bytes are split, the answers are the same, and the server holds little.
    #[test]
    fn hazard_54_a_conversation_does_not_depend_on_how_it_is_cut(
        bytes in bytes(),
        cuts in prop::collection::vec(1..50_usize, 1..10),
    ) {
        prop_assert_eq!(converse(&bytes, &[usize::MAX]), converse(&bytes, &cuts));
    }

    /// Long lines, many lines, long bodies: what the server holds does not grow with them.
    #[test]
    fn hazard_54_memory_does_not_grow_with_what_is_sent(
        start in requests(),
        line in "[ -~]{0,40}",
        times in 1..2000_usize,
        part in 1..16_384_usize,
    ) {
        let mut bytes = start;
        (0..times).for_each(|_| bytes.extend_from_slice(line.as_bytes()));
        converse(&bytes, &[part]);
    }
}
