//! Rung 1, and everything that has to hold on it.

#[path = "../../../from_scratch/1_busy.rs"]
mod rung;

#[path = "../behaviours/from_1.rs"]
mod from_1;
