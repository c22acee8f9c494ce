//! The adapter of the custom and external metrics APIs: keeps the series of each rule and answers the
//! APIs' queries after a scrape. The source of the numbers is out of scope.

use std::collections::BTreeMap;

use super::prometheus::{Series, histogram_quantile};
use super::rule::{Measure, Reading, ServiceAggregation};
use cluster::pod::PodId;
use engine::{SimDuration, SimTime};

/// Values read for one rule in one scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scraped {
    /// A counter or gauge of each pod.
    pub pods: Vec<(PodId, f64)>,
    /// A counter or gauge of the whole Service, or the buckets of a histogram for a quantile; empty if
    /// the Service's value aggregates those of its pods.
    pub whole: Vec<f64>,
    /// For a ratio, the counter of the errors of each of `pods`, in their order.
    pub errors: Vec<f64>,
}

/// The values of one rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    /// Values of the pods that have one, thousandths of a unit, ordered by id.
    pub pods: Vec<(PodId, i64)>,
    /// Value of the whole Service, thousandths of a unit.
    pub whole: Option<i64>,
    /// The same before it is cut to thousandths.
    pub exact: Option<f64>,
}

impl Values {
    fn new(pods: impl Iterator<Item = (PodId, f64)>, whole: Option<f64>) -> Self {
        Self {
            pods: pods.map(|(pod, value)| (pod, milli(value))).collect(),
            whole: whole.map(milli),
            exact: whole,
        }
    }
}

/// The series of one rule.
#[derive(Clone, Debug, Default)]
pub struct RuleSeries {
    pods: BTreeMap<PodId, Series>,
    /// For a ratio: errors of each pod.
    errors: BTreeMap<PodId, Series>,
    whole: Vec<Series>,
}

impl RuleSeries {
    /// Adds a scrape. Pods missing from it are dropped: Prometheus marks their series as stale.
    pub fn scrape(&mut self, now: SimTime, window: SimDuration, scraped: &Scraped) {
        let mut earlier = std::mem::take(&mut self.pods);
        for (pod, value) in &scraped.pods {
            let mut series = earlier.remove(pod).unwrap_or_default();
            series.push(now, *value, window);
            self.pods.insert(*pod, series);
        }
        let mut earlier = std::mem::take(&mut self.errors);
        for ((pod, _), errors) in scraped.pods.iter().zip(&scraped.errors) {
            let mut series = earlier.remove(pod).unwrap_or_default();
            series.push(now, *errors, window);
            self.errors.insert(*pod, series);
        }
        self.whole.resize_with(scraped.whole.len(), Series::default);
        for (series, value) in self.whole.iter_mut().zip(&scraped.whole) {
            series.push(now, *value, window);
        }
    }

    /// The result of a query at `now`.
    pub fn values(&self, now: SimTime, measure: Measure, window: SimDuration) -> Values {
        if measure.reading() == Reading::Ratio {
            return self.ratios(now, measure, window);
        }
        let read = |series: &Series| read(series, now, measure.reading(), window);
        let pods = self.pods.iter().filter_map(|(pod, series)| Some((*pod, read(series)?)));
        let pods: Vec<(PodId, f64)> = pods.collect();
        let whole = match (measure.whole(), measure.reading()) {
            (ServiceAggregation::Own, Reading::Quantile) => self.p95(now, window),
            (ServiceAggregation::Own, _) => self.whole.first().and_then(read),
            (ServiceAggregation::Ratio, _) => None,
            (_, _) if pods.is_empty() => None,
            (ServiceAggregation::Sum, _) => Some(sum(&pods)),
            (ServiceAggregation::Mean, _) => Some(sum(&pods) / pods.len() as f64),
        };
        Values::new(pods.into_iter(), whole)
    }

    /// The errors of each pod, and of all, in proportion to their requests.
    fn ratios(&self, now: SimTime, measure: Measure, window: SimDuration) -> Values {
        let rates = self.pods.iter().filter_map(|(pod, requests)| {
            let errors = self.errors.get(pod)?.rate(now, window)?;
            Some((*pod, errors, requests.rate(now, window)?))
        });
        let rates: Vec<(PodId, f64, f64)> = rates.collect();
        let ratio = |errors: f64, requests: f64| {
            let share = (requests > 0.0).then(|| (errors / requests).clamp(0.0, 1.0))?;
            Some(if measure == Measure::SuccessRate { 1.0 - share } else { share })
        };
        let all = |of: fn(&(PodId, f64, f64)) -> f64| rates.iter().map(of).sum();
        let pods = rates.iter().filter_map(|(pod, of, all)| Some((*pod, ratio(*of, *all)?)));
        Values::new(pods, ratio(all(|one| one.1), all(|one| one.2)))
    }

    fn p95(&self, now: SimTime, window: SimDuration) -> Option<f64> {
        let rates = self.whole.iter().map(|cell| cell.rate(now, window));
        let rates: Option<Vec<f64>> = rates.collect();
        histogram_quantile(0.95, &rates?)
    }
}

fn sum(pods: &[(PodId, f64)]) -> f64 {
    pods.iter().map(|(_, value)| value).sum()
}

fn read(series: &Series, now: SimTime, reading: Reading, window: SimDuration) -> Option<f64> {
    match reading {
        Reading::Rate => series.rate(now, window),
        Reading::Gauge => series.last(now),
        Reading::Quantile | Reading::Ratio => None,
    }
}

/// `int64(value * 1000)`, the conversion of prometheus-adapter and KEDA.
#[expect(clippy::cast_possible_truncation, reason = "cut towards zero, as the adapters do")]
fn milli(value: f64) -> i64 {
    (value * 1000.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: SimDuration = SimDuration::from_secs(60);

    impl Values {
        /// The values as the APIs serve them.
        fn served(self) -> (Vec<(PodId, i64)>, Option<i64>) {
            (self.pods, self.whole)
        }
    }

    impl RuleSeries {
        fn seen(&mut self, at: i64, measure: Measure, scraped: &Scraped) -> Values {
            let now = SimTime::from_secs(at);
            self.scrape(now, WINDOW, scraped);
            self.values(now, measure, WINDOW)
        }
    }

    #[test]
    fn a_pod_needs_two_scrapes_for_a_rate_and_one_for_a_gauge() {
        let pod = PodId::from_bits(3);
        let mut rule = RuleSeries::default();
        let found =
            |value| Scraped { pods: vec![(pod, value)], whole: vec![value], errors: Vec::new() };
        let first = rule.seen(100, Measure::RequestsPerSecond, &found(500.0));
        assert_eq!(first, Values::default());
        let second = rule.seen(130, Measure::RequestsPerSecond, &found(800.0));
        // 300 in 30 s; the preceding 30 s are less than 1.1 intervals, so the rate is extrapolated
        // over them.
        assert_eq!(second.served(), (vec![(pod, 10_000)], Some(10_000)));
        let gone = rule.seen(160, Measure::RequestsPerSecond, &Scraped::default());
        assert_eq!(gone.pods, []);
        let back = rule.seen(190, Measure::Concurrency, &found(1.5));
        assert_eq!(back.pods, [(pod, 1_500)]);
    }

    #[test]
    fn without_scrapes_a_rate_runs_out_with_its_window_and_a_gauge_after_five_minutes() {
        let pod = PodId::from_bits(3);
        let found =
            |value| Scraped { pods: vec![(pod, value)], whole: vec![value], errors: Vec::new() };
        let mut rule = RuleSeries::default();
        rule.seen(100, Measure::RequestsPerSecond, &found(500.0));
        rule.seen(130, Measure::RequestsPerSecond, &found(800.0));
        let whole = |rule: &RuleSeries, at, measure| {
            rule.values(SimTime::from_secs(at), measure, WINDOW).whole
        };
        assert_eq!(whole(&rule, 159, Measure::RequestsPerSecond), Some(10_000));
        assert_eq!(whole(&rule, 160, Measure::RequestsPerSecond), None);
        assert_eq!(whole(&rule, 429, Measure::Concurrency), Some(800_000));
        assert_eq!(whole(&rule, 430, Measure::Concurrency), None);
    }

    #[test]
    fn the_value_of_a_service_of_language_models_is_that_of_its_pods_together() {
        let [one, other] = [3, 4].map(PodId::from_bits);
        let found = |values: [f64; 2]| Scraped {
            pods: vec![(one, values[0]), (other, values[1])],
            whole: Vec::new(),
            errors: Vec::new(),
        };
        let mut cache = RuleSeries::default();
        let seen = cache.seen(100, Measure::KvCacheUsage, &found([0.25, 0.75]));
        assert_eq!(seen.served(), (vec![(one, 250), (other, 750)], Some(500)));
        let none = cache.seen(130, Measure::KvCacheUsage, &Scraped::default());
        assert_eq!(none, Values::default());

        let mut tokens = RuleSeries::default();
        tokens.seen(100, Measure::TokensPerSecond, &found([1e4, 1e4]));
        let seen = tokens.seen(130, Measure::TokensPerSecond, &found([13e3, 16e3]));
        assert_eq!(seen.whole, Some(300_000));
        // One server less: the sum of the rates falls to the other's, with no apparent counter reset.
        let left = Scraped { pods: vec![(other, 22e3)], whole: Vec::new(), errors: Vec::new() };
        let seen = tokens.seen(160, Measure::TokensPerSecond, &left);
        assert_eq!(seen.served(), (vec![(other, 200_000)], Some(200_000)));
    }

    #[test]
    fn the_success_rate_is_that_of_all_requests_together_and_absent_without_any() {
        let [one, other] = [3, 4].map(PodId::from_bits);
        let found = |taken: [f64; 2], errors: [f64; 2]| Scraped {
            pods: vec![(one, taken[0]), (other, taken[1])],
            whole: Vec::new(),
            errors: errors.to_vec(),
        };
        let mut rule = RuleSeries::default();
        rule.seen(100, Measure::SuccessRate, &found([0.0, 0.0], [0.0, 0.0]));
        let idle = rule.seen(130, Measure::SuccessRate, &found([0.0, 0.0], [0.0, 0.0]));
        assert_eq!(idle, Values::default());
        // Of 300 requests 30 fail, all at one pod with 100: 70 % there, 90 % in all.
        let seen = rule.seen(155, Measure::SuccessRate, &found([100.0, 200.0], [30.0, 0.0]));
        assert_eq!(seen.served(), (vec![(one, 700), (other, 1000)], Some(900)));
        let errors = rule.values(SimTime::from_secs(155), Measure::ErrorRate, WINDOW);
        assert_eq!(errors.whole, Some(100));
    }

    #[test]
    fn the_exact_value_is_not_cut_to_thousandths() {
        let pod = PodId::from_bits(3);
        let found = |taken, errors| Scraped {
            pods: vec![(pod, taken)],
            whole: Vec::new(),
            errors: vec![errors],
        };
        let mut rule = RuleSeries::default();
        rule.seen(100, Measure::SuccessRate, &found(0.0, 0.0));
        let seen = rule.seen(130, Measure::SuccessRate, &found(10_000.0, 13.0));
        assert_eq!((seen.whole, seen.exact), (Some(998), Some(1.0 - 0.0013)));
    }
}
