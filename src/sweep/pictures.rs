//! The pictures of a sweep: heat maps of two settings, cost against latency, and which setting matters.

use super::table::{SweepRow, SweepTable};
use report::charts::{
    Chart, HeatCell, HeatMap, Scatter, ScatterPoint, heat_map, influence, scatter,
};
use report::figures::ABSENT;

/// More rows or columns of a heat map could not be read.
const HEAT_MAX: usize = 24;

/// Unavailability below this is none: so many nines no run shows.
const LEAST_UNAVAILABLE: f64 = 1e-6;

/// Costs below this are none, US dollars.
const LEAST_COST_USD: f64 = 0.01;

/// A heat map's colours span at least so many orders of magnitude: dark is a difference of a quarter or more.
const LEAST_SPAN: f64 = 0.1;

/// Cell of a row in a heat map: its text, and an order of magnitude that is higher where it is worse.
type Shown<'a> = dyn Fn(&SweepRow) -> (String, Option<f64>) + 'a;

/// All pictures of a sweep.
pub fn pictures(sweep: &SweepTable) -> Vec<Chart> {
    let mut charts = vec![Chart { stem: "pareto".to_owned(), scene: scatter(&pareto(sweep)) }];
    let shares = sweep.influence();
    if !shares.is_empty() {
        charts.push(Chart { stem: "influence".to_owned(), scene: influence(&shares) });
    }
    let Some((across, down)) = axes(sweep) else { return charts };
    let cost: &Shown<'_> = &|row| {
        let usd = row.cost_per_month_usd;
        (format!("${usd:.0}"), Some(libm::log10(usd.max(LEAST_COST_USD))))
    };
    let p99: &Shown<'_> = &|row| match sweep.worst(row, "latency p99") {
        Some((name, ms)) => (name.unit.words(ms), Some(libm::log10(ms.max(0.001)))),
        None => (ABSENT.to_owned(), None),
    };
    let available: &Shown<'_> = &|row| match sweep.worst(row, "availability") {
        Some((name, share)) => {
            let missing = (1.0 - share).max(LEAST_UNAVAILABLE);
            (name.unit.words(share), Some(libm::log10(missing)))
        }
        None => (ABSENT.to_owned(), None),
    };
    for (stem, title, shown) in [
        ("heat-cost", "Cost a month", cost),
        ("heat-p99", "p99 latency of the worst service", p99),
        ("heat-availability", "Availability of the worst service", available),
    ] {
        if let Some(map) = heat(sweep, (across, down), title, shown) {
            charts.push(Chart { stem: stem.to_owned(), scene: heat_map(&map) });
        }
    }
    charts
}

/// The two settings that matter most, that with more values going down.
fn axes(sweep: &SweepTable) -> Option<(usize, usize)> {
    let influence = sweep.influence();
    let weight = |place: usize| -> f64 {
        let shares = influence.iter().flat_map(|one| &one.shares);
        shares.filter(|(path, _)| *path == sweep.varied[place]).map(|(_, share)| share).sum()
    };
    let mut places: Vec<usize> =
        (0..sweep.varied.len()).filter(|place| values(sweep, *place).len() > 1).collect();
    places.sort_by(|one, other| weight(*other).total_cmp(&weight(*one)));
    let [one, other, ..] = places[..] else { return None };
    let is_longer = values(sweep, one).len() > values(sweep, other).len();
    Some(if is_longer { (other, one) } else { (one, other) })
}

/// The values of a path, in the order in which they come up.
fn values(sweep: &SweepTable, place: usize) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for row in &sweep.rows {
        if !values.contains(&row.values[place]) {
            values.push(row.values[place].clone());
        }
    }
    values
}

/// The row whose other settings a heat map shows: the recommended one, or the first.
fn anchor(sweep: &SweepTable) -> Option<&SweepRow> {
    sweep.rows.iter().find(|row| row.is_cheapest).or(sweep.rows.first())
}

/// A heat map of the settings with all others as recommended; nothing if most of it is unknown.
fn heat(
    sweep: &SweepTable,
    (across, down): (usize, usize),
    title: &str,
    shown: &Shown<'_>,
) -> Option<HeatMap> {
    let anchor = anchor(sweep)?;
    let (columns, rows) = (values(sweep, across), values(sweep, down));
    if columns.len() > HEAT_MAX || rows.len() > HEAT_MAX {
        return None;
    }
    let find = |column: &String, row: &String| {
        let mut wanted = anchor.values.clone();
        wanted[across].clone_from(column);
        wanted[down].clone_from(row);
        sweep.rows.iter().find(|one| one.values == wanted)
    };
    let known: Vec<f64> = rows
        .iter()
        .flat_map(|row| columns.iter().map(move |column| (column, row)))
        .filter_map(|(column, row)| shown(find(column, row)?).1)
        .collect();
    if known.len() * 2 < columns.len() * rows.len() {
        return None;
    }
    let (low, high) = known.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), one| {
        (low.min(*one), high.max(*one))
    });
    let cell = |column: &String, row: &String| match find(column, row) {
        Some(found) => {
            let (text, value) = shown(found);
            let share = value.map(|value| (value - low) / (high - low).max(LEAST_SPAN));
            let is_missed = !found.missed.is_empty() || !found.never_ran.is_empty();
            HeatCell { text, share, is_missed, is_chosen: found.is_cheapest }
        }
        None => HeatCell::default(),
    };
    let lines = rows
        .iter()
        .map(|row| (row.clone(), columns.iter().map(|column| cell(column, row)).collect()));
    Some(HeatMap {
        title: title.to_owned(),
        across: format!("across: {}", sweep.varied[across]),
        down: format!("down: {}", sweep.varied[down]),
        columns: columns.clone(),
        rows: lines.collect(),
    })
}

/// The figures of a row in which settings compete.
#[derive(Clone, Copy, PartialEq)]
struct Merits {
    cost_usd: f64,
    latency_ms: f64,
    availability: Option<f64>,
}

impl Merits {
    fn is_no_worse_than(self, other: Self) -> bool {
        self.cost_usd <= other.cost_usd
            && self.latency_ms <= other.latency_ms
            && self.availability >= other.availability
    }
}

/// Cost against the worst p99; what has no latency, since nothing was answered, is left out.
fn pareto(sweep: &SweepTable) -> Scatter {
    let merits = |row: &SweepRow| {
        Some(Merits {
            cost_usd: row.cost_per_month_usd,
            latency_ms: sweep.worst(row, "latency p99")?.1,
            availability: sweep.worst(row, "availability").map(|(_, share)| share),
        })
    };
    let all: Vec<(&SweepRow, Merits)> =
        sweep.rows.iter().filter_map(|row| Some((row, merits(row)?))).collect();
    let will_do = |row: &SweepRow| row.missed.is_empty() && row.never_ran.is_empty();
    let is_beaten = |own: Merits| {
        let better = |other: Merits| other != own && other.is_no_worse_than(own);
        all.iter().any(|(row, other)| will_do(row) && better(*other))
    };
    let point = |(row, own): &(&SweepRow, Merits)| ScatterPoint {
        cost_usd: own.cost_usd,
        latency_ms: own.latency_ms,
        availability: own.availability,
        is_missed: !will_do(row),
        is_frontier: will_do(row) && !is_beaten(*own),
        is_chosen: row.is_cheapest,
    };
    Scatter {
        title: format!("{}: cost against latency", sweep.scenario),
        up: "p99 latency of the worst service".to_owned(),
        points: all.iter().map(point).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::confirm::tests::row;
    use super::*;

    #[test]
    fn only_a_large_difference_is_dark() {
        let darkest = |costs: [f64; 4]| {
            let mut sweep =
                SweepTable::new(vec!["a".to_owned(), "b".to_owned()], Vec::new(), Vec::new());
            let cells = [["1", "1"], ["1", "2"], ["2", "1"], ["2", "2"]];
            let rows = cells.iter().zip(costs).map(|(values, usd)| SweepRow {
                values: values.map(str::to_owned).to_vec(),
                ..row("", usd, 0.0)
            });
            sweep.rows = rows.collect();
            let cost: &Shown<'_> =
                &|row| (String::new(), Some(libm::log10(row.cost_per_month_usd)));
            let map = heat(&sweep, (0, 1), "cost", cost).expect("all cells are known");
            let cells = map.rows.iter().flat_map(|(_, cells)| cells);
            cells.filter_map(|cell| cell.share).fold(0.0, f64::max)
        };
        assert!(darkest([100.0, 101.0, 102.0, 103.0]) < 0.2);
        assert!((darkest([100.0, 101.0, 102.0, 200.0]) - 1.0).abs() < 1e-9);
    }
}
