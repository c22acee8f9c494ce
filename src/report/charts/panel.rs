//! A panel over time: frame, grid, ticks, legend, and the series in it.

use super::canvas::{fit, text_on_paper};
use super::font;
use super::scale::{Scale, Unit};
use super::scene::{Anchor, Color, Readout, ReadoutSeries, Scene, Text, WIDTH};
use crate::axis::{clock_label, clock_unit, time_ticks};

/// Left end of every time axis, pixels.
pub const LEFT: f64 = 130.0;
/// Right end of every time axis, pixels.
pub const RIGHT: f64 = WIDTH - MARGIN;
/// Margin to the right of the panels for the names of levels, pixels.
pub(crate) const MARGIN: f64 = 150.0;
/// Height of a panel's title row, pixels.
pub(crate) const TITLE_HEIGHT: f64 = 52.0;
/// Height of the row of clock labels under the last panel, pixels.
pub(crate) const CLOCK_HEIGHT: f64 = 84.0;

const LABEL_SIZE: f64 = 22.0;
const TITLE_SIZE: f64 = 24.0;
const AXIS_TICKS: usize = 9;
const FILL_OPACITY: f64 = 0.22;
const LINE_WIDTH: f64 = 3.0;

/// The time range of a run.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_field_names, reason = "each field's name ends in its unit")]
pub struct TimeAxis<'a> {
    /// Length of the run, seconds.
    pub duration_seconds: f64,
    /// Length of the warm-up, which is not counted, seconds.
    pub warm_up_seconds: f64,
    /// End of each interval, seconds.
    pub interval_ends_seconds: &'a [f64],
}

/// Drawing style of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// A mean over each interval: a line through their middles.
    Line,
    /// The same, filled down to zero.
    Area,
    /// A state that lasts: level within each interval.
    Steps,
    /// The same, filled down to zero.
    StepArea,
}

/// A data series with one value per interval.
#[derive(Clone, Debug)]
pub struct Series {
    /// Name in the legend.
    pub name: &'static str,
    /// Colour.
    pub color: Color,
    /// Drawing style.
    pub stroke: Stroke,
    /// `None` where there is no value.
    pub values: Vec<Option<f64>>,
    /// Values of a step series with the times [s] from which they hold; if empty, the values of the intervals are drawn.
    pub steps: Vec<(f64, f64)>,
    /// JSON pointers to the values in the report.
    pub sources: Vec<String>,
}

/// A contiguous stretch of a series: start [s], end [s] and value.
type Run = Vec<(f64, f64, f64)>;

/// A target value, drawn as a dashed line across the panel.
#[derive(Clone, Debug)]
pub struct ReferenceLine {
    /// The value.
    pub value: f64,
    /// Short label.
    pub name: String,
    /// Color of the series that it limits.
    pub color: Color,
}

/// A panel and its position in the chart.
#[derive(Clone, Debug)]
pub struct Panel<'a> {
    /// Title.
    pub title: &'static str,
    /// Unit of its values.
    pub unit: Unit,
    /// The series, in drawing order.
    pub series: Vec<Series>,
    /// Target values.
    pub levels: Vec<ReferenceLine>,
    /// Times at which an autoscaler changed the replicas, seconds.
    pub rescales_seconds: Vec<f64>,
    /// The shared time axis.
    pub time: TimeAxis<'a>,
    /// Top edge, below its title, pixels.
    pub top: f64,
    /// Height of the plot area, pixels.
    pub height: f64,
}

impl Series {
    /// A series whose values are in the report at `source`, a JSON pointer.
    pub fn new(
        name: &'static str,
        color: Color,
        stroke: Stroke,
        values: Vec<Option<f64>>,
        source: String,
    ) -> Self {
        Self { name, color, stroke, values, steps: Vec::new(), sources: vec![source] }
    }

    /// Steps at their instants.
    pub(crate) fn with_steps(self, steps: &[(f64, f64)]) -> Self {
        Self { steps: steps.to_vec(), ..self }
    }

    /// Removes zeros, which would draw a line over the axis; `None` if nothing remains.
    pub(crate) fn above_zero(mut self) -> Option<Self> {
        for value in &mut self.values {
            *value = value.filter(|&value| value > 0.0);
        }
        for (_, value) in &mut self.steps {
            *value = if *value > 0.0 { *value } else { f64::NAN };
        }
        let is_above = self.steps.iter().any(|(_, value)| value.is_finite());
        (is_above || self.values.iter().any(Option::is_some)).then_some(self)
    }
}

impl TimeAxis<'_> {
    /// The x position of an instant, pixels from the left.
    pub fn x(&self, seconds: f64) -> f64 {
        let duration = self.duration_seconds.max(f64::MIN_POSITIVE);
        LEFT + (seconds / duration).clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    /// Start and end of an interval, seconds.
    fn interval(&self, index: usize) -> (f64, f64) {
        let ends = self.interval_ends_seconds;
        let start = index.checked_sub(1).map_or(0.0, |before| ends[before]);
        (start, ends[index])
    }

    /// Draws the clock labels below the last panel.
    pub(crate) fn draw_clock(&self, scene: &mut Scene, top: f64) {
        let (step, ticks) = time_ticks(self.duration_seconds, AXIS_TICKS);
        for tick in ticks {
            let (x, label) = (self.x(tick), clock_label(tick, step));
            scene.line(vec![(x, top), (x, top + 7.0)], Color::MUTED, 2.0);
            scene.text(Text::new((x, top + 24.0), LABEL_SIZE, label).anchor(Anchor::Middle));
        }
        let middle = f64::midpoint(LEFT, RIGHT);
        let text = format!("time since the start [{}]", clock_unit(step));
        scene.text(Text::new((middle, top + 58.0), LABEL_SIZE, text).anchor(Anchor::Middle));
    }
}

impl Panel<'_> {
    /// A panel without a position.
    pub fn new(title: &'static str, unit: Unit, series: Vec<Series>) -> Self {
        Self {
            title,
            unit,
            series,
            levels: Vec::new(),
            rescales_seconds: Vec::new(),
            time: TimeAxis::default(),
            top: 0.0,
            height: 230.0,
        }
    }

    /// Bottom edge, pixels.
    pub fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// Draws the background: the grid and its labels.
    pub(crate) fn draw_grid(&self, scene: &mut Scene) {
        let scale = self.scale();
        if self.time.warm_up_seconds > 0.0 {
            let warm = self.time.x(self.time.warm_up_seconds);
            scene.rectangle((LEFT, self.top), (warm, self.bottom()), Color::GRID, 0.5);
        }
        for &tick in scale.ticks() {
            let y = self.y(&scale, tick);
            scene.line(vec![(LEFT, y), (RIGHT, y)], Color::GRID, 1.5);
            let label = Text::new((LEFT - 12.0, y), LABEL_SIZE, self.unit.label(tick));
            scene.text(label.anchor(Anchor::End));
        }
        for tick in time_ticks(self.time.duration_seconds, AXIS_TICKS).1 {
            let x = self.time.x(tick);
            scene.line(vec![(x, self.top), (x, self.bottom())], Color::GRID, 1.5);
        }
        let corner = vec![(LEFT, self.top), (LEFT, self.bottom()), (RIGHT, self.bottom())];
        scene.line(corner, Color::MUTED, 2.0);
    }

    /// Labels the shaded warm-up, if there is room.
    pub(crate) fn name_warm_up(&self, scene: &mut Scene) {
        const SIZE: f64 = 18.0;
        let room = self.time.x(self.time.warm_up_seconds) - LEFT;
        if font::width("warm-up", SIZE, false) + 16.0 <= room {
            scene.text(Text::new((LEFT + 8.0, self.top + 16.0), SIZE, "warm-up"));
        }
    }

    /// Draws the series, the title and the legend, and registers the readout.
    pub fn draw(&self, scene: &mut Scene) {
        let scale = self.scale();
        let mut is_empty = true;
        for series in &self.series {
            for run in self.runs(series) {
                is_empty = false;
                self.draw_run(scene, series, &scale, &run);
            }
        }
        if is_empty {
            let middle = (f64::midpoint(LEFT, RIGHT), f64::midpoint(self.top, self.bottom()));
            let text = Text::new(middle, LABEL_SIZE, "nothing to show").anchor(Anchor::Middle);
            text_on_paper(scene, text);
        }
        for &seconds in &self.rescales_seconds {
            triangle(scene, self.time.x(seconds), self.bottom());
        }
        self.draw_levels(scene, &scale);

        let title_y = self.top - TITLE_HEIGHT / 2.0 + 4.0;
        let scaling = if scale.is_logarithmic() { ", logarithmic" } else { "" };
        let title = format!("{}{scaling}", self.title);
        let title = Text::new((LEFT, title_y), TITLE_SIZE, title).color(Color::INK).bold();
        text_on_paper(scene, title);
        self.draw_legend(scene, title_y);
        scene.readouts.push(self.readout());
    }

    /// The y position of a value, pixels from the top.
    fn y(&self, scale: &Scale, value: f64) -> f64 {
        self.bottom() - scale.height(value) * (self.bottom() - self.top)
    }

    fn scale(&self) -> Scale {
        let values = self.series.iter().flat_map(|series| {
            let steps = series.steps.iter().map(|(_, value)| *value).filter(|one| one.is_finite());
            series.values.iter().copied().flatten().chain(steps)
        });
        let levels = self.levels.iter().map(|level| level.value);
        Scale::of(values.chain(levels), self.unit)
    }

    /// Draws dashed lines for the levels, with their names in the margin, stacked without overlap.
    fn draw_levels(&self, scene: &mut Scene, scale: &Scale) {
        const DASH: f64 = 14.0;
        const NAME_SIZE: f64 = 18.0;
        const ROOM: f64 = MARGIN - 16.0;
        let mut levels: Vec<(f64, &ReferenceLine)> =
            self.levels.iter().map(|level| (self.y(scale, level.value), level)).collect();
        levels.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut free_from = self.top;
        for (y, level) in levels {
            let mut x = LEFT;
            while x < RIGHT {
                scene.line(vec![(x, y), ((x + DASH).min(RIGHT), y)], level.color, 2.0);
                x += DASH * 1.8;
            }
            let is_wide = font::width(&level.name, NAME_SIZE, false) > ROOM;
            // The limited figure goes above its limit.
            let rows: Vec<&str> = match level.name.split_once(" ≤ ").filter(|_| is_wide) {
                Some((what, _)) => vec![what, &level.name[what.len() + 1..]],
                None => vec![&level.name],
            };
            let mut row_y = y.max(free_from);
            for row in rows {
                let name = fit(row, NAME_SIZE, false, ROOM);
                scene.text(Text::new((RIGHT + 10.0, row_y), NAME_SIZE, name).color(level.color));
                row_y += NAME_SIZE * 1.25;
            }
            free_from = row_y;
        }
    }

    /// The legend is in the title row, so that it never covers a line.
    fn draw_legend(&self, scene: &mut Scene, y: f64) {
        let mut right = RIGHT;
        if !self.rescales_seconds.is_empty() {
            right = legend_text(scene, right, y, "rescale");
            triangle(scene, right - 9.0, y + 8.0);
            right -= 48.0;
        }
        for series in self.series.iter().rev() {
            let swatch_right = legend_text(scene, right, y, series.name);
            let swatch_left = swatch_right - 34.0;
            if matches!(series.stroke, Stroke::Area | Stroke::StepArea) {
                let (upper, lower) = ((swatch_left, y - 8.0), (swatch_right, y + 8.0));
                scene.rectangle(upper, lower, series.color, FILL_OPACITY);
                scene.line(vec![upper, (swatch_right, y - 8.0)], series.color, LINE_WIDTH);
            } else {
                scene.line(vec![(swatch_left, y), (swatch_right, y)], series.color, LINE_WIDTH);
            }
            right = swatch_left - 30.0;
        }
    }

    /// Contiguous stretches of the series.
    fn runs(&self, series: &Series) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut is_open = false;
        for (from, to, value) in self.spans(series) {
            match (value, runs.last_mut()) {
                (Some(value), Some(run)) if is_open => run.push((from, to, value)),
                (Some(value), _) => runs.push(vec![(from, to, value)]),
                (None, _) => {}
            }
            is_open = value.is_some();
        }
        runs
    }

    /// Start, end and value of each stretch: between the steps of a step series, else the intervals.
    fn spans(&self, series: &Series) -> Vec<(f64, f64, Option<f64>)> {
        let finite = |value: f64| Some(value).filter(|value| value.is_finite());
        if series.steps.is_empty() {
            let intervals = self.time.interval_ends_seconds.len();
            let values = series.values.iter().take(intervals).enumerate();
            return values
                .map(|(interval, value)| {
                    let (from, to) = self.time.interval(interval);
                    (from, to, value.and_then(finite))
                })
                .collect();
        }
        let ends = series.steps.iter().skip(1).map(|(at, _)| *at);
        let ends = ends.chain([self.time.duration_seconds]);
        let spans = series.steps.iter().zip(ends);
        spans.map(|((from, value), to)| (*from, to, finite(*value))).collect()
    }

    fn draw_run(&self, scene: &mut Scene, series: &Series, scale: &Scale, run: &Run) {
        let has_steps = matches!(series.stroke, Stroke::Steps | Stroke::StepArea);
        let mut points = Vec::with_capacity(run.len() * 2);
        for &(from, to, value) in run {
            let y = self.y(scale, value);
            // A single interval would be a point, so draw it as a step.
            if has_steps || run.len() == 1 {
                points.extend([(self.time.x(from), y), (self.time.x(to), y)]);
            } else {
                points.push((self.time.x(f64::midpoint(from, to)), y));
            }
        }
        if matches!(series.stroke, Stroke::Area | Stroke::StepArea) {
            let (first, last) = (points[0].0, points[points.len() - 1].0);
            let mut outline = points.clone();
            outline.extend([(last, self.bottom()), (first, self.bottom())]);
            scene.area(outline, series.color, FILL_OPACITY);
            // Draw the vertical side of a stretch that starts or ends within the run.
            if run[0].0 > 0.0 {
                points.insert(0, (first, self.bottom()));
            }
            let mut intervals = self.time.interval_ends_seconds.iter().take(series.values.len());
            if intervals.next_back().is_some_and(|end| run[run.len() - 1].1 < *end) {
                points.push((last, self.bottom()));
            }
        }
        scene.line(points, series.color, LINE_WIDTH);
    }

    fn readout(&self) -> Readout {
        let series = self.series.iter().map(|series| ReadoutSeries {
            name: series.name.to_owned(),
            color: series.color.hex(),
            unit: self.unit.name(),
            sources: series.sources.clone(),
        });
        Readout {
            left: LEFT,
            right: RIGHT,
            top: self.top,
            bottom: self.bottom(),
            title: self.title.to_owned(),
            series: series.collect(),
        }
    }
}

/// Draws a legend text and returns the end of its color swatch.
fn legend_text(scene: &mut Scene, right: f64, y: f64, word: &str) -> f64 {
    let text = Text::new((right, y), LABEL_SIZE, word).color(Color::INK).anchor(Anchor::End);
    text_on_paper(scene, text);
    right - font::width(word, LABEL_SIZE, false) - 10.0
}

/// Draws the marker of a rescale, standing on `bottom`.
fn triangle(scene: &mut Scene, x: f64, bottom: f64) {
    scene.area(vec![(x - 9.0, bottom), (x, bottom - 17.0), (x + 9.0, bottom)], Color::INK, 1.0);
}
