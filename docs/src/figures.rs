//! The figures of the book: `cargo run -p docs --bin figures` draws them.
//!
//! Facts. A figure that was drawn by hand shows what was true on that day. A number in it is copied from a source, and
//! nothing notices when the source changes.
//!
//! What follows. Each figure is a function that draws boxes, arrows and labels ([`Drawing`]). It takes its numbers from
//! the sources ([`constant`]), the layers from `docs/design.md`, and the states of a slot by their names. A test draws
//! all of them again and compares. A constant that has got another name makes the drawing fail.
//!
//! What it does not know: where a figure stands in the book.

mod cancelling;
pub mod drawing;
mod kernel;
mod map;
mod queue;
mod sharing;
mod tasks;
mod timing;

use std::fs;

use crate::root;
use drawing::Drawing;

/// All figures, each with the name of its file below `docs/pictures`, without the ending.
#[must_use]
pub fn all() -> Vec<(&'static str, Drawing)> {
    vec![
        ("map", map::map()),
        ("turn", map::turn()),
        ("state-machine", tasks::state_machine()),
        ("lost-wake", tasks::lost_wake()),
        ("sequence", tasks::sequence()),
        ("number", tasks::number()),
        ("slab", tasks::slab()),
        ("edges", kernel::edges()),
        ("journey", kernel::journey()),
        ("inbox", kernel::inbox()),
        ("ready-queue", queue::ready_queue()),
        ("states", queue::states()),
        ("lanes", queue::lanes()),
        ("timers", timing::timers()),
        ("virtual-time", timing::virtual_time()),
        ("pacing", timing::pacing()),
        ("omission", timing::omission()),
        ("cancel", cancelling::cancel()),
        ("scope", cancelling::scope()),
        ("serve", cancelling::serve()),
        ("lock", sharing::lock()),
        ("deadlock", sharing::deadlock()),
    ]
}

/// The text of a source.
fn source(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// What a constant of a source is defined as, for example `40_000` or `1 << 20`.
///
/// # Panics
///
/// If there is no such constant.
#[must_use]
pub fn defined(file: &str, name: &str) -> String {
    let text = source(file);
    let begin = format!("const {name}: ");
    let lines = text.lines().map(|line| {
        line.trim_start()
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("pub(super) ")
            .trim_start_matches("pub ")
    });
    let found = lines.filter_map(|line| line.strip_prefix(&begin)?.split_once(" = ")).next();
    let (_, value) = found.unwrap_or_else(|| panic!("{file} has no constant {name}, which a figure shows"));
    value.split(';').next().unwrap_or_default().to_owned()
}

/// The first number in the definition of a constant.
///
/// # Panics
///
/// If there is no such constant, or no number in it.
#[must_use]
pub fn constant(file: &str, name: &str) -> u64 {
    let value = defined(file, name);
    let digits: String = value.chars().skip_while(|letter| !letter.is_ascii_digit()).collect();
    let end = digits.find(|letter: char| !letter.is_ascii_digit() && letter != '_').unwrap_or(digits.len());
    let number = digits[..end].replace('_', "").parse();
    number.unwrap_or_else(|_| panic!("{file}: {name} is `{value}`, which is no number"))
}

/// Makes sure that a source still has a name that a figure shows, and returns the name.
fn named<'a>(file: &str, name: &'a str) -> &'a str {
    assert!(source(file).contains(name), "{file} does not mention {name}, which a figure shows");
    name
}
