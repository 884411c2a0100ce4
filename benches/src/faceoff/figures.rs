//! What may be said of some numbers that were measured in a noisy place.
//!
//! Facts. The mean belongs to the outliers. The least belongs to luck. Half of the rounds lie between the quartiles.
//!
//! What follows. A [`Figure`] is a median with its quartiles. One is better than another only if the worse quartile of the
//! one is better than the better quartile of the other; if they overlap, the difference is too noisy to tell.

/// A median, and the middle half around it. Less is better, always: rates are turned into times before they come here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figure {
    /// All that was measured, in order of size.
    sorted: Vec<f64>,
}

impl Figure {
    /// # Panics
    ///
    /// Without any sample, or with one that is not a number.
    pub fn new(mut samples: Vec<f64>) -> Figure {
        assert!(!samples.is_empty(), "a figure needs at least one sample");
        assert!(samples.iter().all(|sample| sample.is_finite()), "a sample is not a number: {samples:?}");
        samples.sort_by(f64::total_cmp);
        Figure { sorted: samples }
    }

    /// The value below which this share of the samples lies; between two samples, in proportion.
    fn at(&self, share: f64) -> f64 {
        let place = share * (self.sorted.len() - 1) as f64;
        let (below, above) = (self.sorted[place.floor() as usize], self.sorted[place.ceil() as usize]);
        below + (above - below) * place.fract()
    }

    pub fn median(&self) -> f64 {
        self.at(0.5)
    }

    pub fn low(&self) -> f64 {
        self.at(0.25)
    }

    pub fn high(&self) -> f64 {
        self.at(0.75)
    }

    pub fn samples(&self) -> &[f64] {
        &self.sorted
    }

    /// Half the width of the middle half, as a share of the median.
    pub fn spread(&self) -> f64 {
        if self.median() == 0.0 { 0.0 } else { (self.high() - self.low()) / 2.0 / self.median() }
    }

    /// Whether this is less, beyond the noise of both.
    pub fn beats(&self, other: &Figure) -> bool {
        self.high() < other.low()
    }
}

/// Who is best in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Best {
    /// This one, beyond the noise.
    Contender(usize),
    /// The least median is this one's, but another one's spread overlaps with its.
    TooNoisy(usize),
}

/// Who of those that have a figure is best; `None` if nobody has one.
pub fn best(figures: &[Option<Figure>]) -> Option<Best> {
    let present = || figures.iter().enumerate().filter_map(|(index, figure)| Some((index, figure.as_ref()?)));
    let (least, figure) = present().min_by(|a, b| a.1.median().total_cmp(&b.1.median()))?;
    let is_clear = present().all(|(index, other)| index == least || figure.beats(other));
    Some(if is_clear { Best::Contender(least) } else { Best::TooNoisy(least) })
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
        assert_eq!((figure.low(), figure.median(), figure.high()), (1.75, 2.5, 3.25));
        assert_eq!(self::figure(&[7.0]).median(), 7.0);
    }

    #[test]
    fn an_outlier_changes_nothing() {
        let (calm, wild) = (figure(&[1.0, 2.0, 3.0, 4.0, 5.0]), figure(&[1.0, 2.0, 3.0, 4.0, 5_000.0]));
        assert_eq!((calm.median(), calm.high()), (wild.median(), wild.high()));
    }

    #[test]
    fn whoever_overlaps_is_not_beaten() {
        let (one, other) = (figure(&[1.0, 2.0, 3.0]), figure(&[2.0, 3.0, 4.0]));
        assert!(!one.beats(&other) && !other.beats(&one));
        let far = figure(&[10.0, 11.0, 12.0]);
        assert!(one.beats(&far) && !far.beats(&one));
    }

    #[test]
    fn the_best_is_named_only_beyond_the_noise() {
        let (near, nearer, far) = (figure(&[2.0, 3.0, 4.0]), figure(&[1.0, 2.0, 3.0]), figure(&[9.0]));
        assert_eq!(best(&[Some(far.clone()), Some(near.clone()), None]), Some(Best::Contender(1)));
        assert_eq!(best(&[Some(near), Some(nearer), Some(far)]), Some(Best::TooNoisy(1)));
        assert_eq!(best(&[None, None]), None);
    }
}
