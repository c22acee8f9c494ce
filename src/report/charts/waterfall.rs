//! The waterfall chart of two bills: a bar for each difference, which begins where the one above it ends.

use super::canvas::fit;
use super::scene::{Anchor, Color, Scene, Text, WIDTH};
use units::Money;

/// A bar between two amounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Label: a bill, or the line of the bill that differs.
    pub name: String,
    /// Start; zero for a whole bill.
    pub from: Money,
    /// End.
    pub to: Money,
}

/// Maximum number of differences with a bar of their own, largest first.
const STEPS: usize = 14;

const LEFT: f64 = 50.0;
const NAME_WIDTH: f64 = 560.0;
const VALUE_WIDTH: f64 = 220.0;
const ROW_HEIGHT: f64 = 58.0;
const SIZE: f64 = 24.0;

/// The chart; the first and the last bar are whole bills.
pub fn waterfall(bars: &[Bar]) -> Scene {
    let title = "Changes in the monthly bill".to_owned();
    let mut scene = Scene { title: title.clone(), ..Scene::default() };
    scene.text(Text::new((LEFT, 48.0), 34.0, title).color(Color::INK).bold());
    let bars = shown(bars);
    let ends = || bars.iter().flat_map(|bar| [bar.from.as_usd(), bar.to.as_usd()]);
    let (low, high) = (ends().fold(0.0, f64::min), ends().fold(0.0, f64::max));
    let start = LEFT + NAME_WIDTH + 20.0;
    let full = WIDTH - LEFT - VALUE_WIDTH - start;
    let x = |usd: f64| start + if high > low { (usd - low) / (high - low) * full } else { 0.0 };
    let mut y = 120.0;
    for (position, bar) in bars.iter().enumerate() {
        let is_whole = position == 0 || position + 1 == bars.len();
        let by = bar.to - bar.from;
        let color = match by {
            _ if is_whole => Color::BLUE,
            by if by > Money::ZERO => Color::VERMILLION,
            _ => Color::GREEN,
        };
        let name = fit(&bar.name, SIZE, is_whole, NAME_WIDTH);
        let name = Text::new((start - 20.0, y), SIZE, name).anchor(Anchor::End);
        scene.text(name.color(Color::INK));
        let (from, to) = (x(bar.from.as_usd()), x(bar.to.as_usd()));
        scene.rectangle(
            (from.min(to), y - 18.0),
            (from.max(to).max(from.min(to) + 1.0), y + 18.0),
            color,
            1.0,
        );
        let sign = if !is_whole && by > Money::ZERO { "+" } else { "" };
        let value = Text::new((from.max(to) + 14.0, y), SIZE, format!("{sign}{by}"));
        scene.text(value.color(Color::INK));
        y += ROW_HEIGHT;
    }
    scene.height = y + 10.0;
    scene
}

/// The bars; those for which there is no room are merged into one.
fn shown(bars: &[Bar]) -> Vec<Bar> {
    let (Some((last, steps)), true) = (bars.split_last(), bars.len() > STEPS + 2) else {
        return bars.to_vec();
    };
    let (own, rest) = steps.split_at(STEPS + 1);
    let mut shown = own.to_vec();
    if let (Some(first), Some(end)) = (rest.first(), rest.last()) {
        let name = format!("{} more lines", rest.len());
        shown.push(Bar { name, from: first.from, to: end.to });
    }
    shown.push(last.clone());
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_beyond_the_room_are_one_bar_that_ends_where_they_do() {
        let usd = |cents: i128| Money::from_atto_usd(cents * 10_000_000_000_000_000);
        let mut bars = vec![Bar { name: "first".to_owned(), from: Money::ZERO, to: usd(100) }];
        bars.extend((0..20).map(|step| Bar {
            name: format!("step {step}"),
            from: usd(100 + step),
            to: usd(101 + step),
        }));
        bars.push(Bar { name: "second".to_owned(), from: Money::ZERO, to: usd(120) });
        let shown = shown(&bars);
        assert_eq!(shown.len(), STEPS + 3);
        assert_eq!(shown[STEPS + 1].name, "6 more lines");
        assert_eq!(shown[STEPS + 1].to, usd(120));
        let scene = waterfall(&bars);
        assert!(super::super::svg(&scene).contains("+$0.0100"));
    }
}
