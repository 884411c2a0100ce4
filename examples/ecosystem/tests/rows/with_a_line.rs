//! Libraries that need a line or two: an adapter around a stream, or a wrapper that is `Send`.

use std::cell::RefCell;
use std::future::ready;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_compat::CompatExt;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use roundel::{LoopBound, spawn};
use roundel_net::TcpStream;
use roundel_net::hyper::{Executor, Io, Timer};
use tower::ServiceBuilder;

use crate::{http_server, on_a_loop};

#[test]
fn hyper_client_speaks_http2_with_our_executor() {
    on_a_loop(async {
        let address = http_server().await;
        let stream = TcpStream::connect(address).await.unwrap();
        let mut builder = hyper::client::conn::http2::Builder::new(Executor);
        let (sender, connection) = builder.timer(Timer).handshake(Io::new(stream)).await.unwrap();
        spawn(async { drop(connection.await) }).detach();
        let requests = ["/one", "/two", "/three"].map(|path| {
            let mut sender = sender.clone();
            async move {
                let request =
                    Request::get(format!("http://{address}{path}")).body(Empty::<Bytes>::new()).unwrap();
                let response = sender.send_request(request).await.unwrap();
                response.into_body().collect().await.unwrap().to_bytes()
            }
        });
        let answers = roundel::group::gather(requests).await;
        assert_eq!(answers, ["HTTP/2.0 /one", "HTTP/2.0 /two", "HTTP/2.0 /three"]);
    });
}

/// A connection for the pool of hyper-util, which asks that it is `Send` and says what it is.
struct Pooled(LoopBound<RefCell<Io<TcpStream>>>);

impl Connection for Pooled {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Pooled {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.with(|io| Pin::new(&mut *io.borrow_mut()).poll_read(cx, room))
    }
}

impl Write for Pooled {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.with(|io| Pin::new(&mut *io.borrow_mut()).poll_write(cx, bytes))
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.with(|io| Pin::new(&mut *io.borrow_mut()).poll_flush(cx))
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.with(|io| Pin::new(&mut *io.borrow_mut()).poll_shutdown(cx))
    }
}

async fn connect(url: Uri) -> io::Result<Pooled> {
    let stream = TcpStream::connect((url.host().unwrap_or_default(), url.port_u16().unwrap_or(80))).await?;
    Ok(Pooled(LoopBound::new(RefCell::new(Io::new(stream)))))
}

#[test]
fn hyper_util_pools_our_connections() {
    on_a_loop(async {
        let address = http_server().await;
        let connector = tower::service_fn(|url| Box::pin(LoopBound::new(connect(url))));
        let client = Client::builder(Executor).pool_timer(Timer).build(connector);
        for path in ["/one", "/two"] {
            let request =
                Request::get(format!("http://{address}{path}")).body(Empty::<Bytes>::new()).unwrap();
            let response = client.request(request).await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, format!("HTTP/1.1 {path}"));
        }
    });
}

/// In `Compat`, it finds the timers of a tokio that `async-compat` runs on a thread of its own.
#[test]
fn tower_timeout_works_in_compat() {
    use std::time::Duration;

    use tower::{Service, ServiceExt};
    on_a_loop(async {
        let slow = tower::service_fn(|(): ()| std::future::pending::<Result<(), io::Error>>());
        let mut service = ServiceBuilder::new().timeout(Duration::from_millis(5)).service(slow);
        let called = async { service.ready().await.unwrap().call(()).await }.compat();
        assert!(called.await.unwrap_err().is::<tower::timeout::error::Elapsed>());
        let quick = tower::service_fn(|(): ()| ready(Ok::<_, io::Error>(7)));
        let mut service = ServiceBuilder::new().timeout(Duration::from_secs(60)).service(quick);
        assert_eq!(async { service.ready().await.unwrap().call(()).await }.compat().await.unwrap(), 7);
    });
}

#[test]
fn tokio_sockets_work_in_compat() {
    on_a_loop(async {
        let address = http_server().await;
        let asked = async {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.writable().await.unwrap();
            stream.try_write(b"GET /tokio HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            while !answer.ends_with("/tokio") {
                stream.readable().await.unwrap();
                let mut bytes = [0; 1000];
                let count = stream.try_read(&mut bytes).unwrap_or_default();
                answer.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
            answer
        };
        assert!(asked.compat().await.starts_with("HTTP/1.1 200 OK"));
    });
}

#[test]
fn reqwest_works_in_compat() {
    on_a_loop(async {
        let address = http_server().await;
        let asked = async { reqwest::get(format!("http://{address}/reqwest")).await?.text().await };
        assert_eq!(asked.compat().await.unwrap(), "HTTP/1.1 /reqwest");
    });
}
