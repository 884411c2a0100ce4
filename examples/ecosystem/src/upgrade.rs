//! The first request of a browser: it wants a page, or a WebSocket.
//!
//! Facts. A request for a WebSocket has a key, and its answer proves that the server has read it. After the empty line of
//! that answer, the bytes are those of the WebSocket. A client may send its first message together with the request.
//!
//! What follows. The head is read through a [`Reader`], which keeps what came after it, and becomes the stream of the
//! WebSocket. hyper could also read the request, but it gives out the stream only as one that is `Send`.
//!
//! What it does not know: what is said.

use std::io;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use async_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use roundel_net::TcpStream;
use roundel_net::io::Reader;

/// A request that is longer than this is not one of a browser.
const LONGEST_HEAD: usize = 16 << 10;

/// A WebSocket.
pub type Socket = WebSocketStream<Reader<TcpStream>>;

/// Reads a request. If it asks for a WebSocket, accepts it, with messages of at most `longest` bytes; otherwise answers
/// with the page, and returns `None`.
///
/// # Errors
///
/// Those of the stream, and if the request is too long.
pub async fn shake_hands(stream: TcpStream, page: &str, longest: usize) -> io::Result<Option<Socket>> {
    let mut reader = Reader::new(stream).with_limit(LONGEST_HEAD);
    let Some(head) = reader.read_until(b"\r\n\r\n").await? else { return Ok(None) };
    let key = accepted_key(&String::from_utf8_lossy(head));
    let answer = match &key {
        Some(key) => format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-accept: {key}\r\n\r\n"
        ),
        None => format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/html; charset=utf-8\r\n\
             content-length: {}\r\n\r\n{page}",
            page.len()
        ),
    };
    reader.get_ref().write_all(answer.as_bytes()).await?;
    if key.is_none() {
        return Ok(None);
    }
    let limits = WebSocketConfig::default().max_message_size(Some(longest)).max_frame_size(Some(longest));
    Ok(Some(WebSocketStream::from_raw_socket(reader, Role::Server, Some(limits)).await))
}

/// What proves that the server has read the key of this request, if it has one.
fn accepted_key(head: &str) -> Option<String> {
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    let (_, key) = headers.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))?;
    Some(derive_accept_key(key.trim().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the RFC (6455, 1.3).
    #[test]
    fn the_key_of_the_rfc_is_accepted() {
        let head = "GET /chat HTTP/1.1\r\nSEC-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        assert_eq!(accepted_key(head).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(accepted_key("GET / HTTP/1.1\r\nhost: x\r\n"), None);
    }
}
