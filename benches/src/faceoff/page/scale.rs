//! From values to places on a line.
//!
//! Facts. The length of a bar is true only if the bar begins at zero. If the smallest value is a hundredth of the
//! largest, its bar cannot be seen; then only factors can be shown, and the reader must be told.
//!
//! Contract. Places are between 0 and 1; a value outside is put on the edge.

/// How values become places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// From zero to this.
    Linear(f64),
    /// Equal factors are equally far apart; both ends are above zero.
    Log(f64, f64),
}

/// If the smallest and the largest value differ by more than this, only factors can be shown.
const WIDE: f64 = 20.0;

impl Scale {
    /// A scale for all of these values, from zero, or by factors if they are too far apart.
    pub fn of(values: &[f64]) -> Scale {
        let most = values.iter().copied().fold(0.0, f64::max);
        let least = values.iter().copied().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        match most / least > WIDE {
            true => Scale::Log(decade(least * 0.8).floor_power(), decade(most).ceil_power()),
            false => Scale::Linear(if most > 0.0 { most } else { 1.0 }),
        }
    }

    /// The same, by factors, with no more space than needed.
    pub fn tight(values: &[f64]) -> Scale {
        let positive = || values.iter().copied().filter(|value| *value > 0.0);
        let (least, most) = (positive().fold(f64::INFINITY, f64::min), positive().fold(0.0, f64::max));
        if most > 0.0 { Scale::Log(least * 0.85, most * 1.18) } else { Scale::Log(1.0, 10.0) }
    }

    pub fn place(self, value: f64) -> f64 {
        let place = match self {
            Scale::Linear(most) => value / most,
            Scale::Log(..) if value <= 0.0 => 0.0,
            Scale::Log(least, most) => (value / least).ln() / (most / least).ln(),
        };
        place.clamp(0.0, 1.0)
    }

    /// Round values on this scale, not many more than `most`.
    pub fn ticks(self, most: usize) -> Vec<f64> {
        match self {
            Scale::Linear(end) => linear_ticks(end, most),
            Scale::Log(least, end) => log_ticks(least, end, most),
        }
    }
}

/// A value as its power of ten.
struct Decade(f64);

fn decade(value: f64) -> Decade {
    Decade(value.log10())
}

impl Decade {
    /// The next power of ten below; a value that is almost one counts as one.
    fn floor_power(&self) -> f64 {
        10_f64.powf((self.0 + 1e-9).floor())
    }

    fn ceil_power(&self) -> f64 {
        10_f64.powf((self.0 - 1e-9).ceil())
    }
}

fn linear_ticks(end: f64, most: usize) -> Vec<f64> {
    let rough = end / most as f64;
    let power = decade(rough).floor_power();
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(power * 10.0);
    (0..=(end / step * 1.000_001) as usize).map(|index| index as f64 * step).collect()
}

/// 1, 2, 5, 10 … if there is space; else powers of ten; else each second or third power of ten, and so on.
fn log_ticks(least: f64, end: f64, most: usize) -> Vec<f64> {
    let powers = |times: &[f64], every: i32| -> Vec<f64> {
        let (first, last) = (least.log10().floor() as i32, end.log10().ceil() as i32);
        let powers = (first..=last).filter(|power| power.rem_euclid(every) == 0);
        let all = powers.flat_map(|power| times.iter().map(move |times| times * 10_f64.powi(power)));
        all.filter(|value| *value >= least * 0.999 && *value <= end * 1.001).collect()
    };
    let fine = powers(&[1.0, 2.0, 5.0], 1);
    let coarse = (1..12).map(|every| powers(&[1.0], every)).find(|ticks| ticks.len() <= most);
    match coarse {
        _ if fine.len() <= most => fine,
        Some(ticks) if ticks.len() >= 2 => ticks,
        _ => fine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_begin_at_nought_unless_they_are_too_far_apart() {
        assert_eq!(Scale::of(&[1.0, 19.0]), Scale::Linear(19.0));
        assert_eq!(Scale::of(&[1.5, 40.0]), Scale::Log(1.0, 100.0));
        assert_eq!(Scale::of(&[0.0, 5.0]), Scale::Linear(5.0));
        assert_eq!(Scale::of(&[]), Scale::Linear(1.0));
    }

    #[test]
    fn the_least_can_be_seen_among_factors() {
        let scale = Scale::of(&[10.0, 1000.0]);
        assert!(scale.place(10.0) > 0.2 && scale.place(1000.0) == 1.0, "{scale:?}");
        assert_eq!(scale.place(0.0), 0.0);
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(Scale::Linear(47.0).ticks(5), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(Scale::Log(15.0, 250.0).ticks(6), [20.0, 50.0, 100.0, 200.0]);
        assert_eq!(Scale::Log(1.0, 1e6).ticks(4).len(), 4);
    }
}
