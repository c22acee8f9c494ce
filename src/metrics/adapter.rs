//! The adapter of the custom and external metrics APIs: keeps the series of each rule, and says what
//! the APIs serve after a scrape. Not responsible for where the numbers come from.

use std::collections::BTreeMap;

use super::prometheus::{Series, histogram_quantile};
use super::rule::Reading;
use crate::cluster::pod::PodId;
use crate::engine::{SimDuration, SimTime};

/// What a scrape finds of one rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scraped {
    /// A counter or gauge of each pod.
    pub pods: Vec<(PodId, f64)>,
    /// A counter or gauge of the whole Service; the cells of a histogram for a quantile.
    pub whole: Vec<f64>,
}

/// The values of one rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    /// Of each pod that has one, thousandths of a unit, in the order of the ids.
    pub pods: Vec<(PodId, i64)>,
    /// Of the whole Service, thousandths of a unit.
    pub whole: Option<i64>,
}

/// The series of one rule.
#[derive(Clone, Debug, Default)]
pub struct RuleSeries {
    pods: BTreeMap<PodId, Series>,
    whole: Vec<Series>,
}

impl RuleSeries {
    /// Takes in a scrape, and answers with what is served from now on. Pods that were not found are
    /// forgotten: Prometheus marks their series as stale.
    pub fn scrape(
        &mut self,
        now: SimTime,
        reading: Reading,
        window: SimDuration,
        scraped: &Scraped,
    ) -> Values {
        let mut earlier = std::mem::take(&mut self.pods);
        let mut values = Values::default();
        for (pod, value) in &scraped.pods {
            let mut series = earlier.remove(pod).unwrap_or_default();
            series.push(now, *value, window);
            values.pods.extend(read(&series, now, reading, window).map(|value| (*pod, value)));
            self.pods.insert(*pod, series);
        }
        values.pods.sort_unstable_by_key(|(pod, _)| *pod);
        self.whole.resize_with(scraped.whole.len(), Series::default);
        for (series, value) in self.whole.iter_mut().zip(&scraped.whole) {
            series.push(now, *value, window);
        }
        values.whole = match reading {
            Reading::Quantile => {
                let rates = self.whole.iter().map(|cell| cell.rate(now, window));
                let rates: Option<Vec<f64>> = rates.collect();
                rates.and_then(|rates| histogram_quantile(0.95, &rates)).map(milli)
            }
            _ => self.whole.first().and_then(|series| read(series, now, reading, window)),
        };
        values
    }
}

fn read(series: &Series, now: SimTime, reading: Reading, window: SimDuration) -> Option<i64> {
    match reading {
        Reading::Rate => series.rate(now, window).map(milli),
        Reading::Gauge => series.last().map(milli),
        Reading::Quantile => None,
    }
}

/// `int64(value * 1000)`, as prometheus-adapter and KEDA hand a value on.
#[expect(clippy::cast_possible_truncation, reason = "cut towards zero, as the adapters do")]
fn milli(value: f64) -> i64 {
    (value * 1000.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: SimDuration = SimDuration::from_secs(60);

    #[test]
    fn a_pod_needs_two_scrapes_for_a_rate_and_one_for_a_gauge() {
        let pod = PodId::from_bits(3);
        let mut rule = RuleSeries::default();
        let found = |value| Scraped { pods: vec![(pod, value)], whole: vec![value] };
        let at = SimTime::from_secs;
        let first = rule.scrape(at(100), Reading::Rate, WINDOW, &found(500.0));
        assert_eq!(first, Values::default());
        let second = rule.scrape(at(130), Reading::Rate, WINDOW, &found(800.0));
        // 300 in 30 s; the 30 s before are less than 1.1 intervals, so they are taken to be alike.
        assert_eq!(second, Values { pods: vec![(pod, 10_000)], whole: Some(10_000) });
        let gone = rule.scrape(at(160), Reading::Rate, WINDOW, &Scraped::default());
        assert_eq!(gone.pods, []);
        let back = rule.scrape(at(190), Reading::Gauge, WINDOW, &found(1.5));
        assert_eq!(back.pods, [(pod, 1_500)]);
    }
}
