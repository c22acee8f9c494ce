//! A heat map: a coloured cell for each pair of values, with its figure written in it.

use super::canvas::fit;
use super::scene::{Anchor, Color, Scene, Text, WIDTH};

/// A heat map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeatMap {
    /// Title.
    pub title: String,
    /// Title of the columns.
    pub across: String,
    /// Title of the rows.
    pub down: String,
    /// Values of the columns.
    pub columns: Vec<String>,
    /// The rows, each with its value and a cell for every column.
    pub rows: Vec<(String, Vec<HeatCell>)>,
}

/// A cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeatCell {
    /// Its text; empty if there is no run.
    pub text: String,
    /// Its place between the best (0) and the worst (1); absent without a figure.
    pub share: Option<f64>,
    /// Whether an objective is missed: the cell is struck through.
    pub is_missed: bool,
    /// Whether it is the one that is recommended.
    pub is_chosen: bool,
}

const TOP: f64 = 170.0;
const LABELS: f64 = 260.0;
const ROW_HEIGHT: f64 = 60.0;
const SIZE: f64 = 22.0;
const MARGIN: f64 = 50.0;

/// The picture of a heat map.
pub fn heat_map(map: &HeatMap) -> Scene {
    let mut scene = Scene { title: map.title.clone(), ..Scene::default() };
    scene.text(Text::new((MARGIN, 48.0), 34.0, &*map.title).color(Color::INK).bold());
    let width = (WIDTH - MARGIN - LABELS - MARGIN) / map.columns.len().max(1) as f64;
    let left = |column: usize| MARGIN + LABELS + column as f64 * width;
    let full = WIDTH - 2.0 * MARGIN;
    scene.text(Text::new((MARGIN, 88.0), SIZE, fit(&map.down, SIZE, false, full)));
    scene.text(Text::new((MARGIN, 118.0), SIZE, fit(&map.across, SIZE, false, full)));
    for (column, value) in map.columns.iter().enumerate() {
        let at = (left(column) + width / 2.0, TOP - 12.0);
        scene.text(centred(at, value, width).color(Color::INK));
    }
    for (row, (value, cells)) in map.rows.iter().enumerate() {
        let top = TOP + 12.0 + row as f64 * ROW_HEIGHT;
        let middle = top + ROW_HEIGHT / 2.0;
        let label = fit(value, SIZE, false, LABELS - 30.0);
        let label = Text::new((left(0) - 16.0, middle), SIZE, label).anchor(Anchor::End);
        scene.text(label.color(Color::INK));
        for (column, cell) in cells.iter().enumerate() {
            draw(&mut scene, cell, (left(column), top), width);
        }
    }
    let bottom = TOP + 12.0 + map.rows.len() as f64 * ROW_HEIGHT + 40.0;
    let note = "light is good, dark is bad; crossed out: an objective is missed, or pods are missing at the end; framed: recommended";
    scene.text(Text::new((left(0), bottom), 20.0, note));
    scene.height = bottom + 30.0;
    scene
}

fn centred(at: (f64, f64), text: &str, width: f64) -> Text {
    Text::new(at, SIZE, fit(text, SIZE, false, width - 8.0)).anchor(Anchor::Middle)
}

fn draw(scene: &mut Scene, cell: &HeatCell, (left, top): (f64, f64), width: f64) {
    let (right, bottom) = (left + width - 4.0, top + ROW_HEIGHT - 4.0);
    let share = cell.share.filter(|share| share.is_finite());
    match share {
        Some(share) => {
            let opacity = 0.08 + 0.72 * share.clamp(0.0, 1.0);
            scene.rectangle((left, top), (right, bottom), Color::BLUE, opacity);
        }
        None => scene.rectangle((left, top), (right, bottom), Color::GRID, 0.6),
    }
    if cell.is_missed {
        scene.line(vec![(left, bottom), (right, top)], Color::VERMILLION, 2.0);
    }
    if cell.is_chosen {
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)];
        scene.line(corners.to_vec(), Color::INK, 4.0);
    }
    let is_dark = share.is_some_and(|share| share > 0.6);
    let color = if is_dark { Color::PAPER } else { Color::INK };
    let at = (left + width / 2.0, top + ROW_HEIGHT / 2.0 - 2.0);
    scene.text(centred(at, &cell.text, width).color(color));
}
