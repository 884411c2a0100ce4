//! How a contender looks: a colour, and a shape for readers who see no colours.
//!
//! Contract. A contender looks the same everywhere on the page. `style.css` gives the colours to the classes, for light
//! and for dark. Ours has a colour and a shape that no other contender has; an unknown name has those of its number.

use crate::contenders::NAMES;
use crate::faceoff::page::text::escape;
use crate::faceoff::report::FLOOR;
use crate::faceoff::tables::OURS;

/// A description, for readers who do not know it.
pub fn about(name: &str) -> &'static str {
    match name {
        "roundel" => "ours",
        "tokio" => "tokio, current_thread, spawn",
        "tokio_local" => "tokio, LocalRuntime, spawn_local",
        "smol" => "async-executor's LocalExecutor with async-io",
        "monoio" => "monoio on epoll",
        "monoio_uring" => "monoio on io_uring",
        "compio" => "compio on io_uring",
        "mio" => "a bare loop without a runtime: the floor, not a contender",
        "asyncio" => "CPython, a guest",
        "uvloop" => "CPython with uvloop, a guest",
        _ => "",
    }
}

/// The class that carries the colour: `k0` is ours.
pub fn class(name: &str) -> String {
    format!("k{}", number(name))
}

fn number(name: &str) -> usize {
    let known = NAMES.iter().position(|known| *known == name);
    known.unwrap_or_else(|| 1 + name.bytes().map(usize::from).sum::<usize>() % (NAMES.len() - 1))
}

/// Its name beside a bar: the floor says that it is one. A long name may be broken at an underscore.
pub fn label(name: &str) -> String {
    let text = escape(name).replace('_', "_<wbr>");
    match name {
        OURS => format!("<b>{text}</b>"),
        FLOOR => format!("{text} <i>(floor)</i>"),
        _ => text,
    }
}

/// Its shape around the point 0,0, at most seven wide to each side.
fn outline(name: &str) -> &'static str {
    const SHAPES: [&str; 10] = [
        "M-6.5 0a6.5 6.5 0 1 0 13 0a6.5 6.5 0 1 0 -13 0z",
        "M-4.5 -4.5h9v9h-9z",
        "M0 -6.5l6.5 6.5l-6.5 6.5l-6.5 -6.5z",
        "M0 -6l6 10.5h-12z",
        "M0 6l6 -10.5h-12z",
        "M-6 0l10.5 -6v12z",
        "M6 0l-10.5 -6v12z",
        "M-1.6 -6h3.2v4.4h4.4v3.2h-4.4v4.4h-3.2v-4.4h-4.4v-3.2h4.4z",
        "M-6 -1.8h12v3.6h-12z",
        "M-1.8 -6h3.6v12h-3.6z",
    ];
    SHAPES[number(name)]
}

/// Its sign, to be put into a drawing at 0,0.
pub fn shape(name: &str) -> String {
    format!("<path class=\"shape {}\" d=\"{}\"/>", class(name), outline(name))
}

/// Its sign, as a drawing of its own beside its name.
pub fn sign(name: &str) -> String {
    let shape = shape(name);
    format!(
        "<svg class=\"sign\" viewBox=\"-8 -8 16 16\" width=\"16\" height=\"16\" aria-hidden=\"true\">{shape}</svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn everyone_known_has_a_colour_and_a_shape_of_its_own() {
        let colours: BTreeSet<String> = NAMES.iter().map(|name| class(name)).collect();
        let shapes: BTreeSet<&str> = NAMES.iter().map(|name| outline(name)).collect();
        assert_eq!((colours.len(), shapes.len()), (NAMES.len(), NAMES.len()));
        assert!(NAMES.iter().all(|name| !about(name).is_empty()));
    }

    #[test]
    fn no_contender_looks_like_us() {
        assert_eq!(class(OURS), "k0");
        let strangers = ["Arc wakers", "b", "c", "BTreeMap timers", "j"];
        assert!(strangers.iter().all(|name| class(name) != "k0"));
    }
}
