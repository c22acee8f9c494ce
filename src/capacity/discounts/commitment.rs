//! Reservations and savings plans in one hour.

use std::collections::BTreeMap;
use std::fmt;

use super::{HOUR_NANOS, Millionths, Parts, Usage};
use cluster::Name;
use engine::{SimDuration, SimTime};
use units::Money;

/// Committed machines of one type, paid for whether they run or not: AWS Reserved Instances, Azure reservations, Google's
/// resource-based commitments as far as they amount to whole machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The type of the machines, without the cloud.
    pub kind: Name,
    /// Number of machines.
    pub count: u32,
    /// Price of one machine an hour, including its share of the upfront payment.
    pub per_hour: Money,
}

/// Committed hourly spend, paid whether it is used or not: savings plans of AWS and Azure, Google's flexible
/// commitments. Usage is charged against them at the plan's own rates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavingsPlan {
    /// Commitment an hour.
    pub per_hour: Money,
    /// The only machine family it covers, such as `m5`; absent = all.
    pub family: Option<Name>,
    /// The plan's hourly rates, by type without the cloud.
    pub rates: BTreeMap<Name, Money>,
    /// Discount on the list price, for types without a rate.
    pub percent_off: Millionths,
}

/// The usage within one hour and its coverage by commitments.
pub(super) struct Hour<'a> {
    begin: SimTime,
    end: SimTime,
    /// The usages present in this hour; of each, the first `covered` from its start is settled.
    present: Vec<Present<'a>>,
}

struct Present<'a> {
    at: usize,
    usage: &'a Usage,
    from: SimTime,
    until: SimTime,
    covered: SimDuration,
}

impl<'a> Hour<'a> {
    pub(super) fn new(usages: &'a [Usage], begin: SimTime, end: SimTime) -> Self {
        let present = usages.iter().enumerate().filter_map(|(at, usage)| {
            let (from, until) = (usage.from.max(begin), usage.until.min(end));
            let covered = SimDuration::ZERO;
            (from < until).then_some(Present { at, usage, from, until, covered })
        });
        Self { begin, end, present: present.collect() }
    }

    /// The uncovered intervals: the last part of each usage's time in this hour.
    pub(super) fn uncovered(&self) -> impl Iterator<Item = (usize, SimTime, SimTime)> + '_ {
        let left = self.present.iter().map(|one| (one.at, one.from + one.covered, one.until));
        left.filter(|(_, from, until)| from < until)
    }

    fn span(&self) -> SimDuration {
        self.end - self.begin
    }
}

impl Present<'_> {
    fn left(&self) -> SimDuration {
        self.until - self.from - self.covered
    }

    /// Covers the next `span` at the price `paid`. Returns the discount on the list price, as a negative amount.
    fn cover(&mut self, span: SimDuration, paid: Money, parts: &mut [Parts]) -> Money {
        let part = &mut parts[self.at];
        // The last piece may be a rounding fraction below the list price of `span`.
        let list = self.usage.cost_of(span).min(part.at_list_price);
        part.at_list_price = part.at_list_price - list;
        part.committed += paid;
        self.covered += span;
        paid - list
    }
}

impl Reservation {
    /// Covers machines of its type in the hour, in their order. Returns the discount and the unused part.
    pub(super) fn cover(&self, hour: &mut Hour<'_>, parts: &mut [Parts]) -> (Money, Money) {
        let paid_for = i64::from(self.count).saturating_mul(hour.span().as_nanos());
        let mut left = SimDuration::from_nanos(paid_for);
        let cost = |span: SimDuration| {
            self.per_hour.share(i128::from(span.as_nanos()), i128::from(HOUR_NANOS))
        };
        let mut off = Money::ZERO;
        let mut used = Money::ZERO;
        let own = hour.present.iter_mut();
        for one in own.filter(|one| one.usage.is_eligible && one.usage.kind == self.kind) {
            let span = one.left().min(left);
            let paid = cost(span);
            left = left - span;
            used += paid;
            off += one.cover(span, paid, parts);
        }
        (off, cost(SimDuration::from_nanos(paid_for)) - used)
    }
}

impl SavingsPlan {
    /// Covers usage in the hour in the order of the highest savings percentage, then the lowest rate. Returns the discount
    /// and the unused part.
    pub(super) fn cover(&self, hour: &mut Hour<'_>, parts: &mut [Parts]) -> (Money, Money) {
        let nanos = i128::from(hour.span().as_nanos());
        let mut budget = self.per_hour.share(nanos, i128::from(HOUR_NANOS));
        let eligible = hour.present.iter_mut().filter(|one| self.is_for(one.usage));
        let mut order: Vec<_> = eligible.map(|one| (self.rate(one.usage), one)).collect();
        order.sort_by_key(|(rate, one)| (Self::rank(*rate, one.usage), *rate, one.at));
        let mut off = Money::ZERO;
        for (rate, one) in order {
            let left = one.left();
            let cost = rate.share(i128::from(left.as_nanos()), i128::from(HOUR_NANOS));
            if cost <= budget {
                off += one.cover(left, cost, parts);
                budget = budget - cost;
            } else {
                // The rest of the commitment pays for this part of the time.
                let part = i128::from(left.as_nanos()).saturating_mul(budget.atto_usd());
                let part = part / cost.atto_usd().max(1);
                let part = i64::try_from(part).unwrap_or_default().min(left.as_nanos());
                off += one.cover(SimDuration::from_nanos(part), budget, parts);
                budget = Money::ZERO;
                break;
            }
        }
        (off, budget)
    }

    fn is_for(&self, usage: &Usage) -> bool {
        let is_of_family =
            self.family.as_deref().is_none_or(|family| family_of(&usage.kind) == family);
        usage.is_eligible && is_of_family && usage.per_hour > Money::ZERO
    }

    fn rate(&self, usage: &Usage) -> Money {
        let named = self.rates.get(&usage.kind).copied();
        named.unwrap_or_else(|| usage.per_hour - self.percent_off.of(usage.per_hour))
    }

    /// Share of the list price that the plan's rate leaves, in millionths; usage with the smallest is covered first.
    fn rank(rate: Money, usage: &Usage) -> i128 {
        rate.atto_usd() / (usage.per_hour.atto_usd() / i128::from(Millionths::ALL)).max(1)
    }
}

/// The family of a type: `m5` of `m5.large`, `n2` of `n2-standard-4`; for Azure's types the whole name.
fn family_of(kind: &str) -> &str {
    kind.split(['.', '-']).next().unwrap_or(kind)
}

impl fmt::Display for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reservation of {} {}", self.count, self.kind)
    }
}

impl fmt::Display for SavingsPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "savings plan of {} an hour", self.per_hour)?;
        if let Some(family) = &self.family {
            write!(f, " for {family}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{usd, used};
    use super::super::{Discounted, Discounts};
    use super::*;

    const HOUR: SimTime = SimTime::from_secs(3_600);

    fn planned(per_hour: &str, usages: &[Usage]) -> Discounted {
        let rates = [
            ("c5.9xlarge", "2.00"),
            ("c5.24xlarge", "8.00"),
            ("fargate-cpu", "10.00"),
            ("fargate-memory", "5.00"),
        ];
        let rates = rates.map(|(kind, rate)| (kind.into(), usd(rate))).into_iter().collect();
        let plan = SavingsPlan { per_hour: usd(per_hour), rates, ..SavingsPlan::default() };
        Discounts { savings_plans: vec![plan], ..Discounts::default() }.bill(usages, HOUR)
    }

    /// docs.aws.amazon.com/savingsplans, "Understanding how Savings Plans are applied to your usage" (undated): $4.00,
    /// $10.00, 10 vCPU at $1.50 and 5 GB at $2.00 on demand; at the plan's rates $2.00, $8.00, $1.00 and $1.00. A plan of
    /// $25.00 an hour covers all.
    fn example() -> [Usage; 4] {
        [
            used("c5.9xlarge", "4", [0, 60]),
            used("c5.24xlarge", "10", [0, 60]),
            used("fargate-cpu", "15", [0, 60]),
            used("fargate-memory", "10", [0, 60]),
        ]
    }

    #[test]
    fn the_example_of_the_savings_plans_guide_comes_to_the_cent() {
        let bill = planned("25", &example());
        assert_eq!(bill.net.iter().copied().sum::<Money>().cents(), 2_500);
        assert!(bill.unused.is_empty());
    }

    #[test]
    fn a_plan_covers_first_what_it_makes_cheapest_and_the_rest_is_on_demand() {
        // 50 % off the c5.9xlarge and the memory, of which the former has the lower rate; 33 % off the CPU.
        let bill = planned("9", &example());
        let paid = [usd("2"), usd("10"), usd("15") - usd("3") + usd("2"), usd("5")];
        let close = |one: Money, other: Money| (one.as_usd() - other.as_usd()).abs() < 1e-6;
        assert!(bill.net.iter().zip(paid).all(|(one, other)| close(*one, other)), "{:?}", bill.net);
    }

    #[test]
    fn a_commitment_that_is_not_used_in_its_hour_lapses() {
        // Two hours, of which the first needs twice the commitment and the second none.
        let plan = SavingsPlan {
            per_hour: usd("0.5"),
            percent_off: Millionths::from_percent(50.0),
            ..SavingsPlan::default()
        };
        let discounts = Discounts { savings_plans: vec![plan], ..Discounts::default() };
        let usages = [used("m5.large", "2", [0, 60])];
        let bill = discounts.bill(&usages, SimTime::from_secs(7_200));
        assert_eq!(bill.unused[0].usd, usd("0.5"));
        assert_eq!(bill.net, [usd("1.5")]);
    }

    #[test]
    fn machines_share_a_reservation_within_an_hour() {
        // Two machines for half an hour each use up one reserved hour.
        let reserved = Reservation { kind: "m5.large".into(), count: 1, per_hour: usd("0.06") };
        let discounts = Discounts { reservations: vec![reserved], ..Discounts::default() };
        let both = [used("m5.large", "0.1", [0, 30]), used("m5.large", "0.1", [0, 30])];
        let bill = discounts.bill(&both, HOUR);
        assert_eq!(bill.net, [usd("0.03"), usd("0.03")]);
        assert!(bill.unused.is_empty());
        let other = discounts.bill(&[used("m5.xlarge", "0.2", [0, 60])], HOUR);
        assert_eq!((other.net[0], other.unused[0].usd), (usd("0.2"), usd("0.06")));
    }

    #[test]
    fn a_plan_of_a_family_is_for_that_family_alone() {
        let plan = SavingsPlan {
            per_hour: usd("10"),
            family: Some("m5".into()),
            percent_off: Millionths::from_percent(40.0),
            ..SavingsPlan::default()
        };
        let discounts = Discounts { savings_plans: vec![plan], ..Discounts::default() };
        let usages = [used("m5.large", "1", [0, 60]), used("m5a.large", "1", [0, 60])];
        assert_eq!(discounts.bill(&usages, HOUR).net, [usd("0.6"), usd("1")]);
    }
}
