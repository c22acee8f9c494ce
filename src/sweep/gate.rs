//! Selection of the figures that gate a comparison, and control of its false alarms.
//!
//! Any single figure can be significant by chance. Holm's procedure bounds the probability that any is, within
//! one comparison, by `FALSE_ALARMS`, whatever their number and correlation (Holm, Scandinavian Journal of
//! Statistics 6, 1979).

use super::figures::{Better, FigureName};

/// Upper bound of the probability that a comparison of equal sides finds any figure worse or better.
pub(crate) const FALSE_ALARMS: f64 = 0.01;

/// The user's selection of figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Services, as namespace/name or as name; all if empty.
    pub services: Vec<String>,
    /// Figures, such as `latency p95` or, for all of these, `latency`; all if empty.
    pub figures: Vec<String>,
}

impl Filter {
    /// Whether nothing was selected.
    pub const fn is_empty(&self) -> bool {
        self.services.is_empty() && self.figures.is_empty()
    }

    /// Whether it selects a figure.
    pub fn has(&self, name: &FigureName) -> bool {
        let service = service_of(&name.subject);
        let is_picked = |picked: &String| {
            service.is_some_and(|service| {
                service == picked || service.rsplit('/').next() == Some(picked.as_str())
            })
        };
        let has_service = self.services.is_empty() || self.services.iter().any(is_picked);
        let starts = |picked: &String| name.figure.starts_with(picked.as_str());
        has_service && (self.figures.is_empty() || self.figures.iter().any(starts))
    }
}

/// The service of a figure, or of the request class of a figure.
pub fn service_of(subject: &str) -> Option<&str> {
    let service = subject.strip_prefix("service ")?;
    Some(service.split_once(" class ").map_or(service, |(service, _)| service))
}

/// Whether a figure is gated: it must have a direction and belong to a service with objectives or clients
/// (`leading`), or be a cost. Figures selected by the user are gated.
pub fn is_gated(name: &FigureName, leading: &[String], filter: &Filter) -> bool {
    if name.better == Better::Neither || !filter.has(name) {
        return false;
    }
    let is_bill = name.subject == "cost" && name.figure == "cost per month";
    !filter.is_empty() || is_bill || leading.contains(&name.subject)
}

/// Which of these p-values are significant in a joint test; absent ones are not.
pub fn significant(p_values: &[Option<f64>]) -> Vec<bool> {
    let mut known: Vec<(usize, f64)> =
        p_values.iter().enumerate().filter_map(|(place, p)| Some((place, (*p)?))).collect();
    known.sort_by(|one, other| one.1.total_cmp(&other.1));
    let mut significant = vec![false; p_values.len()];
    let left = (1..=known.len()).rev();
    for ((place, p), left) in known.into_iter().zip(left) {
        if p * left as f64 > FALSE_ALARMS {
            break;
        }
        significant[place] = true;
    }
    significant
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Unit;

    #[test]
    fn each_p_value_is_held_against_those_that_are_left() {
        // 0.001 * 4, 0.003 * 3, 0.006 * 2 > 0.01: no further one is significant.
        let p_values = [Some(0.006), Some(0.001), None, Some(0.003), Some(0.007)];
        assert_eq!(significant(&p_values), [false, true, false, true, false]);
        assert_eq!(significant(&[Some(0.01)]), [true]);
        assert_eq!(significant(&[Some(0.006), Some(0.5)]), [false, false]);
    }

    #[test]
    fn services_that_people_ask_and_the_bill_are_judged_and_what_a_user_picks() {
        let name = |subject: &str, figure: &str, better| FigureName {
            subject: subject.to_owned(),
            figure: figure.to_owned(),
            unit: Unit::Number,
            better,
        };
        let leading = ["service shop/web".to_owned()];
        let p95 = |service: &str| name(service, "latency p95", Better::Lower);
        let gated = |name: &FigureName, filter: &Filter| is_gated(name, &leading, filter);
        let all = Filter::default();
        assert!(gated(&p95("service shop/web"), &all));
        assert!(!gated(&p95("service shop/db"), &all));
        assert!(!gated(&p95("service shop/web class checkout"), &all), "it has no objective");
        let web = Filter { services: vec!["web".to_owned()], figures: Vec::new() };
        assert!(gated(&p95("service shop/web class checkout"), &web));
        assert!(!gated(&name("service shop/web", "requests", Better::Neither), &all));
        assert!(gated(&name("cost", "cost per month", Better::Lower), &all));
        assert!(!gated(&name("Deployment/shop/web", "restarts", Better::Lower), &all));
        let db = Filter { services: vec!["db".to_owned()], figures: vec!["latency".to_owned()] };
        assert!(gated(&p95("service shop/db"), &db));
        assert!(!gated(&p95("service shop/web"), &db));
        assert!(!gated(&name("service shop/db", "availability", Better::Higher), &db));
    }
}
