//! Urgent data over TCP (hazard 33): a read stops short at the urgent mark, although more bytes follow.
//!
//! On Linux only, where the kernel reports urgent data as such. These tests ask for that report.

use std::io::{Read, Write};
use std::rc::Rc;

use mio::event;
use roundel::source::Source;
use roundel::spawn;
use socket2::SockRef;

use super::common::{read, really, settle, tcp};

/// Sends "abc", an urgent byte and "def". A read stops short at the mark, although more bytes follow.
fn write_with_an_urgent_byte(mut stream: &std::net::TcpStream) {
    stream.write_all(b"abc").unwrap();
    SockRef::from(stream).send_out_of_band(b"!").unwrap();
    stream.write_all(b"def").unwrap();
}

/// Reads the six bytes while the peer is still connected.
async fn abc_def<S>(source: &Source<S>)
where
    S: event::Source,
    for<'a> &'a S: Read,
{
    let (mut buffer, mut got) = ([0; 64], Vec::new());
    while got.len() < 6 {
        let count = read(source, &mut buffer).await.unwrap();
        assert_ne!(count, 0);
        got.extend_from_slice(&buffer[..count]);
    }
    assert_eq!(got, b"abcdef");
}

#[test]
fn hazard_33_urgent_data_in_the_same_event_as_data() {
    really(async |_| {
        let (ours, theirs) = tcp();
        let ours = Rc::new(ours);
        for _ in 0..3 {
            let reading = Rc::clone(&ours);
            let reader = spawn(async move { abc_def(&reading).await });
            settle().await;
            write_with_an_urgent_byte(&theirs);
            reader.await.unwrap();
        }
    });
}

#[test]
fn hazard_33_urgent_data_before_the_first_look() {
    really(async |_| {
        let (ours, theirs) = tcp();
        write_with_an_urgent_byte(&theirs);
        abc_def(&ours).await;
        drop(theirs);
        assert_eq!(read(&ours, &mut [0; 64]).await.unwrap(), 0);
    });
}
