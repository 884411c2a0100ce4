//! The learner's files, and what is known of them.
//!
//! Facts. `stubs` has each lab as it begins. `work` has the same files; there the learner writes. They are compared to
//! tell whether a lab has been begun. `work/.solved` has a line for each lab that passed, with a number made from the
//! text that passed.
//!
//! Contract. A file that a learner may have changed is only overwritten by [`Desk::reset`], after a question, and after a
//! copy of it has been made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::list::Lab;

/// The folder with `stubs` and `work`.
#[derive(Clone, Debug)]
pub struct Desk(PathBuf);

/// How far a learner has come with a lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The file is as it was.
    Fresh,
    /// The file differs from the stub, and has not passed.
    Begun,
    /// The file has passed.
    Solved,
    /// A file passed that was changed after that.
    Changed,
}

impl Desk {
    /// The desk of this package.
    #[must_use]
    pub fn here() -> Desk {
        Desk::at(env!("CARGO_MANIFEST_DIR"))
    }

    /// The desk in this folder.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Desk {
        Desk(folder.into())
    }

    /// The learner's file of a lab.
    #[must_use]
    pub fn work(&self, lab: &Lab) -> PathBuf {
        self.0.join("work").join(lab.file_name())
    }

    fn stub(&self, lab: &Lab) -> PathBuf {
        self.0.join("stubs").join(lab.file_name())
    }

    /// Puts the stub where the learner's file is missing. Says whether it was.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or written.
    pub fn prepare(&self, lab: &Lab) -> io::Result<bool> {
        let is_missing = !self.work(lab).exists();
        if is_missing {
            copy_new(&self.stub(lab), &self.work(lab))?;
        }
        Ok(is_missing)
    }

    /// How far the learner has come.
    #[must_use]
    pub fn state(&self, lab: &Lab) -> State {
        let (work, stub) = (fs::read(self.work(lab)).ok(), fs::read(self.stub(lab)).ok());
        let passed = self.solved().into_iter().find(|(number, _)| *number == lab.number);
        match (passed, work) {
            (Some((_, sum)), Some(work)) if sum == checksum(&work) => State::Solved,
            (Some(_), Some(_)) => State::Changed,
            (None, Some(work)) if Some(&work) != stub.as_ref() => State::Begun,
            _ => State::Fresh,
        }
    }

    /// Notes that the learner's file, as it is now, has passed.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or written.
    pub fn note_solved(&self, lab: &Lab) -> io::Result<()> {
        let sum = checksum(&read(&self.work(lab))?);
        let others = self.solved().into_iter().filter(|(number, _)| *number != lab.number);
        let lines = others.chain([(lab.number, sum)]).map(|(number, sum)| format!("{number} {sum}\n"));
        write(&self.0.join("work/.solved"), lines.collect::<String>().as_bytes())
    }

    /// The labs that have passed, each with the checksum of the text that did. Lines that cannot be read do not count.
    fn solved(&self) -> Vec<(usize, u64)> {
        let text = fs::read_to_string(self.0.join("work/.solved")).unwrap_or_default();
        let line = |line: &str| {
            let (number, sum) = line.split_once(' ')?;
            Some((number.parse().ok()?, sum.parse().ok()?))
        };
        text.lines().filter_map(line).collect()
    }

    /// Puts the stub back in place of the learner's file, if `agrees` says yes to the name of the copy that is kept.
    /// Returns that name. If the file is as it was, there is nothing to do and nothing to ask.
    ///
    /// # Errors
    ///
    /// If the copy cannot be made; then the learner's file is as it was.
    pub fn reset(&self, lab: &Lab, agrees: impl FnOnce(&Path) -> bool) -> io::Result<Reset> {
        if self.prepare(lab)? || read(&self.work(lab))? == read(&self.stub(lab))? {
            return Ok(Reset::Fresh);
        }
        let copy = self.free_name(lab);
        if !agrees(&copy) {
            return Ok(Reset::Refused);
        }
        // The copy first: what fails after this line loses nothing.
        copy_new(&self.work(lab), &copy)?;
        write(&self.work(lab), &read(&self.stub(lab))?)?;
        Ok(Reset::Done(copy))
    }

    /// The first name that no copy has.
    fn free_name(&self, lab: &Lab) -> PathBuf {
        let name = |number| self.work(lab).with_file_name(format!("{}.kept-{number}", lab.file_name()));
        let names = (1..).map(name);
        names.into_iter().find(|name| !name.exists()).expect("a number is free")
    }
}

/// What came of a reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The file was the stub already.
    Fresh,
    /// The learner said no.
    Refused,
    /// The stub is back, and the learner's file is kept here.
    Done(PathBuf),
}

/// Copies a file to a name that must not exist.
fn copy_new(from: &Path, to: &Path) -> io::Result<()> {
    let text = read(from)?;
    let copied = fs::File::create_new(to).and_then(|mut file| io::Write::write_all(&mut file, &text));
    copied.map_err(|error| about(to, &error))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path).map_err(|error| about(path, &error))
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    fs::write(path, text).map_err(|error| about(path, &error))
}

/// An error that tells which file it is about.
fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// A number that differs if the text does, in all likelihood (FNV-1a).
fn checksum(text: &[u8]) -> u64 {
    text.iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
