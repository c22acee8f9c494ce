//! What a search may change: by name, or by a path with its values.

use std::fmt;
use std::str::FromStr;

use sweep::vary::Vary;

/// One thing that may be changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Tune {
    /// Minimum, target and maximum of HorizontalPodAutoscalers.
    Hpa,
    /// How long HorizontalPodAutoscalers wait before they remove pods.
    Behavior,
    /// Replicas of Deployments that nothing scales and that have no volumes of their own.
    Replicas,
    /// Replicas of StatefulSets and of Deployments with volume claims: more of a database is not more of the same.
    Stateful,
    /// CPU requests of the containers that take the requests.
    Requests,
    /// Their CPU limits.
    Limits,
    /// Memory requests of containers whose use of memory the scenario tells: that with a margin.
    Memory,
    /// Nodes of each pool.
    Nodes,
    /// Instance types of each pool: sizes of the same family.
    NodeTypes,
    /// Any setting, with its values from the leanest to the most generous.
    Path(Vary),
}

/// The names, as a person writes them.
pub(super) const NAMES: [(&str, Tune); 9] = [
    ("hpa", Tune::Hpa),
    ("behavior", Tune::Behavior),
    ("replicas", Tune::Replicas),
    ("stateful", Tune::Stateful),
    ("requests", Tune::Requests),
    ("limits", Tune::Limits),
    ("memory", Tune::Memory),
    ("nodes", Tune::Nodes),
    ("node-types", Tune::NodeTypes),
];

/// Settings that may be changed by default.
pub const DEFAULT: [Tune; 4] = [Tune::Hpa, Tune::Replicas, Tune::Nodes, Tune::NodeTypes];

/// The mistake in an option `--tune`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TuneError(String);

impl fmt::Display for TuneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TuneError {}

/// Several, separated by commas, or one path with its values.
#[derive(Clone, Debug, PartialEq)]
pub struct TuneList(pub Vec<Tune>);

impl FromStr for TuneList {
    type Err = TuneError;

    fn from_str(text: &str) -> Result<Self, TuneError> {
        if text.contains('=') {
            let vary: Vary = text.parse().map_err(|error| TuneError(format!("{error}")))?;
            return Ok(Self(vec![Tune::Path(vary)]));
        }
        let named = |name: &str| {
            let known = NAMES.iter().find(|(known, _)| *known == name);
            known.map(|(_, tune)| tune.clone()).ok_or_else(|| {
                let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
                TuneError(format!(
                    "{name:?} cannot be tuned by name; these can: {}; anything else as PATH=A,B,C, the leanest first",
                    names.join(", ")
                ))
            })
        };
        text.split(',').map(str::trim).map(named).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tuned_has_a_name_or_a_path() {
        let parse = |text: &str| text.parse::<TuneList>().map(|list| list.0);
        assert_eq!(parse("hpa,nodes"), Ok(vec![Tune::Hpa, Tune::Nodes]));
        let path = parse("cluster.nodePools[general].count=3,4").expect("a path");
        assert!(matches!(&path[..], [Tune::Path(vary)] if vary.values == ["3", "4"]));
        let error = parse("hpa,node").expect_err("no such thing").to_string();
        assert!(
            error.contains("hpa, behavior, replicas, stateful, requests, limits, memory, nodes"),
            "{error}"
        );
    }
}
