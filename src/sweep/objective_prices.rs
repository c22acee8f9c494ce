//! What each objective costs: the difference between the selected row of a sweep and the cheapest that would do without
//! the objective.

use serde::Serialize;

use super::confirm::cents;
use super::figures::Unit;
use super::table::{SweepRow, SweepTable};

/// The price of an objective.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ObjectivePrice {
    /// `service shop/web availability`.
    pub objective: String,
    /// US dollars a month that would be saved without it; 0 if no cheaper row meets the others.
    pub month_usd: f64,
    /// The values of the row that would do; empty if none is cheaper.
    pub instead: Vec<String>,
    /// The figure that is limited, in that row: a share from 0 to 1, or ms; absent if the sweep has no such figure.
    pub figure: Option<f64>,
    /// Unit of the figure.
    pub unit: Option<Unit>,
}

impl SweepTable {
    /// The price of each objective that some row missed, as far as the rows of the table tell; nothing if no row is
    /// selected. What no row missed has no price here.
    pub(super) fn price_objectives(&mut self) {
        let Some(selected) = self.rows.iter().find(|row| row.is_cheapest) else { return };
        let mut missed: Vec<&String> = Vec::new();
        for objective in self.rows.iter().flat_map(missed_by) {
            if !missed.contains(&objective) {
                missed.push(objective);
            }
        }
        let prices = missed.into_iter().map(|objective| price(objective, selected, &self.rows));
        self.prices = prices.collect();
    }
}

/// The objectives that a row missed with any seed, the fresh ones included.
fn missed_by(row: &SweepRow) -> impl Iterator<Item = &String> {
    let fresh = row.confirmation.iter().flat_map(|confirmation| &confirmation.missed);
    row.missed.iter().chain(fresh)
}

fn price(objective: &str, selected: &SweepRow, rows: &[SweepRow]) -> ObjectivePrice {
    let ran = |row: &SweepRow| {
        row.never_ran.is_empty()
            && row.confirmation.as_ref().is_none_or(|fresh| fresh.never_ran.is_empty())
    };
    let would_do = |row: &&SweepRow| ran(row) && missed_by(row).all(|one| one == objective);
    let cheapest = rows.iter().filter(would_do).min_by_key(|row| cents(row.cost_per_month_usd));
    let cheaper =
        cheapest.filter(|row| cents(row.cost_per_month_usd) < cents(selected.cost_per_month_usd));
    let figure = cheaper.and_then(|row| {
        let names =
            row.figures.iter().map(|one| format!("{} {}", one.name.subject, one.name.figure));
        names.zip(&row.figures).find(|(name, _)| name == objective).map(|(_, figure)| figure)
    });
    ObjectivePrice {
        objective: objective.to_owned(),
        month_usd: cheaper.map_or(0.0, |row| selected.cost_per_month_usd - row.cost_per_month_usd),
        instead: cheaper.map(|row| row.values.clone()).unwrap_or_default(),
        figure: figure.and_then(|figure| figure.mean),
        unit: figure.map(|figure| figure.name.unit),
    }
}

#[cfg(test)]
mod tests {
    use super::super::confirm::Confirmation;
    use super::super::confirm::tests::row;
    use super::super::figures::{Better, FigureName};
    use super::super::table::SweepFigure;
    use super::*;

    #[test]
    fn an_objective_costs_what_the_cheapest_row_without_it_would_save() {
        let missing = |value: &str, cost: f64, missed: &[&str]| {
            let missed: Vec<String> = missed.iter().map(|one| (*one).to_owned()).collect();
            SweepRow { meets_objectives: missed.is_empty(), missed, ..row(value, cost, 0.0) }
        };
        let name = FigureName {
            subject: "service a".to_owned(),
            figure: "availability".to_owned(),
            unit: Unit::Share,
            better: Better::Higher,
        };
        let mut two = missing("2", 200.0, &["service a availability"]);
        two.figures = vec![SweepFigure { name, mean: Some(0.99) }];
        let mut none = missing("0", 50.0, &["service a availability"]);
        none.never_ran = vec!["Deployment/a: 1 pod not ready at the end".to_owned()];
        let mut chosen = missing("3", 300.0, &[]);
        chosen.is_cheapest = true;
        let both = missing("1", 100.0, &["service a availability", "service a latency p95"]);
        let mut lucky = missing("l", 90.0, &[]);
        let late = vec!["service a latency p95".to_owned(), "service a latency p99".to_owned()];
        lucky.confirmation =
            Some(Confirmation { seeds: vec![9], missed: late, never_ran: Vec::new() });
        let mut table = SweepTable::new(vec!["replicas".to_owned()], Vec::new(), Vec::new());
        // Its pods did not run with a fresh seed: it would do without nothing.
        let mut broken = missing("b", 40.0, &[]);
        let gone = vec!["Deployment/a: 1 pod not ready at the end".to_owned()];
        broken.confirmation =
            Some(Confirmation { seeds: vec![9], missed: Vec::new(), never_ran: gone });
        table.rows = vec![none, both, two, lucky, broken, chosen];
        table.price_objectives();
        let prices: Vec<_> = table
            .prices
            .iter()
            .map(|one| (&*one.objective, one.month_usd, one.instead.concat(), one.figure))
            .collect();
        assert_eq!(prices[0], ("service a availability", 100.0, "2".to_owned(), Some(0.99)));
        assert_eq!(prices[1], ("service a latency p95", 0.0, String::new(), None));
        // Missed with fresh seeds only, by a row that missed another one as well.
        assert_eq!(prices[2], ("service a latency p99", 0.0, String::new(), None));
    }
}
