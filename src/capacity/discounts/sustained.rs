//! Google's sustained use discounts: the larger the part of the month for which a machine runs, the lower the price of
//! its further hours.
//!
//! Usage of a family is combined into inferred instances as Google does: usages that do not overlap count as one machine
//! that ran for their total time. The month is assumed to go on like the run, so a share of the run is the same share of
//! the month.

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
fn sustained_use_family(kind: &str) -> Option<&str> {
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

/// Takes the discounts off the usage at list price in these intervals.
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
        // Each gets its share of the remainder, so that the last also gets the rounding fractions.
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

/// The discount on a family: simultaneous usage is cut into layers, each discounted by the share of time it was in use.
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
    // Total time spent at each level of simultaneous usage.
    let mut levels: BTreeMap<Money, SimDuration> = BTreeMap::new();
    let (mut now, mut level) = (SimTime::ZERO, Money::ZERO);
    for (at, change) in changes {
        *levels.entry(level).or_default() += at - now;
        (now, level) = (at, level + change);
    }
    let mut sum = Money::ZERO;
    let (mut above, mut height) = (SimDuration::ZERO, None);
    // From the highest layer down: time at a level counts for all levels below it too.
    for (level, span) in levels.into_iter().rev() {
        if let Some(upper) = height {
            sum += layer(upper - level, above, end, quarters);
        }
        above += span;
        height = Some(level);
    }
    sum
}

/// The discount on a layer of this hourly price that was in use for `ran`.
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

    /// Cost of these machines in a run of 100 minutes.
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
