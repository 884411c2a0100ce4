//! Rung 4, and everything that has to hold on it.

#[path = "../../../from_scratch/4_marks.rs"]
mod rung;

#[path = "../behaviours/from_1.rs"]
mod from_1;
#[path = "../behaviours/from_2.rs"]
mod from_2;
#[path = "../behaviours/from_3.rs"]
mod from_3;
#[path = "../behaviours/from_4.rs"]
mod from_4;
