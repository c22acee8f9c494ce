//! Which setting matters: the share of a figure's variance that each setting explains by itself.

use super::figures::FigureName;
use super::table::{SweepRow, SweepTable};
use report::charts::Influence;

/// Settings with fewer values than this times the rows tell nothing: each row would explain itself.
const ROWS_PER_VALUE: usize = 2;

impl SweepTable {
    /// The influence of each varied setting on cost, latency and availability, the strongest first; figures that hardly
    /// differ are left out. For a whole grid it is the first-order index of Sobol, made free of the bias of few rows.
    pub fn influence(&self) -> Vec<Influence> {
        let cost = |row: &SweepRow| Some(row.cost_per_month_usd);
        let mut all = vec![self.influence_on("cost a month", &cost)];
        // Orders of magnitude, as a queue that overflows would hide all else.
        let latency = |row: &SweepRow| {
            let (_, ms) = self.worst(row, "latency p99")?;
            (ms > 0.0).then(|| libm::log10(ms))
        };
        all.push(self.influence_on("p99 latency, worst service", &latency));
        let available = |row: &SweepRow| self.worst(row, "availability").map(|(_, value)| value);
        all.push(self.influence_on("availability, worst service", &available));
        all.retain(|one| !one.shares.is_empty());
        all
    }

    fn influence_on(&self, figure: &str, value: &dyn Fn(&SweepRow) -> Option<f64>) -> Influence {
        let rows: Vec<(&SweepRow, f64)> =
            self.rows.iter().filter_map(|row| Some((row, value(row)?))).collect();
        let mut shares: Vec<(String, f64)> = Vec::new();
        for (place, path) in self.varied.iter().enumerate() {
            let values: Vec<(&str, f64)> =
                rows.iter().map(|(row, value)| (row.values[place].as_str(), *value)).collect();
            shares.extend(explained(&values).map(|share| (path.clone(), share)));
        }
        shares.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        Influence { figure: figure.to_owned(), shares }
    }

    /// The worst value of a figure among the services that count, with its name.
    pub fn worst<'a>(&self, row: &'a SweepRow, figure: &str) -> Option<(&'a FigureName, f64)> {
        use super::figures::Better;
        let of_services = row
            .figures
            .iter()
            .filter(|one| one.name.figure == figure && self.leading.contains(&one.name.subject));
        let known = of_services.filter_map(|one| Some((&one.name, one.mean?)));
        known.max_by(|(name, one), (_, other)| match name.better {
            Better::Higher => other.total_cmp(one),
            Better::Lower | Better::Neither => one.total_cmp(other),
        })
    }
}

/// The share of the variance of numbers that lies between their groups (epsilon squared); nothing without differences, or
/// with too few numbers for the groups.
fn explained(values: &[(&str, f64)]) -> Option<f64> {
    let mut groups: Vec<(&str, f64, f64)> = Vec::new();
    for (name, value) in values {
        match groups.iter_mut().find(|(known, _, _)| known == name) {
            Some((_, count, sum)) => {
                *count += 1.0;
                *sum += value;
            }
            None => groups.push((name, 1.0, *value)),
        }
    }
    let (count, own) = (values.len() as f64, groups.len() as f64);
    if groups.len() < 2 || values.len() < groups.len() * ROWS_PER_VALUE {
        return None;
    }
    let mean = values.iter().map(|(_, value)| value).sum::<f64>() / count;
    let total: f64 = values.iter().map(|(_, value)| (value - mean) * (value - mean)).sum();
    if total <= 1e-12 * mean * mean * count {
        return None;
    }
    let between: f64 = groups
        .iter()
        .map(|(_, count, sum)| count * (sum / count - mean) * (sum / count - mean))
        .sum();
    let within = 1.0 - between / total;
    Some((1.0 - within * (count - 1.0) / (count - own)).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sets_the_figure_explains_it_and_what_does_not_explains_nothing() {
        // Ten times a, plus b: of a variance of 25 + 0.25 a has 25 / 25.25.
        let rows: Vec<(&str, &str, f64)> =
            vec![("1", "x", 10.0), ("1", "y", 11.0), ("2", "x", 20.0), ("2", "y", 21.0)];
        let by = |pick: fn(&(&'static str, &'static str, f64)) -> &'static str| {
            let values: Vec<(&str, f64)> = rows.iter().map(|row| (pick(row), row.2)).collect();
            explained(&values).expect("it differs")
        };
        let rest = 0.25 / 25.25;
        assert!((by(|row| row.0) - (1.0 - rest * 3.0 / 2.0)).abs() < 1e-9);
        assert!(by(|row| row.1).abs() < 1e-9, "less than chance would explain");
        assert_eq!(explained(&[("1", 5.0), ("1", 5.0), ("2", 5.0), ("2", 5.0)]), None);
        assert_eq!(explained(&[("1", 5.0), ("2", 6.0), ("3", 7.0)]), None);
    }
}
