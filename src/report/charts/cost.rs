//! Chart of the cost by workload, with one bar each and one for idle capacity.

use super::canvas::fit;
use super::scene::{Anchor, Color, Scene, Text, WIDTH};
use crate::figures::percent;
use crate::model::Report;
use units::Money;

/// Maximum number of workloads with a bar of their own, most expensive first.
const BARS: usize = 12;

const LEFT: f64 = 50.0;
const NAME_WIDTH: f64 = 520.0;
const VALUE_WIDTH: f64 = 300.0;
const ROW_HEIGHT: f64 = 58.0;
const SIZE: f64 = 24.0;

/// The monthly cost by workload.
pub fn scene(report: &Report) -> Scene {
    let cost = &report.cost;
    let title = format!("Cost: {} a month", cost.month_usd);
    let mut scene = Scene { title: title.clone(), ..Scene::default() };
    scene.text(Text::new((LEFT, 48.0), 34.0, title).color(Color::INK).bold());
    let subtitle = fit(&subtitle(report), 23.0, false, WIDTH - 2.0 * LEFT);
    scene.text(Text::new((LEFT, 92.0), 23.0, subtitle));

    let rows = rows(report);
    let largest = rows.iter().map(|row| row.1.as_usd()).fold(0.0, f64::max);
    let mut y = 160.0;
    for (name, usd, color) in rows {
        let share =
            if cost.total_usd > Money::ZERO { usd.as_usd() / cost.total_usd.as_usd() } else { 0.0 };
        let name = fit(&name, SIZE, false, NAME_WIDTH);
        let start = LEFT + NAME_WIDTH + 20.0;
        let full = WIDTH - LEFT - VALUE_WIDTH - start;
        let length = if largest > 0.0 { usd.as_usd() / largest * full } else { 0.0 };
        let name = Text::new((start - 20.0, y), SIZE, name).anchor(Anchor::End);
        scene.text(name.color(Color::INK));
        if length >= 1.0 {
            scene.rectangle((start, y - 18.0), (start + length, y + 18.0), color, 1.0);
        }
        let month = monthly(usd, report);
        let value = format!("{month}  ({})", percent(share));
        scene.text(Text::new((start + length + 14.0, y), SIZE, value).color(Color::INK));
        y += ROW_HEIGHT;
    }
    scene.height = y + 10.0;
    scene
}

fn subtitle(report: &Report) -> String {
    let cost = &report.cost;
    let mut subtitle = format!("{}, seed {}", report.run.scenario, report.run.seed);
    if let Some(usd) = cost.million_requests_usd {
        subtitle += " · ";
        subtitle += &usd.to_string();
        subtitle += " per million answered requests";
    }
    if !cost.unpriced.is_empty() {
        subtitle += " · without a price, left out: ";
        subtitle += &cost.unpriced.join(", ");
    }
    subtitle
}

/// Name, cost in the run and color of each bar: the most expensive workloads, the rest, and idle
/// capacity.
fn rows(report: &Report) -> Vec<(String, Money, Color)> {
    let mut workloads: Vec<_> = report.cost.workloads.iter().collect();
    workloads.sort_by_key(|workload| std::cmp::Reverse(workload.usd));
    let (own, rest) = workloads.split_at(workloads.len().min(BARS));
    let mut rows: Vec<_> =
        own.iter().map(|cost| (cost.workload.clone(), cost.usd, Color::BLUE)).collect();
    if !rest.is_empty() {
        let usd = rest.iter().map(|cost| cost.usd).sum();
        rows.push((format!("{} more workloads", rest.len()), usd, Color::BLUE));
    }
    rows.push((
        "idle: not requested by any workload".to_owned(),
        report.cost.idle_usd,
        Color::ORANGE,
    ));
    let beside = report.cost.total_usd - report.cost.nodes_usd;
    if beside > Money::ZERO {
        rows.push(("items other than nodes: see the invoice".to_owned(), beside, Color::MUTED));
    }
    rows
}

/// Scales a cost of the run to a month, like the total.
fn monthly(usd: Money, report: &Report) -> Money {
    let hour_ms = 3_600_000;
    usd.share(730 * hour_ms, i128::from(report.run.duration_ms.max(1)))
}
