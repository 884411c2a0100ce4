//! A writer with a buffer: what arrives is what was written, in order, and in few writes.

use std::pin::Pin;
use std::task::Poll;

use proptest::prelude::*;
use roundel_net::io::{BufWriter, Buffers, copy};
use roundel_net::testing::{Evil, duplex};

use super::{Lazy, Scripted, all_of, cases, numbered, virtually};

/// What a test does with a writer.
#[derive(Clone, Debug)]
enum Step {
    Write(usize),
    Vectored(usize, usize),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..40_usize).prop_map(Step::Write),
        (0..20_usize, 0..20_usize).prop_map(|(first, second)| Step::Vectored(first, second)),
        Just(Step::Flush),
    ]
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn what_arrives_is_what_was_written(
        steps in prop::collection::vec(step(), 0..40), size in 1..30_usize, capacity in 1..50_usize, seed: u64,
    ) {
        virtually(async {
            let (sender, receiver) = duplex(capacity);
            let buffers = Buffers::new(size);
            let reading = roundel::spawn(all_of(receiver));
            let mut writer = BufWriter::new(Lazy { inner: Evil::new(sender, seed), kept: Vec::new() }).sharing(&buffers);
            let (bytes, mut at) = (numbered(40 * 40), 0);
            for step in &steps {
                match step {
                    Step::Write(count) => {
                        writer.write_all(&bytes[at..at + count]).await.unwrap();
                        at += count;
                    }
                    Step::Vectored(first, second) => {
                        let (one, two) = bytes[at..at + first + second].split_at(*first);
                        let parts = [std::io::IoSlice::new(one), std::io::IoSlice::new(two)];
                        at += write_vectored(&mut writer, &parts).await;
                    }
                    Step::Flush => {
                        writer.flush().await.unwrap();
                        prop_assert!(writer.buffered().is_empty() && writer.get_ref().kept.is_empty());
                        prop_assert!(buffers.spare() <= 1 && (at == 0) == (buffers.spare() == 0));
                    }
                }
            }
            close(&mut writer).await;
            drop(writer);
            let (arrived, error) = reading.await.unwrap();
            prop_assert!(error.is_none());
            prop_assert_eq!(arrived, &bytes[..at]);
            Ok(())
        })?;
    }
}

async fn write_vectored<W: futures_io::AsyncWrite + Unpin>(
    mut writer: W,
    parts: &[std::io::IoSlice<'_>],
) -> usize {
    let wanted: usize = parts.iter().map(|part| part.len()).sum();
    let count =
        std::future::poll_fn(|cx| Pin::new(&mut writer).poll_write_vectored(cx, parts)).await.unwrap();
    assert!(count <= wanted && (count > 0 || wanted == 0));
    count
}

async fn close<W: futures_io::AsyncWrite + Unpin>(mut writer: W) {
    std::future::poll_fn(|cx| Pin::new(&mut writer).poll_close(cx)).await.unwrap();
}

#[test]
fn small_writes_become_one() {
    virtually(async {
        let mut sizes = Vec::new();
        let inner = Scripted {
            read: (),
            write: |bytes: &[u8]| {
                sizes.push(bytes.len());
                Poll::Ready(Ok(bytes.len()))
            },
        };
        let mut writer = BufWriter::new(inner);
        for _ in 0..1000 {
            writer.write_all(b"0123456789").await.unwrap();
        }
        writer.flush().await.unwrap();
        writer.write_all(&[0; 20_000]).await.unwrap();
        drop(writer);
        assert_eq!(sizes, [10_000, 16_384], "the rest was never flushed");
    });
}

#[test]
fn after_an_error_what_was_not_written_is_still_there() {
    virtually(async {
        let mut calls = 0;
        let mut arrived: Vec<u8> = Vec::new();
        let inner = Scripted {
            read: (),
            write: |bytes: &[u8]| {
                calls += 1;
                // Three bytes, an error, nothing at all, and then everything.
                match calls {
                    1 => arrived.extend(&bytes[..3]),
                    2 => return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into())),
                    3 => return Poll::Ready(Ok(0)),
                    _ => arrived.extend(bytes),
                }
                Poll::Ready(Ok(if calls == 1 { 3 } else { bytes.len() }))
            },
        };
        let mut writer = BufWriter::new(inner);
        writer.write_all(b"hello").await.unwrap();
        assert_eq!(writer.flush().await.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(writer.buffered(), b"lo");
        writer.write_all(b", you").await.unwrap();
        assert_eq!(writer.flush().await.unwrap_err().kind(), std::io::ErrorKind::WriteZero);
        writer.flush().await.unwrap();
        drop(writer);
        assert_eq!(arrived, b"hello, you");
    });
}

#[test]
fn it_can_be_copied_into() {
    virtually(async {
        let (sender, receiver) = duplex(1 << 20);
        let mut writer = BufWriter::new(sender);
        assert_eq!(copy(&numbered(100_000)[..], &mut writer).await.unwrap(), 100_000);
        assert_eq!(receiver.waiting(), 100_000, "`copy` flushes");
    });
}
