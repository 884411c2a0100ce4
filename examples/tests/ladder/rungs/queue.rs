//! Rung 3, and everything that has to hold on it.

#[path = "../../../from_scratch/3_queue.rs"]
mod rung;

#[path = "../behaviours/from_1.rs"]
mod from_1;
#[path = "../behaviours/from_2.rs"]
mod from_2;
#[path = "../behaviours/from_3.rs"]
mod from_3;
