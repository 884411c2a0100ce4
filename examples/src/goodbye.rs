//! How to end a connection whose peer may still be talking, and a server whose clients would stay for ever.
//!
//! Facts. Closing a connection with bytes that have arrived but were not read sends a reset. A reset makes the peer
//! forget what it has received but not read yet, perhaps the message that says why we close.
//!
//! What follows. First we send the end of our stream. Then we read and discard what the peer still sends, until it
//! closes too. A peer must not keep us busy that way, so there is a limit on the time and on the bytes.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use roundel::cancel::CancelToken;
use roundel::{signal, time};
use roundel_net::TcpStream;
use roundel_net::io::Buffers;

const LONGEST: Duration = Duration::from_secs(2);
const MOST_BYTES: usize = 4 << 20;

/// Ends the connection so that everything that was written to it arrives.
pub async fn goodbye(stream: TcpStream, buffers: &Buffers) {
    let rest = async {
        stream.shutdown(Shutdown::Write)?;
        let mut thrown_away = 0;
        while thrown_away < MOST_BYTES {
            match stream.read_chunk(buffers).await?.len() {
                0 => break,
                count => thrown_away += count,
            }
        }
        io::Result::Ok(())
    };
    // If an orderly end fails, closing the stream ends the connection at once.
    let _ = time::timeout(LONGEST, rest).await;
}

/// A token that Ctrl-C and SIGTERM cancel. It works only while the future is polled, so poll it in
/// [`until`](roundel_net::serve::Serve::until). From now on these signals no longer end the process by themselves.
pub fn shutdown_token() -> (CancelToken, impl Future<Output = ()>) {
    let (token, shutdown) = (CancelToken::new(), signal::shutdown());
    let ours = token.clone();
    let told = async move {
        shutdown.await;
        ours.cancel();
    };
    (token, told)
}
