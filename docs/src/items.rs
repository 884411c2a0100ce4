//! A rung of the ladder as its items.
//!
//! Facts. In a rung there is one blank line between two items, and none inside an item. An `impl` block begins with a line
//! that ends in ` {`, and ends with a line `}`.
//!
//! What follows. [`items`] cuts a source at its blank lines, and [`source`] puts it together again, byte for byte. So an
//! item can be added, replaced or removed without any effect on the others. The first lines of a rung (its header, its
//! attributes, its `use` lines) count as items, too.
//!
//! What it does not know: Rust. A source with a blank line inside a function is cut there.

/// A function, a type, or some other lines without a blank line between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The lines that open the `impl` block around it, if there is one.
    pub block: Option<String>,
    /// Its lines, with its comments and attributes.
    pub lines: Vec<String>,
}

/// The words that begin an item.
const KINDS: [&str; 6] = ["fn", "struct", "type", "static", "const", "use"];

impl Item {
    /// What it is and what it is called, such as `fn wake`.
    #[must_use]
    pub fn name(&self) -> String {
        let first = self.lines.first().map_or("", String::as_str);
        if first.starts_with("//!") {
            return "header".to_owned();
        }
        if first.starts_with("#![") {
            return "attributes".to_owned();
        }
        self.lines.iter().find_map(|line| declared(line)).unwrap_or_else(|| first.trim().to_owned())
    }

    /// The `impl` block around it, without the brace.
    #[must_use]
    pub fn block_name(&self) -> Option<&str> {
        Some(self.block.as_deref()?.lines().last()?.trim_end_matches(" {"))
    }

    /// What tells it from all other items of a rung. A type that was another kind of item before keeps its key.
    #[must_use]
    pub fn key(&self) -> (Option<String>, String) {
        let name = self.name();
        let word = if name.starts_with("use ") { &name } else { name.rsplit(' ').next().unwrap_or_default() };
        (self.block.clone(), word.to_owned())
    }
}

/// What a line declares, such as `fn wake`. `None` for a comment, an attribute, or a line inside an item.
fn declared(line: &str) -> Option<String> {
    let mut rest = line.trim_start();
    for prefix in ["pub(crate) ", "thread_local!(", "async "] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    let (kind, rest) = rest.split_once(' ')?;
    let word: String = rest.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    KINDS.contains(&kind).then(|| format!("{kind} {word}"))
}

/// The items of a source, in their order.
#[must_use]
pub fn items(source: &str) -> Vec<Item> {
    let mut found = Vec::new();
    let mut block: Option<String> = None;
    for part in source.trim_end().split("\n\n").filter(|part| !part.is_empty()) {
        let mut lines: Vec<String> = part.lines().map(str::to_owned).collect();
        // The lines that open a block belong to all items in it.
        let opens = lines.iter().position(|line| line.starts_with("impl") && line.ends_with('{'));
        if block.is_none()
            && let Some(at) = opens
        {
            let rest = lines.split_off(at + 1);
            block = Some(std::mem::replace(&mut lines, rest).join("\n"));
        }
        // So does the brace that closes it.
        let is_last = block.is_some() && lines.last().is_some_and(|line| line == "}");
        if is_last {
            lines.pop();
        }
        found.push(Item { block: block.clone(), lines });
        if is_last {
            block = None;
        }
    }
    found
}

/// The source with these items.
#[must_use]
pub fn source(items: &[Item]) -> String {
    let mut source = String::new();
    let mut block = &None;
    for item in items {
        // A block is closed before its successor, and opened before its first item.
        let is_new = item.block != *block;
        if is_new && block.is_some() {
            source += "}\n";
        }
        if !source.is_empty() {
            source += "\n";
        }
        if let Some(opens) = item.block.as_ref().filter(|_| is_new) {
            source += &format!("{opens}\n");
        }
        source += &text(item);
        block = &item.block;
    }
    if block.is_some() { source + "}\n" } else { source }
}

/// The lines of an item.
#[must_use]
pub fn text(item: &Item) -> String {
    item.lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::{items, source};
    use crate::pieces::rungs;

    const SOURCE: &str = "//! A.\n\nuse a;\n\n/// B.\nimpl B {\n    /// C.\n    async fn c() {\n    }\n\n    fn d() {}\n}\n\nthread_local!(static E: u8 = 1);\n";

    #[test]
    fn an_item_has_a_name_and_a_block() {
        let items = items(SOURCE);
        let names: Vec<_> = items.iter().map(|item| (item.block_name(), item.name())).collect();
        let expected = [
            (None, "header"),
            (None, "use a"),
            (Some("impl B"), "fn c"),
            (Some("impl B"), "fn d"),
            (None, "static E"),
        ];
        assert_eq!(names, expected.map(|(block, name)| (block, name.to_owned())));
        assert_eq!(source(&items), SOURCE);
    }

    #[test]
    fn every_rung_is_its_items_and_no_two_have_the_same_key() {
        for rung in rungs() {
            let items = items(&rung.text);
            assert_eq!(source(&items), rung.text, "{}", rung.path);
            for (at, item) in items.iter().enumerate() {
                let twin = items[..at].iter().find(|other| other.key() == item.key());
                assert!(twin.is_none(), "{}: {} is there twice", rung.path, item.name());
            }
        }
    }
}
