//! Hazard 38: files that no poll can wait for, and a standard input that may be anything. These files are also the
//! purest case of hazard 13, because they are always ready.
//!
//! On Linux only, because epoll decides which files these are.

use std::cell::Cell;
use std::fs::File;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::rc::Rc;

use mio::unix::{SourceFd, pipe};
use roundel::source::{self, AsyncFd, Direction, Source};
use roundel::{Runtime, spawn, yield_now};

use super::common::{alone, everywhere, is_alone, output, really, rerun, settle, virtually, watchdog};

/// A file on disk without a name.
fn file_on_disk(name: &str) -> File {
    let path = std::env::temp_dir().join(format!("roundel-{}-{name}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

#[test]
fn hazard_38_a_file_on_disk_is_always_ready() {
    everywhere(async |log| {
        let fd = AsyncFd::new(file_on_disk("ready")).unwrap();
        assert_eq!(source::count(), 1);
        fd.writable().await.unwrap();
        assert_eq!(fd.io(Direction::Write, |mut file| file.write(b"hello")).await.unwrap(), 5);
        let mut file = fd.get_ref();
        file.rewind().unwrap();
        let mut buffer = [0; 8];
        for expected in [5, 0, 0] {
            fd.readable().await.unwrap();
            let count = fd.io(Direction::Read, |mut file| file.read(&mut buffer)).await.unwrap();
            assert_eq!(count, expected);
        }
        assert_eq!(&buffer[..5], b"hello");
        drop(fd.into_inner());
        assert_eq!((source::count(), log.reports()), (0, vec![]));
    });
}

#[test]
fn hazard_38_null_and_zero_and_a_directory_are_always_ready() {
    everywhere(async |_| {
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let null = AsyncFd::new(null).unwrap();
        assert_eq!(null.io(Direction::Write, |mut file| file.write(b"hello")).await.unwrap(), 5);
        assert_eq!(null.io(Direction::Read, |mut file| file.read(&mut [0])).await.unwrap(), 0);
        let zero = AsyncFd::new(File::open("/dev/zero").unwrap()).unwrap();
        assert_eq!(zero.io(Direction::Read, |mut file| file.read(&mut [0; 7])).await.unwrap(), 7);
        let directory = AsyncFd::new(File::open(std::env::temp_dir()).unwrap()).unwrap();
        directory.readable().await.unwrap();
        let error = directory.io(Direction::Read, |mut file| file.read(&mut [0])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IsADirectory);
    });
}

#[test]
fn hazard_38_a_source_says_that_it_cannot_wait_for_a_file() {
    virtually(async |_| {
        let null = File::open("/dev/null").unwrap();
        let directory = File::open(std::env::temp_dir()).unwrap();
        for file in [file_on_disk("refused"), null, directory] {
            let error = Source::new(SourceFd(&file.as_raw_fd())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        }
        assert_eq!(source::count(), 0);
    });
}

#[test]
fn hazard_38_a_descriptor_that_is_closed() {
    const NAME: &str = "files::hazard_38_a_descriptor_that_is_closed";
    alone(NAME, || {
        virtually(async |_| {
            let number = File::open("/dev/null").unwrap().as_raw_fd();
            let error = Source::new(SourceFd(&number)).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(9), "EBADF: {error}");
            assert_eq!(source::count(), 0);
        });
    });
}

#[test]
fn hazard_38_a_pipe_by_its_descriptor() {
    everywhere(async |_| {
        let (mut sender, receiver) = pipe::new().unwrap();
        let receiver = AsyncFd::new(File::from(OwnedFd::from(receiver))).unwrap();
        let reader = spawn(async move {
            let mut got = Vec::new();
            loop {
                let mut buffer = [0; 4];
                let count = receiver.io(Direction::Read, |mut file| file.read(&mut buffer)).await.unwrap();
                if count == 0 {
                    return got;
                }
                got.extend_from_slice(&buffer[..count]);
            }
        });
        settle().await;
        sender.write_all(b"hello").unwrap();
        settle().await;
        sender.write_all(b", world").unwrap();
        drop(sender);
        assert_eq!(reader.await.unwrap(), b"hello, world");
    });
}

/// Reads standard input to its end, and expects "hello" or nothing.
async fn read_stdin() -> Vec<u8> {
    let stdin = AsyncFd::new(File::from(io::stdin().as_fd().try_clone_to_owned().unwrap())).unwrap();
    let mut got = Vec::new();
    loop {
        let mut buffer = [0; 3];
        stdin.readable().await.unwrap();
        match stdin.io(Direction::Read, |mut file| file.read(&mut buffer)).await.unwrap() {
            0 => return got,
            count => got.extend_from_slice(&buffer[..count]),
        }
    }
}

/// A program does not choose its standard input: a pipe, a file on disk, nothing.
#[test]
fn hazard_38_standard_input_of_every_kind() {
    const NAME: &str = "files::hazard_38_standard_input_of_every_kind";
    if is_alone(NAME) {
        return really(async |_| {
            let expected = std::env::var("ROUNDEL_TEST_STDIN").unwrap();
            assert_eq!(read_stdin().await, expected.as_bytes());
        });
    }
    let _watchdog = watchdog();
    let (reader, mut writer) = io::pipe().unwrap();
    writer.write_all(b"hello").unwrap();
    drop(writer);
    let mut file = file_on_disk("stdin");
    file.write_all(b"hello").unwrap();
    file.rewind().unwrap();
    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    theirs.write_all(b"hello").unwrap();
    drop(theirs);
    let kinds = [
        ("hello", Stdio::from(reader)),
        ("hello", Stdio::from(file)),
        ("hello", Stdio::from(OwnedFd::from(ours))),
        ("", Stdio::null()),
    ];
    for (expected, stdin) in kinds {
        let mut command = Command::new("env");
        rerun(&mut command, NAME);
        let output = output(command.env("ROUNDEL_TEST_STDIN", expected).stdin(stdin)).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn hazard_38_a_file_outlives_its_runtime() {
    let runtime = Runtime::new().unwrap();
    let zero = runtime.block_on(async { AsyncFd::new(File::open("/dev/zero").unwrap()).unwrap() });
    drop(runtime);
    virtually(async |_| {
        zero.readable().await.unwrap();
        assert_eq!(zero.io(Direction::Read, |mut file| file.read(&mut [0; 3])).await.unwrap(), 3);
        assert_eq!(source::count(), 0, "it does not belong here");
    });
}

#[test]
#[cfg_attr(not(feature = "diagnostics"), ignore = "it needs to hear what the loop does")]
fn hazard_13_a_source_that_is_always_ready_gives_way() {
    everywhere(async |log| {
        let zero = AsyncFd::new(File::open("/dev/zero").unwrap()).unwrap();
        let null = AsyncFd::new(File::options().write(true).open("/dev/null").unwrap()).unwrap();
        let tries = Rc::new(Cell::new(0));
        let counted = Rc::clone(&tries);
        let hog = spawn(async move {
            loop {
                zero.io(Direction::Read, |mut file| file.read(&mut [0; 8])).await.unwrap();
                null.io(Direction::Write, |mut file| file.write(&[0; 8])).await.unwrap();
                zero.readable().await.unwrap();
                poll_fn(|cx| zero.poll_io(cx, Direction::Read, |_| Ok(()))).await.unwrap();
                counted.set(counted.get() + 4);
            }
        });
        for _ in 0..100 {
            yield_now().await;
            assert!(tries.get() <= 128 * log.polls(hog.id()), "{} operations", tries.get());
        }
        assert!(tries.get() >= 1000, "to give way is not to stop");
        hog.cancel();
    });
}
