//! What an echo server leaves when it ends: no memory, and no descriptors but the three that it was given.
//!
//! `valgrind` looks. Where it is missing, this test says so and passes.

use std::fs;
use std::net::TcpStream;

use crate::common::{Echo, close_in_order, echoes, has_tool, noise, reset, skipped, tell, turn};

const LOST: u8 = 99;

#[test]
fn nothing_is_left_when_the_server_has_ended() {
    let _turn = turn();
    const NAME: &str = "nothing_is_left_when_the_server_has_ended";
    if !has_tool(&["valgrind", "--version"]) {
        return skipped(NAME, "valgrind is not installed");
    }
    let log = std::env::temp_dir().join(format!("roundel-siege-{}-valgrind", std::process::id()));
    let (file, code) = (format!("--log-file={}", log.display()), format!("--error-exitcode={LOST}"));
    let kinds = "--errors-for-leak-kinds=definite,indirect,possible";
    let wrapper = ["valgrind", "--leak-check=full", kinds, "--track-fds=yes", &code, &file];
    let echo = Echo::start_under(&wrapper, &["--idle-timeout", "600"]);
    let clients: Vec<TcpStream> = (0..50).map(|_| echo.connect()).collect();
    for round in 0..3 {
        clients.iter().for_each(|client| echoes(client, &noise(5_000, round)).unwrap());
    }
    // Some clients leave in order, some do not, and some are there when the server ends.
    let mut clients = clients.into_iter();
    clients.by_ref().take(15).for_each(|client| assert!(close_in_order(&client)));
    clients.by_ref().take(15).for_each(reset);
    let (status, complaints) = echo.end();
    let found = fs::read_to_string(&log).unwrap();
    let _ = fs::remove_file(&log);
    assert!(status.success(), "{status}: {complaints:?}\n{found}");
    let descriptors = found.lines().find(|line| line.contains("FILE DESCRIPTORS:")).unwrap_or(&found);
    tell!("leaks: {} connections were open at the end; {descriptors}", clients.len());
    let heap = found.lines().find(|line| line.contains("in use at exit")).unwrap_or(&found);
    tell!("leaks: {heap}");
    // Besides those three there may be descriptors that this test has inherited.
    let inherited = found.matches("<inherited from parent>").count();
    assert!(descriptors.contains(&format!(": {} open (3 std)", 3 + inherited)), "{found}");
}
