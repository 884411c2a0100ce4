//! What does this line buy? One mechanism after the other is replaced by a naive one, and both are measured.
//!
//! Facts. A benchmark says that something is quick, not why. Whoever explains it by reading the code guesses. A switch in
//! the product for the sake of a benchmark would be one more thing to read, and the sources would not be those that run.
//!
//! What follows. An [`Ablation`] is a list of *edits* of the real sources. They are made in a copy of `runtime/` and `net/`
//! under `target/faceoff/ablations`, beside a copy that is left untouched; all are built there in the same way
//! ([`workshop`]), run as processes, and measured ([`tools`]). The product knows nothing of it.
//!
//! Contract. The text that an edit replaces stands exactly once in today's sources; a test holds that, so none of them can
//! rot silently. An ablation that buys nothing stays in the list: that is worth knowing, too.

pub mod list;
pub mod tools;
pub mod workshop;

pub use list::ABLATIONS;

/// One mechanism, and what there would be without it.
#[derive(Clone, Copy, Debug)]
pub struct Ablation {
    /// That of its copy's folder and package.
    pub name: &'static str,
    /// What does this buy? Ours, and in a word, what it is instead of.
    pub mechanism: &'static str,
    /// What stands in its place.
    pub instead: &'static str,
    pub edits: &'static [Edit],
    /// Where it should be felt.
    pub measures: &'static [Measure],
}

/// One change of one file.
#[derive(Clone, Copy, Debug)]
pub struct Edit {
    /// Its path below the root of the workspace.
    pub file: &'static str,
    pub change: Change,
}

#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// One text in place of another.
    Text { from: &'static str, to: &'static str },
    /// This is the file now.
    Whole(&'static str),
}

/// What is measured of a copy: of a program its name and what people call it, and how much it does in one round; of an
/// echo, how many connections there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// How long an operation takes.
    Time(&'static str, &'static str, u64),
    /// Allocations per operation.
    Allocations(&'static str, &'static str, u64),
    /// User instructions per operation.
    Instructions(&'static str, &'static str, u64),
    /// System calls per operation.
    Calls(&'static str, &'static str, u64),
    /// Processor time per message.
    Echo(usize, &'static str),
    /// System calls per message; a single connection pauses between them.
    EchoCalls(usize, &'static str),
    /// User instructions per message.
    EchoInstructions(usize, &'static str),
    /// How long a message takes beside so many tasks that burn 20 µs and wake themselves.
    Latency(usize, &'static str),
}

impl Edit {
    /// The text after the edit.
    ///
    /// # Errors
    ///
    /// If what is to be replaced does not stand there, or not only once.
    pub fn apply(&self, text: &str) -> Result<String, String> {
        let (from, to) = match self.change {
            Change::Whole(whole) => return Ok(whole.to_owned()),
            Change::Text { from, to } => (from, to),
        };
        match text.matches(from).count() {
            1 => Ok(text.replacen(from, to, 1)),
            found => Err(format!("{} has {found} times, instead of once, the text: {from}", self.file)),
        }
    }
}

impl Ablation {
    /// A file as this ablation has it.
    ///
    /// # Errors
    ///
    /// If an edit does not fit.
    pub fn edited(&self, file: &str, text: String) -> Result<String, String> {
        let edits = self.edits.iter().filter(|edit| edit.file == file);
        let edited = edits.into_iter().try_fold(text, |text, edit| edit.apply(&text));
        edited.map_err(|why| format!("the ablation {} does not fit any more: {why}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edit_fits_todays_sources() {
        for ablation in ABLATIONS {
            for edit in ablation.edits {
                let text = std::fs::read_to_string(workshop::root().join(edit.file)).unwrap();
                let edited = ablation.edited(edit.file, text.clone()).unwrap_or_else(|why| panic!("{why}"));
                assert_ne!(edited, text, "{} changes nothing in {}", ablation.name, edit.file);
            }
        }
    }

    #[test]
    fn an_edit_that_does_not_fit_says_so() {
        let edit = Edit { file: "a.rs", change: Change::Text { from: "one", to: "two" } };
        assert_eq!(edit.apply("just one").as_deref(), Ok("just two"));
        assert!(edit.apply("two").unwrap_err().contains("a.rs has 0 times"));
        assert!(edit.apply("one, one").unwrap_err().contains("a.rs has 2 times"));
    }

    #[test]
    fn each_has_a_name_of_its_own_and_something_to_measure() {
        let mut names: Vec<_> = ABLATIONS.iter().map(|ablation| ablation.name).collect();
        assert!(!names.contains(&workshop::UNTOUCHED));
        assert!(ABLATIONS.iter().all(|ablation| !ablation.edits.is_empty() && !ablation.measures.is_empty()));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ABLATIONS.len());
    }
}
