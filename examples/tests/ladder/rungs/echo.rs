//! Rung 12, and everything that has to hold on it.

#[path = "../../../from_scratch/12_echo.rs"]
mod rung;

#[path = "../behaviours/from_1.rs"]
mod from_1;
#[path = "../behaviours/from_10.rs"]
mod from_10;
#[path = "../behaviours/from_11.rs"]
mod from_11;
#[path = "../behaviours/from_2.rs"]
mod from_2;
#[path = "../behaviours/from_3.rs"]
mod from_3;
#[path = "../behaviours/from_4.rs"]
mod from_4;
#[path = "../behaviours/from_5.rs"]
mod from_5;
#[path = "../behaviours/from_6.rs"]
mod from_6;
#[path = "../behaviours/from_7.rs"]
mod from_7;
#[path = "../behaviours/from_8.rs"]
mod from_8;
#[path = "../behaviours/from_9.rs"]
mod from_9;
