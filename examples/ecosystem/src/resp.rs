//! The protocol of Redis (RESP 2).
//!
//! Facts. A command is a list of byte strings, each with its length. The first byte of an answer says what it is. A list can
//! hold lists.
//!
//! Contract. Whatever a server sends, [`decode`] returns. An answer that is not of the protocol, that is longer than the
//! limit of the reader, or in which lists nest too deep, is an error.
//!
//! What it does not know: what the commands mean.

use std::io;
use std::pin::Pin;

use futures_io::AsyncRead;
use roundel_net::io::Reader;

/// A server could nest lists without an end.
const DEEPEST: usize = 32;

/// What the server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A status, or a string. Bytes that are not UTF-8 are replaced.
    Text(String),
    /// The server has refused the command.
    Error(String),
    /// A number.
    Number(i64),
    /// No such string or list.
    Nothing,
    /// Several answers.
    List(Vec<Answer>),
}

/// The bytes of a command.
#[must_use]
pub fn encode(words: &[String]) -> Vec<u8> {
    let strings = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), strings.collect::<String>()).into_bytes()
}

/// Reads one answer.
///
/// # Errors
///
/// Those of the reader, and if what comes is not of the protocol.
pub async fn decode<R: AsyncRead + Unpin>(reader: &mut Reader<R>) -> io::Result<Answer> {
    nested(reader, 0).await
}

async fn nested<R: AsyncRead + Unpin>(reader: &mut Reader<R>, depth: usize) -> io::Result<Answer> {
    let line = line(reader).await?;
    let rest = line.get(1..).unwrap_or_default();
    Ok(match line.as_bytes().first() {
        Some(b'+') => Answer::Text(rest.to_owned()),
        Some(b'-') => Answer::Error(rest.to_owned()),
        Some(b':') => Answer::Number(number(rest)?),
        Some(b'$') => match usize::try_from(number(rest)?) {
            Ok(length) => Answer::Text(string(reader, length).await?),
            Err(_) => Answer::Nothing,
        },
        Some(b'*') if number(rest)? < 0 => Answer::Nothing,
        Some(b'*') if depth < DEEPEST => {
            let mut list = Vec::new();
            for _ in 0..number(rest)? {
                // The next answer is in a box, because a future cannot contain itself.
                let next: Pin<Box<dyn Future<Output = _>>> = Box::pin(nested(reader, depth + 1));
                list.push(next.await?);
            }
            Answer::List(list)
        }
        _ => return Err(bad(&line)),
    })
}

/// A line, which has to be complete: the last line of a server that has gone may be cut short.
async fn line<R: AsyncRead + Unpin>(reader: &mut Reader<R>) -> io::Result<String> {
    let line = reader.read_until(b"\r\n").await?.ok_or_else(gone)?;
    let line = line.strip_suffix(b"\r\n").ok_or_else(gone)?;
    Ok(String::from_utf8_lossy(line).into_owned())
}

/// A string of this length, and the end of its line.
async fn string<R: AsyncRead + Unpin>(reader: &mut Reader<R>, length: usize) -> io::Result<String> {
    let text = String::from_utf8_lossy(reader.read_exact(length).await?).into_owned();
    match reader.read_exact(2).await? {
        b"\r\n" => Ok(text),
        _ => Err(bad("a string that does not end after its length")),
    }
}

fn number(text: &str) -> io::Result<i64> {
    text.parse().map_err(|_| bad(text))
}

fn gone() -> io::Error {
    let text = "the server has closed the connection before it answered";
    io::Error::new(io::ErrorKind::UnexpectedEof, text)
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("this is not how Redis answers: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> io::Result<Answer> {
        roundel::run(async { decode(&mut Reader::new(bytes).with_limit(100)).await })
    }

    #[test]
    fn answers_of_every_kind_are_read() {
        let text = |text: &str| Answer::Text(text.into());
        assert_eq!(decoded(b"+OK\r\n").unwrap(), text("OK"));
        assert_eq!(decoded(b"-ERR no\r\n").unwrap(), Answer::Error("ERR no".into()));
        assert_eq!(decoded(b":-7\r\n").unwrap(), Answer::Number(-7));
        assert_eq!(decoded(b"$4\r\na\r\nb\r\n").unwrap(), text("a\r\nb"));
        assert_eq!(decoded(b"$-1\r\n").unwrap(), Answer::Nothing);
        let list = decoded(b"*3\r\n*1\r\n:1\r\n*-1\r\n$0\r\n\r\n").unwrap();
        assert_eq!(
            list,
            Answer::List(vec![Answer::List(vec![Answer::Number(1)]), Answer::Nothing, text("")])
        );
    }

    #[test]
    fn what_is_not_of_the_protocol_is_an_error() {
        let deep = "*1\r\n".repeat(100_000);
        let long = "$101\r\n".to_owned() + &"x".repeat(200);
        let wrong = [
            "+OK",
            "+OK\r",
            "",
            "\r\n",
            "?\r\n",
            ":x\r\n",
            "$3\r\nabcde\r\n",
            "$9\r\na",
            "*2\r\n:1\r\n",
            "é\r\n",
            &deep,
            &long,
        ];
        for bytes in wrong {
            let start: String = bytes.chars().take(20).collect();
            assert!(decoded(bytes.as_bytes()).is_err(), "{start:?}");
        }
    }

    #[test]
    fn a_command_is_a_list_of_strings() {
        let words = ["get".to_owned(), "é".to_owned()];
        assert_eq!(encode(&words), "*2\r\n$3\r\nget\r\n$2\r\né\r\n".as_bytes());
    }
}
