//! Takes the picture in the README: `cargo run --release -p docs --bin picture`. Look at it afterwards, and at the words beside
//! it.
//!
//! It records `breakfast`, makes its page, and opens it in Chromium at the event that chapter 15 looks at first.

#![forbid(unsafe_code)]

use std::fs;
use std::process::{Command, ExitCode};

use docs::programs::{build, target};
use docs::root;
use docs::traces::{TRACES, page};

const PICTURE: &str = "docs/pictures/see.png";
const FLAGS: [&str; 6] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--window-size=1200,900",
    // The light theme.
    "--blink-settings=preferredColorScheme=1",
];

fn main() -> ExitCode {
    match record().and_then(|address| shoot(&address)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("picture: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The address of the page, with the event.
fn record() -> Result<String, String> {
    build(&["breakfast", "see"])?;
    let shown =
        TRACES.iter().find(|shown| shown.name == "breakfast").ok_or("there is no trace of breakfast")?;
    let folder = target()?.join("traces");
    Ok(format!("file://{}", folder.join(page(shown, &folder)?).display()))
}

fn shoot(address: &str) -> Result<(), String> {
    let folder = target()?.join("traces/browser");
    let shot = folder.join("shot.png");
    let flags = [format!("--screenshot={}", shot.display()), format!("--user-data-dir={}", folder.display())];
    let output = Command::new("chromium").args(FLAGS).args(flags).arg(address).output();
    let output = output.map_err(|error| format!("chromium: {error}"))?;
    let copied = fs::copy(shot, root().join(PICTURE));
    let _ = fs::remove_dir_all(folder);
    copied.map(drop).map_err(|_| format!("no picture: {}", String::from_utf8_lossy(&output.stderr)))
}
