//! A running fingerprint of a run: two runs with one digest took the same events in the same order.

use serde::Serialize;

/// An order-sensitive 64-bit digest (FNV-1a over words, finished with a `SplitMix64` mix).
///
/// It guards against accidents, not against an adversary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Digest(u64);

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

impl Default for Digest {
    fn default() -> Self {
        Self(FNV_OFFSET)
    }
}

impl Digest {
    /// Adds one word.
    pub const fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(FNV_PRIME).rotate_left(23);
    }

    /// Adds bytes, with their length, so that `"ab", "c"` and `"a", "bc"` differ.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.word(u64::from_le_bytes(word));
        }
    }

    /// The fingerprint so far.
    pub const fn value(self) -> u64 {
        mix(self.0)
    }

    /// The fingerprint of one byte string.
    pub fn of(bytes: &[u8]) -> u64 {
        let mut digest = Self::default();
        digest.bytes(bytes);
        digest.value()
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood 2014): every input bit reaches every output bit.
pub const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_boundaries_matter() {
        let digest = |parts: &[&str]| {
            let mut digest = Digest::default();
            for part in parts {
                digest.bytes(part.as_bytes());
            }
            digest.value()
        };
        assert_ne!(digest(&["a", "b"]), digest(&["b", "a"]));
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
    }
}
