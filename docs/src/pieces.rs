//! What a reader types to come from one rung of the ladder to the next, in small pieces.
//!
//! Facts. A rung is the one before it with some items changed. A listing of the whole file hides which. The header of a
//! rung says what the rung has taught, so it is best written last.
//!
//! What follows. A *piece* adds, replaces or removes one item. The `use` lines come first, then all other items in the
//! order of the file, and the header last. [`states`] is the file before the first piece, and after each. The last
//! state is the next rung, byte for byte.
//!
//! What it does not know: whether a state compiles. Only the last one of each rung has to.

use crate::diff::{Pair, pairs};
use crate::items::{Item, items, source};
use crate::{Source, sources};

/// The twelve rungs, in their order.
#[must_use]
pub fn rungs() -> Vec<Source> {
    let mut rungs = sources("examples/from_scratch", &[".rs"]);
    let number =
        |rung: &Source| rung.module().split('_').next().and_then(|number| number.parse::<u32>().ok());
    rungs.sort_by_key(number);
    rungs
}

/// The file before the first piece of this rung, and after each. The first rung begins with an empty file.
///
/// # Errors
///
/// If there is no such rung.
pub fn states_of(rung: usize) -> Result<Vec<String>, String> {
    let rungs = rungs();
    let new = rung.checked_sub(1).and_then(|at| rungs.get(at));
    let new = new.ok_or(format!("there is no rung {rung}; there are {}", rungs.len()))?;
    let old = if rung > 1 { &*rungs[rung - 2].text } else { "" };
    Ok(states(old, &new.text))
}

/// The old text, the text after each piece, and so at last the new text.
#[must_use]
pub fn states(old: &str, new: &str) -> Vec<String> {
    let (mut now, new) = (items(old), items(new));
    let mut states = vec![source(&now)];
    for change in changes(&now, &new) {
        change.make(&mut now);
        states.push(source(&now));
    }
    states
}

/// What a piece does.
enum Change {
    Remove(Item),
    /// The second item takes the place of the first.
    Replace(Item, Item),
    /// The items before it in the new text tell where it goes.
    Add(Vec<Item>, Item),
}

/// The changes between two texts, in the order in which they are typed.
fn changes(old: &[Item], new: &[Item]) -> Vec<Change> {
    let keys = |items: &[Item]| items.iter().map(Item::key).collect::<Vec<_>>();
    let change = |pair| match pair {
        Pair::Old(i) => Some(Change::Remove(old[i].clone())),
        Pair::New(j) => Some(Change::Add(new[..j].to_vec(), new[j].clone())),
        Pair::Both(i, j) => (old[i] != new[j]).then(|| Change::Replace(old[i].clone(), new[j].clone())),
    };
    let mut changes: Vec<_> = pairs(&keys(old), &keys(new)).into_iter().filter_map(change).collect();
    changes.sort_by_key(|change| match &*change.item().name() {
        "header" => 2,
        "attributes" => 0,
        name => u8::from(!name.starts_with("use ")),
    });
    changes
}

impl Change {
    fn item(&self) -> &Item {
        let (Change::Remove(item) | Change::Replace(_, item) | Change::Add(_, item)) = self;
        item
    }

    fn make(self, items: &mut Vec<Item>) {
        match self {
            Change::Remove(gone) => items.retain(|item| *item != gone),
            Change::Replace(gone, item) => {
                items.iter_mut().filter(|old| **old == gone).for_each(|old| *old = item.clone());
            }
            Change::Add(before, item) => {
                let place = |key| items.iter().position(|item| item.key() == key);
                // After the nearest of the items before it that is there already.
                let after = before.iter().rev().find_map(|item| place(item.key()));
                items.insert(after.map_or(0, |at| at + 1), item);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{rungs, states, states_of};

    #[test]
    fn the_pieces_make_the_ladder_from_an_empty_file() {
        let rungs = rungs();
        assert!(rungs.len() == 12, "{} rungs", rungs.len());
        let mut file = String::new();
        for (rung, number) in rungs.iter().zip(1..) {
            let states = states_of(number).expect("a rung");
            assert!(states[0] == file, "{} does not begin with the rung before it", rung.path);
            file = states.last().expect("a state").clone();
            assert!(file == rung.text, "{} is not what its pieces make", rung.path);
        }
        assert!(states_of(0).is_err() && states_of(13).is_err());
    }

    #[test]
    fn use_lines_come_first_and_the_header_last() {
        let states = states("//! A.\n\nuse std::a;\n\nfn b() {}\n", "//! Z.\n\nuse std::y;\n\nfn c() {}\n");
        let expected = [
            "//! A.\n\nuse std::y;\n\nfn b() {}\n",
            "//! A.\n\nuse std::y;\n",
            "//! A.\n\nuse std::y;\n\nfn c() {}\n",
            "//! Z.\n\nuse std::y;\n\nfn c() {}\n",
        ];
        assert_eq!(states[1..], expected);
    }
}
