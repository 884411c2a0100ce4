//! A connection in a `LoopBound` goes through code that asks for `Send`, and is read and written there.

#![forbid(unsafe_code)]

use std::future::poll_fn;
use std::pin::Pin;

use futures_io::{AsyncRead, AsyncWrite};
use roundel::LoopBound;
use roundel_net::{TcpListener, TcpStream};

/// What a library may ask for. It sends back one buffer in capitals.
async fn shout(mut stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
    let mut buffer = [0; 16];
    let count = poll_fn(|cx| Pin::new(&mut stream).poll_read(cx, &mut buffer)).await.unwrap();
    buffer.make_ascii_uppercase();
    poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, &buffer[..count])).await.unwrap();
    poll_fn(|cx| Pin::new(&mut stream).poll_close(cx)).await.unwrap();
}

#[test]
fn a_connection_is_a_stream_that_may_be_sent() {
    roundel::run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = roundel::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            shout(LoopBound::new(stream)).await;
        });
        let client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"hello").await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"HELLO");
        server.await.unwrap();
    });
}
