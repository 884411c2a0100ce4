//! Libraries that need no line of glue.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use async_compression::futures::bufread::GzipDecoder;
use async_compression::futures::write::GzipEncoder;
use asynchronous_codec::{Framed, LinesCodec};
use futures_util::io::BufReader;
use futures_util::stream::FuturesUnordered;
use futures_util::{AsyncReadExt, AsyncWriteExt, FutureExt, SinkExt, StreamExt, TryStreamExt};
use roundel::{channel, spawn, time};
use tracing::Instrument;
use tracing::span::{Attributes, Id, Record};

use crate::{connection, on_a_loop};

#[test]
fn futures_combines_our_futures_streams_and_sockets() {
    on_a_loop(async {
        // Futures: our sleeps in its set, joined and selected.
        let mut order = Vec::new();
        for _ in 0..9 {
            let sleeps = [30, 10, 20].map(|ms| time::sleep(Duration::from_millis(ms)).map(move |()| ms));
            order = sleeps.into_iter().collect::<FuturesUnordered<_>>().collect().await;
            // (A busy machine may begin the last of them when the first one is over.)
            if order.is_sorted() {
                break;
            }
        }
        assert_eq!(order, [10, 20, 30]);
        let mut late = pin!(time::sleep(Duration::from_secs(60)).fuse());
        let first = futures_util::select! { () = late => 1, () = futures_util::future::ready(()) => 2 };
        assert_eq!(first, 2);
        // Streams: our channel.
        let (sender, receiver) = channel::unbounded();
        (1..=4).for_each(|number| sender.try_send(number).unwrap());
        drop(sender);
        let squares: Vec<i32> =
            receiver.map(|number| number * number).filter(|n| std::future::ready(n % 2 == 0)).collect().await;
        assert_eq!(squares, [4, 16]);
        // Bytes: our sockets, split in two.
        let (client, server) = connection().await;
        let (mut reading, mut writing) = server.split();
        let echo = spawn(async move { futures_util::io::copy(&mut reading, &mut writing).await });
        let mut client = client;
        client.write_all(b"hello").await.unwrap();
        let mut answer = [0; 5];
        AsyncReadExt::read_exact(&mut client, &mut answer).await.unwrap();
        assert_eq!(&answer, b"hello");
        drop(client);
        assert_eq!(echo.await.unwrap().unwrap(), 5);
    });
}

#[test]
fn asynchronous_codec_frames_a_socket() {
    on_a_loop(async {
        let (client, server) = connection().await;
        let (mut client, server) = (Framed::new(client, LinesCodec), Framed::new(server, LinesCodec));
        client.send("one\n".into()).await.unwrap();
        client.send("two\n".into()).await.unwrap();
        client.close().await.unwrap();
        assert_eq!(server.try_collect::<Vec<_>>().await.unwrap(), ["one\n", "two\n"]);
    });
}

#[test]
fn async_compression_packs_a_socket() {
    on_a_loop(async {
        let (client, server) = connection().await;
        let text = "again and ".repeat(10_000);
        let send = async {
            let mut packed = GzipEncoder::new(&client);
            packed.write_all(text.as_bytes()).await.unwrap();
            packed.close().await.unwrap();
        };
        let receive = async {
            let mut unpacked = String::new();
            GzipDecoder::new(BufReader::new(&server)).read_to_string(&mut unpacked).await.unwrap();
            unpacked
        };
        assert!(roundel::group::join!(receive, send).0 == text);
    });
}

/// They know no runtime: a waker from another thread is enough for them.
#[test]
fn async_channel_and_async_lock_cross_threads() {
    on_a_loop(async {
        let (sender, receiver) = async_channel::bounded(1);
        let sum = Arc::new(async_lock::Mutex::new(0));
        let theirs = Arc::clone(&sum);
        let thread = thread::spawn(move || {
            for number in 1..=1000 {
                *theirs.lock_blocking() += number;
                sender.send_blocking(number).unwrap();
            }
        });
        let received: u64 = receiver.fold(0, async |sum, number| sum + number).await;
        thread.join().unwrap();
        assert_eq!((received, *sum.lock().await), (500_500, 500_500));
    });
}

#[test]
fn tokio_sync_needs_no_runtime() {
    on_a_loop(async {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let (done, is_done) = tokio::sync::oneshot::channel();
        let thread = thread::spawn(move || {
            (1..=1000).for_each(|number| sender.blocking_send(number).unwrap());
            done.send("done").unwrap();
        });
        let mut received = 0;
        while let Some(number) = receiver.recv().await {
            received += number;
        }
        assert_eq!((received, is_done.await), (500_500, Ok("done")));
        thread.join().unwrap();
        // All of its locks, between tasks of this loop.
        let (semaphore, notify) =
            (Rc::new(tokio::sync::Semaphore::new(1)), Rc::new(tokio::sync::Notify::new()));
        let permit = semaphore.acquire().await.unwrap();
        let other = (Rc::clone(&semaphore), Rc::clone(&notify));
        let task = spawn(async move {
            let _permit = other.0.acquire().await.unwrap();
            other.1.notify_one();
        });
        drop(permit);
        notify.notified().await;
        task.await.unwrap();
    });
}

#[test]
fn futures_timer_has_its_own_thread() {
    on_a_loop(async {
        let delay = futures_timer::Delay::new(Duration::from_millis(5));
        let limit = time::timeout(Duration::from_secs(60), delay);
        limit.await.unwrap();
    });
}

/// Counts spans and entries.
#[derive(Default)]
struct Count {
    spans: AtomicUsize,
    entries: AtomicUsize,
}

impl tracing::Subscriber for &'static Count {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.spans.fetch_add(1, Relaxed) as u64 + 1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &Id) {
        self.entries.fetch_add(1, Relaxed);
    }
    fn exit(&self, _: &Id) {}
}

/// A span is entered for each poll of its task, and for no poll of another one.
#[test]
fn tracing_follows_tasks() {
    static COUNT: std::sync::LazyLock<Count> = std::sync::LazyLock::new(Count::default);
    let subscriber = tracing::subscriber::set_default(&*COUNT);
    on_a_loop(async {
        let polls = Rc::new(Cell::new(0));
        let counted = Rc::clone(&polls);
        let work = async move {
            for _ in 0..3 {
                counted.set(counted.get() + 1);
                roundel::yield_now().await;
            }
            counted.set(counted.get() + 1);
        };
        let task = spawn(work.instrument(tracing::info_span!("work")));
        roundel::yield_now().await;
        task.await.unwrap();
        assert_eq!(COUNT.spans.load(Relaxed), 1);
        // Once more, when the future is dropped.
        assert_eq!(COUNT.entries.load(Relaxed), polls.get() + 1);
    });
    drop(subscriber);
}

#[test]
fn tower_limits_concurrency() {
    use tower::{Service, ServiceBuilder, ServiceExt};
    on_a_loop(async {
        let (most, now) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (highest, current) = (Rc::clone(&most), Rc::clone(&now));
        let work = tower::service_fn(move |number: u32| {
            let (most, now) = (Rc::clone(&highest), Rc::clone(&current));
            async move {
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                time::sleep(Duration::from_millis(1)).await;
                now.set(now.get() - 1);
                Ok::<_, std::convert::Infallible>(number)
            }
        });
        let service = ServiceBuilder::new().concurrency_limit(2).service(work);
        let calls = (1..=6).map(|number| {
            let mut service = service.clone();
            async move { service.ready().await.unwrap().call(number).await.unwrap() }
        });
        assert_eq!(roundel::group::gather(calls).await, [1, 2, 3, 4, 5, 6]);
        assert_eq!(most.get(), 2);
    });
}
