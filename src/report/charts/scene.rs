//! A chart as plain data: lines, areas and texts in pixels, and data for reading values back. File
//! formats are handled by `canvas`.

use serde::Serialize;

/// Width of every picture in pixels: legible when shown at half of it.
pub const WIDTH: f64 = 1_600.0;

/// A colour as red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color(pub u8, pub u8, pub u8);

/// The palette of Okabe and Ito, which people with any colour vision can tell apart, and greys.
impl Color {
    /// Background.
    pub(crate) const PAPER: Self = Self(0xff, 0xff, 0xff);
    /// Primary text and lines.
    pub const INK: Self = Self(0x1a, 0x1a, 0x1a);
    /// Secondary text.
    pub(crate) const MUTED: Self = Self(0x5f, 0x63, 0x68);
    /// Grid lines.
    pub const GRID: Self = Self(0xe2, 0xe4, 0xe7);
    /// Blue.
    pub const BLUE: Self = Self(0x00, 0x72, 0xb2);
    /// Light blue.
    pub const SKY: Self = Self(0x56, 0xb4, 0xe9);
    /// Bluish green.
    pub const GREEN: Self = Self(0x00, 0x9e, 0x73);
    /// Orange.
    pub const ORANGE: Self = Self(0xe6, 0x9f, 0x00);
    /// Red distinguishable from green for everyone.
    pub const VERMILLION: Self = Self(0xd5, 0x5e, 0x00);
    /// Reddish purple, darkened so that text in it can be read.
    pub const PURPLE: Self = Self(0x9c, 0x4a, 0x7c);
}

/// Which end of a text is at its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The left end.
    Start,
    /// The middle.
    Middle,
    /// The right end.
    End,
}

/// One line of text, vertically centred on its point.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// Position, pixels from the left and from the top.
    pub at: (f64, f64),
    /// Content.
    pub content: String,
    /// Size of the font, pixels per em.
    pub size: f64,
    /// Colour.
    pub color: Color,
    /// Which end is at `at`.
    pub anchor: Anchor,
    /// Whether it is bold.
    pub is_bold: bool,
}

/// An element of a chart, drawn in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A line through points.
    Line {
        /// Pixels from the left and from the top.
        points: Vec<(f64, f64)>,
        /// Colour.
        color: Color,
        /// Pixels.
        width: f64,
    },
    /// A filled outline.
    Area {
        /// Pixels from the left and from the top.
        points: Vec<(f64, f64)>,
        /// Colour.
        color: Color,
        /// 0 (invisible) to 1 (opaque).
        opacity: f64,
    },
    /// Text.
    Text(Text),
}

/// A chart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scene {
    /// Title of one line.
    pub title: String,
    /// Pixels; the width is the same in all charts.
    pub height: f64,
    /// The elements, in drawing order.
    pub shapes: Vec<Shape>,
    /// Data for reading values at an instant, per panel.
    pub readouts: Vec<Readout>,
}

/// Maps a position in the chart back to the values of a panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Readout {
    /// Left end of the time axis, pixels.
    pub left: f64,
    /// Right end.
    pub right: f64,
    /// Upper end of the panel.
    pub top: f64,
    /// Lower end.
    pub bottom: f64,
    /// Title of the panel.
    pub title: String,
    /// Series of the panel, in drawing order.
    pub series: Vec<ReadoutSeries>,
}

/// A series of a panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReadoutSeries {
    /// Name in the legend.
    pub name: String,
    /// Its colour, `#rrggbb`.
    pub color: String,
    /// Format of its values: `rate`, `count` or `latency`.
    pub unit: &'static str,
    /// JSON pointers into the report; values of several pointers are summed.
    pub sources: Vec<String>,
}

impl Color {
    /// HTML notation: `#rrggbb`.
    pub fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

impl Scene {
    /// Draws a line.
    pub fn line(&mut self, points: Vec<(f64, f64)>, color: Color, width: f64) {
        self.shapes.push(Shape::Line { points, color, width });
    }

    /// Fills an outline.
    pub fn area(&mut self, points: Vec<(f64, f64)>, color: Color, opacity: f64) {
        self.shapes.push(Shape::Area { points, color, opacity });
    }

    /// Fills the rectangle given by two corners.
    pub(crate) fn rectangle(
        &mut self,
        one: (f64, f64),
        other: (f64, f64),
        color: Color,
        opacity: f64,
    ) {
        let points = vec![one, (other.0, one.1), other, (one.0, other.1)];
        self.area(points, color, opacity);
    }

    /// Writes a text.
    pub fn text(&mut self, text: Text) {
        self.shapes.push(Shape::Text(text));
    }
}

impl Text {
    /// Text in the secondary color with its left end at `at`.
    pub fn new(at: (f64, f64), size: f64, content: impl Into<String>) -> Self {
        Self {
            at,
            content: content.into(),
            size,
            color: Color::MUTED,
            anchor: Anchor::Start,
            is_bold: false,
        }
    }

    /// The same in another colour.
    pub fn color(self, color: Color) -> Self {
        Self { color, ..self }
    }

    /// Sets which end is at its position.
    pub fn anchor(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    /// The same in bold.
    pub fn bold(self) -> Self {
        Self { is_bold: true, ..self }
    }
}
