//! The confidence interval of a mean from few samples.

/// The confidence of all intervals.
pub const CONFIDENCE: f64 = 0.95;

/// Student's t for a two-sided interval of 95 %, by degrees of freedom from 1 on. Any table of the
/// distribution has them.
const STUDENT_T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// The mean of the samples; none if there are none.
pub fn mean(samples: &[f64]) -> Option<f64> {
    (!samples.is_empty()).then(|| samples.iter().sum::<f64>() / samples.len() as f64)
}

/// The interval in which the mean lies with a confidence of 95 %, if the samples are drawn
/// independently from something like a normal distribution. One sample has no interval. 1, 2 and 3, with mean 2,
/// standard deviation 1 and t = 4.303: 2 ± 4.303 / √3.
pub fn interval(samples: &[f64]) -> Option<[f64; 2]> {
    let mean = mean(samples)?;
    let freedom = samples.len() - 1;
    let squares: f64 = samples.iter().map(|sample| (sample - mean) * (sample - mean)).sum();
    let variance = squares / (freedom > 0).then_some(freedom as f64)?;
    let half = student_t(freedom) * libm::sqrt(variance / samples.len() as f64);
    Some([mean - half, mean + half])
}

/// See [`STUDENT_T`]; beyond it by the expansion in powers of 1 / freedom around the normal quantile.
fn student_t(freedom: usize) -> f64 {
    const NORMAL: f64 = 1.959_964;
    let tabled = STUDENT_T.get(freedom.saturating_sub(1)).copied();
    tabled.unwrap_or_else(|| {
        let cube = NORMAL * NORMAL * NORMAL;
        NORMAL + (cube + NORMAL) / (4.0 * freedom as f64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_falls_towards_that_of_the_normal_distribution() {
        let quantiles: Vec<f64> = (1..200).map(student_t).collect();
        assert!(quantiles.is_sorted_by(|one, next| one > next));
        // 60 and 120 degrees of freedom, from a table.
        assert!((student_t(60) - 2.000).abs() < 2e-3);
        assert!((student_t(120) - 1.980).abs() < 2e-3);
    }

    #[test]
    fn few_samples_have_a_wide_interval() {
        let [low, high] = interval(&[1.0, 2.0, 3.0]).expect("more than one sample");
        assert!((low + 0.484).abs() < 1e-3 && (high - 4.484).abs() < 1e-3);
        assert_eq!(interval(&[1.0]), None);
    }

    #[test]
    fn equal_samples_leave_no_doubt() {
        assert_eq!(interval(&[3.0; 5]), Some([3.0, 3.0]));
        assert_eq!(interval(&[]), None);
    }
}
