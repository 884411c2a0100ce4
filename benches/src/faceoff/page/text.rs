//! Text for the page.
//!
//! Facts. A name may hold any character, and five of them mean something to a browser.
//!
//! Contract. All text from a report goes through [`escape`]. An [`anchor`] holds only small letters, digits and dashes,
//! so it needs no escaping.

use crate::faceoff::report::Unit;

/// As it is shown, in an element or in an attribute.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// The name by which a link finds a part of the page.
pub fn anchor(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    text.chars().map(plain).collect()
}

/// A round value, as short as an axis needs it.
pub fn short(unit: Unit, value: f64) -> String {
    let scaled = |names: &[&str]| {
        let mut rest = value;
        let mut names = names.iter();
        let mut name = names.next().copied().unwrap_or_default();
        while rest >= 999.5 {
            let Some(next) = names.next() else { break };
            (rest, name) = (rest / 1000.0, next);
        }
        format!("{}{name}", digits(rest))
    };
    match unit {
        Unit::Nanoseconds => scaled(&[" ns", " µs", " ms", " s"]),
        Unit::Seconds => format!("{} s", digits(value)),
        Unit::Bytes => scaled(&[" B", " kB", " MB", " GB"]),
        Unit::Count => scaled(&["", "k", "M", "G"]),
        Unit::PerSecond => scaled(&["/s", "k/s", "M/s", "G/s"]),
    }
}

/// Two significant digits, without a zero at the end.
fn digits(value: f64) -> String {
    let decimals = if value == 0.0 || value >= 9.5 { 0 } else { (1 - value.log10().floor() as i32).max(0) };
    let text = format!("{value:.*}", decimals as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_browser_would_obey_is_left() {
        assert_eq!(escape("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
        assert_eq!(anchor("echo 64 B, <p50>"), "echo-64-b---p50-");
    }

    #[test]
    fn axes_are_short() {
        let times = [0.5, 20.0, 1_000.0, 2.5e6, 1e9].map(|ns| short(Unit::Nanoseconds, ns));
        assert_eq!(times, ["0.5 ns", "20 ns", "1 µs", "2.5 ms", "1 s"]);
        assert_eq!([0.0, 0.01, 1e5].map(|count| short(Unit::Count, count)), ["0", "0.01", "100k"]);
        assert_eq!(short(Unit::PerSecond, 50_000.0), "50k/s");
    }
}
