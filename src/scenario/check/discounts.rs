//! Price list, reservations and savings plans.

use super::Checker;
use crate::bill::{MachineReservation, SpendCommitment};
use crate::machine_prices::region;
use capacity::catalog;
use manifest::FieldPath;
use units::HourlyPrice;

impl Checker<'_> {
    /// Checks the discounts on machines.
    pub(super) fn discounts(&mut self) {
        let at = FieldPath::ROOT.field("bill");
        let bill = &self.text.scenario.bill;
        let list = at.field("reservations");
        for (index, one) in bill.reservations.iter().enumerate() {
            self.reservation(&list.item(index), one);
        }
        let list = at.field("savingsPlans");
        for (index, one) in bill.savings_plans.iter().enumerate() {
            self.savings_plan(&list.item(index), one);
        }
        if bill.price_list.is_some() {
            self.pools_without_own_price();
        }
    }

    fn reservation(&mut self, at: &FieldPath, one: &MachineReservation) {
        let kind = &one.instance_type;
        let is_used = self.text.scenario.cluster.node_pools.iter();
        let is_used = is_used.filter_map(|pool| pool.instance_type.as_deref()).any(|own| {
            capacity::machine_prices::without_cloud(own)
                == capacity::machine_prices::without_cloud(kind)
        });
        if !is_used && let Err(error) = catalog::find(kind) {
            let help = "`wavetank catalog` lists the types; a pool may also define its own";
            self.error(&at.field("instanceType"), error.to_string(), help);
        }
        let has_price = one.price_per_hour.is_some() || one.upfront.is_some();
        match (has_price, one.percent_off) {
            (false, None) => self.error(
                at,
                "the reservation has no price",
                "add `pricePerHour`, `upfront` or both, or `percentOff`",
            ),
            (true, Some(_)) => self.error(
                at,
                "the reservation has a price and a percentage off",
                "remove `percentOff`, or `pricePerHour` and `upfront`",
            ),
            _ => {}
        }
        self.not_negative(&at.field("pricePerHour"), one.price_per_hour);
        if one.upfront.is_some_and(|usd| !usd.is_finite() || usd < 0.0) {
            self.error(
                &at.field("upfront"),
                "a price cannot be negative",
                "write dollars, such as 500",
            );
        }
    }

    fn savings_plan(&mut self, at: &FieldPath, one: &SpendCommitment) {
        self.not_negative(&at.field("perHour"), Some(one.per_hour));
        for (kind, rate) in &one.rates {
            self.not_negative(&at.field("rates").key(kind), Some(*rate));
        }
        if one.rates.is_empty() && one.percent_off == 0.0 {
            let message = "the plan has no rates, so usage under it costs the list price";
            self.warn(at, message, "add `percentOff`, such as 28, or `rates` by type");
        }
    }

    fn not_negative(&mut self, at: &FieldPath, price: Option<HourlyPrice>) {
        if price.is_some_and(|price| price < HourlyPrice::default()) {
            self.error(at, "a price cannot be negative", "write US dollars an hour, such as 0.096");
        }
    }

    fn pools_without_own_price(&mut self) {
        let at = FieldPath::ROOT.field("cluster");
        let list = at.field("nodePools");
        let cluster = &self.text.scenario.cluster;
        for (index, pool) in cluster.node_pools.iter().enumerate() {
            let Some(kind) = &pool.instance_type else { continue };
            let region = region(pool);
            if pool.price_per_hour.is_none() && cluster.own_prices.find(kind, &region).is_none() {
                let message = format!(
                    "the price list has no price for {kind} in {region}: the catalog's applies"
                );
                let help = "add a row to the list, or `pricePerHour`";
                self.warn(&list.item(index).field("instanceType"), message, help);
            }
        }
    }
}
