//! Google's sustained use discounts: the longer a part of what runs at once is used in a month, the less the rest of the
//! month costs.
//!
//! Usage of a family is stacked as Google's inferred instances are: what runs for the longest time is one machine, whatever
//! machines it was made of. A month goes on like the run, so that shares of the run are shares of the month.

use std::collections::BTreeMap;

use super::{DiscountLine, Discounted, HOUR_NANOS, Parts, Usage};
use engine::{SimDuration, SimTime};
use units::Money;

/// Price of each quarter of a month in ten-thousandths of the list price (cloud.google.com/compute/docs/sustained-use-discounts).
type Quarters = [i128; 4];

/// Up to 30 % off.
const THIRTY: Quarters = [10_000, 8_000, 6_000, 4_000];
/// Up to 20 % off.
const TWENTY: Quarters = [10_000, 8_678, 7_330, 6_000];

const WHOLE: i128 = 10_000;

/// The family of a Google machine type that has sustained use discounts: `n1` of `n1-standard-4`.
pub fn sustained_use_family(kind: &str) -> Option<&str> {
    let family = kind.split('-').next().unwrap_or_default();
    quarters(family).map(|_| family)
}

fn quarters(family: &str) -> Option<Quarters> {
    match family {
        "n1" | "m1" | "m2" | "f1" | "g1" => Some(THIRTY),
        "n2" | "n2d" | "c2" => Some(TWENTY),
        _ => None,
    }
}

/// Takes the discounts off what is at list price in these intervals.
pub(super) fn take_off(
    usages: &[Usage],
    uncovered: &[(usize, SimTime, SimTime)],
    end: SimTime,
    parts: &mut [Parts],
    bill: &mut Discounted,
) {
    let mut families: BTreeMap<&str, Vec<(usize, SimTime, SimTime)>> = BTreeMap::new();
    for interval in uncovered {
        let usage = &usages[interval.0];
        if let Some(family) = sustained_use_family(&usage.kind).filter(|_| usage.is_eligible) {
            families.entry(family).or_default().push(*interval);
        }
    }
    for (family, intervals) in families {
        let Some(quarters) = quarters(family) else { continue };
        let saved = saved(usages, &intervals, end, quarters);
        let mut members: Vec<usize> = intervals.iter().map(|interval| interval.0).collect();
        members.sort_unstable();
        members.dedup();
        let all: Money = members.iter().map(|at| parts[*at].at_list_price).sum();
        // Each takes its share of what is left, so that the last takes the fractions that were cut.
        let (mut left, mut among) = (saved.min(all), all);
        for at in members {
            let own = parts[at].at_list_price;
            let off = left
                .share(own.atto_usd() >> 32, (among.atto_usd() >> 32).max(1))
                .min(own)
                .min(left);
            parts[at].at_list_price = own - off;
            parts[at].sustained += off;
            (left, among) = (left - off, among - own);
        }
        let taken = saved.min(all) - left;
        let what = format!("sustained use of {family}");
        bill.taken_off.push(DiscountLine { what, usd: Money::ZERO - taken });
    }
}

/// What the discount comes to: of each layer of what runs at once, by the share of the time for which it does.
fn saved(
    usages: &[Usage],
    intervals: &[(usize, SimTime, SimTime)],
    end: SimTime,
    quarters: Quarters,
) -> Money {
    let mut changes: BTreeMap<SimTime, Money> = BTreeMap::new();
    for (at, from, until) in intervals {
        let price = usages[*at].per_hour;
        *changes.entry(*from).or_default() += price;
        let after = changes.entry(*until).or_default();
        *after = *after - price;
    }
    // How long so much ran at once.
    let mut levels: BTreeMap<Money, SimDuration> = BTreeMap::new();
    let (mut now, mut level) = (SimTime::ZERO, Money::ZERO);
    for (at, change) in changes {
        *levels.entry(level).or_default() += at - now;
        (now, level) = (at, level + change);
    }
    let mut sum = Money::ZERO;
    let (mut above, mut height) = (SimDuration::ZERO, None);
    // From the highest layer down: what ran at a level ran at all below it.
    for (level, span) in levels.into_iter().rev() {
        if let Some(upper) = height {
            sum += layer(upper - level, above, end, quarters);
        }
        above += span;
        height = Some(level);
    }
    sum
}

/// What is off a layer of this price an hour that ran for so long.
fn layer(per_hour: Money, ran: SimDuration, end: SimTime, quarters: Quarters) -> Money {
    let quarter = (i128::from(end.as_nanos()) / 4).max(1);
    let mut left = i128::from(ran.as_nanos());
    let mut sum = Money::ZERO;
    for price in quarters {
        let within = left.min(quarter);
        sum += per_hour.share(within * (WHOLE - price), WHOLE * i128::from(HOUR_NANOS));
        left -= within;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::super::Discounts;
    use super::super::tests::{usd, used};
    use super::*;

    /// What machines cost in a run of 100 minutes.
    fn paid(usages: &[Usage]) -> Money {
        let discounts = Discounts { sustained_use: true, ..Discounts::default() };
        discounts.bill(usages, SimTime::from_secs(6_000)).net.into_iter().sum()
    }

    #[test]
    fn a_whole_month_of_a_machine_costs_as_much_as_googles_table_says() {
        // Of the list price: 100, 80, 60 and 40 % of the quarters for N1, 30 % off in all; 20 % for N2; nothing for E2.
        let hour = |kind| paid(&[used(kind, "0.6", [0, 100])]).as_usd();
        assert!((hour("n1-standard-1") - 0.7).abs() < 1e-12);
        assert!((hour("n2-standard-2") - 0.8002).abs() < 1e-12);
        assert!((hour("e2-standard-2") - 1.0).abs() < 1e-12);
    }

    #[test]
    fn half_a_month_has_ten_percent_off_and_three_quarters_twenty() {
        let share = |minutes: i64| {
            let list = 0.01 * minutes as f64;
            paid(&[used("n1-standard-1", "0.6", [0, minutes])]).as_usd() / list
        };
        assert!((share(25) - 1.0).abs() < 1e-12);
        assert!((share(50) - 0.9).abs() < 1e-12);
        assert!((share(75) - 0.8).abs() < 1e-12);
    }

    #[test]
    fn machines_that_follow_each_other_are_one_and_those_at_once_are_two() {
        let one = |minutes| used("n1-standard-1", "0.6", minutes);
        let whole = paid(&[one([0, 100])]);
        let close = |money: Money, other: f64| (money.as_usd() - other).abs() < 1e-12;
        assert!(close(paid(&[one([0, 50]), one([50, 100])]), whole.as_usd()));
        assert!(close(paid(&[one([0, 100]), one([0, 100])]), 2.0 * whole.as_usd()));
        assert!(close(paid(&[one([0, 50]), one([0, 50])]), 0.9));
    }

    #[test]
    fn what_a_commitment_covers_is_no_sustained_use() {
        let reserved = super::super::Reservation {
            kind: "n1-standard-1".into(),
            count: 1,
            per_hour: usd("0.3"),
        };
        let discounts =
            Discounts { reservations: vec![reserved], sustained_use: true, ..Discounts::default() };
        let both = [used("n1-standard-1", "0.6", [0, 60]), used("n1-standard-1", "0.6", [0, 60])];
        let bill = discounts.bill(&both, SimTime::from_secs(3_600));
        assert_eq!(bill.net[0], usd("0.3"));
        assert!((bill.net[1].as_usd() - 0.42).abs() < 1e-12);
    }
}
