//! What does this line buy? An ablation replaces one mechanism by a naive one, and both versions are measured.
//!
//! Facts. A benchmark says that something is fast, not why. An explanation from reading the code is a guess. A switch
//! in the product for the sake of a benchmark would be one more thing to read, and the sources would not be those that
//! run.
//!
//! What follows. An [`Ablation`] is a [`patch`] of the real sources, in `benches/ablations/`. It is applied to a copy
//! of `runtime/` and `net/` under `target/faceoff/ablations`, beside a copy without changes; all copies are built there
//! in the same way ([`workshop`]), run as processes, and measured ([`copies`]). The product knows nothing about it.
//!
//! Contract. Every patch applies to today's sources: a test holds that, and says which hunk does not. To mend a patch,
//! apply it with `git apply --reject`, finish the change by hand, and keep what `git diff` prints; leave out comments
//! at the edges of a hunk, so that they can be rewritten. An ablation that buys nothing stays in the [`list`]: that is
//! worth knowing, too.

pub mod copies;
pub mod list;
pub mod patch;
pub mod workshop;

/// One mechanism, and what replaces it.
#[derive(Clone, Copy, Debug)]
pub struct Ablation {
    /// The name of its patch, and of its copy's folder and package.
    pub name: &'static str,
    /// Our mechanism, and in a word or two, what it replaces.
    pub mechanism: &'static str,
    /// What replaces it.
    pub instead: &'static str,
    /// Where the difference should show.
    pub measures: &'static [Measure],
}

/// What is measured of a copy. For a program: its name, what the report calls it, and how many operations one round
/// has. For an echo: how many connections there are, and what the report calls it.
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
    /// How long a message takes beside this many tasks that burn 20 µs and wake themselves.
    Latency(usize, &'static str),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::list::ABLATIONS;
    use super::*;

    #[test]
    fn every_patch_applies_to_todays_sources() {
        let sources = workshop::sources().unwrap();
        for ablation in ABLATIONS {
            let mut texts = sources.clone();
            workshop::ablate(ablation.name, &mut texts).unwrap_or_else(|why| panic!("{why}"));
            assert_ne!(texts, sources, "{} changes nothing", ablation.name);
        }
    }

    #[test]
    fn every_patch_is_that_of_an_ablation() {
        let files = std::fs::read_dir(workshop::root().join("benches/ablations")).unwrap();
        let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let named = ABLATIONS.iter().map(|ablation| format!("{}.patch", ablation.name));
        assert_eq!(files.collect::<BTreeSet<_>>(), named.collect());
    }

    #[test]
    fn each_has_its_own_name_and_something_to_measure() {
        let names: BTreeSet<_> = ABLATIONS.iter().map(|ablation| ablation.name).collect();
        assert!(names.len() == ABLATIONS.len() && !names.contains(workshop::UNTOUCHED));
        assert!(ABLATIONS.iter().all(|ablation| !ablation.measures.is_empty()));
    }
}
