//! The labs: numbers, titles, and how hard they are.
//!
//! Contract. The numbers do not change, because the book's chapters link to them.

use std::path::Path;

use crate::gallery;

/// A lab.
#[derive(Clone, Copy, Debug)]
pub struct Lab {
    /// Its number.
    pub number: usize,
    /// Its name in files: `timers` in `05_timers.rs`.
    pub name: &'static str,
    /// What the learner writes.
    pub title: &'static str,
    /// How hard it is, from one to three.
    pub hard: usize,
    /// How many minutes it takes a learner who has read the chapter.
    pub minutes: usize,
    /// How it is graded.
    pub how: How,
}

/// How a lab is graded.
#[derive(Clone, Copy, Debug)]
pub enum How {
    /// The learner's file is a program of its own: `src/bin/lab_05.rs`.
    File,
    /// The learner's file is a text with answers, such as `work/14_gallery.txt`. A function of this package reads it, prints a
    /// report, and says whether the lab is solved.
    Text(fn(&Path) -> bool),
}

/// All labs, in the order of their numbers.
pub const LABS: &[Lab] = &[
    lab(1, "waker", "Write a waker by hand", 1, 20),
    lab(2, "lost_wake", "Find the lost wake-up", 2, 30),
    lab(3, "bell", "A bell that loses no wake", 3, 60),
    lab(4, "marks", "Woken once, polled once", 2, 30),
    lab(5, "timers", "Timers that can be removed", 2, 40),
    lab(6, "edges", "An edge-triggered source", 2, 40),
    lab(7, "cancel", "Cancel by dropping", 2, 45),
    lab(8, "semaphore", "A fair semaphore", 3, 75),
    lab(9, "channel", "A channel on a wait queue", 2, 45),
    lab(10, "select", "Select without a macro", 2, 30),
    lab(11, "deadlock", "A deadlock detector", 3, 75),
    lab(12, "accept", "An accept loop that outlives EMFILE", 2, 40),
    lab(13, "schedule", "Predict the schedule", 1, 20),
    Lab {
        number: 14,
        name: "gallery",
        title: "The bug gallery",
        hard: 3,
        minutes: 120,
        how: How::Text(gallery::grade_file),
    },
];

const fn lab(number: usize, name: &'static str, title: &'static str, hard: usize, minutes: usize) -> Lab {
    Lab { number, name, title, hard, minutes, how: How::File }
}

impl Lab {
    /// The lab of this number.
    #[must_use]
    pub fn of(number: usize) -> Option<&'static Lab> {
        LABS.iter().find(|lab| lab.number == number)
    }

    /// The name of its files: `05_timers`.
    #[must_use]
    pub fn file(&self) -> String {
        format!("{:02}_{}", self.number, self.name)
    }

    /// The name of the learner's file: `05_timers.rs`.
    #[must_use]
    pub fn file_name(&self) -> String {
        let ending = if matches!(self.how, How::File) { "rs" } else { "txt" };
        format!("{}.{ending}", self.file())
    }

    /// The page of its statement below `docs`: `labs/02-lost-wake.md`.
    #[must_use]
    pub fn statement(&self) -> String {
        format!("labs/{:02}-{}.md", self.number, self.name.replace('_', "-"))
    }

    /// How hard it is, as stars.
    #[must_use]
    pub fn stars(&self) -> String {
        "★".repeat(self.hard)
    }
}
