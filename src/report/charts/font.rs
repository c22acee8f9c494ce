//! The embedded font, used to measure texts and to draw them in PNGs. Embedding it makes images
//! identical everywhere; plotters' own bitmap text drops the glyphs' side bearings, which tears
//! words apart.

use std::sync::OnceLock;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};

use super::scene::{Anchor, Text};

/// Distance of the baseline below the middle of a line of text, in em.
const BASELINE_DROP_EM: f64 = 0.35;

struct Fonts {
    regular: FontRef<'static>,
    bold: FontRef<'static>,
}

/// Width of a text, in the same unit as `size` (the em size).
pub fn width(text: &str, size: f64, is_bold: bool) -> f64 {
    place(text, size, is_bold).1
}

/// Calls `pixel` with position and coverage (0..=1) of each pixel that a text touches; `scale` is
/// the number of pixels per unit of the scene.
pub fn draw(text: &Text, scale: f64, mut pixel: impl FnMut((i32, i32), f64)) {
    let (glyphs, width) = place(&text.content, text.size * scale, text.is_bold);
    let start = text.at.0 * scale
        - match text.anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => width / 2.0,
            Anchor::End => width,
        };
    let baseline = (text.at.1 + BASELINE_DROP_EM * text.size) * scale;
    let font = font(text.is_bold);
    let size = pixel_scale(font, text.size * scale);
    for (glyph, x) in glyphs {
        let at = point(narrow(start + x), narrow(baseline));
        let Some(outline) = font.outline_glyph(glyph.with_scale_and_position(size, at)) else {
            continue;
        };
        let corner = outline.px_bounds().min;
        outline.draw(|x, y, coverage| {
            let at = (whole(corner.x) + x.cast_signed(), whole(corner.y) + y.cast_signed());
            pixel(at, f64::from(coverage).clamp(0.0, 1.0));
        });
    }
}

/// The glyphs of a text with their offsets, and its total width.
fn place(text: &str, size: f64, is_bold: bool) -> (Vec<(GlyphId, f64)>, f64) {
    let font = font(is_bold);
    let scaled = font.as_scaled(pixel_scale(font, size));
    let mut glyphs: Vec<(GlyphId, f64)> = Vec::new();
    let mut x = 0.0;
    for character in text.chars() {
        let glyph = font.glyph_id(character);
        glyphs.push((glyph, x));
        x += f64::from(scaled.h_advance(glyph));
    }
    (glyphs, x)
}

/// The library measures font size as the height from the lowest to the highest point.
fn pixel_scale(font: &FontRef<'_>, em: f64) -> PxScale {
    let units_per_em = font.units_per_em().unwrap_or(2_048.0);
    PxScale::from(narrow(em) * font.height_unscaled() / units_per_em)
}

fn font(is_bold: bool) -> &'static FontRef<'static> {
    static FONTS: OnceLock<Fonts> = OnceLock::new();
    let fonts = FONTS.get_or_init(|| Fonts {
        regular: parse(include_bytes!("../fonts/DejaVuSans-Latin.ttf")),
        bold: parse(include_bytes!("../fonts/DejaVuSans-Bold-Latin.ttf")),
    });
    if is_bold { &fonts.bold } else { &fonts.regular }
}

fn parse(file: &'static [u8]) -> FontRef<'static> {
    FontRef::try_from_slice(file).expect("the fonts that wavetank carries are well-formed")
}

#[expect(clippy::cast_possible_truncation, reason = "pixels of a picture need no double precision")]
fn narrow(length: f64) -> f32 {
    length as f32
}

#[expect(clippy::cast_possible_truncation, reason = "float to int casts saturate")]
fn whole(length: f32) -> i32 {
    length as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_as_wide_as_its_letters() {
        // The advance of "0" in DejaVu Sans is 1303 of 2048 units.
        let width = width("00000000", 100.0, false);
        assert!((width - 8.0 * 100.0 * 1_303.0 / 2_048.0).abs() < 0.1, "{width}");
        assert!(super::width("", 100.0, true).abs() < f64::EPSILON);
    }

    #[test]
    fn the_fonts_have_every_sign_that_charts_use() {
        for is_bold in [false, true] {
            for sign in "aZ09$%.,:/[]()-≤≥·…µéßŁ".chars() {
                assert_ne!(font(is_bold).glyph_id(sign), GlyphId(0), "{sign}");
            }
        }
    }

    #[test]
    fn a_text_stays_between_its_ends() {
        let text = Text::new((200.0, 50.0), 20.0, "Hip").anchor(Anchor::End);
        let (mut left, mut right, mut top, mut bottom) = (i32::MAX, 0, i32::MAX, 0);
        draw(&text, 1.0, |(x, y), _| {
            (left, right) = (left.min(x), right.max(x));
            (top, bottom) = (top.min(y), bottom.max(y));
        });
        assert!(left >= 200 - 40 && right <= 200, "{left}..{right}");
        assert!(top >= 40 && bottom <= 62, "{top}..{bottom}");
    }
}
