//! Which setting matters: for each figure, the share of its differences that each setting explains by itself.

use super::canvas::fit;
use super::scene::{Anchor, Color, Scene, Text, WIDTH};
use crate::figures::percent;

/// The influence of settings on one figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Influence {
    /// The figure.
    pub figure: String,
    /// Each setting with the share that it explains, 0 to 1.
    pub shares: Vec<(String, f64)>,
}

const NAME_WIDTH: f64 = 820.0;
const ROW_HEIGHT: f64 = 44.0;
const SIZE: f64 = 22.0;
const MARGIN: f64 = 50.0;

/// The picture of several figures.
pub fn influence(figures: &[Influence]) -> Scene {
    let title = "Which setting matters".to_owned();
    let mut scene = Scene { title: title.clone(), ..Scene::default() };
    scene.text(Text::new((MARGIN, 48.0), 34.0, title).color(Color::INK).bold());
    let note = "Share of the differences between all settings that each explains by itself";
    scene.text(Text::new((MARGIN, 92.0), SIZE, note));
    let start = MARGIN + NAME_WIDTH + 16.0;
    let full = WIDTH - start - 150.0;
    let mut y = 140.0;
    for figure in figures {
        scene.text(Text::new((MARGIN, y), SIZE, &*figure.figure).color(Color::INK).bold());
        y += ROW_HEIGHT;
        for (setting, share) in &figure.shares {
            let name = fit(setting, SIZE, false, NAME_WIDTH);
            let name = Text::new((start - 16.0, y), SIZE, name).anchor(Anchor::End);
            scene.text(name.color(Color::INK));
            let end = start + (full * share.clamp(0.0, 1.0)).max(1.0);
            scene.rectangle((start, y - 13.0), (end, y + 13.0), Color::BLUE, 1.0);
            scene.text(Text::new(
                (end + 12.0, y),
                SIZE,
                percent(libm::round(share * 100.0) / 100.0),
            ));
            y += ROW_HEIGHT;
        }
        y += 16.0;
    }
    scene.height = y + 10.0;
    scene
}
