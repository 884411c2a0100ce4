//! A bare loop on `mio`: what is left without a runtime. The floor.
//!
//! Fairness. It does what an echo needs, and no more: a `match` on the token. It writes at once, and if the kernel's
//! buffer is full it can only wait. With large messages it is simpler than a server may be.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;

use mio::{Events, Interest, Poll, Token, net};

use crate::talk::{BUFFER, Talk};

const LISTENER: Token = Token(usize::MAX);

pub fn serve(listener: TcpListener, talk: Talk) {
    let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(1024));
    let mut listener = net::TcpListener::from_std(listener);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).unwrap();
    let mut streams = slab::Slab::<(net::TcpStream, Talk)>::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        if let Err(error) = poll.poll(&mut events, None) {
            assert_eq!(error.kind(), ErrorKind::Interrupted);
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true).unwrap();
                    let entry = streams.vacant_entry();
                    poll.registry().register(&mut stream, Token(entry.key()), Interest::READABLE).unwrap();
                    entry.insert((stream, talk));
                }
                continue;
            }
            let key = event.token().0;
            let (stream, talk) = &mut streams[key];
            if !converse(stream, talk, &mut buffer) {
                poll.registry().deregister(stream).unwrap();
                streams.remove(key);
            }
        }
    }
}

/// A short read has emptied the socket. Returns whether the connection goes on.
fn converse(stream: &mut net::TcpStream, talk: &mut Talk, buffer: &mut [u8]) -> bool {
    loop {
        match stream.read(buffer) {
            Ok(0) => return false,
            Ok(count) => {
                let answer = talk.answer(&buffer[..count]);
                if !write_all(stream, answer.bytes(&buffer[..count])) {
                    return false;
                }
                if count < buffer.len() {
                    return true;
                }
            }
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
}

/// Tries again until the kernel has room. Returns whether the peer is still there.
fn write_all(stream: &mut net::TcpStream, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(_) => return false,
        }
    }
    true
}
