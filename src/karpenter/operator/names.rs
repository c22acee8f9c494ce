//! Names of NodeClaims.

use cluster::Name;
use engine::{Stream, random};

/// The letters of generated names (`k8s.io/apimachinery/pkg/util/rand`).
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Makes names of NodeClaims.
#[derive(Clone, Debug)]
pub enum ClaimNames {
    /// `new01`, `new02`, ... after the last that was given.
    Numbered(u32),
    /// The name of the pool and five letters, as `generateName` has it.
    Generated(Box<Stream>),
}

impl ClaimNames {
    /// A name for a claim of a pool.
    pub(super) fn next(&mut self, pool: &str) -> Name {
        match self {
            Self::Numbered(last) => {
                *last += 1;
                format!("new{last:02}").into()
            }
            Self::Generated(stream) => {
                let letter = |_| char::from(LETTERS[random::index_below(stream, LETTERS.len())]);
                let end: String = (0..5).map(letter).collect();
                format!("{pool}-{end}").into()
            }
        }
    }
}
