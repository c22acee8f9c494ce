//! Cost against a latency: a point for each setting, and a line through those that nothing beats in both.

use super::font;
use super::panel::{LEFT, RIGHT};
use super::scale::{Scale, Unit};
use super::scene::{Anchor, Color, Scene, Text};

/// A scatter chart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scatter {
    /// Title.
    pub title: String,
    /// Title of the vertical axis: a latency.
    pub up: String,
    /// The points.
    pub points: Vec<ScatterPoint>,
}

/// A setting.
#[derive(Clone, Debug, PartialEq)]
pub struct ScatterPoint {
    /// US dollars a month.
    pub cost_usd: f64,
    /// Latency, milliseconds.
    pub latency_ms: f64,
    /// Availability, 0 to 1; absent without requests.
    pub availability: Option<f64>,
    /// Whether an objective is missed.
    pub is_missed: bool,
    /// Whether no other setting has lower cost, lower latency and higher availability.
    pub is_frontier: bool,
    /// Whether it is the one that is recommended.
    pub is_chosen: bool,
}

const TOP: f64 = 130.0;
const BOTTOM: f64 = 760.0;
const SIZE: f64 = 22.0;

/// Availabilities that are told apart by colour: at least this share, with its colour and its name.
const CLASSES: [(f64, Color, &str); 4] = [
    (0.999, Color::GREEN, "99.9 % and more"),
    (0.99, Color::SKY, "99 % and more"),
    (0.95, Color::ORANGE, "95 % and more"),
    (0.0, Color::VERMILLION, "less"),
];

/// The picture of a scatter chart.
pub fn scatter(chart: &Scatter) -> Scene {
    let mut scene = Scene { title: chart.title.clone(), ..Scene::default() };
    scene.text(Text::new((50.0, 48.0), 34.0, &*chart.title).color(Color::INK).bold());
    let cost = Range::of(chart.points.iter().map(|point| point.cost_usd));
    let latency = Scale::of(chart.points.iter().map(|point| point.latency_ms), Unit::Latency);
    let x = |usd: f64| LEFT + (RIGHT - LEFT) * cost.share(usd);
    let y = |ms: f64| BOTTOM - (BOTTOM - TOP) * latency.height(ms);
    for tick in latency.ticks() {
        scene.line(vec![(LEFT, y(*tick)), (RIGHT, y(*tick))], Color::GRID, 2.0);
        let label = Text::new((LEFT - 14.0, y(*tick)), SIZE, Unit::Latency.label(*tick));
        scene.text(label.anchor(Anchor::End));
    }
    for tick in cost.ticks() {
        scene.line(vec![(x(tick), TOP), (x(tick), BOTTOM)], Color::GRID, 2.0);
        let label = Text::new((x(tick), BOTTOM + 28.0), SIZE, format!("${tick:.0}"));
        scene.text(label.anchor(Anchor::Middle));
    }
    scene.text(Text::new((50.0, 92.0), SIZE, &*chart.up));
    let below = Text::new((RIGHT, BOTTOM + 66.0), SIZE, "US dollars a month");
    scene.text(below.anchor(Anchor::End));
    let mut frontier: Vec<&ScatterPoint> =
        chart.points.iter().filter(|point| point.is_frontier && !point.is_missed).collect();
    frontier.sort_by(|one, other| one.cost_usd.total_cmp(&other.cost_usd));
    let line: Vec<(f64, f64)> =
        frontier.iter().map(|point| (x(point.cost_usd), y(point.latency_ms))).collect();
    if line.len() > 1 {
        scene.line(line, Color::MUTED, 3.0);
    }
    for point in &chart.points {
        draw(&mut scene, point, (x(point.cost_usd), y(point.latency_ms)));
    }
    legend(&mut scene);
    scene.height = BOTTOM + 180.0;
    scene
}

fn draw(scene: &mut Scene, point: &ScatterPoint, (x, y): (f64, f64)) {
    let availability = point.availability.unwrap_or_default();
    let class = CLASSES.iter().find(|(least, _, _)| availability >= *least);
    let color = class.map_or(Color::MUTED, |(_, color, _)| *color);
    if point.is_missed {
        for by in [6.0, -6.0] {
            scene.line(vec![(x - 6.0, y - by), (x + 6.0, y + by)], color, 3.0);
        }
    } else {
        scene.area(circle((x, y), 9.0), color, 0.85);
    }
    if point.is_chosen {
        let mut ring = circle((x, y), 18.0);
        ring.extend(ring.first().copied());
        scene.line(ring, Color::INK, 4.0);
    }
}

fn circle((x, y): (f64, f64), radius: f64) -> Vec<(f64, f64)> {
    let corner = |step: u32| {
        let angle = f64::from(step) / 16.0 * std::f64::consts::TAU;
        (x + radius * libm::cos(angle), y + radius * libm::sin(angle))
    };
    (0..16).map(corner).collect()
}

fn legend(scene: &mut Scene) {
    let y = BOTTOM + 110.0;
    let mut x = 50.0;
    scene.text(Text::new((x, y), SIZE, "availability"));
    x += 150.0;
    for (_, color, name) in CLASSES {
        scene.area(circle((x, y), 9.0), color, 0.85);
        scene.text(Text::new((x + 18.0, y), SIZE, name));
        x += 18.0 + font::width(name, SIZE, false) + 40.0;
    }
    let note = "cross: an objective is missed, or pods are missing at the end; ring: recommended";
    scene.text(Text::new((50.0, y + 36.0), SIZE, note));
}

/// The lower and upper end of an axis that need not begin at zero, and the distance of its ticks.
struct Range {
    low: f64,
    high: f64,
    step: f64,
}

impl Range {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if values.is_empty() {
            return Self { low: 0.0, high: 1.0, step: 1.0 };
        }
        let span = (high - low).max(high.abs() * 0.05).max(1.0);
        let power = libm::pow(10.0, libm::floor(libm::log10(span / 5.0)));
        let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
        let step = steps.into_iter().find(|step| span / step <= 6.0).unwrap_or(10.0 * power);
        let ends = (libm::floor(low / step) * step, libm::ceil(high / step) * step);
        Self { low: ends.0, high: ends.1.max(ends.0 + step), step }
    }

    fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = libm::round((self.high - self.low) / self.step);
        let (low, step) = (self.low, self.step);
        (0u32..)
            .map(f64::from)
            .take_while(move |tick| *tick <= count)
            .map(move |tick| low + tick * step)
    }
}
