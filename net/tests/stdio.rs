//! The standard streams, whatever they are connected to: hazards 38 and 39.
//!
//! The test harness uses the standard streams of this process. So each test runs this program again as a
//! child. `child` is a test that does nothing, unless a variable names one of the programs below it. The
//! program prints a line at its beginning and one at its end. `said` returns what is between them, because
//! the child's harness prints something, too.

#![forbid(unsafe_code)]
#![cfg(all(unix, not(miri)))]

mod common;

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, BufRead, BufReader, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_io::AsyncWrite;
use roundel::{Runtime, spawn, time, yield_now};
use roundel_net::stdio::{stderr, stdin, stdout};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use common::{noise, path, watchdog};

const PROGRAM: &str = "ROUNDEL_TEST_PROGRAM";
const BEGIN: &[u8] = b"\n--begin--\n";
const END: &[u8] = b"\n--end--\n";

/// This is not a test. It runs the program of a child.
#[test]
fn child() {
    let Ok(program) = std::env::var(PROGRAM) else { return };
    let _watchdog = watchdog();
    roundel::run(async move {
        stdout().write_all(BEGIN).await.unwrap();
        match program.as_str() {
            "cat" => cat().await,
            "cat slowly" => cat_slowly().await,
            "one read" => one_read().await,
            "abandon" => abandon().await,
            "print" => print().await,
            "write later" => write_later().await,
            "ticks" => ticks().await,
            "for ever" => for_ever().await,
            "two loops" => two_loops().await,
            "an hour" => an_hour().await,
            other => panic!("no such program: {other}"),
        }
    });
    // The child's harness must print no more.
    std::process::exit(0);
}

async fn cat() {
    let mut buffer = vec![0; 100_000];
    while let count @ 1.. = stdin().read(&mut buffer).await.unwrap() {
        stdout().write_all(&buffer[..count]).await.unwrap();
    }
    stdout().write_all(END).await.unwrap();
}

/// Many reads are dropped, and the sizes of reads and writes differ.
async fn cat_slowly() {
    let (input, output) = (stdin(), stdout());
    let mut buffer = [0; 1000];
    loop {
        match time::timeout(Duration::from_micros(50), input.read(&mut buffer)).await {
            Ok(Ok(0)) => break,
            Ok(count) => output.write_all(&buffer[..count.unwrap()]).await.unwrap(),
            Err(_) => yield_now().await,
        }
    }
    output.write_all(END).await.unwrap();
}

/// Reads once. The rest of the input stays for other processes.
async fn one_read() {
    let mut buffer = [0; 6];
    let count = stdin().read(&mut buffer).await.unwrap();
    stdout().write_all(&buffer[..count]).await.unwrap();
    stdout().write_all(END).await.unwrap();
}

/// Ends while a read waits.
async fn abandon() {
    spawn(async { stdin().read(&mut [0; 10]).await }).detach();
    time::sleep(Duration::from_millis(20)).await;
    stdout().write_all(END).await.unwrap();
}

/// The standard library and this crate write in turn.
async fn print() {
    for number in 0..100 {
        print!("{number} ");
        stdout().write_all(b"and ").await.unwrap();
        eprint!("{number} ");
        stderr().write_all(b"and ").await.unwrap();
    }
    stdout().write_all(END).await.unwrap();
}

/// Writes through the trait, which returns before the bytes are written.
async fn write_later() {
    let mut output = stdout();
    let bytes = noise(1, 500_000);
    let mut at = 0;
    while at < bytes.len() {
        at += poll_fn(|cx| Pin::new(&mut output).poll_write(cx, &bytes[at..])).await.unwrap();
        // Several buffers are one job.
        let (first, rest) = bytes[at..].split_at(1000.min(bytes.len() - at));
        let parts = [IoSlice::new(first), IoSlice::new(rest)];
        let count = poll_fn(|cx| Pin::new(&mut output).poll_write_vectored(cx, &parts)).await.unwrap();
        assert_eq!(count, (bytes.len() - at).min(64 << 10));
        at += count;
    }
    poll_fn(|cx| Pin::new(&mut output).poll_flush(cx)).await.unwrap();
    output.write_all(END).await.unwrap();
}

/// No input comes, and the loop goes on.
async fn ticks() {
    let reading = spawn(async { stdin().read(&mut [0; 10]).await });
    for _ in 0..20 {
        time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!reading.is_finished());
    stdout().write_all(END).await.unwrap();
    assert_eq!(reading.await.unwrap().unwrap(), 4);
}

/// Writes until the reader is gone.
async fn for_ever() {
    let line = [b"roundel\n".as_slice(); 100].concat();
    let error = loop {
        if let Err(error) = stdout().write_all(&line).await {
            break error;
        }
        // Does what `println!` does, without the panic.
        if let Err(error) = io::stdout().lock().write_all(&line) {
            break error;
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    eprintln!("it was a broken pipe");
}

/// When a read comes too late for one loop, the next loop gets its bytes.
async fn two_loops() {
    let first = std::thread::spawn(|| {
        Runtime::new().unwrap().block_on(async {
            let read = time::timeout(Duration::from_millis(5), stdin().read(&mut [0; 10])).await;
            assert!(read.is_err());
        });
    });
    while !first.is_finished() {
        time::sleep(Duration::from_millis(1)).await;
    }
    stdout().write_all(b"now").await.unwrap();
    let mut buffer = [0; 10];
    let count = stdin().read(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..count], b"late");
    stdout().write_all(END).await.unwrap();
}

/// A read that waits does not stop a virtual clock, as with sockets.
async fn an_hour() {
    let hour = std::thread::spawn(|| {
        let runtime = Runtime::builder().virtual_time(true).build().unwrap();
        let hour = Duration::from_secs(3600);
        runtime.block_on(async { time::timeout(hour, stdin().read(&mut [0])).await.is_err() })
    });
    while !hour.is_finished() {
        time::sleep(Duration::from_millis(1)).await;
    }
    assert!(hour.join().unwrap());
    stdout().write_all(END).await.unwrap();
}

/// This program as a child.
fn program(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child", "--exact", "--nocapture", "--test-threads=1"]).env(PROGRAM, name);
    command
}

/// The output of the program between its two lines.
fn said(output: &[u8]) -> &[u8] {
    let find = |mark: &[u8]| output.windows(mark.len()).position(|part| part == mark);
    let text = || String::from_utf8_lossy(&output[..output.len().min(3000)]).into_owned();
    let begin = find(BEGIN).unwrap_or_else(|| panic!("it did not begin:\n{}", text()));
    let end = find(END).unwrap_or_else(|| panic!("it did not end:\n{}", text()));
    &output[begin + BEGIN.len()..end]
}

fn is_blocking(fd: impl AsFd) -> bool {
    !fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK)
}

/// Runs a program to its end with this standard input. Afterwards, the descriptor must be blocking as
/// before.
fn run(name: &str, input: impl Into<OwnedFd>) -> Vec<u8> {
    let _watchdog = watchdog();
    let input = input.into();
    let copy = input.try_clone().unwrap();
    let output = program(name).stdin(input).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{name}: {}", output.status);
    assert!(is_blocking(copy), "the flag is still set");
    said(&output.stdout).to_vec()
}

/// A file with these bytes, open for reading.
fn file(bytes: &[u8]) -> File {
    let path = path();
    std::fs::write(&path, bytes).unwrap();
    File::open(&path).unwrap()
}

/// A thread that writes the bytes.
fn pour(bytes: &[u8], mut into: impl Write + Send + 'static) {
    let bytes = bytes.to_vec();
    std::thread::spawn(move || into.write_all(&bytes));
}

#[test]
fn hazard_38_the_input_is_a_file() {
    let bytes = noise(1, 1_000_000);
    assert!(run("cat", file(&bytes)) == bytes);
}

#[test]
fn hazard_38_the_input_is_dev_null() {
    assert_eq!(run("cat", File::open("/dev/null").unwrap()), b"");
}

#[test]
fn hazard_38_the_input_is_a_pipe() {
    for name in ["cat", "cat slowly"] {
        let bytes = noise(2, 300_000);
        let (reader, writer) = io::pipe().unwrap();
        pour(&bytes, writer);
        assert!(run(name, reader) == bytes);
    }
}

#[test]
fn hazard_38_the_input_is_a_socket() {
    let bytes = noise(3, 1_000_000);
    let (ours, theirs) = UnixStream::pair().unwrap();
    pour(&bytes, ours);
    assert!(run("cat", theirs) == bytes);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    pour(&bytes, TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    assert!(run("cat", listener.accept().unwrap().0) == bytes);
}

/// Both ends of a new terminal.
fn terminal() -> (File, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let theirs = File::options()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOCTTY.bits().cast_signed())
        .open(name)
        .unwrap();
    (File::from(ours), theirs)
}

/// A terminal gives lines, and can end several times. The program stops at the first end.
#[test]
fn hazard_38_the_input_is_a_terminal() {
    let (mut ours, theirs) = terminal();
    ours.write_all(b"one line\nanother\n\x04").unwrap();
    assert_eq!(run("cat", theirs), b"one line\nanother\n");
}

#[test]
fn hazard_38_the_input_is_closed() {
    let _watchdog = watchdog();
    let mut shell = Command::new("sh");
    let me = std::env::current_exe().unwrap();
    shell.args(["-c", "exec \"$0\" child --exact --nocapture --test-threads=1 <&-"]).arg(me);
    let output = shell.env(PROGRAM, "cat").output().unwrap();
    assert!(output.status.success());
    assert_eq!(said(&output.stdout), b"");
}

#[test]
fn hazard_38_the_output_is_anything() {
    let _watchdog = watchdog();
    let bytes = noise(4, 300_000);
    let to_file = path();
    let status = program("cat").stdin(file(&bytes)).stdout(File::create(&to_file).unwrap()).status().unwrap();
    assert!(status.success());
    assert!(said(&std::fs::read(&to_file).unwrap()) == bytes);
    let null = File::options().write(true).open("/dev/null").unwrap();
    assert!(program("cat").stdin(file(&bytes)).stdout(null).status().unwrap().success());
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut child = program("cat").stdin(file(&bytes)).stdout(OwnedFd::from(theirs)).spawn().unwrap();
    let mut got = Vec::new();
    (&ours).read_to_end(&mut got).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(said(&got) == bytes);
}

#[test]
fn hazard_38_the_output_is_closed() {
    let _watchdog = watchdog();
    let mut shell = Command::new("sh");
    let me = std::env::current_exe().unwrap();
    shell.args(["-c", "exec \"$0\" child --exact --nocapture --test-threads=1 >&- 2>&-"]).arg(me);
    assert!(shell.env(PROGRAM, "cat").stdin(Stdio::null()).status().unwrap().success());
}

/// The program has a terminal for all three streams, as from a shell. The flags are checked while it runs,
/// after it has ended, and after it was killed.
#[test]
fn hazard_39_the_flags_of_a_terminal_are_untouched() {
    let _watchdog = watchdog();
    let (mut ours, theirs) = terminal();
    let copy = || Stdio::from(theirs.try_clone().unwrap());
    let start = |name| program(name).stdin(copy()).stdout(copy()).stderr(copy()).spawn().unwrap();
    let before = fcntl_getfl(&theirs).unwrap();
    let mut child = start("abandon");
    read_until(&mut ours, b"--end--");
    assert_eq!(fcntl_getfl(&theirs).unwrap(), before);
    assert!(child.wait().unwrap().success());
    assert_eq!(fcntl_getfl(&theirs).unwrap(), before);
    let mut child = start("cat");
    ours.write_all(b"something\n").unwrap();
    // The text comes twice: as the echo of the terminal, and as the copy.
    read_until(&mut ours, b"something");
    read_until(&mut ours, b"something");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fcntl_getfl(&theirs).unwrap(), before);
}

fn read_until(from: &mut impl Read, mark: &[u8]) {
    let mut got = Vec::new();
    while !got.ends_with(mark) {
        let mut byte = [0];
        from.read_exact(&mut byte).unwrap();
        got.push(byte[0]);
    }
}

/// `(yes & our program) | head`: two writers share a pipe. No write may fail with `EAGAIN`.
#[test]
fn hazard_39_a_sibling_writes_to_the_same_pipe() {
    let _watchdog = watchdog();
    let (reader, writer) = io::pipe().unwrap();
    let errors = path();
    let log = File::create(&errors).unwrap();
    let mut yes = Command::new("yes")
        .stdout(writer.try_clone().unwrap())
        .stderr(log.try_clone().unwrap())
        .spawn()
        .unwrap();
    let mut child = program("for ever").stdout(writer).stderr(log).spawn().unwrap();
    let mut reader = BufReader::new(reader);
    let (mut line, mut theirs, mut ours) = (String::new(), 0, 0);
    // The pipe is full most of the time. A non-blocking write would fail then.
    while theirs < 2000 || ours < 2000 {
        line.clear();
        reader.read_line(&mut line).unwrap();
        theirs += usize::from(line == "y\n");
        ours += usize::from(line == "roundel\n");
    }
    assert!(is_blocking(reader.get_ref()));
    drop(reader);
    assert!(!yes.wait().unwrap().success());
    assert!(child.wait().unwrap().success());
    let text = std::fs::read_to_string(&errors).unwrap();
    assert!(text.contains("it was a broken pipe"), "{text}");
    assert!(!text.contains("temporarily unavailable"), "{text}");
}

/// Another process has set the flag. Reads and writes wait nevertheless, and leave the flag as it is.
#[test]
fn hazard_39_another_process_has_set_the_flag() {
    let _watchdog = watchdog();
    let bytes = noise(5, 400_000);
    let (reader, mut writer) = io::pipe().unwrap();
    let (answers, theirs) = io::pipe().unwrap();
    for fd in [reader.as_fd(), theirs.as_fd()] {
        fcntl_setfl(fd, fcntl_getfl(fd).unwrap() | OFlags::NONBLOCK).unwrap();
    }
    let copy = reader.try_clone().unwrap();
    let child = program("cat").stdin(reader).stdout(theirs).spawn().unwrap();
    let sent = bytes.clone();
    let pouring = std::thread::spawn(move || {
        for piece in sent.chunks(50_000) {
            writer.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    let got = read_slowly(answers);
    assert!(!is_blocking(&copy));
    // If the child has failed, the pipe has no reader, and the thread must not wait for one.
    drop(copy);
    expect_success(child);
    assert!(said(&got) == bytes);
    pouring.join().unwrap();
}

fn read_slowly(mut from: impl Read) -> Vec<u8> {
    let (mut got, mut buffer) = (Vec::new(), vec![0; 30_000]);
    loop {
        match from.read(&mut buffer).unwrap() {
            0 => return got,
            count => got.extend_from_slice(&buffer[..count]),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn expect_success(mut child: Child) {
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_read_that_waits_does_not_keep_the_process() {
    let (reader, _writer) = io::pipe().unwrap();
    assert_eq!(run("abandon", reader), b"");
}

#[test]
fn a_read_that_waits_does_not_stop_a_virtual_clock() {
    let (reader, _writer) = io::pipe().unwrap();
    assert_eq!(run("an hour", reader), b"");
}

#[test]
fn a_read_that_waits_does_not_hold_up_the_loop() {
    let _watchdog = watchdog();
    let (reader, mut writer) = io::pipe().unwrap();
    let mut child = program("ticks").stdin(reader).stdout(Stdio::piped()).spawn().unwrap();
    read_until(child.stdout.as_mut().unwrap(), END);
    writer.write_all(b"done").unwrap();
    expect_success(child);
}

#[test]
fn what_came_too_late_for_a_loop_is_there_for_the_next() {
    let _watchdog = watchdog();
    let (reader, mut writer) = io::pipe().unwrap();
    let mut child = program("two loops").stdin(reader).stdout(Stdio::piped()).spawn().unwrap();
    read_until(child.stdout.as_mut().unwrap(), b"now");
    writer.write_all(b"late").unwrap();
    read_until(child.stdout.as_mut().unwrap(), END);
    expect_success(child);
}

/// The program asked for six bytes, but the thread reads what there is. A program that shares its input has
/// to know that.
#[test]
fn a_terminal_gives_a_line_at_a_time_and_keeps_the_rest() {
    let (mut ours, theirs) = terminal();
    let copy = theirs.try_clone().unwrap();
    ours.write_all(b"first\nsecond\n").unwrap();
    assert_eq!(run("one read", theirs), b"first\n");
    let mut line = String::new();
    BufReader::new(copy).read_line(&mut line).unwrap();
    assert_eq!(line, "second\n");
}

#[test]
fn we_and_print_keep_the_order() {
    let _watchdog = watchdog();
    let output = program("print").stdin(Stdio::null()).output().unwrap();
    let expected = (0..100).map(|number| format!("{number} and ")).collect::<String>();
    assert_eq!(String::from_utf8_lossy(said(&output.stdout)), expected);
    assert!(String::from_utf8_lossy(&output.stderr).contains(&expected));
}

#[test]
fn what_was_written_later_is_there_after_a_flush() {
    assert!(run("write later", File::open("/dev/null").unwrap()) == noise(1, 500_000));
}
