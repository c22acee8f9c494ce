//! Chart of a packing: the placed share of the scarce resource by policy, over the requested share.

use super::report::PackReport;
use report::charts::{Anchor, Color, Scene, Text, WIDTH};

const LEFT: f64 = 130.0;
const RIGHT: f64 = WIDTH - 330.0;
const TOP: f64 = 150.0;
const BOTTOM: f64 = 850.0;
const SIZE: f64 = 24.0;
const COLORS: [Color; 6] =
    [Color::BLUE, Color::VERMILLION, Color::GREEN, Color::ORANGE, Color::PURPLE, Color::SKY];

/// The curves of all policies.
pub fn scene(report: &PackReport) -> Scene {
    let title =
        format!("{}: {} placed, in percent of the cluster's", report.name, report.scarce_resource);
    let mut scene = Scene { title: title.clone(), height: BOTTOM + 110.0, ..Scene::default() };
    scene.text(Text::new((LEFT, 52.0), 32.0, title).color(Color::INK).bold());
    let capacity = report.scarce_capacity.max(1) as f64;
    let percent = |amount: i64| 100.0 * amount as f64 / capacity;
    let points = || report.policies.iter().flat_map(|policy| &policy.curve);
    let most = |which: usize| points().map(|point| percent(point[which])).fold(0.0, f64::max);
    let axes = Axes { width: step_up(most(0)), height: step_up(most(1)) };
    axes.draw(&mut scene);
    let mut names: Vec<(f64, usize)> = Vec::new();
    for (number, policy) in report.policies.iter().enumerate() {
        let line: Vec<(f64, f64)> = policy
            .curve
            .iter()
            .map(|point| axes.at(percent(point[0]), percent(point[1])))
            .collect();
        names.push((line.last().map_or(BOTTOM, |end| end.1), number));
        scene.line(line, COLORS[number % COLORS.len()], 4.0);
    }
    name_curves(&mut scene, report, names);
    scene
}

/// Labels the ends of the curves, spaced so that the labels do not overlap.
fn name_curves(scene: &mut Scene, report: &PackReport, mut names: Vec<(f64, usize)>) {
    names.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
    let mut y = f64::NEG_INFINITY;
    for (end, number) in names {
        y = end.max(y + SIZE + 8.0);
        let policy = &report.policies[number];
        let placed = policy.curve.last().map_or(0, |point| point[1]);
        let share = 100.0 * placed as f64 / report.scarce_capacity.max(1) as f64;
        let name: String = policy.policy.chars().take(18).collect();
        let text = Text::new((RIGHT + 16.0, y), SIZE, format!("{name} {share:.2} %"));
        scene.text(text.color(COLORS[number % COLORS.len()]).bold());
    }
}

/// Upper ends of the axes, in percent.
struct Axes {
    width: f64,
    height: f64,
}

impl Axes {
    fn at(&self, arrived: f64, placed: f64) -> (f64, f64) {
        let x = LEFT + arrived / self.width * (RIGHT - LEFT);
        (x, BOTTOM - placed / self.height * (BOTTOM - TOP))
    }

    fn draw(&self, scene: &mut Scene) {
        for step in 0..=10 {
            let part = f64::from(step) / 10.0;
            let (x, y) = self.at(part * self.width, part * self.height);
            scene.line(vec![(LEFT, y), (RIGHT, y)], Color::GRID, 1.0);
            scene.line(vec![(x, TOP), (x, BOTTOM)], Color::GRID, 1.0);
            let (across, up) = (part * self.width, part * self.height);
            let label = Text::new((x, BOTTOM + 30.0), SIZE, format!("{across:.0} %"));
            scene.text(label.anchor(Anchor::Middle));
            let label = Text::new((LEFT - 14.0, y), SIZE, format!("{up:.0} %"));
            scene.text(label.anchor(Anchor::End));
        }
        let label = "requested by all pods so far, in percent of the cluster's";
        let at = (f64::midpoint(LEFT, RIGHT), BOTTOM + 76.0);
        scene.text(Text::new(at, SIZE, label).anchor(Anchor::Middle));
    }
}

/// Rounds up to the next multiple of ten percent, so that ten steps have round labels.
fn step_up(percent: f64) -> f64 {
    (percent / 10.0).ceil().max(1.0) * 10.0
}
