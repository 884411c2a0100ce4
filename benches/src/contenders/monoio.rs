//! monoio, on epoll and on io_uring.
//!
//! Facts. As it is built by default, its wakers do not reach the loop from another thread. It has no channels; its own
//! page recommends those of `local-sync`, which stay on one thread, as ours do.

macro_rules! recv {
    ($receiver:ident) => {
        $receiver.recv().await.unwrap()
    };
}
macro_rules! send_unbounded {
    ($sender:ident, $value:expr) => {
        $sender.send($value).unwrap()
    };
}

/// Everything except the driver.
macro_rules! monoio_on {
    ($driver:ident) => {
        use ::monoio::io::{AsyncReadRent, AsyncWriteRentExt};
        pub use ::monoio::spawn;
        use ::monoio::task::JoinHandle;
        pub use ::monoio::time::{sleep, timeout};
        use local_sync::mpsc::bounded::channel as bounded;
        use local_sync::mpsc::unbounded::channel as unbounded;

        use crate::parts::{LocalBaton as Baton, *};
        use crate::programs::{in_task, programs};
        use crate::talk::{Answer, Talk};
        use crate::vocabulary::messages;

        type Boxed = std::pin::Pin<Box<dyn Future<Output = u64>>>;

        /// monoio has none of its own; this is what its users write.
        pub fn yield_now() -> SelfWake {
            SelfWake::new()
        }

        pub fn block_on<F: Future>(main: F) -> F::Output {
            ::monoio::RuntimeBuilder::<::monoio::$driver>::new()
                .enable_timer()
                .build()
                .unwrap()
                .block_on(main)
        }

        async fn join<T>(handle: JoinHandle<T>) -> T {
            handle.await
        }

        fn detach<T>(handle: JoinHandle<T>) {
            drop(handle);
        }

        programs!();
        messages!();

        async fn converse(mut stream: ::monoio::net::TcpStream, mut talk: Talk) -> std::io::Result<()> {
            stream.set_nodelay(true)?;
            let mut buffer = Vec::with_capacity(talk.buffer());
            loop {
                let (count, read) = stream.read(buffer).await;
                buffer = read;
                if count? == 0 {
                    return Ok(());
                }
                match talk.answer(&buffer) {
                    Answer::Same => {
                        let (written, back) = stream.write_all(buffer).await;
                        written?;
                        buffer = back;
                    }
                    Answer::Fixed(bytes) => drop(stream.write_all(bytes).await.0?),
                }
                buffer.clear();
            }
        }

        pub fn serve(listener: std::net::TcpListener, talk: Talk, hot: usize) {
            block_on(async move {
                (0..hot).for_each(|_| detach(spawn(burn_and_wake())));
                let listener = ::monoio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    detach(spawn(converse(stream, talk)));
                }
            });
        }
    };
}

/// On epoll.
pub mod epoll {
    monoio_on!(LegacyDriver);
}

/// On io_uring, where the kernel has it.
#[cfg(target_os = "linux")]
pub mod uring {
    monoio_on!(IoUringDriver);
}
