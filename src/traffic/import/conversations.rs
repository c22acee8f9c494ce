//! Which requests go on where earlier ones ended, from the hashes of their prompts' blocks, as Mooncake's traces
//! have them (Qin et al., FAST 2025): a hash stands for all that the prompt says up to the end of its block.

use rustc_hash::FxHashMap;
use serde_json::Value;

/// So many ends of prompts are remembered for certain, and at most twice as many.
const REMEMBERED: usize = 1 << 18;

/// What is known of the conversations so far.
#[derive(Debug, Default)]
pub(super) struct Conversations {
    /// The session of a conversation by the last two blocks of its last prompt, of which the very last may
    /// not have been full. Those told last are in the first map. Only looked up, never iterated.
    ends: [FxHashMap<u64, u32>; 2],
    sessions: u32,
}

impl Conversations {
    /// The session of a request whose prompt has these blocks; 0 if there are none.
    ///
    /// It is that of the conversation whose last prompt it has at its beginning, as a whole or but for its last
    /// block. The first block does not count, as prompts of different conversations begin with the same
    /// instructions.
    pub fn session(&mut self, hashes: &Value) -> Result<u32, String> {
        let hashes = match hashes {
            Value::Array(hashes) => hashes.as_slice(),
            Value::Null => &[],
            other => return Err(format!("hash_ids: {other} is no list of whole numbers")),
        };
        let hash = |value: &Value| {
            value.as_u64().ok_or_else(|| format!("hash_ids: {value} is no whole number"))
        };
        let hashes = hashes.iter().map(hash).collect::<Result<Vec<u64>, String>>()?;
        if hashes.is_empty() {
            return Ok(0);
        }
        let of_its_own = hashes.get(1..).unwrap_or_default();
        let known = of_its_own
            .iter()
            .rev()
            .find_map(|hash| self.ends.iter().find_map(|ends| ends.get(hash).copied()));
        let session = known.unwrap_or_else(|| {
            self.sessions = self.sessions.wrapping_add(1).max(1);
            self.sessions
        });
        for hash in of_its_own.iter().rev().take(2) {
            self.remember(*hash, session);
        }
        Ok(session)
    }

    fn remember(&mut self, hash: u64, session: u32) {
        if self.ends[0].len() >= REMEMBERED {
            self.ends.swap(0, 1);
            self.ends[0].clear();
        }
        self.ends[0].insert(hash, session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sessions(all: &[Value]) -> Vec<u32> {
        let mut conversations = Conversations::default();
        all.iter().map(|hashes| conversations.session(hashes).expect("numbers")).collect()
    }

    #[test]
    fn a_prompt_that_has_an_earlier_one_at_its_beginning_goes_on_with_it() {
        let all = [
            json!([0, 1, 2]),
            json!([0, 3]),
            // The block 2 was not full when it was asked for the first time.
            json!([0, 1, 4, 5]),
            json!([0, 1, 4, 5, 6]),
            json!([0, 3, 7]),
            // Nothing but what all have.
            json!([0, 8]),
            json!([0]),
            json!([]),
            json!(null),
        ];
        assert_eq!(sessions(&all), [1, 2, 1, 1, 2, 3, 4, 0, 0]);
    }

    #[test]
    fn one_that_leaves_an_earlier_one_half_way_is_a_conversation_of_its_own() {
        let all = [json!([0, 1, 2, 3, 4]), json!([0, 1, 2, 9]), json!([0, 1, 2, 3, 5])];
        assert_eq!(sessions(&all), [1, 2, 1]);
    }

    #[test]
    fn memory_does_not_grow_with_the_trace() {
        let mut conversations = Conversations::default();
        for request in 0..600_000u64 {
            conversations.session(&json!([0, 2 * request + 1, 2 * request + 2])).expect("numbers");
        }
        let held = conversations.ends.iter().map(FxHashMap::len).sum::<usize>();
        assert!(held <= 2 * REMEMBERED, "{held}");
        let last = json!([0, 1_199_999, 1_200_000, 5_000_000]);
        assert_eq!(conversations.session(&last), Ok(600_000));
    }

    #[test]
    fn hashes_that_are_no_numbers_are_refused() {
        for (hashes, says) in [
            (json!([0, "a"]), "hash_ids: \"a\" is no whole number"),
            (json!("a"), "hash_ids: \"a\" is no list of whole numbers"),
        ] {
            assert_eq!(Conversations::default().session(&hashes), Err(says.to_owned()));
        }
    }
}
