//! What numbers say that were measured in a noisy place.
//!
//! Facts. The mean follows the outliers. The least follows luck. Half of the rounds lie between the quartiles.
//!
//! What follows. A [`Figure`] is a median with its quartiles, and remembers the rounds in their order. Two figures are
//! compared round by round: the [`ratio`] has its own median and quartiles, and says that one is better only if its
//! whole middle half says so.

use serde::{Deserialize, Serialize};

/// A median, and the middle half around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    pub median: f64,
    pub low: f64,
    pub high: f64,
    /// All samples, in the order of the rounds.
    pub samples: Vec<f64>,
}

impl Figure {
    /// # Panics
    ///
    /// Without any sample, or with a sample that is not a number.
    pub fn new(samples: Vec<f64>) -> Figure {
        assert!(!samples.is_empty(), "a figure needs at least one sample");
        assert!(samples.iter().all(|sample| sample.is_finite()), "a sample is not a number: {samples:?}");
        let mut sorted = samples.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |share| between(&sorted, share);
        Figure { median: at(0.5), low: at(0.25), high: at(0.75), samples }
    }

    /// Half the width of the middle half, as a share of the median.
    pub fn spread(&self) -> f64 {
        if self.median == 0.0 { 0.0 } else { (self.high - self.low) / 2.0 / self.median }
    }
}

/// The value below which this share of the samples lies, interpolated between samples.
fn between(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// This figure divided by the other: round by round, if both have been in each round.
///
/// Zero divided by zero counts as one; anything else divided by zero, as a billion.
pub fn ratio(this: &Figure, other: &Figure) -> Figure {
    let divided = |this: f64, other: f64| match (this, other) {
        (0.0, 0.0) => 1.0,
        (_, 0.0) => 1e9,
        (this, other) => this / other,
    };
    let pairs = this.samples.iter().zip(&other.samples).map(|(this, other)| divided(*this, *other));
    if this.samples.len() == other.samples.len() {
        return Figure::new(pairs.collect());
    }
    Figure::new([this.low, this.median, this.high].map(|this| divided(this, other.median)).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(samples: &[f64]) -> Figure {
        Figure::new(samples.to_vec())
    }

    #[test]
    fn quartiles_lie_between_samples() {
        let figure = figure(&[4.0, 1.0, 3.0, 2.0]);
        assert_eq!((figure.low, figure.median, figure.high), (1.75, 2.5, 3.25));
        assert_eq!(figure.samples, [4.0, 1.0, 3.0, 2.0]);
        assert_eq!(self::figure(&[7.0]).median, 7.0);
    }

    #[test]
    fn an_outlier_changes_nothing() {
        let (calm, wild) = (figure(&[1.0, 2.0, 3.0, 4.0, 5.0]), figure(&[1.0, 2.0, 3.0, 4.0, 5_000.0]));
        assert_eq!((calm.median, calm.high), (wild.median, wild.high));
    }

    #[test]
    fn a_mood_that_two_share_is_not_in_their_ratio() {
        // The machine became three times as slow meanwhile, for both.
        let (ours, theirs) = (figure(&[1.0, 2.0, 3.0]), figure(&[1.5, 3.0, 4.5]));
        assert_eq!(ratio(&theirs, &ours), figure(&[1.5, 1.5, 1.5]));
    }

    #[test]
    fn nothing_is_once_nothing() {
        assert_eq!(ratio(&figure(&[0.0]), &figure(&[0.0])).median, 1.0);
        assert!(ratio(&figure(&[1.0]), &figure(&[0.0])).median > 1e6);
    }

    #[test]
    fn rounds_that_have_no_pair_are_compared_as_a_whole() {
        assert_eq!(ratio(&figure(&[2.0, 2.0]), &figure(&[1.0])).median, 2.0);
    }
}
