//! A listener whose connections speak TLS, with rustls. Copy this file into your program.
//!
//! Facts. A handshake takes several reads and writes, and a client may stop in the middle of it. A server that does
//! handshakes in its accept loop lets one such client stop all others.
//!
//! What follows. [`Tls`] accepts a connection without its handshake. The first read or write of the connection does the
//! handshake, so it runs in the task of that connection, and the limits of that task hold for it.
//!
//! Contract. No byte of the program leaves before the handshake is done. If it fails, every read and write fails.
//!
//! What it does not know: what is served.

use std::cell::Cell;
use std::fmt;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use futures_rustls::rustls::ServerConfig;
use futures_rustls::{Accept as Handshake, TlsAcceptor, server};
use roundel_net::serve::{Accept, Peer};
use roundel_net::{TcpListener, TcpStream};

/// A listener that speaks TLS. Give it to `serve` or `serve_http`.
pub struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Tls {
    /// With these certificates and versions.
    pub fn new(listener: TcpListener, config: ServerConfig) -> Tls {
        Tls { listener, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }
}

impl Accept for Tls {
    type Stream = TlsStream;

    fn poll_stream(&self, cx: &mut Context<'_>) -> Poll<io::Result<TlsStream>> {
        self.poll_connection(cx).map_ok(|(stream, _)| stream)
    }

    fn poll_connection(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TlsStream, Peer)>> {
        let (tcp, peer) = ready!(self.listener.poll_connection(cx))?;
        Poll::Ready(Ok((TlsStream(State::Accepted(tcp, self.acceptor.clone())), peer)))
    }

    fn set_nodelay(stream: &TlsStream, nodelay: bool) -> io::Result<()> {
        match &stream.0 {
            State::Accepted(tcp, _) => tcp.set_nodelay(nodelay),
            _ => Ok(()),
        }
    }

    fn watch(stream: &mut TlsStream, flag: Rc<Cell<bool>>) {
        if let State::Accepted(tcp, _) = &mut stream.0 {
            TcpListener::watch(tcp, flag);
        }
    }
}

/// A connection of [`Tls`].
pub struct TlsStream(State);

enum State {
    /// Nothing was read yet.
    Accepted(TcpStream, TlsAcceptor),
    /// In the middle of the handshake.
    Begun(Box<Handshake<TcpStream>>),
    /// Bytes of the program can flow.
    Open(Box<server::TlsStream<TcpStream>>),
    Failed,
}

impl TlsStream {
    /// Does the rest of the handshake, and then gives out the stream.
    fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Pin<&mut server::TlsStream<TcpStream>>>> {
        let state = &mut self.0;
        if matches!(state, State::Accepted(..))
            && let State::Accepted(tcp, acceptor) = mem::replace(state, State::Failed)
        {
            *state = State::Begun(Box::new(acceptor.accept(tcp)));
        }
        if let State::Begun(handshake) = state {
            let opened = ready!(Pin::new(handshake).poll(cx));
            // A handshake that has ended must not be polled again, however it ended.
            *state = State::Failed;
            *state = State::Open(Box::new(opened?));
        }
        match state {
            State::Open(stream) => Poll::Ready(Ok(Pin::new(stream))),
            _ => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::NotConnected, "the TLS handshake has failed")))
            }
        }
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?.poll_read(cx, room)
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?.poll_write_vectored(cx, buffers)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Open(stream) => Pin::new(stream).poll_close(cx),
            // Nothing of the program was written, so nothing has to end in order.
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.listener).finish()
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Accepted(..) => "TlsStream(Accepted)",
            State::Begun(_) => "TlsStream(Begun)",
            State::Open(_) => "TlsStream(Open)",
            State::Failed => "TlsStream(Failed)",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use futures_rustls::TlsConnector;
    use futures_rustls::rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
    use futures_rustls::rustls::{ClientConfig, RootCertStore};
    use futures_util::{AsyncReadExt, AsyncWriteExt};
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use roundel::channel::oneshot;
    use roundel::group::join;
    use roundel_net::serve;

    use super::*;

    /// A listener, where it is, and what trusts it.
    async fn tls() -> (Tls, std::net::SocketAddr, TlsConnector) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![cert.der().clone()], key.into()).unwrap();
        let mut trusted = RootCertStore::empty();
        trusted.add(cert.der().clone()).unwrap();
        let client = ClientConfig::builder().with_root_certificates(trusted).with_no_client_auth();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (Tls::new(listener, config), address, TlsConnector::from(Arc::new(client)))
    }

    async fn accept(tls: &Tls) -> TlsStream {
        poll_fn(|cx| tls.poll_stream(cx)).await.unwrap()
    }

    /// Without the farewell of TLS, the client could not tell the end from a cut, and would report an error.
    #[test]
    fn bytes_flow_in_both_directions_and_the_end_is_announced() {
        let _watchdog = testkit::watchdog();
        roundel::run(async {
            let (tls, address, connector) = tls().await;
            let server = async {
                let mut stream = accept(&tls).await;
                assert_eq!(format!("{stream:?}"), "TlsStream(Accepted)");
                let mut bytes = [0; 5];
                stream.read_exact(&mut bytes).await.unwrap();
                stream.write_all(&bytes).await.unwrap();
                stream.close().await.unwrap();
                stream
            };
            let client = async {
                let tcp = TcpStream::connect(address).await.unwrap();
                let mut stream =
                    connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
                stream.write_all(b"hello").await.unwrap();
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).await.unwrap();
                answer
            };
            assert_eq!(join!(client, server).0, b"hello");
        });
    }

    #[test]
    fn after_a_handshake_that_fails_everything_fails() {
        let _watchdog = testkit::watchdog();
        roundel::run(async {
            let (tls, address, _) = tls().await;
            let client = TcpStream::connect(address).await.unwrap();
            client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            let mut stream = accept(&tls).await;
            stream.read(&mut [0; 10]).await.unwrap_err();
            stream.read(&mut [0; 10]).await.unwrap_err();
            stream.write(b"hello").await.unwrap_err();
            stream.close().await.unwrap();
            assert_eq!(format!("{stream:?}"), "TlsStream(Failed)");
        });
    }

    /// One client is silent. Another one is served meanwhile, and the silent one counts as idle.
    #[test]
    fn a_client_that_does_not_begin_its_handshake_stops_no_other_and_is_idle() {
        let _watchdog = testkit::watchdog();
        roundel::run(async {
            let (tls, address, connector) = tls().await;
            let handler = async |mut stream: TlsStream| stream.write_all(b"hello").await;
            let (stop, stopped) = oneshot::<()>();
            let server =
                serve(tls, handler).nodelay(true).idle_timeout(Duration::from_millis(20)).until(stopped);
            let clients = async {
                let silent = TcpStream::connect(address).await.unwrap();
                let tcp = TcpStream::connect(address).await.unwrap();
                let mut stream =
                    connector.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
                stream.read_exact(&mut [0; 5]).await.unwrap();
                // The server ends the connection that says nothing.
                assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
                drop(stop);
            };
            join!(std::future::IntoFuture::into_future(server), clients).0.unwrap();
        });
    }
}
