//! Requests that are split among services by weight, and requests of several origins to one service.

use super::{Arrival, Arrivals};
use engine::random::open_unit;
use engine::{SimTime, Stream};

/// The part of some arrivals that goes one way.
///
/// Each request draws a number from 0 to 1, and goes the way in whose range it falls at that time. Parts
/// of the same arrivals with the same stream and ranges that never overlap share them out exactly.
#[derive(Clone, Debug)]
pub(super) struct Routed {
    pub all: Box<Arrivals>,
    pub stream: Stream,
    pub ranges: Vec<Way>,
}

/// From some time on the numbers that go one way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Way {
    /// The time.
    pub since: SimTime,
    /// The least number, 0 to 1.
    pub from: f64,
    /// The number after the greatest; none goes the way if it is `from`.
    pub to: f64,
}

/// Arrivals of several origins, in order of time.
#[derive(Clone, Debug)]
pub(super) struct Merged {
    origins: Vec<(Arrivals, Option<Arrival>)>,
}

impl Routed {
    /// See [`Arrivals::next_known_by`].
    pub fn next_known_by(&mut self, until: SimTime) -> Option<Arrival> {
        loop {
            let arrival = self.all.next_known_by(until)?;
            let drawn = open_unit(&mut self.stream);
            if self.takes(arrival.at, drawn) {
                return Some(arrival);
            }
            if arrival.at > until {
                // What comes after it is not known by then.
                return None;
            }
        }
    }
}

impl Routed {
    fn takes(&self, at: SimTime, drawn: f64) -> bool {
        let so_far = &self.ranges[..self.ranges.partition_point(|way| way.since <= at)];
        // A way may be named twice, with a range for each.
        let now =
            so_far.iter().rev().take_while(|way| Some(way.since) == so_far.last().map(|l| l.since));
        now.into_iter().any(|way| (way.from..way.to).contains(&drawn))
    }
}

impl Merged {
    pub fn new(origins: impl IntoIterator<Item = Arrivals>) -> Self {
        Self { origins: origins.into_iter().map(|origin| (origin, None)).collect() }
    }

    /// See [`Arrivals::next_known_by`]; none that lies later than `until`, as another origin may have
    /// one in between that is not known yet.
    pub fn next_known_by(&mut self, until: SimTime) -> Option<Arrival> {
        for (origin, next) in &mut self.origins {
            if next.is_none() {
                *next = origin.next_known_by(until);
            }
        }
        let known = self.origins.iter_mut().map(|(_, next)| next);
        let due = known.filter(|next| next.is_some_and(|arrival| arrival.at <= until));
        due.min_by_key(|next| next.map(|arrival| arrival.at))?.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TrafficSpec;
    use engine::Streams;
    use serde_json::json;

    fn arrivals(rps: f64, name: &str) -> Arrivals {
        let spec = json!({"service": "s/web", "load": {"pattern": "constant", "rps": rps}});
        let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
        spec.arrivals("", None, Streams::new(3).stream(name, 0)).expect("right")
    }

    fn instants(mut arrivals: Arrivals, steps: &[i64]) -> Vec<SimTime> {
        let of_step = |until: &i64| {
            let until = SimTime::from_secs(*until);
            let due = |arrival: &Arrival| arrival.at <= until;
            std::iter::from_fn(|| arrivals.next_known_by(until).filter(due))
                .map(|arrival| arrival.at)
                .collect::<Vec<_>>()
        };
        steps.iter().flat_map(of_step).collect()
    }

    #[test]
    fn ways_share_out_the_requests_exactly() {
        let stream = Streams::new(3).stream("ways", 0);
        let way = |from, to| {
            let way = Way { since: SimTime::ZERO, from, to };
            arrivals(100.0, "all").routed(vec![way], stream.clone())
        };
        let all = instants(arrivals(100.0, "all"), &[100]);
        let [one, other] =
            [(0.0, 0.1), (0.1, 1.0)].map(|(from, to)| instants(way(from, to), &[100]));
        let mut together = [one.clone(), other].concat();
        together.sort_unstable();
        assert_eq!(together, all);
        assert!((850..1150).contains(&one.len()), "{}", one.len());
    }

    #[test]
    fn weights_that_change_count_from_their_time_on() {
        let stream = Streams::new(3).stream("ways", 0);
        let way = |since, from, to| Way { since: SimTime::from_secs(since), from, to };
        let ways = vec![way(0, 0.0, 0.1), way(50, 0.0, 1.0), way(80, 0.0, 0.0)];
        let taken = instants(arrivals(100.0, "all").routed(ways, stream), &[100]);
        let count = |from: i64, to: i64| {
            let span = SimTime::from_secs(from)..SimTime::from_secs(to);
            taken.iter().filter(|at| span.contains(at)).count()
        };
        assert!((400..600).contains(&count(0, 50)), "{}", count(0, 50));
        assert!((2_800..3_200).contains(&count(50, 80)), "{}", count(50, 80));
        assert_eq!(count(80, 101), 0);
    }

    #[test]
    fn origins_come_in_order_of_time_in_whatever_steps() {
        let merged = || Arrivals::merged([arrivals(20.0, "a"), arrivals(5.0, "b")]);
        let at_once = instants(merged(), &[50]);
        assert!(at_once.is_sorted());
        let alone =
            [("a", 20.0), ("b", 5.0)].map(|(name, rps)| instants(arrivals(rps, name), &[50]));
        assert_eq!(at_once.len(), alone[0].len() + alone[1].len());
    }
}
