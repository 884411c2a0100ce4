//! What a reader types to come from one rung of the ladder to the next.
//!
//! Facts. A rung is the one before it with some lines changed. A listing of the whole file hides which.
//!
//! What follows. [`pieces`] are the places that differ, in the order of the file: how many lines go, and which come.
//! Applied in order, from an empty file on, they give each rung byte for byte.
//!
//! What it does not know: Rust. A piece may begin within a function.

/// One place that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The lines of the old file before this place.
    pub after: usize,
    /// How many lines of the old file go.
    pub removed: usize,
    /// The lines that come in their place.
    pub added: Vec<String>,
}

/// The places in which two texts differ.
#[must_use]
pub fn pieces(old: &str, new: &str) -> Vec<Piece> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let common = common(&old, &new);
    let (mut found, mut i, mut j) = (Vec::new(), 0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
            continue;
        }
        // From here to the next line that both have.
        let (first, mut added) = (i, Vec::new());
        while (i < old.len() || j < new.len()) && !(i < old.len() && j < new.len() && old[i] == new[j]) {
            if j < new.len() && (i == old.len() || common[i][j + 1] >= common[i + 1][j]) {
                added.push(new[j].to_owned());
                j += 1;
            } else {
                i += 1;
            }
        }
        found.push(Piece { after: first, removed: i - first, added });
    }
    found
}

/// For each place in the two texts, how many lines the rests from there on have in common, in order.
fn common(old: &[&str], new: &[&str]) -> Vec<Vec<usize>> {
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

/// The new text: the old one with these pieces in it.
#[must_use]
pub fn applied(old: &str, pieces: &[Piece]) -> String {
    let old: Vec<&str> = old.lines().collect();
    let (mut lines, mut next) = (Vec::new(), 0);
    for piece in pieces {
        lines.extend(&old[next..piece.after]);
        lines.extend(piece.added.iter().map(String::as_str));
        next = piece.after + piece.removed;
    }
    lines.extend(&old[next..]);
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::{applied, pieces};
    use crate::sources;

    #[test]
    fn the_pieces_make_the_ladder_from_an_empty_file() {
        let mut rungs = sources("examples/from_scratch", &[".rs"]);
        let number = |module: &str| module.split('_').next().and_then(|number| number.parse::<u32>().ok());
        rungs.sort_by_key(|rung| number(rung.module()));
        assert!(rungs.len() == 12, "{} rungs", rungs.len());
        let mut file = String::new();
        for rung in rungs {
            let pieces = pieces(&file, &rung.text);
            file = applied(&file, &pieces);
            assert!(file == rung.text, "{} is not what its {} pieces make", rung.path, pieces.len());
        }
    }

    #[test]
    fn a_piece_is_what_goes_and_what_comes() {
        let pieces = pieces("a\nb\nc\n", "a\nx\ny\nc\nd\n");
        assert_eq!(
            pieces.iter().map(|piece| (piece.after, piece.removed)).collect::<Vec<_>>(),
            [(1, 1), (3, 0)]
        );
        assert_eq!(applied("a\nb\nc\n", &pieces), "a\nx\ny\nc\nd\n");
    }
}
