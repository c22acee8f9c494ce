//! The size of a pool: a number, or bounds for a node autoscaler.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Largest size of a pool.
pub const MAX_NODES: u32 = 100_000;

/// The size of a pool: `3`, `{min: 1, max: 10}`, or `karpenter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolSize {
    /// A fixed number of nodes.
    Fixed(u32),
    /// Scaled within bounds by the Cluster Autoscaler.
    Autoscaled(SizeBounds),
    /// Created by Karpenter from an equivalent NodePool.
    Karpenter,
}

/// The text for [`PoolSize::Karpenter`].
const KARPENTER: &str = "karpenter";

impl Serialize for PoolSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(count) => count.serialize(serializer),
            Self::Autoscaled(bounds) => bounds.serialize(serializer),
            Self::Karpenter => serializer.serialize_str(KARPENTER),
        }
    }
}

/// Bounds of a pool that a node autoscaler scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SizeBounds {
    /// Minimum number of nodes, at most 100,000.
    #[schemars(range(max = 100_000))]
    pub min: u32,
    /// Maximum number of nodes, at most 100,000.
    #[schemars(range(max = 100_000))]
    pub max: u32,
    /// Number of nodes at the start. Default `min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100_000))]
    pub start: Option<u32>,
}

impl PoolSize {
    /// Number of nodes at the start.
    pub const fn at_start(self) -> u32 {
        match self {
            Self::Fixed(count) => count,
            Self::Autoscaled(SizeBounds { start: Some(start), .. }) => start,
            Self::Autoscaled(bounds) => bounds.min,
            Self::Karpenter => 0,
        }
    }

    /// Highest number in the names of the pool's nodes.
    pub const fn most(self) -> u32 {
        match self {
            Self::Fixed(count) => count,
            Self::Autoscaled(bounds) => bounds.max,
            Self::Karpenter => 0,
        }
    }

    /// The bounds, if the Cluster Autoscaler scales the pool.
    pub const fn bounds(self) -> Option<SizeBounds> {
        match self {
            Self::Fixed(_) | Self::Karpenter => None,
            Self::Autoscaled(bounds) => Some(bounds),
        }
    }
}

impl<'de> Deserialize<'de> for PoolSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = PoolSize;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(
                    "a number of nodes such as 3, bounds such as {min: 1, max: 10}, or karpenter",
                )
            }
            fn visit_u64<E: Error>(self, count: u64) -> Result<PoolSize, E> {
                let count = u32::try_from(count).ok().filter(|count| *count <= MAX_NODES);
                let message = || E::custom(format!("a pool has at most {MAX_NODES} nodes"));
                count.map(PoolSize::Fixed).ok_or_else(message)
            }
            fn visit_i64<E: Error>(self, count: i64) -> Result<PoolSize, E> {
                let message = || E::custom("the number of nodes cannot be negative");
                self.visit_u64(u64::try_from(count).map_err(|_| message())?)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<PoolSize, E> {
                if text == KARPENTER {
                    return Ok(PoolSize::Karpenter);
                }
                Err(E::invalid_value(Unexpected::Str(text), &self))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PoolSize, A::Error> {
                SizeBounds::deserialize(MapAccessDeserializer::new(map)).map(PoolSize::Autoscaled)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for PoolSize {
    fn schema_name() -> Cow<'static, str> {
        "PoolSize".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let bounds = generator.subschema_for::<SizeBounds>();
        json_schema!({
            "description": "Number of nodes: a number such as 3, bounds such as {min: 1, max: 10} for the Cluster Autoscaler, or karpenter, which creates as many as pods need.",
            "anyOf": [{"type": "integer", "minimum": 0, "maximum": MAX_NODES}, bounds, {"type": "string", "const": KARPENTER}]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn size(value: serde_json::Value) -> Result<PoolSize, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_pool_has_a_number_of_nodes_or_bounds() {
        assert_eq!(size(json!(3)), Ok(PoolSize::Fixed(3)));
        let bounds = size(json!({"min": 1, "max": 10})).expect("bounds");
        assert_eq!((bounds.at_start(), bounds.most()), (1, 10));
        let from_four = size(json!({"min": 1, "max": 10, "start": 4})).expect("bounds");
        assert_eq!(from_four.at_start(), 4);
        assert_eq!(
            serde_json::to_value(from_four).ok(),
            Some(json!({"min": 1, "max": 10, "start": 4}))
        );
    }

    #[test]
    fn a_pool_of_karpenters_has_no_node_from_the_start() {
        let pool = size(json!("karpenter")).expect("a size");
        assert_eq!((pool.at_start(), pool.bounds()), (0, None));
        assert_eq!(serde_json::to_value(pool).ok(), Some(json!("karpenter")));
    }

    #[test]
    fn what_is_neither_says_what_would_be_right() {
        assert!(size(json!("many")).expect_err("text").contains("such as {min: 1, max: 10}"));
        assert!(size(json!(-1)).expect_err("negative").contains("cannot be negative"));
        assert!(size(json!(200_000)).expect_err("too many").contains("at most 100000"));
        assert!(size(json!({"min": 1})).expect_err("no maximum").contains("max"));
        assert!(size(json!({"min": 1, "max": 2, "maximum": 3})).is_err());
    }
}
