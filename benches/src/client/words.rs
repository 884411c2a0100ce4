//! What the client asks, and the answer that it expects.

use crate::client::tape::Tape;
use crate::talk::{Answer, REQUEST, Talk};

/// What to ask, and the expected answer.
#[derive(Debug)]
pub struct Words {
    pub(super) ask: Tape,
    pub(super) answer: Tape,
}

impl Words {
    /// This many bytes, and the same again.
    pub fn echo(size: usize) -> Words {
        Words { ask: Tape::of_length(size), answer: Tape::of_length(size) }
    }

    /// "Hello, world!" over HTTP.
    pub fn hello() -> Words {
        let Answer::Fixed(answer) = Talk::named("hello").answer(REQUEST) else {
            unreachable!("it says hello")
        };
        Words { ask: Tape::new(REQUEST), answer: Tape::new(answer) }
    }
}
