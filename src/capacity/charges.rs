//! Charges besides the nodes: priced amounts. Pure arithmetic, independent of the cluster and the traffic.

use super::price_list::{Charge, Price, PriceList, Unit};
use engine::SimDuration;
use units::Money;

/// The basis of an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// Derived from the run.
    Measured,
    /// Stated in the scenario.
    Stated,
    /// A typical value, as nothing was stated.
    Assumed,
}

/// A billable amount of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount {
    /// The item, as the price list names it.
    pub item: String,
    /// Description: `2 Services of type LoadBalancer`.
    pub what: String,
    /// The amount, in the smallest subdivision of the price's unit.
    pub smallest: i128,
    /// Basis of the amount.
    pub basis: Basis,
}

/// A line of the invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The billed amount.
    pub amount: Amount,
    /// Price of the item.
    pub price: Price,
    /// The resulting charge.
    pub charge: Charge,
}

impl Line {
    /// The amount in units of the price.
    pub fn units(&self) -> f64 {
        self.amount.smallest as f64 / self.price.unit.smallest() as f64
    }

    /// Price of a unit; where it depends on the amount, the mean over all units of this line.
    pub fn unit_price(&self) -> Money {
        match (&self.price.tiers[..], self.amount.smallest) {
            ([_], _) | (_, 0) => self.price.first(),
            (_, amount) => self.charge.usd.share(self.price.unit.smallest(), amount),
        }
    }

    /// The unit of the price.
    pub const fn unit(&self) -> Unit {
        self.price.unit
    }
}

/// Charges besides the nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charges {
    /// Its lines, in the order of the amounts.
    pub lines: Vec<Line>,
    /// Amounts without a price, not included in any sum.
    pub unpriced: Vec<Amount>,
}

impl Charges {
    /// Prices amounts that came up in `span`.
    ///
    /// ```
    /// # use wavetank::capacity::charges::{Amount, Basis, Charges};
    /// # use wavetank::capacity::price_list::{MONTH, PriceList, Unit};
    /// # use wavetank::capacity::reserved::Provider;
    /// let gateways = Amount {
    ///     item: "nat-gateway".to_owned(),
    ///     what: "3 NAT gateways".to_owned(),
    ///     smallest: 3 * 730 * Unit::Hour.smallest(),
    ///     basis: Basis::Stated,
    /// };
    /// let charges = Charges::of(PriceList::of(Provider::Aws), vec![gateways], MONTH);
    /// assert_eq!(charges.total().usd.to_string(), "$98.55");
    /// ```
    pub fn of(prices: &PriceList, amounts: Vec<Amount>, span: SimDuration) -> Self {
        let mut charges = Self::default();
        for amount in amounts {
            match prices.find(&amount.item) {
                Some(price) => {
                    let charge = price.charge(amount.smallest, span);
                    charges.lines.push(Line { amount, price: price.clone(), charge });
                }
                None => charges.unpriced.push(amount),
            }
        }
        charges
    }

    /// The sum of all lines.
    pub fn total(&self) -> Charge {
        let sum = |of: fn(&Charge) -> Money| self.lines.iter().map(|line| of(&line.charge)).sum();
        Charge { usd: sum(|charge| charge.usd), month_usd: sum(|charge| charge.month_usd) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price_list::MONTH;
    use crate::reserved::Provider;
    use proptest::prelude::*;

    const SECOND: i128 = 1_000_000_000;
    const GIB: i128 = 1 << 30;

    fn amount(item: &str, smallest: i128) -> Amount {
        let item = item.to_owned();
        Amount { item, what: String::new(), smallest, basis: Basis::Measured }
    }

    fn cents(provider: Provider, amounts: Vec<Amount>) -> Vec<i128> {
        let charges = Charges::of(PriceList::of(provider), amounts, MONTH);
        assert!(charges.unpriced.is_empty(), "{:?}", charges.unpriced);
        charges.lines.iter().map(|line| line.charge.usd.cents()).collect()
    }

    /// aws.amazon.com/fargate/pricing, example 1: 5 tasks with 1 vCPU and 2 GB for 600 seconds on each of 30 days:
    /// $1.01 for the CPU and $0.22 for the memory.
    #[test]
    fn the_example_of_fargates_price_page_comes_to_the_cent() {
        let seconds = 5 * 600 * 30 * SECOND;
        let amounts = vec![
            amount("fargate-cpu", 1_000 * seconds),
            amount("fargate-memory", 2 * GIB * seconds),
        ];
        assert_eq!(cents(Provider::Aws, amounts), [101, 22]);
    }

    /// GCP's first GiB of a month costs nothing, the next 1,023 cost $0.12 each.
    #[test]
    fn the_price_of_a_unit_is_the_mean_where_it_depends_on_the_amount() {
        let of = |gib: i128| {
            let amounts = vec![amount("internet-egress", gib * GIB)];
            let charges = Charges::of(PriceList::of(Provider::Gcp), amounts, MONTH);
            charges.lines[0].unit_price().as_usd()
        };
        assert!(of(1).abs() < 1e-9);
        assert!((of(4) - 0.09).abs() < 1e-9, "{}", of(4));
    }

    /// cloud.google.com/nat/pricing, both examples: 14 instances and 100 GiB in 720 hours come to $18.61, 36 instances
    /// and 200 GiB to $40.68.
    #[test]
    fn the_examples_of_cloud_nats_price_page_come_to_the_cent() {
        let hours = 720 * Unit::Hour.smallest();
        let sum =
            |amounts| Charges::of(PriceList::of(Provider::Gcp), amounts, MONTH).total().usd.cents();
        let few = [amount("nat-gateway-node", 14 * hours), amount("nat-data", 100 * GIB)];
        assert_eq!(sum(few.to_vec()), 1_861);
        let many = [amount("nat-gateway", hours), amount("nat-data", 200 * GIB)];
        assert_eq!(sum(many.to_vec()), 4_068);
    }

    /// Microsoft Learn, "Understanding pricing for Azure Application Gateway", example 1 (a): 730 hours and 8 instances
    /// of 10 capacity units: $179.58 + $467.20.
    #[test]
    fn the_example_of_application_gateways_price_page_comes_to_the_cent() {
        let hours = 730 * Unit::Hour.smallest();
        let units = 8 * 10 * 730 * Unit::CapacityUnitHour.smallest();
        let amounts = vec![amount("ingress", hours), amount("ingress-data", units)];
        assert_eq!(cents(Provider::Azure, amounts), [17_958, 46_720]);
    }

    proptest! {
        #[test]
        fn the_total_is_the_sum_of_the_lines_to_the_last_digit(
            bytes in prop::collection::vec(0..(1i128 << 60), 0..12),
            span in 1..100_000_000i64,
        ) {
            let items = ["internet-egress", "zone-egress", "nat-data", "no such thing"];
            let amounts: Vec<Amount> = bytes
                .iter()
                .enumerate()
                .map(|(position, bytes)| amount(items[position % items.len()], *bytes))
                .collect();
            let charges =
                Charges::of(PriceList::of(Provider::Aws), amounts, SimDuration::from_secs(span));
            let usd: Money = charges.lines.iter().map(|line| line.charge.usd).sum();
            prop_assert_eq!(charges.total().usd, usd);
            prop_assert_eq!(charges.lines.len() + charges.unpriced.len(), bytes.len());
            prop_assert!(charges.lines.iter().all(|line| line.charge.usd >= Money::ZERO));
        }
    }
}
