//! A sweep for the terminal: the settings, and for each the figures that decide.

use super::figures::TTFT_P95;
use super::objective_prices::ObjectivePrice;
use super::table::{SweepRow, SweepTable};
use report::figures::{ABSENT, counted};
use report::text::layout::{Align, Paint, Style, Table, paragraph, two_sided};

/// Notes that a row has room for.
const NOTES: usize = 3;

/// Settings that are named for one reason.
const SETTINGS: usize = 6;

/// Rows of a table that a person reads; of more, those that matter are shown.
const ROWS: usize = 40;

/// Settings that are named for a figure, as far as they explain this share of it.
const INFLUENCES: (usize, f64) = (3, 0.05);

/// The sweep as text, each line ended.
pub fn render(sweep: &SweepTable, style: Style) -> String {
    let size = format!(
        "{}, {} each",
        counted(sweep.rows.len() as u64, "setting"),
        counted(sweep.seeds.len() as u64, "seed")
    );
    let mut lines = two_sided(&format!("SWEEP  {}", sweep.scenario), &size);
    lines[0] = style.paint(Paint::Heading, &lines[0]);
    for (number, path) in (1..).zip(&sweep.varied) {
        lines.extend(paragraph(&format!("  {}  ", column(number)), path));
    }
    let shown = shown(sweep);
    let mut rows = table(sweep, &shown).into_iter();
    lines.extend(rows.next().map(|header| style.paint(Paint::Dim, &header)));
    for (row, line) in shown.iter().copied().zip(rows) {
        lines.push(match row {
            row if row.is_cheapest => style.paint(Paint::Good, &line),
            row if !row.never_ran.is_empty() => style.paint(Paint::Warning, &line),
            row if row.meets_objectives || row.objectives == 0 => line,
            _ => style.paint(Paint::Dim, &line),
        });
    }
    if shown.len() < sweep.rows.len() {
        let more = counted((sweep.rows.len() - shown.len()) as u64, "further setting");
        lines.extend(paragraph("  … ", &format!("{more} with `-o csv`, `-o json` or `--report`")));
    }
    lines.push(String::new());
    for row in &shown {
        let mut notes: Vec<String> = row.never_ran.iter().chain(&row.troubles).cloned().collect();
        if !notes.is_empty() {
            let more = notes.len().saturating_sub(NOTES);
            notes.truncate(NOTES);
            notes.extend((more > 0).then(|| format!("{more} more")));
            let note = paragraph("  ! ", &format!("{}: {}", named(sweep, row), notes.join("; ")));
            lines.extend(note.iter().map(|line| style.paint(Paint::Warning, line)));
        }
    }
    for (missed, mut settings) in misses(sweep, &shown) {
        let more = settings.len().saturating_sub(SETTINGS);
        settings.truncate(SETTINGS);
        settings.extend((more > 0).then(|| format!("{more} more")));
        lines.extend(paragraph("  ✗ ", &format!("{} missed {missed}", settings.join(", "))));
    }
    for row in &sweep.rows {
        let fresh = row.confirmation.iter().filter(|fresh| !fresh.holds());
        lines.extend(fresh.flat_map(|fresh| {
            let missed = (!fresh.missed.is_empty())
                .then(|| format!("it missed {}", fresh.missed.join(", ")));
            let failures: Vec<String> =
                missed.into_iter().chain(fresh.never_ran.iter().cloned()).collect();
            let text = format!(
                "{} met everything, but not with fresh seeds ({}): {}",
                setting(sweep, row),
                span_of(&fresh.seeds),
                failures.join("; ")
            );
            paragraph("  ✗ ", &text)
        }));
    }
    lines.extend(influence(sweep));
    lines.extend(paragraph("", &conclusion(sweep)));
    lines.extend(prices(sweep));
    lines.join("\n") + "\n"
}

/// Missed objectives, each set with the rows that missed exactly these.
fn misses(sweep: &SweepTable, rows: &[&SweepRow]) -> Vec<(String, Vec<String>)> {
    let mut misses: Vec<(String, Vec<String>)> = Vec::new();
    for row in rows.iter().filter(|row| !row.missed.is_empty()) {
        let more = row.missed.len().saturating_sub(NOTES);
        let missed = row.missed.iter().take(NOTES).cloned();
        let missed: Vec<String> =
            missed.chain((more > 0).then(|| format!("{more} more"))).collect();
        let missed = missed.join(", ");
        match misses.iter_mut().find(|(known, _)| *known == missed) {
            Some((_, settings)) => settings.push(named(sweep, row)),
            None => misses.push((missed, vec![named(sweep, row)])),
        }
    }
    misses
}

/// The rows to show, in their order: all, or the cheapest of those that will do, or else those that miss least.
fn shown(sweep: &SweepTable) -> Vec<&SweepRow> {
    let mut order: Vec<usize> = (0..sweep.rows.len()).collect();
    order.sort_by(|one, other| {
        let rank = |place: usize| {
            let row = &sweep.rows[place];
            (!row.is_cheapest, !row.never_ran.is_empty(), row.missed.len())
        };
        let cost = |place: usize| sweep.rows[place].cost_per_month_usd;
        rank(*one).cmp(&rank(*other)).then(cost(*one).total_cmp(&cost(*other)))
    });
    order.truncate(ROWS);
    order.sort_unstable();
    order.into_iter().map(|place| &sweep.rows[place]).collect()
}

/// Which settings matter, where there are several.
fn influence(sweep: &SweepTable) -> Vec<String> {
    if sweep.varied.len() < 2 {
        return Vec::new();
    }
    let mut lines = Vec::new();
    for one in sweep.influence() {
        let (most, least) = INFLUENCES;
        let named = one.shares.iter().filter(|(_, share)| *share >= least).take(most);
        let named: Vec<String> =
            named.map(|(path, share)| format!("{path} {:.0} %", share * 100.0)).collect();
        if !named.is_empty() {
            let text = format!("{} depends on {}", one.figure, named.join(", "));
            lines.extend(paragraph("  ~ ", &text));
        }
    }
    lines
}

/// The setting of a row as `--set` takes it.
fn setting(sweep: &SweepTable, row: &SweepRow) -> String {
    values_of(sweep, &row.values)
}

fn values_of(sweep: &SweepTable, values: &[String]) -> String {
    let pairs = sweep.varied.iter().zip(values);
    let pairs: Vec<String> = pairs.map(|(path, value)| format!("{path}={value}")).collect();
    pairs.join(" ")
}

/// The setting of a row in a note: by the letters of the columns, where there are several.
fn named(sweep: &SweepTable, row: &SweepRow) -> String {
    if sweep.varied.len() < 2 {
        return setting(sweep, row);
    }
    let pairs = (1..).zip(&row.values);
    let pairs: Vec<String> =
        pairs.map(|(number, value)| format!("{}={value}", column(number))).collect();
    pairs.join(" ")
}

/// Seeds that follow each other.
fn span_of(seeds: &[u64]) -> String {
    match seeds {
        [first, .., last] => format!("{first} to {last}"),
        [one] => one.to_string(),
        [] => String::new(),
    }
}

/// `A`, `B`, ...: paths are too long to stand over columns.
fn column(number: usize) -> String {
    let letter = u8::try_from(number).ok().filter(|number| *number <= 26);
    letter.map_or_else(|| format!("#{number}"), |number| char::from(b'A' + number - 1).to_string())
}

/// Latency and availability of the worst service, which is named where there are several with objectives or clients.
fn table(sweep: &SweepTable, rows: &[&SweepRow]) -> Vec<String> {
    let paths = sweep.varied.len();
    let figures = figures(sweep);
    let right = vec![Align::Right; paths + figures.len() + 1];
    let mut table = Table::new(&[&[Align::Left][..], &right, &[Align::Left]].concat());
    let titles = figures.iter().map(|(title, _)| *title).chain(["a month", "objectives"]);
    let header = std::iter::once(String::new())
        .chain((1..=paths).map(column))
        .chain(titles.map(str::to_owned));
    table.row_of(header);
    for row in rows {
        let mark = if row.is_cheapest { "►" } else { "" };
        let shown = figures.iter().map(|(_, figure)| worst(sweep, row, figure));
        let cost = format!("${:.2}", row.cost_per_month_usd);
        let cells = std::iter::once(mark.to_owned())
            .chain(row.values.iter().cloned())
            .chain(shown)
            .chain([cost, verdict(row)]);
        table.row_of(cells);
    }
    table.lines()
}

/// The columns of figures, each with its title.
fn figures(sweep: &SweepTable) -> Vec<(&'static str, &'static str)> {
    let mut figures = vec![("p95", "latency p95"), ("p99", "latency p99")];
    let mut known = sweep.rows.iter().flat_map(|row| &row.figures);
    if known.any(|one| one.name.figure == TTFT_P95) {
        figures.push((TTFT_P95, TTFT_P95));
    }
    figures.push(("available", "availability"));
    figures
}

fn worst(sweep: &SweepTable, row: &SweepRow, figure: &str) -> String {
    let Some((name, value)) = sweep.worst(row, figure) else { return ABSENT.to_owned() };
    let value = name.unit.words(value);
    if sweep.leading.len() < 2 {
        return value;
    }
    let service = name.subject.rsplit('/').next().unwrap_or(&name.subject);
    format!("{value} {service}")
}

/// The verdict on a row's objectives in a few words.
pub(crate) fn verdict(row: &SweepRow) -> String {
    if !row.never_ran.is_empty() {
        return "pods missing at the end".to_owned();
    }
    match (row.objectives, &row.missed[..]) {
        (0, _) => String::new(),
        (_, []) if row.confirmation.as_ref().is_some_and(|fresh| !fresh.holds()) => {
            "missed with fresh seeds".to_owned()
        }
        (_, []) => "met".to_owned(),
        (all, missed) => format!("missed {} of {all}", missed.len()),
    }
}

/// Cost of each objective, most expensive first.
fn prices(sweep: &SweepTable) -> Vec<String> {
    let mut prices: Vec<&ObjectivePrice> = sweep.prices.iter().collect();
    prices.sort_by(|one, other| other.month_usd.total_cmp(&one.month_usd));
    let told = prices.into_iter().map(|price| {
        let ObjectivePrice { objective, month_usd, instead, figure, unit } = price;
        if instead.is_empty() {
            return format!("{objective} costs nothing: none of these is cheaper without it");
        }
        let reached =
            figure.zip(*unit).map(|(figure, unit)| format!(", with {}", unit.words(figure)));
        format!(
            "{objective} costs ${month_usd:.2} a month: without it {} would do{}",
            values_of(sweep, instead),
            reached.unwrap_or_default(),
        )
    });
    told.flat_map(|line| paragraph("  $ ", &line)).collect()
}

/// Why the selected row is taken among those that cost the same.
fn distinction(sweep: &SweepTable, selected: &SweepRow) -> &'static str {
    let others = sweep.rows.iter().filter(|row| row.will_do() && !row.is_cheapest);
    let changes = others.map(|row| sweep.changes(row));
    match sweep.changes(selected) {
        0 if sweep.current.iter().any(Option::is_some) => "this one keeps the current values",
        own if changes.min().is_some_and(|least| own < least) => {
            "this one changes the fewest of the current values"
        }
        _ => "this one leaves the most room to the limits",
    }
}

/// The row to take, or why there is none.
pub(crate) fn conclusion(sweep: &SweepTable) -> String {
    match sweep.rows.iter().find(|row| row.is_cheapest) {
        Some(row) => {
            let cost = format!("${:.2}", row.cost_per_month_usd);
            let alike = |one: &&SweepRow| {
                one.will_do() && format!("${:.2}", one.cost_per_month_usd) == cost
            };
            let others = match sweep.rows.iter().filter(alike).count() {
                0 | 1 => String::new(),
                all => format!(
                    "; {} that hold all objectives cost the same, as only nodes are billed; {}",
                    counted(all as u64 - 1, "other setting"),
                    distinction(sweep, row)
                ),
            };
            let fresh = match &row.confirmation {
                Some(fresh) => format!("confirmed with fresh seeds ({})", span_of(&fresh.seeds)),
                None => "not tried with fresh seeds (--confirm)".to_owned(),
            };
            let setting = setting(sweep, row);
            format!(
                "► cheapest of these that meets every objective with every seed: {setting}, at {cost} a month, \
                 {fresh}{others}"
            )
        }
        None if sweep.rows.iter().all(|row| row.objectives == 0) => {
            "the scenario has no objectives to hold; add `objectives`".to_owned()
        }
        None => "none of these meets every objective with every seed and runs all of its pods"
            .to_owned(),
    }
}
