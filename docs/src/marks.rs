//! The marks in a chapter, and the listings that belong between them.
//!
//! Facts. A listing that was copied by hand is wrong after the next change of its source. A reader on a code host sees
//! the Markdown as it is, so the listing has to be in it.
//!
//! What follows. A chapter says where a listing comes from, and the listing stands between two marks:
//!
//! ```text
//! <!-- cite: runtime/src/core/pace.rs: fn look_is_due -->     a piece of a source, found by a text that occurs once
//! <!-- cite: examples/examples/hello.rs: let a = .. join(b) -->   from a line to a line
//! <!-- cite: examples/examples/hello.rs -->                       a whole file
//! <!-- output: hello -->                                 what that example prints
//! <!-- output: from_scratch_1 --fast; times vary -->     the same, with arguments; its numbers may differ
//! <!-- see: breakfast; --why milk -->                    what `see` says of a run of that example
//! <!-- see: breakfast; --log; timer 0 .. toast is over -->    only these lines of it
//! <!-- strace: one_echo -->                              what it asks the kernel for, from its first line to its last
//! <!-- piece: 5 3 -->                                    the third piece of the fifth rung of the ladder
//! <!-- piece: 5 3-4 -->                                  two pieces, printed as one
//! <!-- end -->
//! ```
//!
//! `cargo run -p docs --bin book` puts the listings in, and a test checks that they are up to date. If you change or
//! remove a line that is cited, read the chapter again.
//!
//! What it does not know: whether the text around a listing is true.

use std::ops::Range;

/// What a mark asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A piece of a source.
    Cite {
        /// Its path below the workspace's root.
        file: String,
        /// A text of the first line, or nothing for the whole file.
        from: String,
        /// A text of the last line, or nothing for the end of the item that begins with the first.
        to: String,
    },
    /// What an example prints.
    Output {
        /// The example and its arguments.
        words: Vec<String>,
        /// Whether the numbers in it differ from run to run.
        times_vary: bool,
    },
    /// What `see` says of a run of an example.
    See {
        /// The example.
        program: String,
        /// The arguments of `see` after the name of the trace.
        words: Vec<String>,
        /// A text of the first line, or nothing for all lines.
        from: String,
        /// A text of the last line.
        to: String,
    },
    /// What an example asks the kernel for, as strace tells it: between the first line that it prints and the last.
    Strace {
        /// The example and its arguments.
        words: Vec<String>,
    },
    /// What a reader types on the way to a rung of the ladder.
    Piece {
        /// The rung, from one.
        rung: usize,
        /// The first piece, from one.
        first: usize,
        /// The last piece.
        last: usize,
    },
}

/// A mark, and where in the chapter its listing stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The line of the mark, from one.
    pub line: usize,
    /// What it asks for.
    pub ask: Ask,
    /// The bytes after the mark, up to the end mark.
    pub listing: Range<usize>,
}

const BEGIN: &str = "<!-- ";
const CLOSE: &str = " -->";
const END: &str = "<!-- end -->";

/// All marks of a chapter, in their order.
///
/// # Errors
///
/// If a mark has no end, or cannot be understood: the line, and why.
pub fn marks(chapter: &str) -> Result<Vec<Mark>, String> {
    let mut found = Vec::new();
    let mut at = 0;
    for (index, line) in chapter.split_inclusive('\n').enumerate() {
        let begin = at + line.len();
        at = begin;
        let Some(ask) =
            asked(line.trim_end()).transpose().map_err(|why| format!("line {}: {why}", index + 1))?
        else {
            continue;
        };
        let length = chapter[begin..]
            .find(END)
            .ok_or(format!("line {}: there is no `{END}` after this mark", index + 1))?;
        found.push(Mark { line: index + 1, ask, listing: begin..begin + length });
    }
    Ok(found)
}

fn asked(line: &str) -> Option<Result<Ask, String>> {
    let inner = line.strip_prefix(BEGIN)?.strip_suffix(CLOSE)?;
    match inner.split_once(": ")? {
        ("cite", what) => Some(Ok(cite(what))),
        ("output", what) => Some(Ok(output(what))),
        ("see", what) => Some(Ok(see(what))),
        ("strace", what) => Some(Ok(Ask::Strace { words: words(what) })),
        ("piece", what) => Some(ladder_piece(what).ok_or(format!("`{what}` is no rung and no piece of it"))),
        _ => None,
    }
}

fn cite(what: &str) -> Ask {
    let (file, range) = what.split_once(": ").unwrap_or((what, ""));
    let (from, to) = range.split_once(" .. ").unwrap_or((range, ""));
    Ask::Cite { file: file.into(), from: from.into(), to: to.into() }
}

fn output(what: &str) -> Ask {
    let (words, how) = what.split_once("; ").unwrap_or((what, ""));
    Ask::Output { words: self::words(words), times_vary: how == "times vary" }
}

fn see(what: &str) -> Ask {
    let mut parts = what.split("; ");
    let (program, words) = (parts.next().unwrap_or_default(), parts.next().unwrap_or("--log"));
    let (from, to) = parts.next().and_then(|range| range.split_once(" .. ")).unwrap_or(("", ""));
    Ask::See { program: program.into(), words: self::words(words), from: from.into(), to: to.into() }
}

fn ladder_piece(what: &str) -> Option<Ask> {
    let (rung, pieces) = what.split_once(' ')?;
    let (first, last) = pieces.split_once('-').unwrap_or((pieces, pieces));
    let [rung, first, last] = [rung, first, last].map(|number| number.parse().ok());
    Some(Ask::Piece { rung: rung?, first: first?, last: last? })
}

fn words(what: &str) -> Vec<String> {
    what.split(' ').map(str::to_owned).collect()
}

/// A piece of a source: the lines, and the numbers of the first and the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The lines without their common indentation.
    pub text: String,
    /// Numbered from one.
    pub first: usize,
    /// Inclusive.
    pub last: usize,
}

/// Finds a piece by the text of its first line and of its last.
///
/// # Errors
///
/// If the source does not have the text, or has it more than once: which text.
pub fn piece(source: &str, from: &str, to: &str) -> Result<Piece, String> {
    let lines: Vec<&str> = source.lines().collect();
    let first = if from.is_empty() { 0 } else { only(&lines, 0, from)? };
    let last = match (from, to) {
        ("", _) => lines.len() - 1,
        (_, "") => end_of_item(&lines, first)?,
        (_, to) => first + only(&lines[first..], first, to)?,
    };
    Ok(Piece { text: without_indent(&lines[first..=last]), first: first + 1, last: last + 1 })
}

/// The index of the only line with this text. Lines that begin with it come before lines that only contain it.
fn only(lines: &[&str], before: usize, text: &str) -> Result<usize, String> {
    let at = |is: &dyn Fn(&str) -> bool| -> Vec<usize> {
        lines.iter().enumerate().filter(|(_, line)| is(line)).map(|(index, _)| index).collect()
    };
    let begins = at(&|line| line.trim_start().starts_with(text));
    let found = if begins.is_empty() { at(&|line| line.contains(text)) } else { begins };
    match found[..] {
        [index] => Ok(index),
        [] => Err(format!("no line has `{text}`")),
        [one, another, ..] => {
            Err(format!("lines {} and {} both have `{text}`", before + one + 1, before + another + 1))
        }
    }
}

/// The line that closes what the first one opens. rustfmt gives both the same indentation.
fn end_of_item(lines: &[&str], first: usize) -> Result<usize, String> {
    let indent = indent(lines[first]);
    if lines[first].trim_end().ends_with([';', '}']) {
        return Ok(first);
    }
    let closes = |line: &str| {
        line.len() > indent && self::indent(line) == indent && line[indent..].starts_with(['}', ')', ']'])
    };
    let end = lines[first + 1..].iter().position(|line| closes(line) && !line.trim_end().ends_with('{'));
    end.map(|end| first + 1 + end).ok_or(format!("what `{}` begins has no end", lines[first].trim()))
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn without_indent(lines: &[&str]) -> String {
    let least =
        lines.iter().filter(|line| !line.trim().is_empty()).map(|line| indent(line)).min().unwrap_or(0);
    lines.iter().map(|line| format!("{}\n", line.get(least..).unwrap_or("").trim_end())).collect()
}

/// The text of a chapter with these listings between its marks.
pub fn with_listings(chapter: &str, listings: &[(Mark, String)]) -> String {
    let mut text = String::new();
    let mut at = 0;
    for (mark, listing) in listings {
        text.push_str(&chapter[at..mark.listing.start]);
        text.push_str(listing);
        at = mark.listing.end;
    }
    text + &chapter[at..]
}

/// A text in which each number is replaced, to compare outputs whose numbers vary.
pub fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for letter in text.chars() {
        let number = letter.is_ascii_digit() || inside && (letter == '.' || letter == ',');
        match (number, inside) {
            (true, false) => out.push('#'),
            (false, _) => out.push(letter),
            (true, true) => {}
        }
        inside = number;
    }
    // Columns are aligned with spaces, so a number with more digits has fewer spaces before it.
    out.split_inclusive('\n')
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
        .collect()
}

/// The names of the calls in a listing of strace, in their order. Numbers, addresses and results are not compared.
pub fn calls(listing: &str) -> Vec<&str> {
    let names = listing.lines().filter_map(|line| Some(line.split_once('(')?.0));
    let is_name = |name: &&str| name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    // Some machines have only `epoll_pwait`, of which `epoll_wait` is a special case.
    names.filter(is_name).map(|name| if name == "epoll_pwait" { "epoll_wait" } else { name }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "use a;\n\nimpl X {\n    /// Doc.\n    fn one(\n        &self,\n    ) -> u8 {\n        1\n    }\n\n    fn two() {}\n}\n";

    #[test]
    fn an_item_ends_where_it_is_closed() {
        let found = piece(SOURCE, "fn one", "").unwrap();
        assert_eq!((found.first, found.last), (5, 9));
        assert_eq!(found.text, "fn one(\n    &self,\n) -> u8 {\n    1\n}\n");
        assert_eq!(piece(SOURCE, "fn two", "").unwrap().text, "fn two() {}\n");
        assert_eq!(piece(SOURCE, "impl X", "").unwrap().last, 12);
    }

    #[test]
    fn a_range_goes_from_line_to_line() {
        let found = piece(SOURCE, "/// Doc", ") -> u8").unwrap();
        assert_eq!((found.first, found.last), (4, 7));
        assert_eq!(piece(SOURCE, "", "").unwrap().last, 12);
    }

    #[test]
    fn what_has_vanished_or_is_not_alone_is_an_error() {
        assert_eq!(piece(SOURCE, "fn three", ""), Err("no line has `fn three`".into()));
        assert_eq!(piece(SOURCE, "fn", ""), Err("lines 5 and 11 both have `fn`".into()));
    }

    #[test]
    fn marks_are_found_with_their_listings() {
        let chapter = "# A\n<!-- cite: a/b.rs: fn x .. end of it -->\nold\n<!-- end -->\n<!-- a note -->\n<!-- output: hello --x; times vary -->\n<!-- end -->\n";
        let found = marks(chapter).unwrap();
        assert_eq!(
            found[0].ask,
            Ask::Cite { file: "a/b.rs".into(), from: "fn x".into(), to: "end of it".into() }
        );
        assert_eq!(&chapter[found[0].listing.clone()], "old\n");
        assert_eq!(found[1].ask, Ask::Output { words: vec!["hello".into(), "--x".into()], times_vary: true });
        let filled =
            with_listings(chapter, &[(found[0].clone(), "new\n".into()), (found[1].clone(), "out\n".into())]);
        assert_eq!(filled.replace("new", "old").replace("out\n", ""), chapter);
        assert!(marks("<!-- output: hello -->\n").unwrap_err().starts_with("line 1: there is no"));
    }

    #[test]
    fn what_see_says_may_be_cut() {
        let mark = &marks("<!-- see: breakfast; --log; a .. b -->\n<!-- end -->\n").unwrap()[0];
        let (words, from, to) = (vec!["--log".into()], "a".into(), "b".into());
        assert_eq!(mark.ask, Ask::See { program: "breakfast".into(), words, from, to });
    }

    #[test]
    fn a_piece_has_two_numbers_or_three() {
        let ask = |what: &str| marks(&format!("<!-- piece: {what} -->\n<!-- end -->\n"));
        let found = ask("5 3").unwrap();
        assert_eq!(found[0].ask, Ask::Piece { rung: 5, first: 3, last: 3 });
        assert_eq!(ask("5 3-4").unwrap()[0].ask, Ask::Piece { rung: 5, first: 3, last: 4 });
        assert_eq!(ask("5"), Err("line 1: `5` is no rung and no piece of it".into()));
    }

    #[test]
    fn of_a_trace_the_names_of_the_calls_are_compared() {
        let mark = &marks("<!-- strace: one_echo unix -->\n<!-- end -->\n").unwrap()[0];
        assert_eq!(mark.ask, Ask::Strace { words: vec!["one_echo".into(), "unix".into()] });
        let trace =
            "$ strace x\nwrite(1, \"a\", 1) = 1\nepoll_pwait(3, [], 8, -1, NULL, 8) = 1\n+++ exited (0)\n";
        assert_eq!(calls(trace), ["write", "epoll_wait"]);
    }

    #[test]
    fn numbers_that_vary_are_not_compared() {
        assert_eq!(
            without_numbers("took   1.5 ms, 20 times\n"),
            without_numbers("took 13,000 ms, 2 times\n")
        );
        assert_ne!(without_numbers("took 1 ms"), without_numbers("took 1 s"));
    }
}
