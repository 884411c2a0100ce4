//! A tokio runtime beside the loop, on threads of its own.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use roundel::blocking::unblock;
use roundel::{remote, time};
use tokio::runtime;

use crate::{http_server, on_a_loop};

/// A tokio runtime with one thread for futures.
fn start_tokio() -> io::Result<runtime::Runtime> {
    runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}

#[test]
fn tokio_runs_beside_the_loop() {
    on_a_loop(async {
        let address = http_server().await;
        let url = format!("http://{address}/beside");
        let tokio = start_tokio().unwrap();
        // It runs there, and is awaited here.
        let get = async move { reqwest::get(url).await?.text().await };
        let body = tokio.spawn(get).await.unwrap();
        assert_eq!(body.unwrap(), "HTTP/1.1 /beside");
        // Waiting for its threads to end must not hold up the loop.
        unblock(move || drop(tokio)).await.unwrap();
    });
}

#[test]
fn tokio_calls_back_into_the_loop() {
    thread_local!(static COUNT: Rc<Cell<u32>> = Rc::default());
    on_a_loop(async {
        let tokio = start_tokio().unwrap();
        let remote = remote();
        let there = tokio.spawn(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            // This part runs on the loop again.
            let here = remote.spawn(|| async {
                let count = COUNT.with(Rc::clone);
                time::sleep(Duration::from_millis(1)).await;
                count.set(count.get() + 1);
                count.get()
            });
            here.await.unwrap()
        });
        assert_eq!(there.await.unwrap(), 1);
        assert_eq!(COUNT.with(|count| count.get()), 1, "on this thread");
        unblock(move || drop(tokio)).await.unwrap();
    });
}
