//! A sample of a grid that has too many combinations: points that fill it evenly.

use std::fmt;
use std::str::FromStr;

use super::vary::{Vary, grid_size};
use engine::Streams;
use rand_distr::Distribution as _;
use rand_distr::Uniform;
use sobol_burley::sample as sobol;

/// Seed of all samples: the same grid gives the same points everywhere.
const SEED: u32 = 1;

/// Points of Sobol's sequence that there are.
const SOBOL_POINTS: u32 = 1 << 16;

/// How points are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    /// Sobol's sequence with Owen's scrambling: any number of first points fills the space evenly.
    Sobol,
    /// A Latin hypercube: each value of each setting comes up equally often.
    Latin,
}

/// A sample of a number of points: `sobol:64`, `latin:64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    method: Method,
    points: u32,
}

/// The mistake in an option `--sample`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleError(String);

impl fmt::Display for SampleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SampleError {}

impl FromStr for Sample {
    type Err = SampleError;

    fn from_str(text: &str) -> Result<Self, SampleError> {
        let wrong = || {
            SampleError(format!(
                "{text:?}: write sobol:COUNT or latin:COUNT, of up to 10000 points"
            ))
        };
        let (method, points) = text.split_once(':').ok_or_else(wrong)?;
        let method = match method {
            "sobol" => Method::Sobol,
            "latin" => Method::Latin,
            _ => return Err(wrong()),
        };
        let points = points.parse().map_err(|_| wrong())?;
        if (1..=10_000).contains(&points) { Ok(Self { method, points }) } else { Err(wrong()) }
    }
}

impl Sample {
    /// The points, each with a value for every path, without repetitions; the whole grid if that has no more.
    pub fn of(self, varied: &[Vary]) -> Vec<Vec<String>> {
        if grid_size(varied) <= self.points as usize {
            return super::vary::grid(varied);
        }
        let levels: Vec<usize> = varied.iter().map(|one| one.values.len()).collect();
        let mut cells: Vec<Vec<String>> = Vec::new();
        for point in self.places(&levels) {
            let cell: Vec<String> =
                varied.iter().zip(point).map(|(vary, level)| vary.values[level].clone()).collect();
            if !cells.contains(&cell) {
                cells.push(cell);
            }
        }
        cells
    }

    fn places(self, levels: &[usize]) -> Vec<Vec<usize>> {
        match self.method {
            Method::Sobol => (0..self.points).map(|number| sobol_point(levels, number)).collect(),
            Method::Latin => {
                let columns: Vec<Vec<usize>> =
                    (0u64..).zip(levels).map(|(axis, levels)| self.column(axis, *levels)).collect();
                let point = |row| columns.iter().map(|column| column[row]).collect();
                (0..self.points as usize).map(point).collect()
            }
        }
    }

    /// A column of the Latin hypercube: every level as often as every other, in random order.
    fn column(self, axis: u64, levels: usize) -> Vec<usize> {
        let points = self.points as usize;
        let mut column: Vec<usize> = (0..points).map(|row| row * levels / points).collect();
        let mut stream = Streams::new(u64::from(SEED)).stream("latin hypercube", axis);
        for last in (1..points).rev() {
            if let Ok(place) = Uniform::new_inclusive(0, last) {
                column.swap(last, place.sample(&mut stream));
            }
        }
        column
    }
}

/// Point number `number` of Sobol's sequence over so many levels of each axis.
pub fn sobol_point(levels: &[usize], number: u32) -> Vec<usize> {
    let level = |(dimension, levels): (u32, &usize)| {
        // The sequence has 256 dimensions.
        let share = sobol(number % SOBOL_POINTS, dimension % 256, SEED + dimension / 256);
        level_of(share, *levels)
    };
    (0u32..).zip(levels).map(level).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of one of a number of levels"
)]
fn level_of(share: f32, levels: usize) -> usize {
    ((f64::from(share) * levels as f64) as usize).min(levels.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varied() -> Vec<Vary> {
        ["a=1..8", "b=1..4", "c=1..16"].map(|text| text.parse().expect("well-formed")).to_vec()
    }

    #[test]
    fn every_value_comes_up_about_as_often_as_every_other() {
        for text in ["sobol:64", "latin:64"] {
            let sample: Sample = text.parse().expect("well-formed");
            let places = sample.places(&[8, 4, 16]);
            assert_eq!(places.len(), 64);
            for (axis, levels) in [8, 4, 16].into_iter().enumerate() {
                for level in 0..levels {
                    let count = places.iter().filter(|point| point[axis] == level).count();
                    assert_eq!(count, 64 / levels, "{text} axis {axis} level {level}");
                }
            }
        }
    }

    #[test]
    fn a_sample_repeats_nothing_and_a_small_grid_is_run_whole() {
        let sample: Sample = "latin:100".parse().expect("well-formed");
        let mut cells = sample.of(&varied());
        let all = cells.len();
        assert!(all > 80 && all <= 100, "{all}");
        assert_eq!(cells, sample.of(&varied()));
        cells.sort();
        cells.dedup();
        assert_eq!(cells.len(), all);
        let small: Vec<Vary> = vec!["a=1..3".parse().expect("well-formed")];
        assert_eq!(sample.of(&small), [["1"], ["2"], ["3"]]);
        for wrong in ["sobol", "grid:5", "latin:0", "latin:x"] {
            assert!(wrong.parse::<Sample>().is_err(), "{wrong}");
        }
    }
}
