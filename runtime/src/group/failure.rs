//! All errors of a group.
//!
//! Contract. There is at least one error. They are in the order in which they happened; the first is the reason why the
//! other futures were cancelled.

use std::fmt;

/// All errors of a [`try_scope`](crate::group::try_scope), in the order in which they happened.
///
/// There is at least one.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupError<E> {
    pub(super) errors: Vec<E>,
}

impl<E> GroupError<E> {
    /// All errors.
    pub fn errors(&self) -> &[E] {
        &self.errors
    }

    /// The first error, because of which the other futures were cancelled.
    pub fn first(&self) -> &E {
        &self.errors[0]
    }

    /// All errors.
    pub fn into_errors(self) -> Vec<E> {
        self.errors
    }

    /// The errors for which `pred` returns true, and the others.
    pub fn split(self, pred: impl FnMut(&E) -> bool) -> (Vec<E>, Vec<E>) {
        self.errors.into_iter().partition(pred)
    }
}

impl<E: fmt::Display> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first().fmt(f)?;
        match self.errors.len() - 1 {
            0 => Ok(()),
            1 => f.write_str(" (and one more error)"),
            n => write!(f, " (and {n} more errors)"),
        }
    }
}

impl<E: fmt::Debug> fmt::Debug for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GroupError").field(&self.errors).finish()
    }
}

impl<E: std::error::Error> std::error::Error for GroupError<E> {}
