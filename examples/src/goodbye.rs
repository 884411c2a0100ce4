//! How to end: a connection on which somebody may still be talking, and a server whose guests would stay for ever.
//!
//! Facts. Closing a connection with bytes that have arrived and were not read sends a reset, and a reset makes the peer
//! forget what it has received and not read yet: among it, perhaps, why we hang up.
//!
//! What follows. First our end of the stream is sent; then whatever the peer still says is read and thrown away, until it
//! hangs up, too. Nobody may keep us busy with that: it is done for so long, and for so many bytes, and no longer.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use roundel::cancel::CancelToken;
use roundel::{signal, time};
use roundel_net::TcpStream;
use roundel_net::io::Buffers;

const LONGEST: Duration = Duration::from_secs(2);
const MOST_BYTES: usize = 4 << 20;

/// Ends the connection in such a way that what was written to it arrives.
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
    // If it cannot be done in order, the close of the stream does it at once.
    let _ = time::timeout(LONGEST, rest).await;
}

/// A token that is cancelled by Ctrl-C or SIGTERM, while somebody waits for the future; so do it in
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
