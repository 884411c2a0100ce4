//! What the tests of the programs share: they start a program, read its output, connect to it as clients, and see it
//! end.
//!
//! Facts. The programs are beside the tests, where cargo builds them. They are told to listen on port 0, so any number
//! of tests can run at the same time, and each prints its port in its first line.
//!
//! Contract. No test hangs, and none leaves a program running: a program dies with its [`Program`], a client gives up
//! after [`PATIENCE`], and a watchdog ends anything that still hangs, programs first.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, ErrorKind, PipeWriter, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use testkit::{Watchdog, alone};

/// Nothing here takes this long, unless it hangs. (Even a busy machine, on which all that usually takes twenty times as long.)
pub(crate) const PATIENCE: Duration = Duration::from_secs(150);
/// How long the servers let open connections finish after the signal.
pub(crate) const GRACE: Duration = Duration::from_secs(3);

/// The running programs, which the watchdog kills.
static RUNNING: Mutex<BTreeMap<u32, Pid>> = Mutex::new(BTreeMap::new());

/// Aborts the process and the programs if the guard is not dropped within five minutes.
pub(crate) fn watchdog() -> Watchdog {
    testkit::watchdog_that(2 * PATIENCE, || {
        for pid in RUNNING.lock().unwrap().values() {
            let _ = kill_process(*pid, Signal::KILL);
        }
    })
}

/// Where cargo has put the program: beside the folder of this test.
pub(crate) fn path_of(program: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let path = test.ancestors().nth(2).expect("deps, and what that is in").join("examples").join(program);
    let build = concat!("`cargo build -p ", env!("CARGO_PKG_NAME"), " --examples`");
    assert!(path.exists(), "{} is not built: {build} does it", path.display());
    path
}

/// A running program, which is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    /// The first line, without `listening on `.
    pub(crate) address: String,
    lines: Receiver<String>,
    complaints: Option<JoinHandle<String>>,
}

/// How a program has ended, and the output that the test had not read before.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) lines: Vec<String>,
    pub(crate) complaints: String,
}

impl Program {
    /// Starts a server, and waits until it listens.
    pub(crate) fn start(name: &str, args: &[&str]) -> Program {
        let mut program = Program::launch(Command::new(path_of(name)).args(args));
        let first = program.next_line();
        let address = first.as_deref().and_then(|line| line.strip_prefix("listening on "));
        program.address = address.unwrap_or_else(|| panic!("{name} began with {first:?}")).to_owned();
        program
    }

    /// Starts any program.
    pub(crate) fn launch(command: &mut Command) -> Program {
        Program::launch_into(Stdio::piped(), command)
    }

    /// The same, with a standard output that the test may not be able to read.
    fn launch_into(stdout: Stdio, command: &mut Command) -> Program {
        command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
        let mut child = alone::spawn(command).unwrap_or_else(|error| panic!("{command:?}: {error}"));
        RUNNING.lock().unwrap().insert(child.id(), Pid::from_child(&child));
        let (out, mut err) = (child.stdout.take(), child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        // A thread always reads, so that no program waits for the test to read.
        thread::spawn(move || {
            for line in out.into_iter().flat_map(|out| BufReader::new(out).lines().map_while(Result::ok)) {
                let _ = sender.send(line);
            }
        });
        let complaints = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = err.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Program { child, address: String::new(), lines, complaints: Some(complaints) }
    }

    /// The next line of its standard output; `None` at its end.
    pub(crate) fn next_line(&self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Err(RecvTimeoutError::Timeout) => panic!("the program has said nothing for {PATIENCE:?}"),
            line => line.ok(),
        }
    }

    /// Where it listens.
    pub(crate) fn socket_address(&self) -> SocketAddr {
        self.address.parse().expect("an address")
    }

    /// A new connection to it.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.socket_address()).expect("the program listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the program runs");
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it refuses connections: then it has received the signal, and finishes its open connections.
    pub(crate) fn wait_until_it_refuses(&self) {
        while TcpStream::connect(self.socket_address()).is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The bytes of memory that it has now.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it has memory");
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// The soft and the hard limit of its open files.
    #[cfg(target_os = "linux")]
    pub(crate) fn open_files(&self) -> (String, String) {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.child.id())).unwrap();
        let line =
            limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("it has limits");
        let mut words = line.split_whitespace().map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap())
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let status = self.child.wait().unwrap();
        let complaints = self.complaints.take().unwrap().join().unwrap();
        Ended { status, lines: self.lines.iter().collect(), complaints }
    }

    /// Asks it to end. It must end in order, and without a complaint.
    pub(crate) fn stop(self) -> Vec<String> {
        self.signal(Signal::TERM);
        self.ended_well()
    }

    /// Its last lines. It has been asked to end, and must do so in order, and without a complaint.
    pub(crate) fn ended_well(self) -> Vec<String> {
        let ended = self.end();
        assert!(ended.status.success() && ended.complaints.is_empty(), "{ended:?}");
        ended.lines
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        RUNNING.lock().unwrap().remove(&self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program that ends by itself.
pub(crate) fn run(name: &str, args: &[&str]) -> Ended {
    Program::launch(Command::new(path_of(name)).args(args)).end()
}

/// Runs a program with this standard output.
pub(crate) fn run_into(stdout: impl Into<Stdio>, name: &str, args: &[&str]) -> Ended {
    run_command_into(stdout, Command::new(path_of(name)).args(args))
}

/// The same for any command.
pub(crate) fn run_command_into(stdout: impl Into<Stdio>, command: &mut Command) -> Ended {
    Program::launch_into(stdout.into(), command).end()
}

/// The trace of a program that runs on virtual time, in a file of this test.
pub(crate) fn recorded(name: &str, test: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("roundel-{test}-{name}-{}.trace", std::process::id()));
    let ended =
        Program::launch(Command::new(path_of(name)).arg("--virtual").env("ROUNDEL_TRACE", &path)).end();
    assert!(ended.status.success(), "{name}: {ended:?}");
    path
}

impl Ended {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    pub(crate) fn killed_by(&self) -> Option<i32> {
        self.status.signal()
    }

    pub(crate) fn text(&self) -> String {
        self.lines.join("\n")
    }
}

/// Whether a tool is installed. If not, this prints that the test of this name has not used it.
pub(crate) fn has(tool: &str, test: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file()));
    if !found {
        testkit::say(&format!("SKIPPED: {tool} is not installed; {test} has not used it"));
    }
    found
}

/// The output of a shell script. `$1` and so on are the arguments.
pub(crate) fn shell(script: &str, args: &[&str]) -> String {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE.as_secs().to_string()).args(["sh", "-c", script, "sh"]).args(args);
    let ended = Program::launch(&mut command).end();
    assert_ne!(ended.code(), Some(124), "{script}: took too long");
    format!("{}\n{}", ended.text(), ended.complaints)
}

/// What a program prints, line by line; it must end well, and without a complaint.
pub(crate) fn lines_of(name: &str, args: &[&str]) -> Vec<String> {
    let ended = run(name, args);
    assert!(ended.status.success() && ended.complaints.is_empty(), "{name} {args:?}: {ended:?}");
    ended.lines
}

/// What a program prints. It must be the text of `gold/NAME.txt`, apart from the times if they are real.
pub(crate) fn gold(name: &str, args: &[&str]) -> String {
    let path = format!("{}/tests/gold/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let printed = run(name, args);
    assert!(printed.status.success(), "{name} {args:?}: {printed:?}");
    let is_told = !printed.complaints.contains("panicked") || printed.text().contains("on purpose");
    assert!(is_told, "`{name}` does not say that its panic is provoked:\n{}", printed.complaints);
    let printed = printed.text() + "\n";
    let is_exact = args.contains(&"--virtual");
    let same =
        if is_exact { printed == expected } else { without_times(&printed) == without_times(&expected) };
    assert!(same, "{path} is not what `{name}` prints:\n{printed}");
    printed
}

/// Leaves out the times with which lines begin.
pub(crate) fn without_times(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", after_time(line).unwrap_or(line))).collect()
}

/// The rest of a line that begins with a time.
pub(crate) fn after_time(line: &str) -> Option<&str> {
    let (time, rest) = line.split_once(" s  ")?;
    time.trim_start().parse::<f64>().is_ok().then_some(rest)
}

/// The first of these lines that is not in the text, or not in this order; others may be in between.
pub(crate) fn out_of_order<'a>(text: &str, lines: &[&'a str]) -> Option<&'a str> {
    let mut rest = text.lines();
    // (Each pattern takes a line of its own.)
    lines.iter().copied().find(|line| !rest.any(|other| other.contains(line)))
}

/// Asserts that these lines are in the text, in this order.
pub(crate) fn in_order(text: &str, lines: &[&str]) {
    if let Some(line) = out_of_order(text, lines) {
        panic!("no `{line}`, or not in this order, in\n{text}");
    }
}

/// Runs a program that looks at the real clock until it prints these lines in this order: on a busy machine, what is due
/// at different times may be late by more than what lies between them.
pub(crate) fn in_order_at_last(name: &str, args: &[&str], lines: &[&str]) {
    let mut texts = (0..9).map(|_| lines_of(name, args).join("\n"));
    assert!(
        texts.any(|text| out_of_order(&text, lines).is_none()),
        "`{name}` never prints {lines:?}, in this order"
    );
}

/// The result of an attempt that works only if less than `limit` passes. A machine that is too busy for that may try again;
/// an attempt that was quick enough must not fail.
pub(crate) fn in_time<T>(limit: Duration, attempt: impl Fn() -> io::Result<T>) -> T {
    for _ in 0..9 {
        let start = Instant::now();
        match attempt() {
            Ok(result) => return result,
            Err(error) => assert!(start.elapsed() >= limit, "{error} after {:?}", start.elapsed()),
        }
    }
    panic!("nine attempts have all taken longer than {limit:?}");
}

/// A host of this machine at which no other process listens or connects from, so that nothing else can get a port there that
/// is free.
pub(crate) fn host_of_our_own() -> String {
    let [.., first, second, third] = std::process::id().to_be_bytes();
    // Elsewhere, local addresses have to be set up first.
    if cfg!(target_os = "linux") {
        format!("127.{}.{second}.{third}", 64 + first)
    } else {
        "127.0.0.1".into()
    }
}

/// The end to write to of a pipe that no process can read from.
pub(crate) fn pipe_without_a_reader() -> PipeWriter {
    let mut writer = io::pipe().unwrap().1; // This closes the end to read from.
    // A process that another test has just started has it, too, until it begins its program.
    while writer.write(b"x").is_ok() {
        thread::sleep(Duration::from_millis(1));
    }
    writer
}

/// Reads exactly this many bytes.
pub(crate) fn read(stream: &mut impl Read, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Writes, and reads back the same.
pub(crate) fn there_and_back(stream: &mut (impl Read + Write), bytes: &[u8]) {
    try_there_and_back(stream, bytes).unwrap();
}

/// The same on a connection that may have ended.
pub(crate) fn try_there_and_back(stream: &mut (impl Read + Write), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back)?;
    assert!(back == bytes, "other bytes came back");
    Ok(())
}

/// Everything until the end, and whether the end was orderly.
pub(crate) fn read_all(stream: &mut impl Read) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 1 << 14];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (bytes, true),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return (bytes, false),
            Err(error) => panic!("after {} bytes: {error}", bytes.len()),
        }
    }
}

/// Bytes in which nothing repeats.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    testkit::noise(1, length)
}
