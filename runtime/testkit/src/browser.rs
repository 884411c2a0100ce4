//! A real browser without a window, which looks at a page.
//!
//! Facts. A browser's window is never narrower than 500 pixels, but a phone's is; a frame in a window may have any
//! width. A browser starts a dozen processes, and some outlive it when it is killed. Its profile is a folder.
//!
//! Contract. Each look is a new browser with an empty profile in its own process group; it has [`PATIENCE`] to end, and
//! then the group is killed. Nothing of it is left.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::say;

const PATIENCE: Duration = Duration::from_secs(150);
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
];

/// What the system asks of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Dark letters on a light ground.
    Light,
    /// Light letters on a dark ground.
    Dark,
}

/// A browser that is installed here, and a folder for its files.
#[derive(Debug)]
pub struct Browser {
    program: PathBuf,
    folder: PathBuf,
}

impl Browser {
    /// `None` if there is no browser, and a line that says so. `name` is the test's, and its files go into a folder of that
    /// name in `folder`.
    ///
    /// # Panics
    ///
    /// If the folder cannot be made.
    #[must_use]
    pub fn find(name: &str, folder: &str) -> Option<Browser> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let places = NAMES
            .iter()
            .flat_map(|name| std::env::split_paths(&folders).map(move |folder| folder.join(name)));
        let Some(program) = places.into_iter().find(|place| place.is_file()) else {
            say(&format!("SKIPPED: there is no chromium; {name} has not looked at the page"));
            return None;
        };
        let folder = Path::new(folder).join(format!("page-{name}"));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        Some(Browser { program, folder })
    }

    /// The page in a frame of this width, after the script has run in the page around it. The script sees the page's
    /// document as `page` and its window as `view`, and its result is returned.
    ///
    /// # Panics
    ///
    /// If the browser does not end in time, or does not answer.
    #[must_use]
    pub fn ask(&self, page: &str, width: u32, theme: Theme, script: &str) -> String {
        let text = format!("{}{}", framed(page, width, 900), asking(script));
        answer(&self.look(&text, "ask", theme, &["--window-size=1400,1000", "--dump-dom"]))
    }

    /// The same for a page that has an address, of which `part` is the end: `#event=12`. It also returns what the page has
    /// written to the console, errors among it.
    ///
    /// # Panics
    ///
    /// If the browser does not end in time, or does not answer.
    #[must_use]
    pub fn visit(&self, page: &str, part: &str, width: u32, theme: Theme, script: &str) -> (String, String) {
        let file = self.folder.join("visited.html");
        fs::write(&file, page).expect("a page is written");
        let frame = frame(width, 900, &format!("src=\"file://{}{part}\"", file.display()));
        let flags = [
            "--window-size=1400,1000",
            "--dump-dom",
            "--allow-file-access-from-files",
            "--enable-logging=stderr",
        ];
        let dump = self.look(&format!("{frame}{}", asking(script)), "visit", theme, &flags);
        let said = fs::read_to_string(self.folder.join(format!("visit-{theme:?}.err"))).unwrap_or_default();
        let console: Vec<&str> = said.lines().filter(|line| line.contains(":CONSOLE")).collect();
        (answer(&dump), console.join("\n"))
    }

    /// A picture of the top of the page, this many pixels high.
    ///
    /// # Panics
    ///
    /// If the browser does not end in time, or makes no picture.
    #[must_use]
    pub fn picture(&self, page: &str, (width, height): (u32, u32), theme: Theme) -> Vec<u8> {
        let file = self.folder.join(format!("{width}-{theme:?}.png"));
        let size = format!("--window-size={width},{height}");
        let shot = format!("--screenshot={}", file.display());
        self.look(&framed(page, width, height), &format!("{width}"), theme, &[&size, &shot]);
        fs::read(&file).unwrap_or_else(|error| panic!("there is no picture {}: {error}", file.display()))
    }

    fn look(&self, text: &str, name: &str, theme: Theme, flags: &[&str]) -> String {
        let at = |ending: &str| self.folder.join(format!("{name}-{theme:?}.{ending}"));
        fs::write(at("html"), text).expect("a page is written");
        let [out, err] =
            ["out", "err"].map(|end| fs::File::create(at(end)).expect("a file for what the browser says"));
        let profile = at("profile");
        let _ = fs::remove_dir_all(&profile);
        let mut command = Command::new(&self.program);
        command.args(FLAGS).args(flags).arg(format!("--user-data-dir={}", profile.display()));
        command.arg(format!("--blink-settings=preferredColorScheme={}", u8::from(theme == Theme::Light)));
        command.arg(format!("file://{}", at("html").display()));
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        Group(child).wait();
        let _ = fs::remove_dir_all(&profile);
        fs::read_to_string(at("out")).expect("what the browser has said")
    }
}

/// A browser and all that it has started.
struct Group(Child);

impl Group {
    fn wait(&mut self) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.0.try_wait().expect("a child can be waited for") {
                return assert!(status.success(), "the browser ended with {status}");
            }
            sleep(Duration::from_millis(20));
        }
        panic!("the browser has not ended within {PATIENCE:?}");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

/// A page that shows another one at a width that no window has.
fn framed(page: &str, width: u32, height: u32) -> String {
    let page = page.replace('&', "&amp;").replace('"', "&quot;");
    frame(width, height, &format!("srcdoc=\"{page}\""))
}

fn frame(width: u32, height: u32, what: &str) -> String {
    format!(
        "<!DOCTYPE html><meta charset=\"utf-8\"><meta name=\"color-scheme\" content=\"light dark\">\
         <style>body {{ margin: 0 }} iframe {{ display: block; border: 0 }}</style>\
         <iframe width=\"{width}\" height=\"{height}\" {what}></iframe>"
    )
}

/// The part of the page around the frame that runs the script, and writes down what it returns. On a busy machine, the frame
/// may have loaded before this is read.
fn asking(script: &str) -> String {
    format!(
        "<pre id=\"answer\"></pre><script>\nconst frame = document.querySelector('iframe');\n\
         frame.onload = () => {{\n  const page = frame.contentDocument, view = frame.contentWindow;\n\
         const ask = () => {{ {script} }};\n  document.getElementById('answer').textContent = ask();\n}};\n\
         const there = frame.contentDocument;\n\
         if (there.URL !== 'about:blank' && there.readyState === 'complete') frame.onload();\n</script>"
    )
}

/// What the script has returned, with `&amp;` and the like as the browser writes them.
fn answer(dump: &str) -> String {
    let answer = dump.split_once("<pre id=\"answer\">").and_then(|(_, after)| after.split_once("</pre>"));
    answer.unwrap_or_else(|| panic!("the browser did not answer: {dump}")).0.to_owned()
}
