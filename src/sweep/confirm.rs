//! Selection of a row of a sweep: the cheapest that meets the objectives, confirmed with fresh seeds. The best of many
//! rows is partly so by luck; fresh seeds are free of this selection bias.

use serde::Serialize;

use super::summary::RunSummary;
use super::table::{SweepRow, SweepTable, missed_in, never_ran};

/// Headroom as a share of each limit that is enough: of rows with as much, the one that changes least is taken.
const ROOM: f64 = 0.1;

/// Result of running a row again with fresh seeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Confirmation {
    /// The fresh seeds.
    pub seeds: Vec<u64>,
    /// Objectives missed with any of them.
    pub missed: Vec<String>,
    /// Workloads whose pods never ran with one of them, as in a row of the table.
    pub never_ran: Vec<String>,
}

impl Confirmation {
    /// Whether the row will do with the fresh seeds, too.
    pub const fn holds(&self) -> bool {
        self.missed.is_empty() && self.never_ran.is_empty()
    }
}

impl SweepTable {
    /// Position of the selected row, as far as known: among the cheapest that meet the objectives, the one that changes
    /// the fewest settings of those that leave `ROOM` to each limit, or as much as any; of equal ones the one with the
    /// most headroom. A row that failed with fresh seeds is excluded.
    pub fn choice(&self) -> Option<usize> {
        let rows = || self.rows.iter().enumerate().filter(|(_, row)| row.will_do());
        let cost = |row: &SweepRow| cents(row.cost_per_month_usd);
        let least = rows().map(|(_, row)| cost(row)).min()?;
        let room = |row: &SweepRow| row.room.unwrap_or_default();
        let cheapest = || rows().filter(|(_, row)| cost(row) == least);
        let most = cheapest().map(|(_, row)| room(row)).reduce(f64::max)?;
        cheapest()
            .filter(|(_, row)| room(row) >= most.min(ROOM))
            .min_by(|(_, one), (_, other)| {
                let changes = self.changes(one).cmp(&self.changes(other));
                changes.then(room(other).total_cmp(&room(one)))
            })
            .map(|(position, _)| position)
    }

    /// Selects a row and confirms it with fresh seeds by `run`, which gets its position; if it fails, the next one is
    /// tried. Without fresh seeds the row is selected unconfirmed.
    pub fn confirm<Error>(
        &mut self,
        fresh: &[u64],
        mut run: impl FnMut(usize) -> Result<Vec<RunSummary>, Error>,
    ) -> Result<(), Error> {
        while let Some(position) = self.choice() {
            if fresh.is_empty() || self.rows[position].confirmation.is_some() {
                self.rows[position].is_cheapest = true;
                self.price_objectives();
                break;
            }
            let runs = run(position)?;
            self.rows[position].confirmation = Some(Confirmation {
                seeds: fresh.to_vec(),
                missed: missed_in(&runs),
                never_ran: never_ran(&runs),
            });
        }
        Ok(())
    }
}

/// Cost in whole cents: smaller differences do not make a row cheaper.
#[expect(
    clippy::cast_possible_truncation,
    reason = "no bill has 10^16 dollars, and a cast saturates"
)]
pub(super) fn cents(usd: f64) -> i64 {
    (usd * 100.0).round() as i64
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::summary::WorkloadSummary;
    use super::*;
    use std::convert::Infallible;

    /// A row that meets its objectives, with its cost and headroom.
    pub(in super::super) fn row(value: &str, cost: f64, room: f64) -> SweepRow {
        SweepRow {
            values: vec![value.to_owned()],
            objectives: 1,
            missed: Vec::new(),
            meets_objectives: true,
            never_ran: Vec::new(),
            troubles: Vec::new(),
            room: Some(room),
            confirmation: None,
            is_cheapest: false,
            cost_per_month_usd: cost,
            figures: Vec::new(),
        }
    }

    fn chosen(rows: Vec<SweepRow>) -> Option<String> {
        chosen_beside(None, rows)
    }

    fn chosen_beside(current: Option<&str>, rows: Vec<SweepRow>) -> Option<String> {
        let current = vec![current.map(str::to_owned)];
        let mut table = SweepTable::new(vec!["a".to_owned()], current, Vec::new());
        table.rows = rows;
        let taken = table.confirm(&[], |_| Ok::<_, Infallible>(Vec::new()));
        taken.expect("nothing is run without fresh seeds");
        table.rows.into_iter().find(|row| row.is_cheapest).map(|row| row.values[0].clone())
    }

    #[test]
    fn the_cheapest_is_taken_and_of_several_the_one_with_most_room() {
        let rows =
            vec![row("dear", 300.0, 0.9), row("tight", 200.0, 0.1), row("roomy", 200.0, 0.4)];
        assert_eq!(chosen(rows).as_deref(), Some("roomy"));
    }

    #[test]
    fn of_rows_with_the_same_cost_the_current_one_is_kept_unless_it_is_tight() {
        let rows = |room: f64| {
            vec![row("dear", 300.0, 0.9), row("now", 200.0, room), row("roomy", 200.0, 0.4)]
        };
        assert_eq!(chosen_beside(Some("now"), rows(0.15)).as_deref(), Some("now"));
        assert_eq!(chosen_beside(Some("now"), rows(0.05)).as_deref(), Some("roomy"));
        assert_eq!(chosen_beside(Some("dear"), rows(0.15)).as_deref(), Some("roomy"));
        // Where none leaves much, the one that leaves most counts.
        let tight = vec![row("now", 200.0, 0.02), row("other", 200.0, 0.02)];
        assert_eq!(chosen_beside(Some("other"), tight).as_deref(), Some("other"));
    }

    #[test]
    fn a_row_whose_pods_never_ran_is_not_taken_however_cheap() {
        let mut cheap = row("cheap", 100.0, 0.9);
        cheap.never_ran = vec!["Deployment/shop/web: 23 pods without a node at the end".to_owned()];
        assert_eq!(chosen(vec![cheap.clone(), row("runs", 200.0, 0.1)]).as_deref(), Some("runs"));
        assert_eq!(chosen(vec![cheap]), None);
    }

    #[test]
    fn a_row_that_misses_with_fresh_seeds_makes_room_for_the_next() {
        let mut table = SweepTable::new(vec!["a".to_owned()], Vec::new(), Vec::new());
        let missed = vec!["latency p95".to_owned()];
        let failed = Confirmation { seeds: vec![2], missed, never_ran: Vec::new() };
        let lucky = SweepRow { confirmation: Some(failed), ..row("lucky", 100.0, 0.9) };
        table.rows = vec![lucky, row("next", 200.0, 0.1), row("dear", 300.0, 0.1)];
        let mut tried = Vec::new();
        let taken = table.confirm(&[2, 3], |position| {
            tried.push(position);
            Ok::<_, Infallible>(Vec::new())
        });
        taken.expect("the trials succeed");
        assert_eq!(tried, [1]);
        assert!(table.rows[1].is_cheapest && !table.rows[0].is_cheapest);
        let seeds = table.rows[1].confirmation.as_ref().map(|one| one.seeds.clone());
        assert_eq!(seeds, Some(vec![2, 3]));
    }

    #[test]
    fn a_row_whose_pods_never_run_with_a_fresh_seed_makes_room_for_the_next() {
        let mut table = SweepTable::new(vec!["a".to_owned()], Vec::new(), Vec::new());
        table.rows = vec![row("lucky", 100.0, 0.9), row("next", 200.0, 0.1)];
        let run = |without_node| RunSummary {
            scenario: String::new(),
            seed: 2,
            digest: String::new(),
            leading: Vec::new(),
            objectives: Vec::new(),
            workloads: vec![WorkloadSummary { without_node, ..WorkloadSummary::default() }],
            month_usd: 0.0,
            figures: Vec::new(),
        };
        let taken = table
            .confirm(&[2], |position| Ok::<_, Infallible>(vec![run(u64::from(position == 0))]));
        taken.expect("the trials succeed");
        assert!(table.rows[1].is_cheapest && !table.rows[0].is_cheapest);
        assert!(!table.rows[0].will_do());
    }
}
