//! Renders a scene as SVG or PNG with plotters.

use plotters::coord::Shift;
use plotters::prelude::{
    BitMapBackend, DrawingArea, DrawingBackend, FontDesc, FontFamily, FontStyle, IntoDrawingArea,
    PathElement, Polygon, RGBColor, SVGBackend, ShapeStyle, TextStyle,
};
use plotters::style::Color as _;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::font;
use super::scene::{Anchor, Color, Scene, Shape, Text, WIDTH};
use crate::figures::plain;

/// A PNG is drawn this many times larger and downscaled, because plotters does not antialias wide
/// lines.
const OVERSAMPLING: usize = 3;

/// plotters divides a font size by this before it writes it to an SVG.
const SVG_FONT_SIZE_PER_EM: f64 = 1.24;

/// plotters places the middle of a text in an SVG too high by this, in em.
const SVG_TEXT_DROP_EM: f64 = 0.08;

type Painted<Backend> =
    Result<(), plotters::drawing::DrawingAreaErrorKind<<Backend as DrawingBackend>::ErrorType>>;

/// The scene as a self-contained SVG document.
pub fn svg(scene: &Scene) -> String {
    let mut document = String::new();
    let backend = SVGBackend::with_string(&mut document, size(scene, 1));
    paint(backend, scene, 1.0, |root, text| {
        let at = pixel((text.at.0, text.at.1 + SVG_TEXT_DROP_EM * text.size), 1.0);
        root.draw_text(&plain(&text.content), &svg_text_style(text), at)
    });
    document
}

/// The scene as a PNG file.
pub fn png(scene: &Scene) -> Vec<u8> {
    let (width, height) = size(scene, 1);
    let large_size = size(scene, OVERSAMPLING);
    let mut large = vec![0_u8; large_size.0 as usize * large_size.1 as usize * 3];
    let scale = OVERSAMPLING as f64;
    paint(BitMapBackend::with_buffer(&mut large, large_size), scene, scale, |root, text| {
        let text = Text { content: plain(&text.content), ..text.clone() };
        let mut painted = Ok(());
        font::draw(&text, scale, |at, coverage| {
            let color = rgb(text.color).mix(coverage);
            if painted.is_ok() {
                painted = root.draw_pixel(at, &color);
            }
        });
        painted
    });
    let pixels = shrink(&large, width as usize, height as usize);

    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::High);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(&pixels))
        .expect("the buffer has the size that the header says, and a vector takes all bytes");
    file
}

/// Draws a text on a background, so that lines behind it do not cross it.
pub(crate) fn text_on_paper(scene: &mut Scene, text: Text) {
    let width = font::width(&text.content, text.size, text.is_bold);
    let left = match text.anchor {
        Anchor::Start => text.at.0,
        Anchor::Middle => text.at.0 - width / 2.0,
        Anchor::End => text.at.0 - width,
    };
    let half_height = text.size * 0.62;
    let corner = (left - 5.0, text.at.1 - half_height);
    let opposite = (left + width + 5.0, text.at.1 + half_height);
    scene.rectangle(corner, opposite, Color::PAPER, 0.85);
    scene.text(text);
}

/// The text, truncated with `…` to at most `width` pixels.
pub fn fit(text: &str, size: f64, is_bold: bool, width: f64) -> String {
    let text = plain(text);
    if font::width(&text, size, is_bold) <= width {
        return text;
    }
    let mut kept: Vec<char> = text.chars().collect();
    while kept.pop().is_some() {
        let cut = format!("{}…", kept.iter().collect::<String>().trim_end());
        if font::width(&cut, size, is_bold) <= width {
            return cut;
        }
    }
    String::new()
}

fn size(scene: &Scene, scale: usize) -> (u32, u32) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "pictures are a few thousand pixels large"
    )]
    let pixels = |length: f64| (length.ceil() as u32) * scale as u32;
    (pixels(WIDTH), pixels(scene.height))
}

/// Draws all shapes; `write` draws texts.
fn paint<Backend: DrawingBackend>(
    backend: Backend,
    scene: &Scene,
    scale: f64,
    write: impl Fn(&DrawingArea<Backend, Shift>, &Text) -> Painted<Backend>,
) {
    let root = backend.into_drawing_area();
    let shape = |shape: &Shape| match shape {
        Shape::Line { points, color, width } => {
            let style = ShapeStyle {
                color: rgb(*color).to_rgba(),
                filled: false,
                stroke_width: whole(width * scale).unsigned_abs().max(1),
            };
            root.draw(&PathElement::new(pixels(points, scale), style))
        }
        Shape::Area { points, color, opacity } => {
            let style = rgb(*color).mix(*opacity).filled();
            root.draw(&Polygon::new(pixels(points, scale), style))
        }
        Shape::Text(text) => write(&root, text),
    };
    root.fill(&rgb(Color::PAPER))
        .and_then(|()| scene.shapes.iter().try_for_each(shape))
        .and_then(|()| root.present())
        .expect("memory takes every pixel");
}

fn svg_text_style(text: &Text) -> TextStyle<'static> {
    let horizontal = match text.anchor {
        Anchor::Start => HPos::Left,
        Anchor::Middle => HPos::Center,
        Anchor::End => HPos::Right,
    };
    let style = if text.is_bold { FontStyle::Bold } else { FontStyle::Normal };
    let size = text.size * SVG_FONT_SIZE_PER_EM;
    TextStyle {
        color: rgb(text.color).to_backend_color(),
        pos: Pos::new(horizontal, VPos::Center),
        ..TextStyle::from(FontDesc::new(FontFamily::SansSerif, size, style))
    }
}

fn pixels(points: &[(f64, f64)], scale: f64) -> Vec<(i32, i32)> {
    points.iter().map(|&point| pixel(point, scale)).collect()
}

fn pixel((x, y): (f64, f64), scale: f64) -> (i32, i32) {
    (whole(x * scale), whole(y * scale))
}

#[expect(clippy::cast_possible_truncation, reason = "float to int casts saturate")]
fn whole(length: f64) -> i32 {
    libm::round(length) as i32
}

fn rgb(color: Color) -> RGBColor {
    RGBColor(color.0, color.1, color.2)
}

/// Downscales: each pixel is the mean of a square of the large image.
fn shrink(large: &[u8], width: usize, height: usize) -> Vec<u8> {
    let large_width = width * OVERSAMPLING;
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            for channel in 0..3 {
                let mut sum = 0_usize;
                for row in 0..OVERSAMPLING {
                    for column in 0..OVERSAMPLING {
                        let (y, x) = (y * OVERSAMPLING + row, x * OVERSAMPLING + column);
                        sum += usize::from(large[(y * large_width + x) * 3 + channel]);
                    }
                }
                let mean = (sum + OVERSAMPLING * OVERSAMPLING / 2) / (OVERSAMPLING * OVERSAMPLING);
                pixels.push(u8::try_from(mean).unwrap_or(u8::MAX));
            }
        }
    }
    pixels
}
