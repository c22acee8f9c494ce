//! Names of NodeClaims.

use cluster::Name;
use engine::{Stream, random};

/// Alphabet of generated names (`k8s.io/apimachinery/pkg/util/rand`).
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Generates the names of NodeClaims.
#[derive(Clone, Debug)]
pub enum ClaimNames {
    /// `new01`, `new02`, ... following this last number.
    Numbered(u32),
    /// The name of the pool and five random letters, as with `generateName`.
    Generated(Box<Stream>),
}

impl ClaimNames {
    /// The name of the next claim of a pool.
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
