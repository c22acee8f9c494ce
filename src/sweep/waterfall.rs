//! What changed the bill between two sides, line by line: the steps add up to the difference to the last digit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use report::charts::Bar;
use report::{MachineCost, Report};
use units::Money;

/// A line of the bill of a month, as a measurement keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BillLine {
    /// The item paid for.
    pub what: String,
    /// For machines: hours for which they were paid in a month, mean over the seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_hours: Option<f64>,
    /// Mean over the seeds, 10^-18 US dollars: more digits than a number in JSON has.
    pub month_atto_usd: String,
}

/// From the bill of the first side to that of the second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Waterfall {
    /// A month of the first side, US dollars.
    pub from_usd: Money,
    /// Changes of the bill, largest first; items with equal cost on both sides are omitted.
    pub steps: Vec<Step>,
    /// A month of the second side.
    pub to_usd: Money,
}

/// A change of the bill.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The changed item.
    pub what: String,
    /// By how much a month, US dollars.
    pub usd: Money,
}

/// Hours of a month, as bills have them.
const MONTH_HOURS: f64 = 730.0;

/// The lines of the bill of runs that differ in the seed alone.
pub(crate) fn bill_lines(reports: &[Report]) -> Vec<BillLine> {
    let mut sums: BTreeMap<String, (Option<f64>, Money)> = BTreeMap::new();
    for report in reports {
        for (what, hours, usd) in lines_of(report) {
            let sum = sums.entry(what).or_default();
            sum.0 = hours.map(|hours| sum.0.unwrap_or_default() + hours).or(sum.0);
            sum.1 += usd;
        }
    }
    let count = reports.len().max(1);
    let lines = sums.into_iter().map(|(what, (hours, usd))| BillLine {
        what,
        node_hours: hours.map(|hours| hours / count as f64),
        month_atto_usd: usd.share(1, count as i128).atto_usd().to_string(),
    });
    lines.collect()
}

fn lines_of(report: &Report) -> Vec<(String, Option<f64>, Money)> {
    let cost = &report.cost;
    let named = |machine: &MachineCost| match &*machine.instance_type {
        "" => format!("nodes of the scenario's own types, {}", machine.capacity_type),
        kind => format!("nodes: {kind}, {}", machine.capacity_type),
    };
    let months = MONTH_HOURS * 3.6e6 / report.run.duration_ms.max(1) as f64;
    let machines = cost.machines.iter().map(|machine| {
        let month = report.run.per_month(machine.usd);
        (named(machine), Some(machine.node_hours * months), month)
    });
    let discounts = cost.discounts.iter().chain(&cost.unused_commitments);
    let discounts = discounts.map(|line| (line.what.clone(), None, line.month_usd));
    let charges = cost.charges.iter().map(|line| (line.item.clone(), None, line.month_usd));
    machines.chain(discounts).chain(charges).collect()
}

impl BillLine {
    fn usd(&self) -> Option<Money> {
        Some(Money::from_atto_usd(self.month_atto_usd.parse().ok()?))
    }
}

impl Waterfall {
    /// The steps from one bill to another; `None` if one of them is not known.
    pub fn new(first: &[BillLine], second: &[BillLine]) -> Option<Self> {
        if first.is_empty() || second.is_empty() {
            return None;
        }
        let total = |lines: &[BillLine]| lines.iter().map(BillLine::usd).sum::<Option<Money>>();
        let (from_usd, to_usd) = (total(first)?, total(second)?);
        let mut names: Vec<&str> = first.iter().chain(second).map(|line| &*line.what).collect();
        names.sort_unstable();
        names.dedup();
        let mut steps = Vec::new();
        for what in names {
            steps.extend(steps_of(what, find(first, what), find(second, what))?);
        }
        steps.retain(|step| step.usd != Money::ZERO);
        steps.sort_by_key(|step| (-step.usd.atto_usd().abs(), step.what.clone()));
        Some(Self { from_usd, steps, to_usd })
    }

    /// Its bars, for the picture: the first bill, the steps, the second bill.
    pub fn bars(&self) -> Vec<Bar> {
        let mut level = self.from_usd;
        let whole = |name: &str, to: Money| Bar { name: name.to_owned(), from: Money::ZERO, to };
        let mut bars = vec![whole("first", self.from_usd)];
        for step in &self.steps {
            let (from, to) = (level, level + step.usd);
            bars.push(Bar { name: step.what.clone(), from, to });
            level = to;
        }
        bars.push(whole("second", self.to_usd));
        bars
    }
}

/// The line of a bill with this name.
fn find<'a>(lines: &'a [BillLine], what: &str) -> Option<&'a BillLine> {
    lines.iter().find(|one| one.what == what)
}

/// The changes of one line: of machines on both sides, how many hours there are and what one costs.
fn steps_of(what: &str, first: Option<&BillLine>, second: Option<&BillLine>) -> Option<Vec<Step>> {
    let usd = |line: Option<&BillLine>| line.map_or(Some(Money::ZERO), BillLine::usd);
    let by = usd(second)? - usd(first)?;
    let hours = |line: Option<&BillLine>| line.and_then(|line| line.node_hours);
    let step = |what: String, usd: Money| Step { what, usd };
    let (Some(one), Some(other)) = (hours(first), hours(second)) else {
        return Some(vec![step(what.to_owned(), by)]);
    };
    // Hours in millionths: the price of an hour of the first side for each that is more.
    let (one, other) = (millionths(one), millionths(other));
    if one <= 0 {
        return Some(vec![step(what.to_owned(), by)]);
    }
    let of_hours = usd(first)?.share(other - one, one);
    Some(vec![
        step(format!("{what}: hours"), of_hours),
        step(format!("{what}: price of an hour"), by - of_hours),
    ])
}

#[expect(clippy::cast_possible_truncation, reason = "float to int casts saturate, which is meant")]
fn millionths(hours: f64) -> i128 {
    libm::round(hours * 1e6) as i128
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(what: &str, hours: Option<f64>, atto: i128) -> BillLine {
        BillLine { what: what.to_owned(), node_hours: hours, month_atto_usd: atto.to_string() }
    }

    const USD: i128 = 1_000_000_000_000_000_000;

    #[test]
    fn more_hours_at_another_price_are_two_steps() {
        let first = [line("nodes: a", Some(100.0), 10 * USD), line("egress", None, 5 * USD)];
        let second = [line("nodes: a", Some(150.0), 30 * USD), line("nat", None, USD)];
        let fall = Waterfall::new(&first, &second).unwrap();
        let steps: Vec<(String, i128)> =
            fall.steps.iter().map(|step| (step.what.clone(), step.usd.cents())).collect();
        // 50 hours more at $0.10, and 150 hours of which each costs $0.10 more.
        let expected = [
            ("nodes: a: price of an hour", 1_500),
            ("egress", -500),
            ("nodes: a: hours", 500),
            ("nat", 100),
        ];
        assert_eq!(steps, expected.map(|(what, cents)| (what.to_owned(), cents)));
        assert_eq!(Waterfall::new(&[], &second), None);
    }

    fn any_bill() -> impl Strategy<Value = Vec<BillLine>> {
        let line = |(name, hours, atto): (usize, Option<f64>, i128)| {
            line(["a", "b", "c", "d"][name], hours, atto)
        };
        let one = (0..4usize, prop::option::of(0.0..1e5), -(1i128 << 70)..(1i128 << 76));
        prop::collection::vec(one.prop_map(line), 1..4).prop_map(|mut lines| {
            lines.sort_by(|one, other| one.what.cmp(&other.what));
            lines.dedup_by(|one, other| one.what == other.what);
            lines
        })
    }

    proptest! {
        #[test]
        fn the_steps_add_up_to_the_difference_to_the_last_digit(
            first in any_bill(),
            second in any_bill(),
        ) {
            let fall = Waterfall::new(&first, &second).unwrap();
            let sum: Money = fall.steps.iter().map(|step| step.usd).sum();
            prop_assert_eq!(fall.from_usd + sum, fall.to_usd);
            let bars = fall.bars();
            prop_assert_eq!(bars[bars.len() - 2].to, fall.to_usd);
        }
    }
}
