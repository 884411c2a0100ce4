//! Draws the figures of the book: `cargo run -p docs --bin figures`.
//!
//! It says which pictures have changed. Look at each of them in a browser, on a light and on a dark page.

#![forbid(unsafe_code)]

use std::io::Write;

use docs::figures::all;
use docs::root;

fn main() -> std::io::Result<()> {
    for (name, drawing) in all() {
        let (path, new) = (root().join(format!("docs/pictures/{name}.svg")), drawing.svg());
        if std::fs::read_to_string(&path).is_ok_and(|old| old == new) {
            continue;
        }
        std::fs::write(&path, new)?;
        // Without `println!`, which panics if the reader of the output is gone.
        let _ = writeln!(std::io::stdout(), "docs/pictures/{name}.svg: changed");
    }
    Ok(())
}
