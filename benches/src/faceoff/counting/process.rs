//! A child seen from outside: it is started, asked, and ended.
//!
//! Facts. A tool is the parent of the process that it watches, so ending the tool does not end the child. A child that
//! hangs is silent for ever. Only `faceoff` decides what Ctrl-C means.
//!
//! What follows. A [`Process`] is a process group of its own, and is ended as a group. A thread collects its lines, and
//! the wait for a line has a limit. Its files are in a folder that is removed with it. A contender that cannot run
//! under a tool, because the tool does not know the kernel's newest calls, is absent and not wrong.
//!
//! The program that counts allocations is built if it is missing, or older than this one.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::faceoff::counting::child::{READ, Reading, STOP, WORD};
use crate::faceoff::counting::tools::Tool;
use crate::faceoff::job::Miss;

/// A child that has said nothing for this long hangs.
const PATIENCE: Duration = Duration::from_secs(100);

/// One of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// With the usual allocator.
    Plain,
    /// With an allocator that counts.
    Counting,
}

impl Program {
    fn file(self) -> Result<PathBuf, Miss> {
        match self {
            Program::Plain => env::current_exe().map_err(|error| miss("this program has no file", error)),
            Program::Counting => counting().clone().map_err(Miss::Wrong),
        }
    }
}

fn miss(what: &str, error: impl std::fmt::Display) -> Miss {
    Miss::Wrong(format!("{what}: {error}"))
}

/// The program that counts allocations. It is built if necessary, before anything is measured, because a build is
/// noise.
pub fn counting() -> &'static Result<PathBuf, String> {
    static FILE: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
        let ours = env::current_exe().map_err(|error| format!("this program has no file: {error}"))?;
        let file = ours.with_file_name("counts");
        let changed = |file: &Path| fs::metadata(file).and_then(|data| data.modified()).ok();
        if changed(&file).is_none_or(|then| changed(&ours).is_some_and(|now| then < now)) {
            build()?;
        }
        if file.exists() { Ok(file) } else { Err(format!("{} is not there", file.display())) }
    });
    &FILE
}

fn build() -> Result<(), String> {
    // Cargo decides whether there is anything to build.
    eprintln!("faceoff: `counts`, which counts allocations, is older than this program");
    let mut command = Command::new(cargo());
    command.args(["build", "--locked", "--release", "-p", "benches", "--bin", "counts"]);
    match command.current_dir(root()).stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`counts` cannot be built: cargo ended with {status}")),
        Err(error) => Err(format!("`counts` cannot be built, because cargo cannot be run: {error}")),
    }
}

/// The cargo that runs us, or else the one in the path.
pub fn cargo() -> std::ffi::OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    let benches = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let benches = PathBuf::from(benches);
    benches.parent().map_or(benches.clone(), Path::to_owned)
}

/// A folder of its own, which is removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder, Miss> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("faceoff-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path).map_err(|error| miss("cannot make a folder for a tool's output", error))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A child, perhaps under a tool.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    /// The connection over which a server is told what to do.
    told_by: Option<TcpStream>,
    tool: Option<Tool>,
    folder: Folder,
}

impl Process {
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start(program: Program, tool: Option<Tool>, words: &[&str]) -> Result<Process, Miss> {
        let (file, folder) = (program.file()?, Folder::new()?);
        let mut all = tool.map_or(Vec::new(), |tool| tool.words(&folder.0));
        all.push(file.display().to_string());
        let errors = fs::File::create(folder.0.join("errors")).map_err(|error| miss("no file", error))?;
        let mut command = Command::new(&all[0]);
        command.args(&all[1..]).args(words).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command.spawn().map_err(|error| miss("cannot be started", error))?;
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Ok(Process { child, lines, told_by: None, tool, folder })
    }

    /// The next line that it prints.
    ///
    /// # Errors
    ///
    /// If it ends instead, or hangs.
    pub fn line(&mut self) -> Result<String, Miss> {
        self.lines.recv_timeout(PATIENCE).map_err(|_| self.failure())
    }

    /// Its address; from now on it can be asked.
    ///
    /// # Errors
    ///
    /// If it does not serve.
    pub fn address(&mut self) -> Result<SocketAddr, Miss> {
        let address = self.line()?.parse().map_err(|error| miss("it does not say where it serves", error))?;
        let stream = TcpStream::connect(address).map_err(|error| miss("it does not serve", error))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|error| miss("it cannot be asked", error))?;
        self.told_by = Some(stream);
        Ok(address)
    }

    /// The reading that it prints by itself.
    ///
    /// # Errors
    ///
    /// If it prints something else.
    pub fn reading(&mut self) -> Result<Reading, Miss> {
        let line = self.line()?;
        Reading::parse(&line).ok_or_else(|| Miss::Wrong(format!("this is not a reading: `{line}`")))
    }

    /// The reading of a child that serves.
    ///
    /// # Errors
    ///
    /// If it has ended, or hangs.
    pub fn ask(&mut self) -> Result<Reading, Miss> {
        self.tell(READ).map_err(|_| self.failure())?;
        self.reading()
    }

    /// Sends a word to a server, and reads its echo.
    fn tell(&mut self, word: &[u8; WORD]) -> io::Result<()> {
        let stream = self.told_by.as_mut().expect("only one that serves is told");
        stream.write_all(word)?;
        stream.read_exact(&mut [0; WORD])
    }

    /// Stops it when it has nothing left to do. Everything that is sent until it [goes on](Process::go_on) is there when
    /// it looks.
    ///
    /// # Errors
    ///
    /// If it always has something to do, or has ended.
    pub fn halt(&mut self) -> Result<(), Miss> {
        self.await_state('S')?;
        self.signal(Signal::STOP);
        self.await_state('T')
    }

    /// Lets it go on after a [`halt`](Process::halt). The kernel first ends its wait, as if a signal had come.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process(process, signal);
        }
    }

    /// Waits until the kernel says that its first thread sleeps (`S`) or is stopped (`T`).
    fn await_state(&self, state: char) -> Result<(), Miss> {
        let (file, start) = (format!("/proc/{}/stat", self.child.id()), Instant::now());
        while start.elapsed() < PATIENCE {
            let text = fs::read_to_string(&file).map_err(|_| self.failure())?;
            // The state follows the name, which is in brackets and may contain anything.
            if text.rsplit(") ").next().is_some_and(|rest| rest.starts_with(state)) {
                return Ok(());
            }
            thread::sleep(Duration::from_micros(50));
        }
        Err(self.failure())
    }

    /// Waits for its end, and returns what the tool has counted between the readings.
    ///
    /// # Errors
    ///
    /// If it fails or hangs, or if the tool's output has another form.
    pub fn end(mut self) -> Result<Vec<f64>, Miss> {
        if self.told_by.is_some() {
            let _ = self.tell(STOP); // Its answer is its end.
        }
        let start = Instant::now();
        while self.child.try_wait().is_ok_and(|status| status.is_none()) && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(2));
        }
        if !self.child.try_wait().is_ok_and(|status| status.is_some_and(|status| status.success())) {
            return Err(self.failure());
        }
        match self.tool {
            None => Ok(Vec::new()),
            Some(tool) => tool.parts(&self.folder.0).map_err(|error| miss(tool.name(), error)),
        }
    }

    /// What it has said about its failure.
    fn failure(&self) -> Miss {
        let errors = fs::read_to_string(self.folder.0.join("errors")).unwrap_or_default();
        let said = errors.lines().filter(|line| !line.starts_with("==") && !line.starts_with("note: "));
        let said = said.collect::<Vec<_>>().join(" ");
        let said = if said.trim().is_empty() { "it has ended or hangs" } else { said.trim() };
        match self.tool {
            Some(tool) if errors.contains("unhandled") => {
                Miss::Absent(format!("{} cannot run it: {said}", tool.name()))
            }
            _ => Miss::Wrong(said.to_owned()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let (Ok(None), Some(group)) = (self.child.try_wait(), Pid::from_raw(self.child.id() as i32)) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Whether a tool is there; looked up once.
pub fn has(tool: Tool) -> bool {
    static STRACE: OnceLock<bool> = OnceLock::new();
    static VALGRIND: OnceLock<bool> = OnceLock::new();
    let known = if tool == Tool::Strace { &STRACE } else { &VALGRIND };
    *known.get_or_init(|| tool.is_there())
}
