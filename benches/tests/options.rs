//! The face-off does what its options ask for, or refuses at once: a mistake that shows after ten minutes is an
//! expensive one.

#![forbid(unsafe_code)]

use std::process::{Command, Output};

fn faceoff(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_faceoff")).args(words).output().expect("faceoff")
}

/// Nothing was measured; this is the complaint.
fn refused(words: &[&str]) -> String {
    let output = faceoff(words);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{words:?}: {output:?}");
    String::from_utf8(output.stderr).expect("text")
}

#[test]
fn help_names_every_group() {
    let output = faceoff(&["--help"]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success());
    benches::faceoff::groups::GROUPS.iter().for_each(|group| assert!(text.contains(group.name), "{text}"));
}

#[test]
fn what_is_not_understood_is_said() {
    assert!(refused(&["--only", "nonsense"]).contains("there is no group `nonsense`"));
    assert!(refused(&["--only"]).contains("`--only` needs a value"));
    assert!(refused(&["--fast"]).contains("`--fast` is not understood"));
}

#[test]
fn words_that_would_be_passed_over_are_refused() {
    assert!(refused(&["--from", "some.json", "--only", "network"]).contains("`--from` measures nothing"));
    assert!(refused(&["--write"]).contains("`--write` goes with `--check`"));
    assert!(refused(&["--check", "--json", "some.json"]).contains("nothing else"));
}

#[test]
fn a_file_that_cannot_be_read_or_written_is_said_first() {
    let control = |words: &[&str]| refused(&[&["--only", "control"], words].concat());
    assert!(refused(&["--from", "missing.json"]).contains("cannot read missing.json"));
    assert!(control(&["--json", "/no/such/folder/a.json"]).contains("cannot write /no/such/folder/a.json"));
    assert!(control(&["--html", "/no/such/folder/a.html"]).contains("cannot write /no/such/folder/a.html"));
    assert!(control(&["--chapter", "missing.md"]).contains("cannot read missing.md"));
}
