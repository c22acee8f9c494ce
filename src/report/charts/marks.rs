//! Markers of faults and changes above and across the panels: lost nodes, changed objects, autoscaler actions.

use super::canvas::fit;
use super::font;
use super::panel::{LEFT, MARGIN, RIGHT, TimeAxis};
use super::scene::{Anchor, Color, Scene, Text};
use crate::milestone::Milestone;
use crate::model::LogEntry;

/// Height of a row of labels, pixels.
pub(crate) const ROW_HEIGHT: f64 = 28.0;

const ROWS: usize = 4;
const SIZE: f64 = 20.0;
const LABEL_WIDTH: f64 = 420.0;

/// Markers closer than this are merged, in pixels.
const TOGETHER: f64 = 8.0;

/// Gap between a label and its left neighbor, in pixels.
const GAP: f64 = 6.0;

/// A marker.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    x: f64,
    label: String,
    color: Color,
    /// Number of other events merged into this one.
    others: usize,
    /// Row number counted upwards from the panels; `None` if there was no room for the label.
    row: Option<usize>,
}

/// The markers of a log, with their label rows assigned.
pub fn marks(log: &[LogEntry], time: TimeAxis<'_>) -> Vec<Mark> {
    let mut marks: Vec<Mark> = Vec::new();
    for mark in log.iter().filter_map(|entry| mark(entry, time)) {
        match marks.last_mut().filter(|last| mark.x - last.x < TOGETHER) {
            Some(last) => last.others += 1,
            None => marks.push(mark),
        }
    }
    // Free space of each row, filled from the right: later labels are placed lower, so that no line crosses another's
    // label.
    let mut free_until = [RIGHT + MARGIN; ROWS];
    for mark in marks.iter_mut().rev() {
        if mark.others > 0 {
            mark.label = format!("{} and {} more", mark.label, mark.others);
        }
        let (start, end) = mark.extent();
        mark.row = (0..ROWS).find(|&row| {
            end <= free_until[row] && free_until[..row].iter().all(|&free| mark.x <= free)
        });
        if let Some(row) = mark.row {
            for free in &mut free_until[..=row] {
                *free = free.min(start.min(mark.x) - GAP);
            }
        }
    }
    marks
}

/// Number of rows occupied by labels.
pub fn rows(marks: &[Mark]) -> usize {
    marks.iter().filter_map(|mark| mark.row).map(|row| row + 1).max().unwrap_or(0)
}

/// Draws lines from the labels through the panels, from `top` to `bottom`. A marker without a label is a short line at
/// the top, as many long lines would hide the curves.
pub fn draw(scene: &mut Scene, marks: &[Mark], top: f64, bottom: f64) {
    for mark in marks {
        let Some(row) = mark.row else {
            scene.line(vec![(mark.x, top), (mark.x, top + 12.0)], mark.color, 2.0);
            continue;
        };
        let y = top - (row as f64 + 0.5) * ROW_HEIGHT;
        let text = Text::new((mark.extent().0, y), SIZE, mark.label.clone());
        scene.text(text.color(mark.color).anchor(Anchor::Start));
        scene.line(vec![(mark.x, y + ROW_HEIGHT / 2.0), (mark.x, bottom)], mark.color, 2.0);
    }
}

fn mark(entry: &LogEntry, time: TimeAxis<'_>) -> Option<Mark> {
    let color = match Milestone::of(entry)? {
        Milestone::NodeLost => Color::VERMILLION,
        Milestone::Change => Color::PURPLE,
        Milestone::NodeJoined => Color::GREEN,
        Milestone::Eviction
        | Milestone::Replacement
        | Milestone::Trouble
        | Milestone::NodeScaling
        | Milestone::Rescale => return None,
    };
    let name = entry.object.rsplit([' ', '/']).next().unwrap_or_default();
    let label = fit(&format!("{} {name}", entry.reason), SIZE, false, LABEL_WIDTH);
    Some(Mark { x: time.x(entry.at_seconds), label, color, others: 0, row: None })
}

impl Mark {
    /// Left and right end of its label: to the right of its line, or to its left near the edge of the chart.
    fn extent(&self) -> (f64, f64) {
        let width = font::width(&self.label, SIZE, false);
        let start = (self.x - 1.0).min(RIGHT + MARGIN - width).max(LEFT);
        (start, start + width)
    }
}
