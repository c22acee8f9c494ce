//! Multi-turn conversations, identified by the hashes of their prompts' blocks, as in Mooncake's traces (Qin et
//! al., FAST 2025): a hash covers the whole prompt up to the end of its block.

use rustc_hash::FxHashMap;
use serde_json::Value;

/// Number of prompt ends that are remembered; at most twice as many are kept.
const REMEMBERED: usize = 1 << 18;

/// The conversations so far.
#[derive(Debug, Default)]
pub(super) struct Conversations {
    /// The last two blocks of the last prompt of each conversation; the very last may not have been full. The most
    /// recent ones are in the first map. Only looked up, never iterated.
    ends: [FxHashMap<u64, End>; 2],
    sessions: u32,
}

/// One of the last two blocks of a conversation's last prompt.
#[derive(Clone, Copy, Debug)]
struct End {
    session: u32,
    /// Index of the block within the prompt, from 0.
    index: usize,
    /// The other of the two, if the prompt has one of its own.
    other: Option<u64>,
}

impl Conversations {
    /// The session of a request whose prompt has these blocks; 0 if there are none.
    ///
    /// It is that of the conversation whose last prompt is a prefix of this one, completely or except for its last
    /// block. The first block does not count, as prompts of different conversations begin with the same
    /// instructions. A prompt that diverges before the end of the last one starts another conversation.
    pub fn session(&mut self, hashes: &Value) -> Result<u32, String> {
        let hashes = match hashes {
            Value::Array(hashes) => hashes.as_slice(),
            Value::Null => &[],
            other => return Err(format!("hash_ids: {other} is not a list of whole numbers")),
        };
        let hash = |value: &Value| {
            value.as_u64().ok_or_else(|| format!("hash_ids: {value} is not a whole number"))
        };
        let hashes = hashes.iter().map(hash).collect::<Result<Vec<u64>, String>>()?;
        if hashes.is_empty() {
            return Ok(0);
        }
        let of_its_own = || hashes.iter().copied().enumerate().skip(1).rev();
        let known = of_its_own().find_map(|(index, hash)| Some((hash, self.end(hash, index)?)));
        let session = if let Some((hash, end)) = known {
            // The ends of its earlier prompts may be the beginnings of other conversations.
            for hash in [Some(hash), end.other].into_iter().flatten() {
                self.forget(hash, end.session);
            }
            end.session
        } else {
            self.sessions = self.sessions.wrapping_add(1).max(1);
            self.sessions
        };
        let last: Vec<(usize, u64)> = of_its_own().take(2).collect();
        for (index, hash) in last.iter().copied() {
            let other = last.iter().map(|(_, other)| *other).find(|other| *other != hash);
            self.remember(hash, End { session, index, other });
        }
        Ok(session)
    }

    /// The conversation whose last prompt ends with this block or with the next one.
    fn end(&self, hash: u64, index: usize) -> Option<End> {
        let found = self.ends.iter().find_map(|ends| ends.get(&hash).copied());
        found.filter(|end| end.index == index)
    }

    fn remember(&mut self, hash: u64, end: End) {
        if self.ends[0].len() >= REMEMBERED {
            self.ends.swap(0, 1);
            self.ends[0].clear();
        }
        self.ends[0].insert(hash, end);
    }

    fn forget(&mut self, hash: u64, session: u32) {
        for ends in &mut self.ends {
            if ends.get(&hash).is_some_and(|end| end.session == session) {
                ends.remove(&hash);
            }
        }
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
            // Block 2 was not full in the first request.
            json!([0, 1, 4, 5]),
            json!([0, 1, 4, 5, 6]),
            json!([0, 3, 7]),
            // Only the common prefix.
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
    fn the_end_of_an_earlier_prompt_is_not_that_of_the_last() {
        let long = |own: u64| (0..6).chain(own..own + 24).collect::<Vec<u64>>();
        // All have six blocks of instructions, and the first has little more.
        let mut all = vec![json!([0, 1, 2, 3, 4, 5, 6])];
        all.extend((0..5).map(|request| json!(long(100 * (request + 1)))));
        assert_eq!(sessions(&all), [1, 1, 2, 3, 4, 5]);
        let fork = [
            json!([0, 1, 2]),
            json!([0, 1, 2, 3, 4]),
            json!([0, 1, 2, 7, 8]),
            json!([0, 1, 2, 3, 4, 5]),
        ];
        assert_eq!(sessions(&fork), [1, 1, 2, 1]);
    }

    #[test]
    fn a_block_that_stands_elsewhere_in_a_prompt_is_another() {
        assert_eq!(sessions(&[json!([0, 1, 2]), json!([0, 2, 3]), json!([0, 1, 2, 3])]), [1, 2, 1]);
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
            (json!([0, "a"]), "hash_ids: \"a\" is not a whole number"),
            (json!("a"), "hash_ids: \"a\" is not a list of whole numbers"),
        ] {
            assert_eq!(Conversations::default().session(&hashes), Err(says.to_owned()));
        }
    }
}
