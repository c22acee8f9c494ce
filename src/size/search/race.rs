//! Which of several points is the cheapest: they run with the same replications, and one that is dearer than another by
//! more than chance and the indifference zone explain is out.
//!
//! The bound is that of the procedure KN (Kim and Nelson, A fully sequential procedure for indifference-zone selection
//! in simulation, ACM TOMACS 11, 2001): of normal samples, dependent ones included, it keeps the best one with the given
//! confidence if that is cheaper than all others by the zone.

/// Chance at which the cheapest is dropped, at most.
pub const ERROR: f64 = 0.05;

/// Which points are left, of those whose costs these are: as many for each, by the same replications. `first` of them
/// make the first stage, from which the variances are known; `zone` is the difference that nobody minds.
pub(crate) fn survivors(costs: &[Vec<f64>], first: usize, zone: f64) -> Vec<bool> {
    let count = costs.len();
    if count < 2 || first < 2 {
        return vec![true; count];
    }
    let degrees = (first - 1) as f64;
    let power = libm::pow(2.0 * ERROR / (count - 1) as f64, -2.0 / degrees);
    let spread = (power - 1.0) * degrees;
    let loses = |one: &[f64], other: &[f64]| {
        let runs = one.len().min(other.len());
        let difference = |(one, other): (&f64, &f64)| one - other;
        let differences: Vec<f64> = one.iter().zip(other).map(difference).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let of_first = mean(&differences[..first]);
        let squares = differences[..first].iter().map(|one| (one - of_first) * (one - of_first));
        let variance = squares.sum::<f64>() / degrees;
        let runs = runs as f64;
        let slack = (spread * variance / zone - zone * runs) / (2.0 * runs);
        mean(&differences) > slack.max(0.0)
    };
    let has_lost = |one: &Vec<f64>| {
        costs.iter().any(|other| other.len() >= first && one.len() >= first && loses(one, other))
    };
    costs.iter().map(|one| !has_lost(one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dearer_for_certain_is_out_at_once() {
        let costs = [vec![100.0; 3], vec![102.0; 3], vec![100.0; 3]];
        assert_eq!(survivors(&costs, 3, 1.0), [true, false, true]);
        assert_eq!(survivors(&costs[..1], 3, 1.0), [true]);
    }

    #[test]
    fn what_hangs_together_is_told_apart_sooner() {
        // Differences 2, 2.2, 1.8 with variance 0.04; two points and three samples: spread 2 (1 / 0.1 - 1) = 18, so
        // the bound is (18 * 0.04 / 1 - 3) / 6 < 0.
        let traffic = [0.0, 30.0, -20.0];
        let one: Vec<f64> = traffic.iter().map(|by| 100.0 + by).collect();
        let other: Vec<f64> =
            traffic.iter().zip([2.0, 2.2, 1.8]).map(|(by, more)| 100.0 + by + more).collect();
        assert_eq!(survivors(&[one.clone(), other], 3, 1.0), [true, false]);
        // Differences 27, -28, 7: nobody knows.
        let apart = vec![127.0, 102.0, 87.0];
        assert_eq!(survivors(&[one, apart], 3, 1.0), [true, true]);
    }
}
