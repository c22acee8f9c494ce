//! Where in its period a control loop has its turns: set, or drawn with the run's seed.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use engine::{SimDuration, Streams, random};
use engine::{format_duration, parse_duration};

/// Keyword for a phase drawn from the seed.
const SEEDED: &str = "seeded";

/// The offset of a control loop's ticks from the start of the run. In a real cluster it can be anywhere within one
/// period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopPhase {
    /// Time from the start to the first tick.
    After(SimDuration),
    /// Anywhere in the first period, each instant as likely as any other: drawn with the run's seed.
    Seeded,
}

impl LoopPhase {
    /// The offset of a loop with this name and period in a run with these streams. Each loop has its own stream, so
    /// that drawing its phase changes nothing else in the run.
    pub fn offset(self, loop_name: &str, period: SimDuration, streams: Streams) -> SimDuration {
        match self {
            Self::After(offset) => offset,
            Self::Seeded => {
                let mut stream = streams.stream(&format!("phase of {loop_name}"), 0);
                let part = random::open_unit(&mut stream);
                SimDuration::from_secs_f64(period.as_secs_f64() * part)
            }
        }
    }
}

impl Serialize for LoopPhase {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::After(offset) => serializer.serialize_str(&format_duration(*offset)),
            Self::Seeded => serializer.serialize_str(SEEDED),
        }
    }
}

impl<'de> Deserialize<'de> for LoopPhase {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = LoopPhase;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 5s, or seeded")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<LoopPhase, E> {
                if text == SEEDED {
                    return Ok(LoopPhase::Seeded);
                }
                let offset = parse_duration(text);
                offset.map(LoopPhase::After).map_err(|error| {
                    E::custom(format!(
                        "{error}; or {SEEDED}, for a phase drawn with the run's seed"
                    ))
                })
            }
            fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<LoopPhase, E> {
                self.visit_str(&seconds.to_string())
            }
            fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<LoopPhase, E> {
                self.visit_str(&seconds.to_string())
            }
            fn visit_f64<E: serde::de::Error>(self, seconds: f64) -> Result<LoopPhase, E> {
                self.visit_str(&seconds.to_string())
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for LoopPhase {
    fn schema_name() -> Cow<'static, str> {
        "LoopPhase".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let duration = generator.subschema_for::<SimDuration>();
        json_schema!({
            "description": "Time of a control loop's first tick: a duration after the start, such as 5s, or `seeded`: anywhere within the first period, drawn with the run's seed, because the phase in a real cluster is unknown.",
            "anyOf": [duration, { "type": "string", "const": SEEDED }]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<LoopPhase, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn a_phase_is_a_duration_or_seeded() {
        let after = |seconds| LoopPhase::After(SimDuration::from_secs(seconds));
        assert_eq!(read("\"90s\"").expect("a duration"), after(90));
        assert_eq!(read("7").expect("seconds"), after(7));
        assert_eq!(read("\"seeded\"").expect("the word"), LoopPhase::Seeded);
        for phase in [after(90), LoopPhase::Seeded] {
            let written = serde_json::to_string(&phase).expect("serialises");
            assert_eq!(read(&written).expect("what was written"), phase);
        }
        let error = read("\"random\"").expect_err("neither").to_string();
        assert!(error.contains("is not a duration") && error.contains("or seeded"), "{error}");
        assert!(read("-1").is_err());
    }

    #[test]
    fn a_seeded_phase_lies_within_the_period_and_follows_from_the_seed_and_the_loop_alone() {
        let period = SimDuration::from_secs(15);
        let of = |name: &str, seed| LoopPhase::Seeded.offset(name, period, Streams::new(seed));
        for seed in 0..100 {
            let drawn = of("syncs", seed);
            assert!(drawn > SimDuration::ZERO && drawn < period, "{drawn}");
            assert_eq!(drawn, of("syncs", seed));
            assert_ne!(drawn, of("scrapes", seed));
            assert_ne!(drawn, of("syncs", seed + 1));
        }
        let set = LoopPhase::After(SimDuration::from_secs(40));
        assert_eq!(set.offset("syncs", period, Streams::new(1)), SimDuration::from_secs(40));
    }
}
