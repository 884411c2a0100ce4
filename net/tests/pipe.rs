//! Pipes: taken over and given away, named pipes, and everything that streams can do.

#![forbid(unsafe_code)]
#![cfg(all(unix, not(miri)))]

mod common;

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use roundel::{spawn, yield_now};
use roundel_net::pipe::{Receiver, Sender};
use roundel_net::{UnixStream, pipe};
use rustix::fs::{OFlags, fcntl_getfl};

use common::{noise, settle, virtually};

fn is_blocking(fd: impl AsFd) -> bool {
    !fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK)
}

#[test]
fn the_end_comes_when_the_last_sender_is_gone() {
    virtually(async |_| {
        let (sender, receiver) = pipe().unwrap();
        sender.write_vectored(&[IoSlice::new(b"a"), IoSlice::new(b"bc")]).await.unwrap();
        let mut buffer = [0; 10];
        assert_eq!(receiver.read(&mut buffer).await.unwrap(), 3);
        let reading = spawn(async move { receiver.read(&mut [0; 10]).await });
        settle().await;
        assert!(!reading.is_finished());
        drop(sender);
        assert_eq!(reading.await.unwrap().unwrap(), 0);
    });
}

#[test]
fn hazard_34_a_sender_learns_that_the_reader_is_gone() {
    virtually(async |_| {
        let (sender, receiver) = pipe().unwrap();
        let writing = spawn(async move {
            loop {
                if let Err(error) = sender.write(&[0; 65536]).await {
                    return error.kind();
                }
            }
        });
        settle().await;
        assert!(!writing.is_finished());
        drop(receiver);
        assert_eq!(writing.await.unwrap(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn much_through_a_pipe() {
    virtually(async |_| {
        let (sender, receiver) = pipe().unwrap();
        let bytes = noise(1, 2_000_000);
        let expected = bytes.clone();
        let writing = spawn(async move { sender.write_all(&bytes).await });
        let (mut got, mut buffer) = (Vec::new(), [0; 5000]);
        while let count @ 1.. = receiver.read(&mut buffer).await.unwrap() {
            got.extend_from_slice(&buffer[..count]);
            yield_now().await;
        }
        writing.await.unwrap().unwrap();
        assert!(got == expected);
    });
}

#[test]
fn ends_are_taken_over_and_given_away() {
    virtually(async |_| {
        let (reader, writer) = io::pipe().unwrap();
        let (reader_copy, writer_copy) = (reader.try_clone().unwrap(), writer.try_clone().unwrap());
        let receiver = Receiver::from_owned_fd(reader.into()).unwrap();
        let sender = Sender::from_owned_fd(writer.into()).unwrap();
        assert!(!is_blocking(&reader_copy) && !is_blocking(&writer_copy), "it is the same pipe");
        sender.write_all(b"hello").await.unwrap();
        assert_eq!(receiver.read(&mut [0; 2]).await.unwrap(), 2);
        let (reader, writer) = (receiver.into_owned_fd().unwrap(), sender.into_owned_fd().unwrap());
        assert!(is_blocking(&reader) && is_blocking(&writer));
        drop((writer, writer_copy));
        let mut rest = String::new();
        File::from(reader).read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "llo");
    });
}

#[test]
fn a_descriptor_that_is_not_a_pipe_is_refused() {
    virtually(async |_| {
        let not_pipes = || -> [OwnedFd; 2] {
            let socket = UnixStream::pair().unwrap().0.into_std().unwrap();
            [File::open("/dev/null").unwrap().into(), socket.into()]
        };
        for fd in not_pipes() {
            let error = Receiver::from_owned_fd(fd).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
        for fd in not_pipes() {
            assert_eq!(Sender::from_owned_fd(fd).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    });
}

/// Only a descriptor that is open for the right direction is taken over.
#[test]
fn an_end_of_the_wrong_direction_is_refused_and_left_as_it_was() {
    virtually(async |_| {
        let (reader, writer) = io::pipe().unwrap();
        let copies: [OwnedFd; 2] = [reader.try_clone().unwrap().into(), writer.try_clone().unwrap().into()];
        let error = Receiver::from_owned_fd(writer.into()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("not open for reading"), "{error}");
        let error = Sender::from_owned_fd(reader.into()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("not open for writing"), "{error}");
        assert!(copies.iter().all(is_blocking), "other copies of a refused end do not change");
    });
}

#[test]
fn hazard_33_data_and_the_end_in_one_report() {
    virtually(async |_| {
        let (reader, mut writer) = io::pipe().unwrap();
        let receiver = Receiver::from_owned_fd(reader.into()).unwrap();
        let reading = spawn(async move {
            let mut got = Vec::new();
            receiver.read_to_end(&mut got).await.unwrap();
            got
        });
        settle().await;
        writer.write_all(b"last").unwrap();
        drop(writer);
        assert_eq!(reading.await.unwrap(), b"last");
    });
}

#[cfg(target_os = "linux")]
mod named {
    use std::fs::File;
    use std::io::ErrorKind;
    use std::os::unix::fs::OpenOptionsExt;

    use roundel_net::pipe::{Receiver, Sender};
    use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

    use super::common::{path, virtually, watchdog};

    /// A reader that opens a named pipe for both directions never reads the end. A writer that opens it
    /// without waiting needs a reader.
    #[test]
    fn a_named_pipe() {
        let _watchdog = watchdog();
        let path = path();
        mknodat(CWD, &path.0, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        let open = || File::options().write(true).custom_flags(nonblocking).open(&path);
        assert_eq!(open().unwrap_err().raw_os_error(), Some(rustix::io::Errno::NXIO.raw_os_error()));
        virtually(async |_| {
            let both = File::options().read(true).write(true).open(&path).unwrap();
            let receiver = Receiver::from_owned_fd(both.into()).unwrap();
            for word in ["one", "other"] {
                let sender = Sender::from_owned_fd(open().unwrap().into()).unwrap();
                sender.write_all(word.as_bytes()).await.unwrap();
                drop(sender);
                assert_eq!(receiver.read(&mut [0; 10]).await.unwrap(), word.len());
            }
            assert_eq!(receiver.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "no end");
        });
    }
}
