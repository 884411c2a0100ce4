//! What two sequences have in common, in order, and what only one of them has.
//!
//! Facts. Two sequences can be compared in several ways that are equally short.
//!
//! What follows. [`pairs`] takes a longest common part. At each place what goes comes before what is new.
//!
//! What it does not know: what the elements are. They may be lines or names.

/// One element of a comparison, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// Both have it: its index in the old sequence, and in the new one.
    Both(usize, usize),
    /// Only the old one has it.
    Old(usize),
    /// Only the new one has it.
    New(usize),
}

/// Compares two sequences.
#[must_use]
pub fn pairs<T: PartialEq>(old: &[T], new: &[T]) -> Vec<Pair> {
    let common = common(old, new);
    let (mut pairs, mut i, mut j) = (Vec::new(), 0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            pairs.push(Pair::Both(i, j));
            (i, j) = (i + 1, j + 1);
        } else if i < old.len() && (j == new.len() || common[i + 1][j] >= common[i][j + 1]) {
            pairs.push(Pair::Old(i));
            i += 1;
        } else {
            pairs.push(Pair::New(j));
            j += 1;
        }
    }
    pairs
}

/// For each place in the two sequences, how many elements the rests from there on have in common, in order.
fn common<T: PartialEq>(old: &[T], new: &[T]) -> Vec<Vec<usize>> {
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = if old[i] == new[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::Pair::{Both, New, Old};
    use super::pairs;

    #[test]
    fn what_goes_comes_before_what_is_new() {
        let pairs = pairs(&["a", "b", "c"], &["a", "x", "y", "c", "d"]);
        assert_eq!(pairs, [Both(0, 0), Old(1), New(1), New(2), Both(2, 3), New(4)]);
    }

    #[test]
    fn an_empty_sequence_has_nothing_in_common() {
        assert_eq!(pairs(&[], &["a"]), [New(0)]);
        assert_eq!(pairs(&["a"], &[]), [Old(0)]);
    }
}
