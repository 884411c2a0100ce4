//! The bug gallery: ten faults of the runtime, each with a program that shows it. The learner names the broken invariant
//! and the line.
//!
//! Facts. A fault has to be found twice: first the promise that does not hold, then the place that should keep it. A
//! learner who has only one of the two needs another hint than one who has neither.
//!
//! What follows. The right answers are nowhere written down. They follow from the patches in `examples/labs/faults`: the
//! head of a patch names the invariant, and the lines that it removes are looked for in today's sources.
//!
//! Contract. [`grade`] says for each exhibit what was answered, whether it is right, and what to think about if it is not.
//! A hint never names the line.
//!
//! What it does not know: how the programs are run, and what else the package grades.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A fault, and the program that shows it.
#[derive(Clone, Copy, Debug)]
pub struct Exhibit {
    /// The program, without the ending. Its first letter is the name of the exhibit.
    pub program: &'static str,
    /// The patch, without its number and ending.
    pub fault: &'static str,
    /// What to think about if the invariant is not found.
    idea: &'static str,
    /// What to think about if the line is not found.
    place: &'static str,
}

/// All exhibits, in the order of their letters.
pub const EXHIBITS: &[Exhibit] = &[
    Exhibit {
        program: "a_two_tasks",
        fault: "wakes-twice",
        idea: "The queue runs through the slots: each has one link. What becomes of the link if a slot is pushed again?",
        place: "Which comparison tells a wake that the task is queued already?",
    },
    Exhibit {
        program: "b_taking_turns",
        fault: "stays-queued",
        idea: "Each task was polled once, and woke itself in that poll. What did the wake find?",
        place: "A mark is set when a task is queued. Where is it cleared?",
    },
    Exhibit {
        program: "c_a_waker_that_says_goodbye",
        fault: "drops-in-the-borrow",
        idea: "The panic names the second borrow. What still held the first one while the program's own code ran?",
        place: "The program drops a sleep before its deadline. How long do temporary values of a statement live?",
    },
    Exhibit {
        program: "d_before_it_sleeps",
        fault: "parks-blindly",
        idea: "The wake came before the loop went to sleep. What should the loop have looked at, and when?",
        place: "Two answers are given under one lock. Which of them is not asked for any more?",
    },
    Exhibit {
        program: "e_the_last_byte",
        fault: "short-read-forgets-the-end",
        idea: "The data and the end were reported as one event. What did the short read make of that?",
        place: "A bit remembers that the peer has closed. Where does it decide something?",
    },
    Exhibit {
        program: "f_a_hundred_pipes",
        fault: "closed-before-it-leaves",
        idea: "The descriptors are closed, and yet the loop counts their sources. What has to come before a close?",
        place: "A source that is dropped does two things before its object goes.",
    },
    Exhibit {
        program: "g_for_ever",
        fault: "sleep-wraps",
        idea: "The first round is right. What is different in the second one, if both begin with the same call?",
        place: "A deadline is a sum. What is the largest number that it can be, and what comes after it?",
    },
    Exhibit {
        program: "h_two_panics",
        fault: "panicked-task-dropped-in-unwinding",
        idea: "A panic that begins while another one unwinds ends the process. What has to be dropped here, and when?",
        place: "What holds the task while it is polled, and what does its destructor do?",
    },
    Exhibit {
        program: "i_after_the_end",
        fault: "latecomers-outlive-the-shutdown",
        idea: "What a destructor spawns may run until the timeout. And then?",
        place: "The shutdown has two rounds. What is missing from the second?",
    },
    Exhibit {
        program: "j_a_waiter_that_leaves",
        fault: "grant-dies-with-its-waiter",
        idea: "The first waiter owned the lock from the moment it was called. It never ran. Where is the lock now?",
        place: "A waiter that leaves is in one of three states. In one of them it holds something. Permits pass that on, \
            if they are told. What tells them?",
    },
];

/// A line counts as found if it is at most so many lines away.
const NEAR: usize = 3;

/// How wide the hints are printed.
const WIDTH: usize = 64;

/// What is right for an exhibit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Solution {
    /// The number of the invariant.
    pub invariant: u32,
    /// The file with the fault.
    pub file: String,
    /// The first line that the patch removes or changes.
    pub line: usize,
}

/// What is said of one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The letter of the exhibit.
    pub letter: char,
    /// What was answered.
    pub tried: String,
    /// Whether it is right.
    pub is_right: bool,
    /// What was found, and what to think about.
    pub said: String,
}

/// What is said of all answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// One for each exhibit, in their order.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether all answers are right.
    #[must_use]
    pub fn is_solved(&self) -> bool {
        self.findings.iter().all(|finding| finding.is_right)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { letter, tried, is_right, said } in &self.findings {
            let mark = if *is_right { "ok" } else { "no" };
            writeln!(f, "{letter}  {mark}  {tried}")?;
            wrapped(said).iter().try_for_each(|line| writeln!(f, "       {line}"))?;
        }
        let right = self.findings.iter().filter(|finding| finding.is_right).count();
        writeln!(f, "{right} of {} exhibits are solved", self.findings.len())
    }
}

/// A text in lines that are short enough for a narrow terminal.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + word.chars().count() < WIDTH => *line += &format!(" {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Grades a file of answers, and prints the report. Whether all answers are right.
#[must_use]
pub fn grade_file(file: &Path) -> bool {
    let graded = read(file).and_then(|answers| grade(&answers));
    let is_solved = graded.as_ref().is_ok_and(Report::is_solved);
    let report =
        graded.map_or_else(|why| format!("It cannot be graded. {why}\n"), |report| report.to_string());
    // Without `print!`, which panics if the reader of the output is gone.
    let _ = std::io::stdout().write_all(report.as_bytes());
    is_solved
}

/// Grades the answers: lines such as `a: 7, runtime/src/core/pace.rs:90`. Other lines, and those that begin with `#`, do
/// not count.
///
/// # Errors
///
/// If the patches or the sources are not there.
pub fn grade(answers: &str) -> Result<Report, String> {
    let finding = |exhibit: &Exhibit| {
        let solution = exhibit.solution()?;
        let tried = answer(answers, exhibit.letter());
        let (is_right, said) = exhibit.judge(&tried, &solution);
        Ok(Finding { letter: exhibit.letter(), tried, is_right, said })
    };
    Ok(Report { findings: EXHIBITS.iter().map(finding).collect::<Result<_, String>>()? })
}

/// What is answered for this letter, or nothing.
fn answer(answers: &str, letter: char) -> String {
    let lines = answers.lines().filter(|line| !line.trim_start().starts_with('#'));
    let mut lines = lines.filter_map(|line| line.split_once(':'));
    let found = lines.find(|(name, _)| name.trim().eq_ignore_ascii_case(&letter.to_string()));
    found.map_or(String::new(), |(_, answer)| answer.trim().to_owned())
}

/// The parts of an answer: the invariant, the file and the line.
fn parts(answer: &str) -> Option<(u32, &str, usize)> {
    let (invariant, place) = answer.split_once(',')?;
    let (file, line) = place.trim().rsplit_once(':')?;
    Some((invariant.trim().parse().ok()?, file.trim(), line.trim().parse().ok()?))
}

impl Exhibit {
    /// Its name: `a` for `a_two_tasks`.
    #[must_use]
    pub fn letter(&self) -> char {
        self.program.chars().next().unwrap_or('?')
    }

    /// Whether the answer is right, and what to say.
    fn judge(&self, tried: &str, solution: &Solution) -> (bool, String) {
        let Exhibit { idea, place, .. } = self;
        if tried.is_empty() {
            // An idea that was not asked for would spoil the exhibit.
            return (false, "No answer yet.".to_owned());
        }
        let Some((invariant, file, line)) = parts(tried) else {
            let like = "`7, runtime/src/core/pace.rs:90`";
            return (false, format!("This cannot be read: write a number, a file and a line, like {like}."));
        };
        let is_file = !file.is_empty() && format!("/{}", solution.file).ends_with(&format!("/{file}"));
        let is_line = is_file && line.abs_diff(solution.line) <= NEAR;
        let said = match (invariant == solution.invariant, is_file, is_line) {
            (true, _, true) => return (true, "The promise and the line are right.".to_owned()),
            (true, true, _) => {
                format!("The promise and the file are right, the line is another one. {place}")
            }
            (true, false, _) => format!("The promise is right, the place is another one. {place}"),
            (false, _, true) => format!("The line is right, but another promise is broken. {idea}"),
            (false, ..) => format!("Another promise is broken. {idea}"),
        };
        (false, said)
    }

    /// The right answer, from the patch and today's sources.
    ///
    /// # Errors
    ///
    /// If the patch is not there, or does not fit the sources.
    pub fn solution(&self) -> Result<Solution, String> {
        let patch = self.patch()?;
        let head = |key: &str| patch.lines().find_map(|line| line.strip_prefix(key));
        let (file, promise) = (head("# file: "), head("# invariant: "));
        let invariant = promise.and_then(|promise| promise.split_once('.')?.0.parse().ok());
        let (Some(file), Some(invariant)) = (file, invariant) else {
            return Err(format!("the patch {} names no file, or no invariant by its number", self.fault));
        };
        let source = read(&root()?.join(file))?;
        let line = first_removed(&patch, &source);
        let line = line.ok_or(format!("the lines that {} changes are not in {file}", self.fault))?;
        Ok(Solution { invariant, file: file.to_owned(), line })
    }

    fn patch(&self) -> Result<String, String> {
        let folder = root()?.join("examples/labs/faults");
        let files = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let end = format!("-{}.patch", self.fault);
        let mut files = files.filter_map(Result::ok).map(|file| file.path());
        let file = files.find(|file| file.to_string_lossy().ends_with(&end));
        read(&file.ok_or(format!("no patch in {} is called {}", folder.display(), self.fault))?)
    }
}

/// The number of the first line that a patch removes. Its lines are looked for by their text, because their numbers change
/// with each edit above them.
fn first_removed(patch: &str, source: &str) -> Option<usize> {
    let hunk = patch.lines().skip_while(|line| !line.starts_with("@@ ")).skip(1);
    let hunk: Vec<&str> = hunk.take_while(|line| !line.starts_with("@@ ")).collect();
    let before: Vec<&str> = hunk.iter().filter_map(|line| line.strip_prefix(['-', ' '])).collect();
    let kept = hunk.iter().take_while(|line| line.starts_with(' ')).count();
    let lines: Vec<&str> = source.lines().collect();
    let place = lines.windows(before.len().max(1)).position(|lines| lines == before)?;
    Some(place + kept + 1)
}

/// The workspace's root: the folder above this package that has the patches.
fn root() -> Result<PathBuf, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().find(|folder| folder.join("examples/labs/faults").is_dir());
    Ok(root.ok_or("the folder examples/labs/faults is not there")?.to_owned())
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answers file with these changes of what is right.
    fn answers(change: impl Fn(Solution) -> Solution) -> String {
        let line = |exhibit: &Exhibit| {
            let Solution { invariant, file, line } = change(exhibit.solution().unwrap());
            format!("{}: {invariant}, {file}:{line}\n", exhibit.letter())
        };
        EXHIBITS.iter().map(line).collect()
    }

    /// How often each exhibit was said to be right, and what was said of the first.
    fn graded(answers: &str) -> (usize, String) {
        let report = grade(answers).unwrap();
        assert_eq!(report.findings.len(), EXHIBITS.len());
        let right = report.findings.iter().filter(|finding| finding.is_right).count();
        assert_eq!(report.is_solved(), right == EXHIBITS.len());
        (right, report.findings[0].said.clone())
    }

    #[test]
    fn right_answers_are_right_and_need_not_be_exact() {
        assert_eq!(graded(&answers(|it| it)).0, EXHIBITS.len());
        assert_eq!(graded(&answers(|it| Solution { line: it.line + NEAR, ..it })).0, EXHIBITS.len());
        let short = |it: Solution| Solution { file: it.file.replace("runtime/src/", ""), ..it };
        assert_eq!(
            graded(&answers(short).replace(", ", " ,\t").to_uppercase()).0,
            0,
            "files have small letters"
        );
        assert_eq!(graded(&answers(short).replace(": ", " :  ")).0, EXHIBITS.len());
    }

    #[test]
    fn wrong_answers_have_the_hint_that_helps() {
        let Exhibit { idea, place, .. } = EXHIBITS[0];
        let said = |answers: &str| {
            let (right, said) = graded(answers);
            assert_eq!(right, 0);
            said
        };
        assert_eq!(said(""), "No answer yet.");
        assert_eq!(said("# a: 1, runtime/src/core/slots.rs:1"), "No answer yet.");
        assert!(said("a: slots.rs").starts_with("This cannot be read"));
        let other = |it: Solution| Solution { invariant: it.invariant % 13 + 1, ..it };
        let line_is_right = format!("The line is right, but another promise is broken. {idea}");
        assert_eq!(said(&answers(other)), line_is_right);
        let far = |it: Solution| Solution { line: it.line + NEAR + 1, ..it };
        let file_is_right = format!("The promise and the file are right, the line is another one. {place}");
        assert_eq!(said(&answers(far)), file_is_right);
        let elsewhere = |it: Solution| Solution { file: "runtime/src/lib.rs".into(), ..it };
        let promise_is_right = format!("The promise is right, the place is another one. {place}");
        assert_eq!(said(&answers(elsewhere)), promise_is_right);
        let nothing = |it: Solution| other(elsewhere(it));
        assert_eq!(said(&answers(nothing)), format!("Another promise is broken. {idea}"));
    }

    #[test]
    fn a_report_fits_a_narrow_terminal() {
        let report = grade(&answers(|it| it).replace('a', "b")).unwrap().to_string();
        assert!(report.lines().all(|line| line.chars().count() <= 72), "{report}");
        assert!(report.starts_with("a  no  \n       No answer yet.\nb") && report.ends_with("solved\n"));
        let words = report.split_whitespace().filter(|word| *word == "yet.").count();
        assert_eq!(words, 1, "{report}");
        assert!(!grade_file(Path::new("no such file")));
    }

    #[test]
    fn no_hint_gives_the_place_away() {
        for exhibit in EXHIBITS {
            let Solution { file, .. } = exhibit.solution().unwrap();
            let name = file.rsplit('/').next().unwrap();
            assert!(!exhibit.idea.contains(name) && !exhibit.place.contains(name), "{}", exhibit.program);
        }
    }

    #[test]
    fn letters_and_invariants_are_different() {
        let letters: String = EXHIBITS.iter().map(Exhibit::letter).collect();
        assert_eq!(letters, "abcdefghij");
        let mut invariants: Vec<u32> =
            EXHIBITS.iter().map(|exhibit| exhibit.solution().unwrap().invariant).collect();
        invariants.sort_unstable();
        invariants.dedup();
        assert_eq!(invariants.len(), EXHIBITS.len(), "each exhibit is about another promise");
    }
}
