//! Whether the output of a task is an error that no code has looked at.
//!
//! Facts. An output is kept as `dyn Any`, and its type is known only where the task is spawned. There it may be any type,
//! and no code can ask in general whether a type is a `Result`. But each type has a name, and each value of an enum tells
//! which variant it is.
//!
//! What follows. In a loop that is watched, a spawn leaves a function with each task whose output is a `Result` by its name.
//! The function tells whether the output is the second variant. Both rely on how the compiler names types and counts
//! variants. That is not promised, so a test holds it (`runtime/tests/warnings.rs`), and if it changes, a warning is lost
//! and nothing else.
//!
//! What it does not know: what is in the error.

use std::any::{Any, type_name};
use std::hash::{Hash, Hasher};
use std::mem::discriminant;

/// Tells whether an output, an `Option<T>`, is an error.
pub(crate) type Judge = fn(&mut dyn Any) -> bool;

/// The judge of outputs of this type, if it is a `Result`.
pub(crate) fn of<T: 'static>() -> Option<Judge> {
    type_name::<T>().starts_with("core::result::Result<").then_some(is_error::<T>)
}

fn is_error<T: 'static>(output: &mut dyn Any) -> bool {
    let output = output.downcast_ref::<Option<T>>().and_then(Option::as_ref);
    output.is_some_and(|output| {
        let mut variant = Variant(None);
        discriminant(output).hash(&mut variant);
        variant.0 == Some(1)
    })
}

/// Keeps the number of the variant that is hashed.
struct Variant(Option<isize>);

impl Hasher for Variant {
    fn write(&mut self, _: &[u8]) {}

    fn write_isize(&mut self, number: isize) {
        self.0 = Some(number);
    }

    fn finish(&self) -> u64 {
        0
    }
}
