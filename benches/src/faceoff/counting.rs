//! Counting what does not depend on the machine's mood.
//!
//! Facts. A counting allocator inflates every timing; valgrind and strace slow a program down by a factor of fifty.
//! Their counts are the same on a quiet machine and on a loaded one. The start of a program is part of every count.
//!
//! What follows. A counted program runs in a process of its own, a [`child`], which is one of two programs: `faceoff`
//! itself, or `counts`, which differs only in its allocator. A [`process`] is such a child seen from outside, perhaps
//! under one of the [`tools`]. A [`clients`] is the clients of a child that serves. Every figure is a slope between a
//! short and a long part of one run, so it contains neither the start nor the cost of the tool.

pub mod child;
pub mod clients;
pub mod process;
pub mod tools;

/// The cost of one more, if `short` and `long` are numbers of operations with their costs. A slope that is too small to
/// show is zero: it comes from something that happens now and then.
pub fn slope(short: (u64, f64), long: (u64, f64)) -> f64 {
    assert!(short.0 < long.0, "a slope needs a short and a long part");
    let slope = (long.1 - short.1) / (long.0 - short.0) as f64;
    (slope * 100.0).round().max(0.0) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_takes_to_start_is_not_in_a_slope() {
        assert_eq!(slope((1_000, 50_000.0), (11_000, 230_000.0)), 18.0);
    }

    #[test]
    fn now_and_then_is_nothing_and_never_less() {
        assert_eq!(slope((100, 7.0), (2_100, 8.0)), 0.0);
        assert_eq!(slope((100, 7.0), (2_100, 1.0)), 0.0);
        assert_eq!(slope((100, 7.0), (2_100, 17.0)), 0.01);
    }

    #[test]
    #[should_panic(expected = "a short and a long part")]
    fn a_point_has_no_slope() {
        slope((10, 1.0), (10, 2.0));
    }
}
