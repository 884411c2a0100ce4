//! The exhibits of the bug gallery: each is a program that compiles, is short, and has a text of what it prints beside it.

#![forbid(unsafe_code)]

use std::fs;

use docs::faults::exhibits;
use docs::faults::gallery::EXHIBITS;
use docs::root;

/// Compiles the programs. They are run by `cargo run -p docs --bin faults`.
macro_rules! exhibits {
    ($($name:ident $file:literal)*) => {
        /// The names of the programs.
        const PROGRAMS: &[&str] = &[$(stringify!($name)),*];
        $(
            #[allow(dead_code, reason = "it is a program")]
            #[path = $file]
            mod $name;
        )*
    };
}

exhibits! {
    a_two_tasks "../../examples/labs/gallery/a_two_tasks.rs"
    b_taking_turns "../../examples/labs/gallery/b_taking_turns.rs"
    c_a_waker_that_says_goodbye "../../examples/labs/gallery/c_a_waker_that_says_goodbye.rs"
    d_before_it_sleeps "../../examples/labs/gallery/d_before_it_sleeps.rs"
    e_the_last_byte "../../examples/labs/gallery/e_the_last_byte.rs"
    f_a_hundred_pipes "../../examples/labs/gallery/f_a_hundred_pipes.rs"
    g_for_ever "../../examples/labs/gallery/g_for_ever.rs"
    h_two_panics "../../examples/labs/gallery/h_two_panics.rs"
    i_after_the_end "../../examples/labs/gallery/i_after_the_end.rs"
    j_a_waiter_that_leaves "../../examples/labs/gallery/j_a_waiter_that_leaves.rs"
}

#[test]
fn every_exhibit_is_a_short_program_with_its_text() {
    let programs: Vec<&str> = EXHIBITS.iter().map(|exhibit| exhibit.program).collect();
    assert_eq!(programs, PROGRAMS);
    for exhibit in EXHIBITS {
        let name = exhibit.program;
        let file = root().join("examples/labs/gallery").join(name).with_extension("rs");
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines < 40, "{name}.rs has {lines} lines");
        let text = exhibits::text(exhibit);
        let text = text.strip_prefix("As it should be:\n").unwrap_or_else(|| panic!("{name}.txt"));
        let parts = text.split_once("With the fault:\n").map(|(sound, faulty)| (sound.trim(), faulty.trim()));
        assert!(parts.is_some_and(|(sound, faulty)| sound != faulty), "{name}.txt shows no difference");
    }
}

#[test]
fn the_answers_of_a_learner_begin_empty() {
    let file = root().join("examples/labs/stubs/14_gallery.txt");
    let report = docs::faults::gallery::grade(&fs::read_to_string(file).unwrap()).unwrap();
    assert!(report.findings.iter().all(|finding| finding.said.starts_with("No answer yet.")));
}
