//! Checks the prices and sizes of the invoice.

use super::Checker;
use crate::bill::{BillPart, unit_of};
use capacity::price_list::PriceList;
use capacity::reserved::Provider;
use manifest::FieldPath;

impl Checker<'_> {
    /// Checks `bill`.
    pub(super) fn bill(&mut self) {
        let at = FieldPath::ROOT.field("bill");
        let bill = &self.text.scenario.bill;
        for (item, usd) in &bill.prices {
            let (list, field) = (at.field("prices"), item.as_ref());
            let place = list.field(field);
            if unit_of(item).is_none() {
                let known = Provider::ALL.into_iter().flat_map(|one| PriceList::of(one).iter());
                let mut known: Vec<&str> = known.map(|price| price.item.as_str()).collect();
                known.extend(["logs"]);
                known.sort_unstable();
                known.dedup();
                let message = format!("the invoice has no item {item:?}");
                self.error(&place, message, format!("the items are {}", known.join(", ")));
            }
            if !usd.is_finite() || *usd < 0.0 {
                self.error(&place, "a price cannot be negative", "write dollars, such as 0.09");
            }
        }
        if bill.log_size.is_some() && !bill.prices.contains_key("logs") {
            self.error(
                &at.field("logSize"),
                "logs have no default price",
                "add `prices: {logs: 0.50}`, in dollars per ingested GiB",
            );
        }
        let sizes = [bill.request_size, bill.response_size, bill.log_size, bill.root_disk];
        if sizes.into_iter().flatten().any(|size| size.value() < 0) {
            self.error(&at, "a size cannot be negative", "write bytes, such as 20Ki");
        }
        for (index, one) in bill.services.iter().enumerate() {
            let (list, name) = (at.field("services"), one.service.to_string());
            let is_known = self.text.scenario.traffic.iter().any(|own| own.service == one.service)
                || !self.text.scenario.ingress.is_empty()
                || self.text.scenario.calls().any(|call| call.service == one.service);
            if !is_known {
                let message = format!("the service {name} gets no requests");
                let place = list.item(index);
                self.error(&place.field("service"), message, "name a service with traffic");
            }
            let of_service = list.item(index);
            let classes = of_service.field("classes");
            for (position, class) in one.classes.iter().enumerate() {
                let place = classes.item(position);
                self.class_exists(&place.field("class"), &one.service.0, &class.class);
            }
        }
        let twice = bill.leave_out.iter().enumerate();
        for (index, part) in twice {
            if bill.leave_out[..index].contains(part) {
                let words = BillPart::NAMED.iter().find(|(_, one)| one == part);
                let words = words.map_or("", |(words, _)| words);
                let (list, message) = (at.field("leaveOut"), format!("{words} are listed twice"));
                self.error(&list.item(index), message, "name each part once");
            }
        }
    }
}
