//! What the sieges share: an echo server in its own process, what the system says about that process, and clients with
//! plain blocking sockets, so that our code is not on both sides.
//!
//! Sizes are small in a debug build and real in a release build; the longest run only with `ROUNDEL_FULL=1`. The
//! numbers that matter are printed, each in a line that begins with `siege:`; run a test with `-- --nocapture` to see
//! them. No test asserts how long something takes. It counts, or measures how much of a processor was used, because a
//! busy machine does not change that.

use std::fs;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
use socket2::{Domain, Socket, Type};

/// Waits until no other siege is under way, if they have their full size: several at once would need more descriptors than a
/// process may have. The next one begins when the guard is dropped.
pub(crate) fn turn() -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    let is_small = cfg!(debug_assertions) && !is_full();
    (!is_small).then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// One of three sizes.
pub(crate) fn scaled<T>(debug: T, release: T, full: T) -> T {
    match (is_full(), cfg!(debug_assertions)) {
        (true, _) => full,
        (false, true) => debug,
        (false, false) => release,
    }
}

pub(crate) fn is_full() -> bool {
    std::env::var("ROUNDEL_FULL").is_ok_and(|value| value == "1")
}

/// Prints a number.
macro_rules! tell {
    ($($what:tt)*) => { println!("siege: {}", format_args!($($what)*)) };
}

pub(crate) use tell;

/// Says that a test tests nothing; not with `eprintln`, which the harness would capture.
pub(crate) fn skipped(test: &str, reason: &str) {
    io::stderr().write_all(format!("SKIPPED: {reason}; {test} has tested nothing\n").as_bytes()).unwrap();
}

/// Whether a tool is there and works.
pub(crate) fn has_tool(command: &[&str]) -> bool {
    let mut tool = Command::new(command[0]);
    tool.args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    tool.status().is_ok_and(|status| status.success())
}

/// A program that `cargo test` has built beside the test.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples").join(name);
    assert!(path.exists(), "{} is missing: `cargo build -p examples --examples` makes it", path.display());
    path
}

/// Raises the limit of descriptors as far as possible, and returns it.
pub(crate) fn raise_descriptor_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    limit.maximum.unwrap_or(1 << 20)
}

/// How long a test waits before it calls something a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Waits until this is true.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "it never came to be: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// An echo server.
pub(crate) struct Echo {
    child: Child,
    /// `None` if it did not get that far.
    address: Option<SocketAddr>,
    complaints: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Echo {
    pub(crate) fn start(options: &[&str]) -> Echo {
        Echo::start_under(&[], options)
    }

    /// Has another program start it. That program must then become the server, so that its process number is the right
    /// one.
    pub(crate) fn start_under(wrapper: &[&str], options: &[&str]) -> Echo {
        let program = example("echo");
        let mut command = match wrapper.split_first() {
            None => Command::new(&program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(&program);
                command
            }
        };
        command.args(["--addr", "127.0.0.1:0"]).args(options).env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let complaints = Arc::<Mutex<Vec<String>>>::default();
        let (stderr, list) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&complaints));
        let read =
            move || stderr.lines().map_while(Result::ok).for_each(|line| list.lock().unwrap().push(line));
        let reader = Some(std::thread::spawn(read));
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let address = first.strip_prefix("listening on ").map(|text| text.trim().parse().unwrap());
        Echo { child, address, complaints, reader }
    }

    pub(crate) fn has_started(&self) -> bool {
        self.address.is_some()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address.unwrap_or_else(|| panic!("it has not started: {:?}", self.complaints()))
    }

    /// What it has written to the standard error so far.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.lock().unwrap().clone()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        self.connect_from(0)
    }

    /// From another of our addresses: when half of the ports of one address are in use, the kernel needs long to find
    /// another.
    pub(crate) fn connect_from(&self, address: usize) -> TcpStream {
        let ours = || fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        self.try_connect_from(address).unwrap_or_else(|error| {
            panic!(
                "cannot connect: {error}; we have {} descriptors, complaints: {:?}",
                ours(),
                self.complaints()
            )
        })
    }

    /// For a server that may be gone.
    pub(crate) fn try_connect(&self) -> io::Result<TcpStream> {
        self.try_connect_from(0)
    }

    fn try_connect_from(&self, address: usize) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if address > 0 {
            let ours = SocketAddr::from(([127, 0, 0, 1 + address as u8], 0));
            socket.bind(&ours.into())?;
        }
        socket.connect(&self.address().into())?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }

    /// How much processor time it has used, in its own code and in the kernel, in hundredths of a second.
    pub(crate) fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(self.proc("stat")).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// The share of a core that it uses, in percent, while this runs.
    pub(crate) fn load_during(&self, action: impl FnOnce()) -> f64 {
        let (start, before) = (Instant::now(), self.ticks());
        action();
        (self.ticks() - before) as f64 / start.elapsed().as_secs_f64()
    }

    /// Memory in use, in KiB.
    pub(crate) fn rss(&self) -> i64 {
        let status = fs::read_to_string(self.proc("status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(self.proc("fd")).unwrap().count()
    }

    /// How many it has without connections. (It opens its other descriptors only after its first line.)
    pub(crate) fn idle_descriptors(&self) -> usize {
        let client = self.connect();
        echoes(&client, b"x").unwrap();
        let count = self.descriptors() - 1;
        reset(client);
        self.wait_for_descriptors(count);
        count
    }

    fn is_asleep(&self) -> bool {
        fs::read_to_string(self.proc("stat")).unwrap().rsplit_once(')').unwrap().1.starts_with(" S")
    }

    /// Waits until it has only this many descriptors left.
    pub(crate) fn wait_for_descriptors(&self, count: usize) {
        until(&format!("{count} descriptors"), || self.descriptors() == count);
        // The last handler closes its stream, and ends a moment later.
        until("a server that has nothing to do", || self.is_asleep());
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// It must end without being asked.
    pub(crate) fn wait_for_its_end(&mut self) {
        until("the end of a server that cannot go on", || self.has_ended());
    }

    /// Asks it to end, and returns how it ended, and what it has written to the standard error.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>) {
        if !self.has_ended() {
            self.terminate();
        }
        until("the end of a server that was told to end", || self.has_ended());
        let status = self.child.wait().unwrap();
        self.reader.take().into_iter().for_each(|reader| reader.join().unwrap());
        (status, self.complaints())
    }

    /// The end of a server without complaints.
    pub(crate) fn end_well(self) {
        let (status, complaints) = self.end();
        assert!(status.success() && status.signal().is_none(), "{status}: {complaints:?}");
        assert_eq!(complaints, [""; 0]);
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends this and gets it back.
pub(crate) fn echoes(mut stream: &TcpStream, message: &[u8]) -> io::Result<()> {
    stream.write_all(message)?;
    let mut back = vec![0; message.len()];
    stream.read_exact(&mut back)?;
    assert!(back == message, "other bytes came back than were sent");
    Ok(())
}

/// Whether this is what a client sees of a connection that the other side has ended, in whatever way.
pub(crate) fn is_end(error: &io::Error) -> bool {
    use ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected, UnexpectedEof,
    };
    let ends =
        [BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected, UnexpectedEof];
    ends.contains(&error.kind())
}

/// Waits until the server has ended this connection, and returns whether it has.
pub(crate) fn is_ended_by_server(mut stream: &TcpStream) -> bool {
    let mut rest = [0; 4096];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return true,
            Err(error) => panic!("neither bytes nor an end: {error}"),
        }
    }
}

/// Closes with a reset, which leaves nothing behind.
pub(crate) fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Ends our direction, and reads the end of the other.
pub(crate) fn close_in_order(stream: &TcpStream) -> bool {
    stream.shutdown(Shutdown::Write).is_ok() && is_ended_by_server(stream)
}

/// Bytes that show if any of them is in the wrong place.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_add(seed << 8);
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(next).collect()
}

/// The quantile of a list of times, given in thousandths.
pub(crate) fn quantile(times: &mut [Duration], thousandth: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * thousandth / 1000).min(times.len() - 1)]
}
