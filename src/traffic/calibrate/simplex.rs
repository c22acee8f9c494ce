//! The downhill simplex of Nelder and Mead (1965): minimizes a function without derivatives, such as the
//! error of a simulation.

/// Coefficients of reflection, expansion, contraction and shrinking, as in the paper.
const EXPANSION: f64 = 2.0;
const CONTRACTION: f64 = 0.5;

/// The best point found from `start`, with initial steps of `step` and at most `evaluations` evaluations,
/// and its value. NaN counts as infinitely bad.
pub(super) fn minimize(
    start: &[f64],
    step: f64,
    evaluations: usize,
    mut function: impl FnMut(&[f64]) -> f64,
) -> (Vec<f64>, f64) {
    let mut left = evaluations;
    let mut value_at = |point: &[f64]| {
        left = left.saturating_sub(1);
        let value = function(point);
        if value.is_nan() { f64::INFINITY } else { value }
    };
    let mut simplex = vec![(value_at(start), start.to_vec())];
    for axis in 0..start.len() {
        let mut point = start.to_vec();
        point[axis] += step;
        simplex.push((value_at(&point), point));
    }
    let mut used = simplex.len();
    while used < evaluations {
        simplex.sort_by(|one, other| one.0.total_cmp(&other.0));
        let last = simplex.len() - 1;
        let (best, worst) = (simplex[0].0, simplex[last].0);
        if (worst - best).abs() <= 1e-7 * (best.abs() + 1e-9) {
            break;
        }
        let centre: Vec<f64> = (0..start.len())
            .map(|axis| {
                simplex[..last].iter().map(|(_, point)| point[axis]).sum::<f64>() / last as f64
            })
            .collect();
        let along = |factor: f64| -> Vec<f64> {
            let worst = &simplex[last].1;
            centre
                .iter()
                .zip(worst)
                .map(|(centre, worst)| centre + factor * (centre - worst))
                .collect()
        };
        let reflected = along(1.0);
        let value = value_at(&reflected);
        used += 1;
        if value < best {
            let expanded = along(EXPANSION);
            let further = value_at(&expanded);
            used += 1;
            simplex[last] = if further < value { (further, expanded) } else { (value, reflected) };
            continue;
        }
        if value < simplex[last - 1].0 {
            simplex[last] = (value, reflected);
            continue;
        }
        let contracted = along(if value < worst { CONTRACTION } else { -CONTRACTION });
        let nearer = value_at(&contracted);
        used += 1;
        if nearer < worst.min(value) {
            simplex[last] = (nearer, contracted);
            continue;
        }
        let anchor = simplex[0].1.clone();
        for (value, point) in &mut simplex[1..] {
            point.iter_mut().zip(&anchor).for_each(|(x, anchor)| *x = f64::midpoint(*x, *anchor));
            *value = value_at(point);
            used += 1;
        }
    }
    simplex.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (value, point) = simplex.swap_remove(0);
    (point, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bottom_of_a_curved_valley_is_found() {
        let rosenbrock = |p: &[f64]| (1.0 - p[0]).powi(2) + 100.0 * (p[1] - p[0] * p[0]).powi(2);
        let (point, value) = minimize(&[-1.2, 1.0], 0.5, 2_000, rosenbrock);
        assert!(value < 1e-6, "{point:?} {value}");
        assert!((point[0] - 1.0).abs() < 1e-2 && (point[1] - 1.0).abs() < 1e-2);
    }

    #[test]
    fn what_is_no_number_is_avoided() {
        let (point, _) = minimize(&[2.0], 0.5, 500, |p: &[f64]| (p[0].ln() - 1.0).powi(2));
        assert!((point[0] - std::f64::consts::E).abs() < 1e-3);
    }
}
