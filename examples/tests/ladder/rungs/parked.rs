//! Rung 2, and everything that has to hold on it.

#[path = "../../../from_scratch/2_parked.rs"]
mod rung;

#[path = "../behaviours/from_1.rs"]
mod from_1;
#[path = "../behaviours/from_2.rs"]
mod from_2;
