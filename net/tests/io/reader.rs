//! `io::Reader`: the same pieces however the bytes arrive, no more memory than the limit, and nothing lost on the way.

use std::error::Error;
use std::future::poll_fn;
use std::io::{self, BufRead, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_io::AsyncBufRead;
use proptest::prelude::*;
use roundel::spawn;
use roundel::testing::{at_every_await, settle};
use roundel_net::UnixStream;
use roundel_net::io::{Buffers, ReadError, Reader, copy, copy_bidirectional};
use roundel_net::testing::{Duplex, Evil, duplex};

use super::{Scripted, all_of, numbered, really, virtually};

/// A piece, or (too long) the beginning of one.
type Piece = Result<Vec<u8>, Vec<u8>>;

/// The oracle: cuts all of the bytes at once. A piece ends where the first separator ends.
fn naive(bytes: &[u8], separators: &[&[u8]], limit: usize) -> Vec<Piece> {
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let ends = |end: &usize| separators.iter().any(|separator| rest[..*end].ends_with(separator));
        let (piece, behind) = rest.split_at((1..rest.len()).find(ends).unwrap_or(rest.len()));
        pieces.push(if piece.len() <= limit { Ok(piece.to_vec()) } else { Err(piece[..limit].to_vec()) });
        rest = behind;
    }
    pieces
}

/// The same pieces from the reader. After each error, it is asked for the next piece.
async fn pieces(mut reader: Reader<impl futures_io::AsyncRead + Unpin>, separators: &[&[u8]]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    loop {
        let piece = match separators {
            [one] => reader.read_until(one).await,
            several => reader.read_until_any(several).await,
        };
        match piece {
            Ok(Some(piece)) => pieces.push(Ok(piece.to_vec())),
            Ok(None) => return pieces,
            Err(ReadError::LimitExceeded { partial, .. }) => pieces.push(Err(partial)),
            Err(error) => panic!("{error}"),
        }
    }
}

proptest! {
    #![proptest_config(super::cases())]

    #[test]
    fn the_pieces_do_not_depend_on_how_the_bytes_arrive(
        bytes in proptest::collection::vec(0u8..4, 0..300),
        separators in proptest::collection::vec(proptest::collection::vec(0u8..4, 1..5), 1..4),
        (limit, size) in (1usize..40, 1usize..40),
        seed: u64,
    ) {
        let separators: Vec<&[u8]> = separators.iter().map(|separator| &separator[..]).collect();
        virtually(async {
            let reader = Reader::new(Evil::new(&bytes[..], seed)).with_limit(limit).sharing(&Buffers::new(size));
            assert_eq!(pieces(reader, &separators).await, naive(&bytes, &separators, limit));
            let reader = Reader::new(&bytes[..]).with_limit(limit);
            assert_eq!(pieces(reader, &separators).await, naive(&bytes, &separators, limit));
        });
    }

    #[test]
    fn as_the_standard_library_reads(bytes in proptest::collection::vec(0u8..20, 0..2000), byte in 0u8..20, seed: u64) {
        let mut expected = Vec::new();
        let mut rest = &bytes[..];
        loop {
            let mut piece = Vec::new();
            if rest.read_until(byte, &mut piece).unwrap() == 0 {
                break;
            }
            expected.push(Ok(piece));
        }
        virtually(async {
            let (writer, reader) = duplex(50);
            spawn(async move { copy(&bytes[..], Evil::new(writer, seed)).await }).detach();
            assert_eq!(pieces(Reader::new(Evil::new(reader, !seed)), &[&[byte]]).await, expected);
        });
    }

    #[test]
    fn lines_are_those_of_the_standard_library(text in "([a-z\u{e4}\u{1F600}]{0,5}(\n|\r\n|\r)){0,20}[a-z]{0,3}", seed: u64) {
        virtually(async {
            let mut reader = Reader::new(Evil::new(text.as_bytes(), seed));
            let mut lines = reader.lines();
            let mut found = Vec::new();
            while let Some(line) = lines.next().await {
                found.push(line.unwrap());
            }
            assert_eq!(found, text.lines().collect::<Vec<_>>());
        });
    }

    /// Whatever a stranger sends, there is no panic, and no more memory is used than allowed.
    #[test]
    fn hazard_54_garbage_costs_no_memory(
        bytes in proptest::collection::vec(any::<u8>(), 0..20_000),
        (limit, size) in (1usize..2000, 1usize..2000),
        seed: u64,
    ) {
        virtually(async {
            let mut reader =
                Reader::new(Evil::new(&bytes[..], seed)).with_limit(limit).sharing(&Buffers::new(size));
            for round in seed % 5.. {
                let (ended, most) = (match round % 5 {
                    0 => matches!(reader.read_line().await, Ok(None)),
                    1 => matches!(reader.read_until(b"\r\n").await, Ok(None)),
                    2 => reader.read_exact(round as usize % 3000).await.is_err_and(|e| e.kind() == ErrorKind::UnexpectedEof),
                    3 => reader.lines().next().await.is_none(),
                    _ => reader.read(&mut [0; 9]).await.unwrap() == 0,
                }, (limit + 1).max(size));
                assert!(reader.capacity() <= most, "{} bytes for a limit of {limit}", reader.capacity());
                if ended {
                    return;
                }
            }
        });
    }
}

#[test]
fn hazard_54_a_line_without_end_costs_no_memory() {
    virtually(async {
        let mut left = if cfg!(debug_assertions) { 2_000_000 } else { 50_000_000_usize };
        let endless = move |_: &mut Context<'_>, buffer: &mut [u8]| {
            let count = buffer.len().min(left);
            left -= count;
            buffer[..count].fill(b'x');
            Poll::Ready(Ok(count))
        };
        let mut reader = Reader::new(Scripted { read: endless, write: () });
        let error = reader.read_line().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert!(reader.capacity() <= (64 << 10) + 1, "{}", reader.capacity());
        assert!(matches!(reader.read_line().await, Ok(None)), "all of it was skipped");
        assert!(reader.capacity() <= (64 << 10) + 1, "{}", reader.capacity());
    });
}

#[test]
fn lines_end_in_two_ways() {
    virtually(async {
        let mut reader = Reader::new(&b"one\r\ntwo\n\r\n\nthr\ree\r\r\nlast\r"[..]);
        for line in ["one", "two", "", "", "thr\ree\r", "last\r"] {
            assert_eq!(reader.read_line().await.unwrap(), Some(line));
        }
        assert_eq!(reader.read_line().await.unwrap(), None);
        assert_eq!(reader.read_line().await.unwrap(), None);
    });
}

#[test]
fn a_line_that_is_not_text_is_given_back() {
    virtually(async {
        let mut reader = Reader::new(&b"good\nb\xffd\r\ngood again"[..]);
        assert_eq!(reader.read_line().await.unwrap(), Some("good"));
        match reader.read_line().await.unwrap_err() {
            ReadError::NotUtf8 { line, cause } => {
                assert_eq!((&line[..], cause.valid_up_to()), (&b"b\xffd"[..], 1));
            }
            error => panic!("{error}"),
        }
        assert_eq!(reader.read_line().await.unwrap(), Some("good again"));
    });
}

#[test]
fn a_long_line_is_one_error_and_no_line() {
    virtually(async {
        let mut reader = Reader::new(&b"short\nmuch too long\nGET /\nend"[..]).with_limit(6);
        assert_eq!(reader.read_line().await.unwrap(), Some("short"));
        match reader.read_line().await.unwrap_err() {
            ReadError::LimitExceeded { limit, partial } => {
                assert_eq!((limit, &partial[..]), (6, &b"much t"[..]));
            }
            error => panic!("{error}"),
        }
        assert!(reader.buffered().starts_with(b"much too"), "nothing is lost yet");
        assert_eq!(reader.read_line().await.unwrap(), Some("GET /"), "the rest of the long line is no line");
        let mut lines = reader.lines();
        assert_eq!(lines.next().await.unwrap().unwrap(), "end");
        assert!(lines.next().await.is_none());
    });
}

#[test]
fn reading_can_go_on_within_a_long_piece() {
    virtually(async {
        let mut reader = Reader::new(&b"much too long\nnext\n"[..]).with_limit(6);
        reader.read_line().await.unwrap_err();
        assert_eq!(reader.read_exact(5).await.unwrap(), b"much ");
        reader.read_line().await.unwrap_err();
        let mut some = [0; 4];
        assert_eq!((reader.read(&mut some).await.unwrap(), &some), (4, b"too "));
        assert_eq!(reader.read_line().await.unwrap(), Some("long"));
        assert_eq!(reader.read_line().await.unwrap(), Some("next"));
        let mut reader = Reader::new(&b"much too long\nnext\n"[..]).with_limit(6);
        reader.read_line().await.unwrap_err();
        reader.consume(9);
        assert_eq!(reader.read_line().await.unwrap(), Some("long"));
    });
}

#[test]
fn a_piece_may_be_exactly_as_long_as_the_limit() {
    virtually(async {
        for (bytes, fits) in
            [(&b"12345\n"[..], true), (b"123456", true), (b"123456\n", false), (b"1234567", false)]
        {
            for seed in 0..20 {
                let mut reader = Reader::new(Evil::new(bytes, seed)).with_limit(6);
                assert_eq!(reader.read_until(b"\n").await.is_ok(), fits, "{bytes:?}");
            }
        }
    });
}

#[test]
fn a_separator_may_be_longer_than_the_limit() {
    virtually(async {
        let separator = numbered(10_000);
        let bytes = [&b"never short enough"[..], &separator, b"end"].concat();
        let reader = Reader::new(Evil::new(&bytes[..], 1)).with_limit(10);
        assert_eq!(pieces(reader, &[&separator]).await, [Err(b"never shor".to_vec()), Ok(b"end".to_vec())]);
    });
}

#[test]
fn skipping_ends_at_any_of_the_separators() {
    virtually(async {
        for seed in 0..100 {
            let bytes = &b"much too long THE END\nok\nmuch too long\nok"[..];
            let reader = Reader::new(Evil::new(bytes, seed)).with_limit(4).sharing(&Buffers::new(5));
            let long = || Err(b"much".to_vec());
            let expected = [long(), Ok(b"\n".to_vec()), Ok(b"ok\n".to_vec()), long(), Ok(b"ok".to_vec())];
            assert_eq!(pieces(reader, &[b"\n", b"THE END"]).await, expected);
        }
    });
}

#[test]
fn too_few_bytes_are_in_the_error() {
    virtually(async {
        let mut reader = Reader::new(Evil::new(&b"abcdefg"[..], 3)).with_limit(100);
        assert_eq!(reader.read_exact(0).await.unwrap(), b"");
        assert_eq!(reader.read_exact(4).await.unwrap(), b"abcd");
        let error = reader.read_exact(5).await.unwrap_err();
        assert_eq!(error.to_string(), "the stream ended after 3 of 5 bytes");
        match error {
            ReadError::Incomplete { expected, partial } => {
                assert_eq!((expected, &partial[..]), (5, &b"efg"[..]));
            }
            error => panic!("{error}"),
        }
        assert!(reader.buffered().is_empty());
        let error =
            Reader::new(&b""[..]).with_limit(100).read_exact(usize::MAX).await.unwrap_err().to_string();
        assert!(error.contains("100 bytes"), "a length that a stranger has sent: {error}");
    });
}

#[test]
fn an_error_of_the_stream_loses_nothing() {
    virtually(async {
        let script = [Ok("gin\nend"), Err(ErrorKind::TimedOut), Ok("be")];
        let mut script = script.to_vec();
        let read = move |_: &mut Context<'_>, buffer: &mut [u8]| match script.pop() {
            None => Poll::Ready(Ok(0)),
            Some(Err(kind)) => Poll::Ready(Err(io::Error::from(kind))),
            Some(Ok(bytes)) => {
                buffer[..bytes.len()].copy_from_slice(bytes.as_bytes());
                Poll::Ready(Ok(bytes.len()))
            }
        };
        let mut reader = Reader::new(Scripted { read, write: () });
        assert!(
            matches!(reader.read_line().await, Err(ReadError::Io(error)) if error.kind() == ErrorKind::TimedOut)
        );
        assert_eq!(reader.read_line().await.unwrap(), Some("begin"));
        assert_eq!(reader.read_line().await.unwrap(), Some("end"));
    });
}

#[test]
fn errors_become_those_of_the_standard_library() {
    async fn first_line(bytes: &[u8], count: usize) -> io::Result<String> {
        let mut reader = Reader::new(bytes).with_limit(8);
        reader.read_exact(count).await?;
        Ok(reader.read_line().await?.unwrap_or_default().to_owned())
    }
    virtually(async {
        for (bytes, kind) in [
            (&b""[..], ErrorKind::UnexpectedEof),
            (b"12much too long", ErrorKind::InvalidData),
            (b"12\xff\n", ErrorKind::InvalidData),
        ] {
            let error = first_line(bytes, 2).await.unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(
                error.get_ref().unwrap().downcast_ref::<ReadError>().is_some(),
                "the original error can be taken out: {error}"
            );
        }
        assert_eq!(first_line(b"12ab\n", 2).await.unwrap(), "ab");
        let error = ReadError::from(io::Error::from_raw_os_error(9));
        assert!(error.source().is_none());
        assert_eq!(io::Error::from(error).raw_os_error(), Some(9), "an error of the system stays as it is");
    });
}

/// Feeds a reader in small pieces, with a pause after each.
fn fed(bytes: &'static [u8]) -> Duplex {
    let (writer, reader) = duplex(100);
    spawn(async move {
        for piece in bytes.chunks(2) {
            copy(piece, &writer).await.unwrap();
            roundel::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .detach();
    reader
}

#[test]
fn cancelled_at_any_await_they_lose_nothing() {
    const TEXT: &[u8] = b"first line\r\nsecond line\nthird";
    virtually(async {
        let places = at_every_await(async |cut| {
            let mut reader = Reader::new(fed(TEXT));
            let line = cut.run(reader.read_line()).await.map(|line| line.unwrap().unwrap().to_owned());
            let line = match line {
                Some(line) => line,
                None => reader.read_line().await.unwrap().unwrap().to_owned(),
            };
            assert_eq!(line, "first line");
            assert_eq!(reader.read_line().await.unwrap(), Some("second line"));
        })
        .await;
        assert!(places > 8, "{places}");
        let places = at_every_await(async |cut| {
            let mut reader = Reader::new(fed(TEXT));
            if cut.run(reader.read_until(b"\r\n")).await.is_none() {
                // This uses another separator, so all bytes are searched again.
                assert_eq!(reader.read_until(b" ").await.unwrap(), Some(&b"first "[..]));
                assert_eq!(reader.read_until(b"\r\n").await.unwrap(), Some(&b"line\r\n"[..]));
            }
            assert_eq!(reader.read_until(b"\n").await.unwrap(), Some(&b"second line\n"[..]));
        })
        .await;
        assert!(places > 8, "{places}");
    });
}

#[test]
fn cancelled_at_any_await_lines_and_exact_counts_lose_nothing() {
    const TEXT: &[u8] = b"first line\r\nsecond line\nthird";
    virtually(async {
        let places = at_every_await(async |cut| {
            let mut reader = Reader::new(fed(TEXT));
            let mut lines = reader.lines();
            let mut line = cut.run(lines.next()).await;
            if line.is_none() {
                line = Some(lines.next().await);
            }
            assert_eq!(line.unwrap().unwrap().unwrap(), "first line");
            // A new stream of lines continues where the old one was dropped.
            let line = cut.run(reader.lines().next()).await;
            let line = match line {
                Some(line) => line,
                None => reader.lines().next().await,
            };
            assert_eq!(line.unwrap().unwrap(), "second line");
            assert_eq!(reader.lines().next().await.unwrap().unwrap(), "third");
        })
        .await;
        assert!(places > 16, "{places}");
        at_every_await(async |cut| {
            let mut reader = Reader::new(fed(TEXT));
            if cut.run(reader.read_exact(9)).await.is_none() {
                reader.read_exact(9).await.unwrap();
            }
            assert_eq!(reader.read_exact(4).await.unwrap(), b"e\r\ns");
            if cut.run(reader.fill()).await.is_none() {
                reader.fill().await.unwrap();
            }
            reader.read_until(b"line\n").await.unwrap();
            let mut some = [0; 100];
            let count = cut.run(reader.read(&mut some)).await.map_or(0, Result::unwrap);
            let (rest, error) = all_of(&mut reader).await;
            assert_eq!((&[&some[..count], &rest].concat()[..], error), (&b"third"[..], None));
        })
        .await;
    });
}

#[test]
fn skipping_may_be_cancelled_too() {
    virtually(async {
        let places = at_every_await(async |cut| {
            let mut reader = Reader::new(fed(b"much too long a line\r\nnext\r\n")).with_limit(6);
            reader.read_until(b"\r\n").await.unwrap_err();
            if cut.run(reader.read_until(b"\r\n")).await.is_none() {
                assert_eq!(reader.read_until(b"\r\n").await.unwrap(), Some(&b"next\r\n"[..]));
            }
            assert_eq!(reader.read_line().await.unwrap(), None);
        })
        .await;
        assert!(places > 8, "{places}");
    });
}

#[test]
fn what_comes_after_a_first_line_can_be_proxied() {
    virtually(async {
        let ((client, a), (b, server)) = (duplex(100), duplex(100));
        let proxy = spawn(async move {
            let mut reader = Reader::new(a);
            assert_eq!(reader.read_line().await.unwrap(), Some("CONNECT somewhere"));
            copy_bidirectional(reader, b).await
        });
        copy(&b"CONNECT somewhere\r\nhello "[..], &client).await.unwrap();
        settle().await;
        copy(&b"there"[..], &client).await.unwrap();
        client.close();
        assert_eq!(all_of(&server).await.0, b"hello there");
        copy(&b"hi"[..], &server).await.unwrap();
        drop(server);
        assert_eq!(all_of(&client).await.0, b"hi");
        assert_eq!(proxy.await.unwrap().unwrap(), (11, 2));
    });
}

#[test]
fn a_thousand_idle_readers_hold_no_buffer() {
    really(async {
        let buffers = Buffers::default();
        let mut peers = Vec::new();
        for _ in 0..1000 {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let mut reader = Reader::new(theirs).sharing(&buffers);
            let task = spawn(async move {
                let mut count = 0;
                while let Some(line) = reader.read_line().await.unwrap() {
                    assert_eq!(line, "a line");
                    count += 1;
                }
                count
            });
            peers.push((ours, task));
        }
        settle().await;
        assert_eq!(buffers.spare(), 1, "all readers have used the same buffer");
        for (ours, _) in &peers {
            ours.write_all(b"a line\na line\n").await.unwrap();
        }
        for (ours, task) in peers {
            drop(ours);
            assert_eq!(task.await.unwrap(), 2);
        }
        assert_eq!(buffers.spare(), 1);
    });
}

#[test]
fn a_parser_may_fill_and_consume_up_to_the_limit() {
    virtually(async {
        let bytes = numbered(1000);
        let mut reader = Reader::new(Evil::new(&bytes[..], 5)).with_limit(100).sharing(&Buffers::new(16));
        let mut seen = 0;
        while reader.buffered().len() <= 100 {
            seen += reader.fill().await.unwrap();
            assert_eq!(reader.buffered(), &bytes[..seen]);
        }
        let error = reader.fill().await.unwrap_err();
        assert!(matches!(error, ReadError::LimitExceeded { limit: 100, .. }), "{error}");
        assert_eq!((reader.capacity(), reader.buffered()), (101, &bytes[..101]), "nothing is lost");
        reader.consume(50);
        assert_ne!(reader.fill().await.unwrap(), 0);
        let (rest, error) = all_of(&mut reader).await;
        assert_eq!((&rest[..], error), (&bytes[50..], None));
        assert_eq!(reader.fill().await.unwrap(), 0);
    });
}

/// Through the traits, as other crates use it.
#[test]
fn it_is_a_buffered_reader() {
    virtually(async {
        let bytes = numbered(500);
        let mut reader = Reader::new(Evil::new(&bytes[..], 6)).with_limit(10).sharing(&Buffers::new(16));
        reader.read_until(b"not to be found").await.unwrap_err();
        let mut seen = Vec::new();
        loop {
            let piece =
                poll_fn(|cx| Pin::new(&mut reader).poll_fill_buf(cx).map_ok(<[u8]>::to_vec)).await.unwrap();
            let count = piece.len().min(3);
            if count == 0 {
                break;
            }
            seen.extend_from_slice(&piece[..count]);
            AsyncBufRead::consume(Pin::new(&mut reader), count);
        }
        assert!(seen == bytes, "what is consumed is not skipped: {} bytes", seen.len());
    });
}

#[test]
fn what_was_read_ahead_can_be_taken_out() {
    virtually(async {
        let mut reader = Reader::new(&b"line\nrest of it"[..]);
        assert_eq!((reader.buffered(), reader.capacity()), (&b""[..], 0));
        reader.read_line().await.unwrap();
        assert_eq!(reader.buffered(), b"rest of it");
        reader.consume(5);
        assert_eq!(reader.into_parts().1, b"of it");
        let mut reader = Reader::new(&b"abc"[..]);
        let lines = Pin::new(&mut reader.lines()).size_hint();
        assert_eq!(lines, (0, None));
    });
}

#[test]
fn misuse_says_what_is_wrong() {
    let text = |misuse: &mut dyn FnMut()| {
        let panic = catch_unwind(AssertUnwindSafe(misuse)).unwrap_err();
        panic
            .downcast::<String>()
            .map_or_else(|panic| panic.downcast::<&str>().unwrap().to_string(), |text| *text)
    };
    let mut reader = Reader::new(&b"abc"[..]);
    assert!(text(&mut || drop(reader.read_until(b""))).contains("empty separator"));
    assert!(text(&mut || drop(reader.read_until_any(&[]))).contains("or none"));
    assert!(text(&mut || reader.consume(1)).contains("only 0 bytes"));
    assert!(text(&mut || drop(Reader::new(&b""[..]).with_limit(0))).contains("limit"));
    assert!(text(&mut || drop(Buffers::new(0))).contains("size of zero"));
    assert!(text(&mut || drop(duplex(0))).contains("duplex(0)"));
}
