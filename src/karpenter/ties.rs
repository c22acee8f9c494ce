//! Choices that Go makes at random by the order of a map walk. Here a seed decides, so that a run is reproducible.

use std::cell::Cell;

/// Breaks ties.
#[derive(Clone, Debug, Default)]
pub struct Ties {
    /// 0: the first in alphabetical order.
    seed: u64,
    /// Number of choices so far, each of which is independent.
    choices: Cell<u64>,
}

impl Ties {
    /// Choices of this seed; 0 takes the first in alphabetical order.
    pub const fn seeded(seed: u64) -> Self {
        Self { seed, choices: Cell::new(0) }
    }

    /// Puts items in the order of a random map walk.
    pub(crate) fn shuffle<T>(&self, items: &mut [T], name: impl Fn(&T) -> &str) {
        items.sort_by(|one, other| name(one).cmp(name(other)));
        if self.seed != 0 {
            self.choices.set(self.choices.get() + 1);
            let salt = mix(self.seed ^ mix(self.choices.get()));
            items.sort_by_cached_key(|one| rank(salt, name(one)));
        }
    }

    /// Picks one of several names.
    pub fn pick<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        let mut names: Vec<&str> = names.collect();
        self.shuffle(&mut names, |name| name);
        names.first().copied()
    }
}

fn rank(salt: u64, name: &str) -> u64 {
    name.bytes().fold(salt, |state, byte| mix(state ^ u64::from(byte)))
}

/// The finalizer of SplitMix64.
const fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}
