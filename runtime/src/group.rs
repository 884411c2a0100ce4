//! How several futures become one.
//!
//! Facts. Awaiting futures one after the other takes the sum of their times; awaiting them together takes the longest
//! of them. A program that starts several futures has to say what becomes of the others when one fails, and which task
//! waits for them.
//!
//! Contract. Ordinary futures, for any executor ([`shield`] spawns a task of ours). A future that was not woken is not
//! polled, except the arms of [`select!`], which are few.
//!
//! | | which futures | ends when | the others, when one fails |
//! |---|---|---|---|
//! | [`join!`] | a few, of any kinds | all have ended | run on: an error is an output |
//! | [`select!`] | a few, of any kinds | one has ended | are dropped |
//! | [`gather`], [`gather_outcomes`] | any number of one kind | all have ended | run on |
//! | [`try_gather`] | any number of one kind | all have ended, or one has failed | are dropped |
//! | [`race`] | any number of one kind | one has ended | are dropped |
//! | [`as_completed`], [`for_each_concurrent`] | any number of one kind | all have ended | run on |
//! | [`scope`], [`try_scope`] | children, spawned one by one | all have ended, or one has failed | are dropped |
//! | [`shield`] | one | it has ended | |

mod child;
mod children;
mod failure;
mod gather;
mod join;
mod rest;
mod scope;
mod shield;
mod state;
mod wakes;

pub use child::ScopedHandle;
pub use failure::GroupError;
pub use gather::{
    AsCompleted, ForEachConcurrent, Gather, Outcome, Race, as_completed, for_each_concurrent, gather,
    gather_outcomes, race, try_gather,
};
#[doc(hidden)]
pub use join::{Arms, Either, Join, MaybeDone, Members, Select};
pub use scope::{Ready, Scope, TryScope, scope, try_scope};
pub use shield::{Shield, shield};

#[doc(inline)]
pub use crate::__join as join;
#[doc(inline)]
pub use crate::__select as select;
