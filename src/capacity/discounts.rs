//! Discounts on the list price of machines: reservations, savings plans, sustained use, a negotiated percentage. Pure
//! arithmetic over given intervals.
//!
//! Commitments are settled by the hour, as clouds do: usage of an hour is covered up to that hour's commitment, and an
//! unused remainder lapses. Reservations apply first, then savings plans, then sustained use discounts on uncovered
//! usage, then the percentage on everything still at list price.

mod commitment;
mod sustained;

pub use commitment::{Reservation, SavingsPlan};

use cluster::Name;
use engine::{SimDuration, SimTime};
use units::Money;

use commitment::Hour;

const HOUR_NANOS: i64 = 3_600 * 1_000_000_000;

/// A share in millionths: 28 % are 280,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millionths(pub i64);

impl Millionths {
    /// 100 %.
    pub const ALL: i64 = 1_000_000;

    /// From percent, rounded to a millionth.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "clamped to 0..=100 beforehand; a NaN casts to 0"
    )]
    pub fn from_percent(percent: f64) -> Self {
        Self(libm::round(percent.clamp(0.0, 100.0) * 1e4) as i64)
    }

    /// This share of an amount.
    pub fn of(self, money: Money) -> Money {
        money.share(i128::from(self.0), i128::from(Self::ALL))
    }
}

/// The usage of one resource that is billed by the hour: a machine, or the CPU or memory of a serverless pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Its type without the cloud, such as `m5.large`; empty for a machine described in place.
    pub kind: Name,
    /// List price of an hour.
    pub per_hour: Money,
    /// Whether discounts apply to it; they never do to spot machines.
    pub is_eligible: bool,
    /// Start of the billed time.
    pub from: SimTime,
    /// End of the billed time.
    pub until: SimTime,
}

/// The discounts agreed with the cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discounts {
    /// Machines committed to, paid for whether they run or not.
    pub reservations: Vec<Reservation>,
    /// Hourly spend committed to, paid whether it is used or not.
    pub savings_plans: Vec<SavingsPlan>,
    /// Whether Google's sustained use discounts apply.
    pub sustained_use: bool,
    /// Discount on everything that is still at list price.
    pub percent_off: Millionths,
}

/// A line of the machines' bill: a discount, or an unused commitment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscountLine {
    /// Text of the line: `reservation of 2 m5.large`.
    pub what: String,
    /// Amount, negative for a discount.
    pub usd: Money,
}

/// Cost of machines after all discounts: `net = list + taken_off`, per line and in total, to the last digit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discounted {
    /// Cost of each usage after discounts, in the order given.
    pub net: Vec<Money>,
    /// One line for each discount.
    pub taken_off: Vec<DiscountLine>,
    /// Unused part of each commitment, billed on top of `net`.
    pub unused: Vec<DiscountLine>,
}

/// Cost of one usage, split by the price that applies.
#[derive(Clone, Copy, Debug, Default)]
struct Parts {
    committed: Money,
    at_list_price: Money,
    sustained: Money,
}

impl Discounts {
    /// Whether there is neither a commitment nor a percentage: the bill is the list price, sustained use apart.
    pub fn is_empty(&self) -> bool {
        *self == Self { sustained_use: self.sustained_use, ..Self::default() }
    }

    /// The bill of a run of this length.
    ///
    /// ```
    /// # use wavetank::capacity::discounts::{Discounts, Reservation, Usage};
    /// # use wavetank::engine::SimTime;
    /// # use wavetank::units::Money;
    /// let machine = |hours| Usage {
    ///     kind: "m5.large".into(),
    ///     per_hour: Money::from_decimal("0.096").unwrap(),
    ///     is_eligible: true,
    ///     from: SimTime::ZERO,
    ///     until: SimTime::from_secs(hours * 3_600),
    /// };
    /// let reserved = Reservation {
    ///     kind: "m5.large".into(),
    ///     count: 1,
    ///     per_hour: Money::from_decimal("0.060").unwrap(),
    /// };
    /// let discounts = Discounts { reservations: vec![reserved], ..Discounts::default() };
    /// // Two machines for ten hours, one of them reserved.
    /// let bill = discounts.bill(&[machine(10), machine(10)], SimTime::from_secs(36_000));
    /// assert_eq!(bill.net.iter().copied().sum::<Money>().to_string(), "$1.56");
    /// assert!(bill.unused.is_empty());
    /// ```
    pub fn bill(&self, usages: &[Usage], end: SimTime) -> Discounted {
        let mut parts: Vec<Parts> = usages.iter().map(Parts::at_list_price).collect();
        let mut bill = Discounted::default();
        let uncovered = self.commitments(usages, end, &mut parts, &mut bill);
        if self.sustained_use {
            sustained::take_off(usages, &uncovered, end, &mut parts, &mut bill);
        }
        self.percentage(&mut parts, &mut bill);
        bill.net = parts.iter().map(|part| part.committed + part.at_list_price).collect();
        bill.taken_off.retain(|line| line.usd != Money::ZERO);
        bill.unused.retain(|line| line.usd != Money::ZERO);
        bill
    }

    /// Settles reservations and savings plans hour by hour; returns the uncovered intervals, each with the position of
    /// its usage.
    fn commitments(
        &self,
        usages: &[Usage],
        end: SimTime,
        parts: &mut [Parts],
        bill: &mut Discounted,
    ) -> Vec<(usize, SimTime, SimTime)> {
        let whole = || usages.iter().enumerate().map(|(at, one)| (at, one.from, one.until));
        if self.reservations.is_empty() && self.savings_plans.is_empty() {
            return whole().collect();
        }
        let mut sums = vec![(Money::ZERO, Money::ZERO); self.count()];
        let mut uncovered = Vec::new();
        let mut begin = SimTime::ZERO;
        while begin < end {
            let next = SimTime::from_nanos(begin.as_nanos() + HOUR_NANOS).min(end);
            let mut hour = Hour::new(usages, begin, next);
            let reserved = self.reservations.iter().map(|one| one.cover(&mut hour, parts));
            let mut settled: Vec<_> = reserved.collect();
            settled.extend(self.savings_plans.iter().map(|one| one.cover(&mut hour, parts)));
            for (sum, (off, unused)) in sums.iter_mut().zip(settled) {
                *sum = (sum.0 + off, sum.1 + unused);
            }
            uncovered.extend(hour.uncovered());
            begin = next;
        }
        let names = self.reservations.iter().map(ToString::to_string);
        let names = names.chain(self.savings_plans.iter().map(ToString::to_string));
        for (name, (off, unused)) in names.zip(sums) {
            bill.taken_off.push(DiscountLine { what: name.clone(), usd: off });
            bill.unused.push(DiscountLine { what: format!("{name}, unused"), usd: unused });
        }
        uncovered
    }

    fn count(&self) -> usize {
        self.reservations.len() + self.savings_plans.len()
    }

    fn percentage(&self, parts: &mut [Parts], bill: &mut Discounted) {
        let mut sum = Money::ZERO;
        for part in parts {
            let off = self.percent_off.of(part.at_list_price);
            part.at_list_price = part.at_list_price - off;
            sum = sum - off;
        }
        let percent = self.percent_off.0 as f64 / 1e4;
        let what = format!("{percent} % off usage without a commitment");
        bill.taken_off.push(DiscountLine { what, usd: sum });
    }
}

impl Parts {
    fn at_list_price(usage: &Usage) -> Self {
        Self { at_list_price: usage.cost(), ..Self::default() }
    }
}

impl Usage {
    /// Its cost at list price.
    pub fn cost(&self) -> Money {
        self.cost_of(self.until - self.from)
    }

    /// List price of `span` of it.
    fn cost_of(&self, span: SimDuration) -> Money {
        self.per_hour.share(i128::from(span.as_nanos()), i128::from(HOUR_NANOS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) fn usd(text: &str) -> Money {
        Money::from_decimal(text).unwrap()
    }

    pub(super) fn used(kind: &str, per_hour: &str, minutes: [i64; 2]) -> Usage {
        Usage {
            kind: kind.into(),
            per_hour: usd(per_hour),
            is_eligible: true,
            from: SimTime::from_secs(minutes[0] * 60),
            until: SimTime::from_secs(minutes[1] * 60),
        }
    }

    #[test]
    fn a_percentage_is_off_what_no_commitment_covers() {
        let reserved = Reservation { kind: "m5.large".into(), count: 1, per_hour: usd("0.06") };
        let discounts = Discounts {
            reservations: vec![reserved],
            percent_off: Millionths::from_percent(10.0),
            ..Discounts::default()
        };
        let usages = [used("m5.large", "0.1", [0, 60]), used("c5.large", "1", [0, 60])];
        let bill = discounts.bill(&usages, SimTime::from_secs(3_600));
        assert_eq!(bill.net, [usd("0.06"), usd("0.9")]);
        assert_eq!(bill.taken_off[1].usd, Money::ZERO - usd("0.1"));
    }

    #[test]
    fn spot_machines_use_up_no_commitment() {
        let plan = SavingsPlan { per_hour: usd("1"), ..SavingsPlan::default() };
        let discounts = Discounts { savings_plans: vec![plan], ..Discounts::default() };
        let spot = Usage { is_eligible: false, ..used("m5.large", "0.03", [0, 60]) };
        let bill = discounts.bill(&[spot], SimTime::from_secs(3_600));
        assert_eq!(bill.net, [usd("0.03")]);
        assert_eq!(bill.unused[0].usd, usd("1"));
    }

    prop_compose! {
        fn any_usage()(
            kind in prop::sample::select(vec!["m5.large", "n1-standard-4", "n2-standard-2", ""]),
            micro in 0..9_000_000u32,
            from in 0..20_000_000_000_000i64,
            lasts in 0..20_000_000_000_000i64,
            is_eligible in prop::bool::weighted(0.8),
        ) -> Usage {
            Usage {
                kind: kind.into(),
                per_hour: usd("0.000001").share(micro.into(), 1),
                is_eligible,
                from: SimTime::from_nanos(from),
                until: SimTime::from_nanos(from + lasts),
            }
        }
    }

    prop_compose! {
        fn any_discounts()(
            count in 0..4u32,
            rate in 0..3_000_000u32,
            plan in 0..8_000_000u32,
            percent in 0..60i64,
            off in 0..1_000_000i64,
            sustained_use in any::<bool>(),
        ) -> Discounts {
            let micro = |count: u32| usd("0.000001").share(count.into(), 1);
            let percent_off = Millionths(percent * 10_000);
            Discounts {
                reservations: vec![Reservation {
                    kind: "m5.large".into(),
                    count,
                    per_hour: micro(rate),
                }],
                savings_plans: vec![SavingsPlan {
                    per_hour: micro(plan),
                    percent_off,
                    ..SavingsPlan::default()
                }],
                sustained_use,
                percent_off: Millionths(off),
            }
        }
    }

    proptest! {
        #[test]
        fn list_price_less_discounts_is_what_is_paid_to_the_last_digit(
            usages in prop::collection::vec(any_usage(), 0..8),
            discounts in any_discounts(),
        ) {
            let end = SimTime::from_nanos(40_000_000_000_000);
            let bill = discounts.bill(&usages, end);
            let list: Money = usages.iter().map(|one| one.cost_of(one.until - one.from)).sum();
            let off: Money = bill.taken_off.iter().map(|line| line.usd).sum();
            prop_assert_eq!(bill.net.iter().copied().sum::<Money>(), list + off);
            prop_assert!(bill.net.iter().all(|net| *net >= Money::ZERO));
            prop_assert!(bill.unused.iter().all(|line| line.usd >= Money::ZERO));
            // A plan is paid to the last digit, whatever becomes of it.
            let plain = Discounts { savings_plans: Vec::new(), ..discounts.clone() };
            let without = plain.bill(&usages, end);
            prop_assert!(without.unused.len() <= 1);
        }
    }
}
