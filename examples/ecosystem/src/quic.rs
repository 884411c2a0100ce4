//! What quinn needs of a loop: tasks, timers and UDP sockets. Copy this file into your program.
//!
//! Facts. quinn asks that all three are `Send`, because it was written for several threads. Its futures run where they are
//! spawned, so on our loop nothing leaves the thread.
//!
//! What follows. What belongs to the loop is in a `LoopBound`, which checks that. The calls of the socket are those of
//! `quinn-udp`, which sends and receives several packets with one call.
//!
//! What it does not know: QUIC.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use quinn::udp::{RecvMeta, Transmit, UdpSocketState};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, UdpPoller};
use roundel::LoopBound;
use roundel::mio::net::UdpSocket;
use roundel::source::{Direction, Source};
use roundel::time::{self, Sleep};

/// Runs quinn on the loop of this thread.
#[derive(Clone, Copy, Debug)]
pub struct OnThisLoop;

impl Runtime for OnThisLoop {
    fn new_timer(&self, deadline: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Timer(LoopBound::new(time::sleep_until(deadline))))
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        roundel::spawn(future).detach();
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let state = UdpSocketState::new((&socket).into())?;
        socket.set_nonblocking(true)?;
        let source = Source::new(UdpSocket::from_std(socket))?;
        Ok(Arc::new(Socket { source: LoopBound::new(source), state }))
    }

    fn now(&self) -> Instant {
        time::now()
    }
}

struct Timer(LoopBound<Sleep>);

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.0 = LoopBound::new(time::sleep_until(deadline));
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

struct Socket {
    source: LoopBound<Source<UdpSocket>>,
    state: UdpSocketState,
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.source.with(|source| {
            let sent = self.state.send(source.get_ref().into(), transmit);
            // Otherwise `poll_writable` would be ready at once, and this would be tried again and again.
            if sent.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                source.would_block(Direction::Write);
            }
            sent
        })
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        about: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let receive = |socket: &UdpSocket| self.state.recv(socket.into(), buffers, about);
        self.source.with(|source| source.poll_io(cx, Direction::Read, receive))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.with(|source| source.get_ref().local_addr())
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

/// Waits until a send is worth a try.
struct Writable(Arc<Socket>);

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.source.with(|source| source.poll_io(cx, Direction::Write, |_| Ok(())))
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Timer")
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket")
    }
}

impl fmt::Debug for Writable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writable")
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_timer_can_be_set_again() {
        let runtime = roundel::Runtime::builder().virtual_time(true).build().unwrap();
        runtime.block_on(async {
            let (start, second) = (OnThisLoop.now(), Duration::from_secs(1));
            let mut timer = OnThisLoop.new_timer(start + second);
            timer.as_mut().reset(start + 5 * second);
            poll_fn(|cx| timer.as_mut().poll(cx)).await;
            assert_eq!(OnThisLoop.now(), start + 5 * second);
        });
    }

    #[test]
    fn a_socket_receives_what_it_sends() {
        let _watchdog = testkit::watchdog();
        roundel::run(async {
            let socket =
                OnThisLoop.wrap_udp_socket(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
            let mut writable = Arc::clone(&socket).create_io_poller();
            poll_fn(|cx| writable.as_mut().poll_writable(cx)).await.unwrap();
            let destination = socket.local_addr().unwrap();
            let packet =
                Transmit { destination, ecn: None, contents: b"hello", segment_size: None, src_ip: None };
            socket.try_send(&packet).unwrap();
            let (mut bytes, mut about) = ([0; 10], [RecvMeta::default()]);
            let received = poll_fn(|cx| socket.poll_recv(cx, &mut [IoSliceMut::new(&mut bytes)], &mut about));
            assert_eq!(received.await.unwrap(), 1);
            assert_eq!((about[0].addr, &bytes[..about[0].len]), (destination, &b"hello"[..]));
        });
    }
}
