//! Changes of a text: its bytes, its words and its lines.

use crate::random::Random;
use crate::tree::TEXTS;

/// Changes a text in one to four places.
pub fn mutate(text: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        match random.below(8) {
            0 => byte(text, random),
            1..=4 => word(text, random),
            5 | 6 => line(text, random),
            _ => splice(text, random),
        }
    }
}

fn byte(text: &mut Vec<u8>, random: &mut Random) {
    let place = random.below(text.len() + 1);
    #[expect(clippy::cast_possible_truncation, reason = "any byte will do")]
    let drawn = random.next() as u8;
    match random.below(3) {
        0 => text.insert(place, drawn),
        1 if place < text.len() => drop(text.remove(place)),
        _ if place < text.len() => text[place] = drawn,
        _ => {}
    }
}

/// Puts another word in the place of one.
fn word(text: &mut Vec<u8>, random: &mut Random) {
    let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"-.+%_".contains(byte);
    let from = random.below(text.len() + 1);
    let Some(start) = text[from..].iter().position(is_of_word).map(|skipped| from + skipped) else {
        return;
    };
    let start =
        text[..start].iter().rposition(|byte| !is_of_word(byte)).map_or(0, |before| before + 1);
    let length =
        text[start..].iter().position(|byte| !is_of_word(byte)).unwrap_or(text.len() - start);
    let other = random.of(TEXTS).bytes();
    text.splice(start..start + length, other);
}

/// Leaves out, repeats, moves or indents a line.
fn line(text: &mut Vec<u8>, random: &mut Random) {
    let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (one, other) = (random.below(lines.len()), random.below(lines.len()));
    match random.below(4) {
        0 => drop(lines.remove(one)),
        1 => lines.insert(other, lines[one].clone()),
        2 => lines.swap(one, other),
        _ => drop(lines[one].splice(0..0, *b"  ")),
    }
    *text = lines.join(&b'\n');
}

/// Copies a piece to another place, or leaves it out.
fn splice(text: &mut Vec<u8>, random: &mut Random) {
    let start = random.below(text.len() + 1);
    let end = (start + random.below(64)).min(text.len());
    if random.one_in(2) {
        text.drain(start..end);
    } else {
        let piece = text[start..end].to_vec();
        let place = random.below(text.len() + 1);
        text.splice(place..place, piece);
    }
}
