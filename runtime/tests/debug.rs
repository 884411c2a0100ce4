//! The warnings of debug mode, read from the standard error of a separate process.

#![forbid(unsafe_code)]

use std::process::Command;
use std::time::Duration;

use roundel::{Runtime, spawn, spawn_named, time};

/// Runs this test again in a separate process, in which only `program` runs. Returns its standard error.
fn said(name: &str, debug: Option<&str>, program: impl FnOnce()) -> Option<Vec<String>> {
    if std::env::var_os("ROUNDEL_TEST_ALONE").is_some() {
        program();
        return None;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env("ROUNDEL_TEST_ALONE", "1");
    // Printing a backtrace takes longer than a poll should.
    command.env("RUST_BACKTRACE", "0");
    match debug {
        Some(value) => command.env("ROUNDEL_DEBUG", value),
        None => command.env_remove("ROUNDEL_DEBUG"),
    };
    let output = command.output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    Some(text.lines().filter(|line| line.starts_with("roundel: ")).map(String::from).collect())
}

/// The warning of `sleepers`: of the task that blocks, and of nothing else. On a busy machine any poll may be slow, and is
/// rightly warned of, so there are several tries.
fn one_warning(name: &str, debug: Option<&str>, program: impl Fn()) -> Option<String> {
    let mut lines = Vec::new();
    for _ in 0..20 {
        lines = said(name, debug, &program)?;
        if lines.len() == 1 && lines[0].contains("kept the loop for 1") {
            return lines.pop();
        }
    }
    panic!("{lines:?}");
}

/// One task awaits for long, one blocks for long, and one blocks briefly.
async fn sleepers() {
    let awaits = spawn_named("awaits", time::sleep(Duration::from_millis(150)));
    let blocks = spawn_named("blocks", async { std::thread::sleep(Duration::from_millis(150)) });
    let pauses = spawn_named("pauses", async { std::thread::sleep(Duration::from_millis(1)) });
    for task in [awaits, blocks, pauses] {
        task.await.unwrap();
    }
}

#[test]
fn row_121_122_e4_a_poll_of_150_ms_is_warned_of_once_and_an_await_is_not() {
    let name = "row_121_122_e4_a_poll_of_150_ms_is_warned_of_once_and_an_await_is_not";
    let program = || Runtime::builder().debug(true).build().unwrap().block_on(sleepers());
    let Some(line) = one_warning(name, None, program) else { return };
    assert!(line.contains("\"blocks\" (spawned at ") && line.contains("debug.rs:"), "{line}");
    assert!(line.contains("`blocking::unblock`"), "{line}");
}

#[test]
fn row_121_the_environment_switches_it_on_and_nothing_does_so_by_itself() {
    let name = "row_121_the_environment_switches_it_on_and_nothing_does_so_by_itself";
    let program = || roundel::run(sleepers());
    let Some(line) = one_warning(name, Some("1"), program) else { return };
    assert!(line.contains("\"blocks\""), "{line}");
    assert_eq!(said(name, None, || ()).unwrap(), [""; 0]);
    assert_eq!(said(name, Some("0"), || ()).unwrap(), [""; 0]);
}

#[test]
fn row_26_e3_a_panic_that_no_handle_will_report_is_reported_when_that_is_certain() {
    let name = "row_26_e3_a_panic_that_no_handle_will_report_is_reported_when_that_is_certain";
    let program = || {
        Runtime::builder().debug(true).build().unwrap().block_on(async {
            let heard = spawn(async { panic!("heard") });
            let unheard = spawn_named("forgotten", async { panic!("unheard") });
            assert!(heard.await.is_err());
            roundel::testing::settle().await;
            drop(unheard);
            spawn_named("let go", async { panic!("unheard, too") }).detach();
            roundel::testing::settle().await;
        });
    };
    let Some(mut lines) = said(name, None, program) else { return };
    // (On a busy machine any poll may be slow.)
    lines.retain(|line| !line.contains("kept the loop"));
    let [first, second] = &lines[..] else { panic!("{lines:?}") };
    assert!(first.contains("\"forgotten\" (spawned at "), "{first}");
    assert!(second.contains("\"let go\"") && second.contains("its handle was dropped"), "{second}");
}

/// Standard error is a pipe without a reader, and a full disk.
#[cfg(target_os = "linux")]
#[test]
fn hazard_63_warnings_that_cannot_be_written_do_no_harm() {
    let name = "hazard_63_warnings_that_cannot_be_written_do_no_harm";
    if std::env::var_os("ROUNDEL_TEST_ALONE").is_some() {
        roundel::run(async {
            spawn(async { std::thread::sleep(Duration::from_millis(150)) }).await.unwrap();
            println!("the loop went on");
        });
        return;
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    for broken in [std::process::Stdio::from(writer), full.into()] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([name, "--exact", "--nocapture"])
            .env("ROUNDEL_TEST_ALONE", "1")
            .env("ROUNDEL_DEBUG", "1");
        let output = command.stderr(broken).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("the loop went on"), "{text}");
    }
}

/// If the program's own sink panics in debug mode, it is dropped, and the warnings go on.
#[test]
fn hazard_63_warnings_outlive_a_sink_that_panics() {
    let name = "hazard_63_warnings_outlive_a_sink_that_panics";
    let program = || {
        let sink = |_| panic!("a sink that panics, on purpose");
        Runtime::builder().debug(true).probe(sink).build().unwrap().block_on(sleepers());
    };
    one_warning(name, None, program);
}
