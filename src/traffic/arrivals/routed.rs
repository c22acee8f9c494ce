//! Weighted splits of requests among services, and the merged requests of several origins to one service.

use std::ops::Range;
use std::sync::Arc;

use super::{Arrival, Arrivals, Source};
use engine::random::open_unit;
use engine::{SimTime, Stream};

/// The share of some arrivals that takes one route.
///
/// Each request draws a number from 0 to 1 and takes the route in one of whose ranges it falls. Shares of the same
/// arrivals with the same stream and disjoint ranges partition the requests exactly, and continue to do so when all
/// of them get new ranges at the same time.
#[derive(Clone, Debug)]
pub(super) struct Routed {
    pub all: Box<Arrivals>,
    pub stream: Stream,
    pub branch: BranchId,
    pub ranges: Vec<Range<f64>>,
    /// The last of all arrivals drawn, with its number: the only one that may still lie ahead.
    pub last: Option<(Arrival, f64)>,
    /// Whether that arrival must be re-evaluated against new ranges.
    pub again: bool,
    /// The path of all the requests, and its number among the recorded classes.
    pub path: Option<(Arc<str>, u16)>,
}

/// Identifies a route, so that its ranges can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchId(pub u32);

/// Arrivals of several origins, in order of time.
#[derive(Clone, Debug)]
pub(super) struct Merged {
    origins: Vec<(Arrivals, Option<Arrival>)>,
}

impl Routed {
    /// See [`Arrivals::next_known_by`].
    pub(crate) fn next_known_by(&mut self, until: SimTime) -> Option<Arrival> {
        if !self.again && self.last.is_some_and(|(arrival, _)| arrival.at > until) {
            // At most one arrival may be drawn ahead: routing may change.
            return None;
        }
        loop {
            let (mut arrival, drawn) = match self.last {
                Some(last) if std::mem::take(&mut self.again) => last,
                _ => (self.all.next_known_by(until)?, open_unit(&mut self.stream)),
            };
            if let Some((_, class)) = &self.path
                && arrival.tokens.class == 0
            {
                arrival.tokens.class = *class;
            }
            self.last = Some((arrival, drawn));
            if self.ranges.iter().any(|range| range.contains(&drawn)) {
                return Some(arrival);
            }
            if arrival.at > until {
                // Arrivals after `until` are not computed yet.
                return None;
            }
        }
    }

    /// Applies these ranges to requests after `now`, and discards the arrivals computed ahead.
    fn reroute(&mut self, now: SimTime, ranges: &[Range<f64>]) {
        self.ranges = ranges.to_vec();
        self.again = self.last.is_some_and(|(arrival, _)| arrival.at > now);
    }
}

impl Arrivals {
    /// Applies these ranges to the requests of a route after `now`; true if any of these arrivals take the route.
    pub(super) fn reroute(
        &mut self,
        branch: BranchId,
        now: SimTime,
        ranges: &[Range<f64>],
    ) -> bool {
        match &mut self.source {
            Source::Routed(routed) if routed.branch == branch => {
                routed.reroute(now, ranges);
                true
            }
            Source::Merged(merged) => merged.origins.iter_mut().any(|(origin, next)| {
                let is_it = origin.reroute(branch, now, ranges);
                if is_it {
                    *next = None;
                }
                is_it
            }),
            _ => false,
        }
    }

    /// A further route for the requests that this route shares, after `now`; it gets no requests yet.
    pub(super) fn split_branch(
        &self,
        beside: BranchId,
        branch: BranchId,
        now: SimTime,
    ) -> Option<Self> {
        match &self.source {
            Source::Routed(routed) if routed.branch == beside => {
                let mut routed = Routed { branch, ..routed.clone() };
                routed.reroute(now, &[]);
                Some(Self::of(Source::Routed(routed)))
            }
            Source::Merged(merged) => merged
                .origins
                .iter()
                .find_map(|(origin, _)| origin.split_branch(beside, branch, now)),
            _ => None,
        }
    }

    /// Whether part of the arrivals take this route.
    pub(super) fn has_branch(&self, branch: BranchId) -> bool {
        match &self.source {
            Source::Routed(routed) => routed.branch == branch,
            Source::Merged(merged) => {
                merged.origins.iter().any(|(origin, _)| origin.has_branch(branch))
            }
            _ => false,
        }
    }

    /// Whether these are the share of others that takes one route.
    pub(super) const fn is_routed(&self) -> bool {
        matches!(self.source, Source::Routed(_))
    }
}

impl Merged {
    pub fn new(origins: impl IntoIterator<Item = Arrivals>) -> Self {
        Self { origins: origins.into_iter().map(|origin| (origin, None)).collect() }
    }

    pub(crate) fn origins(&self) -> impl Iterator<Item = &Arrivals> {
        self.origins.iter().map(|(origin, _)| origin)
    }

    pub(crate) fn origins_mut(&mut self) -> impl Iterator<Item = &mut Arrivals> {
        self.origins.iter_mut().map(|(origin, _)| origin)
    }

    /// See [`Arrivals::next_known_by`]; never later than `until`, as another origin may have an earlier one that is
    /// not known yet.
    pub(crate) fn next_known_by(&mut self, until: SimTime) -> Option<Arrival> {
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
    use super::super::buffered::BufferedArrivals;
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
        let branch = |from, to| {
            let ranges = std::iter::once(from..to).collect();
            arrivals(100.0, "all").routed(BranchId(0), ranges, stream.clone())
        };
        let all = instants(arrivals(100.0, "all"), &[100]);
        let [one, other] =
            [(0.0, 0.1), (0.1, 1.0)].map(|(from, to)| instants(branch(from, to), &[100]));
        let mut together = [one.clone(), other].concat();
        together.sort_unstable();
        assert_eq!(together, all);
        assert!((850..1150).contains(&one.len()), "{}", one.len());
    }

    /// Splits between two routes, the first with 10 % initially and 60 % after 50 s, queried at these steps; a third
    /// route then takes over the share of the second.
    fn shared_out(steps: &[i64]) -> [Vec<SimTime>; 3] {
        let stream = Streams::new(3).stream("ways", 0);
        let branch = |number, range: Range<f64>| {
            let ranges = std::iter::once(range).collect();
            BufferedArrivals::new(arrivals(100.0, "all").routed(
                BranchId(number),
                ranges,
                stream.clone(),
            ))
        };
        let mut branches = vec![branch(0, 0.0..0.1), branch(1, 0.1..1.0)];
        let mut taken = [Vec::new(), Vec::new(), Vec::new()];
        for until in steps.iter().map(|step| SimTime::from_secs(*step)) {
            for (branch, taken) in branches.iter_mut().zip(&mut taken) {
                taken.extend(std::iter::from_fn(|| branch.take(until)).map(|arrival| arrival.at));
                branch.next_known(until);
            }
            if until == SimTime::from_secs(50) {
                branches.extend(branches[0].split_branch(BranchId(0), BranchId(2), until));
                for (number, range) in (0..).zip([0.0..0.6, 0.6..0.7, 0.7..1.0]) {
                    for branch in &mut branches {
                        branch.reroute(BranchId(number), until, std::slice::from_ref(&range));
                    }
                }
            }
        }
        taken
    }

    #[test]
    fn weights_that_change_count_from_then_on_and_no_request_is_lost_or_comes_twice() {
        let all = instants(arrivals(100.0, "all"), &[100]);
        let taken = shared_out(&[50, 100]);
        let mut together = taken.concat();
        together.sort_unstable();
        assert_eq!(together, all);
        let count = |branch: usize, from: i64, to: i64| {
            let span = SimTime::from_secs(from)..SimTime::from_secs(to);
            taken[branch].iter().filter(|at| span.contains(at)).count()
        };
        assert!((400..600).contains(&count(0, 0, 50)), "{}", count(0, 0, 50));
        assert!((2_800..3_200).contains(&count(0, 50, 100)), "{}", count(0, 50, 100));
        assert!((400..600).contains(&count(1, 50, 100)), "{}", count(1, 50, 100));
        assert_eq!(count(2, 0, 50), 0);
        let steps: Vec<i64> = (1..=100).collect();
        assert_eq!(shared_out(&steps), taken, "in whatever steps");
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
