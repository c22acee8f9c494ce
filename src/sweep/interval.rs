//! Confidence interval and p-value of a mean from few samples.

/// Confidence level of all intervals.
pub const CONFIDENCE: f64 = 0.95;

/// The mean of the samples; `None` if there are none.
pub fn mean(samples: &[f64]) -> Option<f64> {
    (!samples.is_empty()).then(|| samples.iter().sum::<f64>() / samples.len() as f64)
}

/// The 95 % confidence interval of the mean, for independent, approximately normal samples. `None` for a single
/// sample. 1, 2 and 3, with mean 2, standard deviation 1 and t = 4.303: 2 ± 4.303 / √3.
pub fn interval(samples: &[f64]) -> Option<[f64; 2]> {
    let mean = mean(samples)?;
    let half = student_t(1.0 - CONFIDENCE, samples.len() - 1) * standard_error(samples)?;
    Some([mean - half, mean + half])
}

/// Probability of a mean at least as far beyond `negligible`, up or down, if the true mean is no further from
/// zero than that: the two-sided p-value of Student's t-test. `None` for a single sample.
pub(crate) fn p_value(samples: &[f64], negligible: f64) -> Option<f64> {
    let beyond = mean(samples)?.abs() - negligible;
    let error = standard_error(samples)?;
    Some(match beyond {
        beyond if beyond <= 0.0 => 1.0,
        _ if error <= 0.0 => 0.0,
        beyond => two_tails(beyond / error, samples.len() - 1),
    })
}

/// Standard error of the mean; `None` for a single sample.
fn standard_error(samples: &[f64]) -> Option<f64> {
    let mean = mean(samples)?;
    let squares: f64 = samples.iter().map(|sample| (sample - mean) * (sample - mean)).sum();
    let freedom = samples.len() - 1;
    (freedom > 0).then(|| libm::sqrt(squares / freedom as f64 / samples.len() as f64))
}

/// The two-sided critical value of Student's t for this tail probability.
fn student_t(share: f64, freedom: usize) -> f64 {
    let (mut low, mut high) = (0.0, 1e9);
    // After this many halvings both are the same float.
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if two_tails(middle, freedom) > share {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Two-sided tail probability of Student's distribution: the finite series of Abramowitz and Stegun, 26.7.3 and
/// 26.7.4.
fn two_tails(t: f64, freedom: usize) -> f64 {
    let angle = libm::atan(t / libm::sqrt(freedom as f64));
    let (sine, cosine) = (libm::sin(angle), libm::cos(angle));
    let is_odd = freedom % 2 == 1;
    let mut term = if is_odd { cosine } else { 1.0 };
    let mut sum = 0.0;
    let first = if is_odd { 3 } else { 2 };
    for step in (first..=freedom).step_by(2) {
        sum += term;
        term *= cosine * cosine * (step - 1) as f64 / step as f64;
    }
    let within =
        if is_odd { (angle + sine * sum) * std::f64::consts::FRAC_2_PI } else { sine * sum };
    (1.0 - within).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantiles_are_those_of_the_tables() {
        for (freedom, expected) in
            [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042), (60, 2.000)]
        {
            let t = student_t(0.05, freedom);
            assert!((t - expected).abs() < 1e-3, "{freedom}: {t}");
        }
        assert!((student_t(0.01, 4) - 4.604).abs() < 1e-3);
        assert!((student_t(0.001, 4) - 8.610).abs() < 1e-3);
        assert!((student_t(0.001, 7) - 5.408).abs() < 1e-3);
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
        assert_eq!(p_value(&[3.0; 5], 1.0), Some(0.0));
        assert_eq!(p_value(&[3.0; 5], 3.0), Some(1.0));
    }

    #[test]
    fn what_is_negligible_is_taken_off_before_chance_is_weighed() {
        // Mean 2, standard error 1 / √3; t = 2 √3 = 3.464 with two degrees of freedom: p = 0.0742.
        let p = p_value(&[1.0, 2.0, 3.0], 0.0).expect("three samples");
        assert!((p - 0.0742).abs() < 1e-4, "{p}");
        assert_eq!(p_value(&[-1.0, -2.0, -3.0], 0.0), Some(p));
        // One less: t = √3.
        let p = p_value(&[1.0, 2.0, 3.0], 1.0).expect("three samples");
        assert!((p - 0.2254).abs() < 1e-4, "{p}");
    }
}
