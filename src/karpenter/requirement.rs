//! A requirement on one label: a set of values or the complement of one, with bounds
//! (`pkg/scheduling/requirement.go`).

use std::collections::BTreeSet;
use std::fmt;

use super::labels::normalized;
use cluster::Name;
use cluster::selector::Operator;

/// Operators of node requirements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeOperator {
    /// One of the values.
    In,
    /// None of the values, or no label.
    NotIn,
    /// Any value.
    Exists,
    /// No label.
    DoesNotExist,
    /// An integer greater than the operand.
    Gt,
    /// An integer less than the operand.
    Lt,
    /// An integer greater than or equal to the operand.
    Gte,
    /// An integer less than or equal to the operand.
    Lte,
}

impl NodeOperator {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "In",
            Self::NotIn => "NotIn",
            Self::Exists => "Exists",
            Self::DoesNotExist => "DoesNotExist",
            Self::Gt => "Gt",
            Self::Lt => "Lt",
            Self::Gte => "Gte",
            Self::Lte => "Lte",
        }
    }

    /// All operators that NodePools may use.
    pub const ALL: [Self; 8] = [
        Self::In,
        Self::NotIn,
        Self::Exists,
        Self::DoesNotExist,
        Self::Gt,
        Self::Lt,
        Self::Gte,
        Self::Lte,
    ];
}

impl From<Operator> for NodeOperator {
    fn from(operator: Operator) -> Self {
        match operator {
            Operator::In => Self::In,
            Operator::NotIn => Self::NotIn,
            Operator::Exists => Self::Exists,
            Operator::DoesNotExist => Self::DoesNotExist,
            Operator::Gt => Self::Gt,
            Operator::Lt => Self::Lt,
        }
    }
}

/// A requirement in its API form (`NodeSelectorRequirementWithMinValues`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WrittenRequirement {
    /// The label's key.
    pub key: Name,
    /// The operator.
    pub operator: NodeOperator,
    /// The operands.
    pub values: Vec<Name>,
    /// Minimum number of distinct values among the instance types of a node.
    pub min_values: Option<i64>,
}

/// A requirement as a set of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: Name,
    /// True if `values` lists the excluded values.
    complement: bool,
    values: BTreeSet<Name>,
    /// Smallest allowed integer.
    gte: Option<i64>,
    /// Largest allowed integer.
    lte: Option<i64>,
    /// Minimum number of distinct values among the instance types.
    pub min_values: Option<i64>,
}

impl Requirement {
    /// Converts a requirement from its API form.
    pub fn new(
        key: &Name,
        operator: NodeOperator,
        values: impl IntoIterator<Item = Name>,
        min_values: Option<i64>,
    ) -> Self {
        let mut values = values.into_iter();
        let key = normalized(key);
        let mut made = Self {
            key,
            complement: !matches!(operator, NodeOperator::In | NodeOperator::DoesNotExist),
            values: BTreeSet::new(),
            gte: None,
            lte: None,
            min_values,
        };
        let mut bound = || values.next().and_then(|value| value.parse::<i64>().ok()).unwrap_or(0);
        match operator {
            NodeOperator::In | NodeOperator::NotIn => made.values = values.collect(),
            NodeOperator::Exists | NodeOperator::DoesNotExist => {}
            NodeOperator::Gte => made.gte = Some(bound()),
            NodeOperator::Lte => made.lte = Some(bound()),
            NodeOperator::Lt => made.lte = Some(bound().wrapping_sub(1)),
            NodeOperator::Gt => match bound().checked_add(1) {
                Some(bound) => made.gte = Some(bound),
                None => return Self::absent(&made.key),
            },
        }
        made
    }

    /// Exactly this value.
    pub fn value(key: &Name, value: &Name) -> Self {
        Self::new(key, NodeOperator::In, [value.clone()], None)
    }

    /// Any value.
    pub fn any(key: &Name) -> Self {
        Self::new(key, NodeOperator::Exists, [], None)
    }

    /// No value: the label must be absent.
    pub fn absent(key: &Name) -> Self {
        Self::new(key, NodeOperator::DoesNotExist, [], None)
    }

    /// True if the value is allowed.
    pub fn has(&self, value: &str) -> bool {
        self.values.contains(value) != self.complement && within(value, self.gte, self.lte)
    }

    /// The listed values, allowed or excluded (`Values`).
    pub const fn values(&self) -> &BTreeSet<Name> {
        &self.values
    }

    /// The equivalent operator, ignoring bounds (`Operator`).
    pub fn operator(&self) -> NodeOperator {
        match (self.complement, self.values.is_empty()) {
            (true, false) => NodeOperator::NotIn,
            (true, true) => NodeOperator::Exists,
            (false, false) => NodeOperator::In,
            (false, true) => NodeOperator::DoesNotExist,
        }
    }

    /// True if a node without the label meets it.
    pub fn is_negative(&self) -> bool {
        matches!(self.operator(), NodeOperator::NotIn | NodeOperator::DoesNotExist)
    }

    /// The single allowed value, if there is exactly one.
    pub fn only_value(&self) -> Option<&Name> {
        let is_single = !self.complement && self.values.len() == 1;
        self.values.first().filter(|_| is_single)
    }

    /// Adds a listed value.
    pub fn insert(&mut self, value: Name) {
        self.values.insert(value);
    }

    /// The values that both allow (`Intersection`).
    pub fn intersection(&self, other: &Self) -> Self {
        let complement = self.complement && other.complement;
        let (gte, lte) = self.bounds_with(other);
        let min_values = self.min_values.max(other.min_values);
        if are_crossed(gte, lte) {
            return Self { min_values, ..Self::absent(&self.key) };
        }
        let kept = |value: &&Name| within(value, gte, lte);
        let values: BTreeSet<Name> = match (self.complement, other.complement) {
            (true, true) => self.values.union(&other.values).filter(kept).cloned().collect(),
            (true, false) => other.values.difference(&self.values).filter(kept).cloned().collect(),
            (false, true) => self.values.difference(&other.values).filter(kept).cloned().collect(),
            (false, false) => {
                self.values.intersection(&other.values).filter(kept).cloned().collect()
            }
        };
        let (gte, lte) = if complement { (gte, lte) } else { (None, None) };
        Self { key: self.key.clone(), complement, values, gte, lte, min_values }
    }

    /// True if there is a value that both allow (`HasIntersection`).
    pub fn intersects(&self, other: &Self) -> bool {
        let (gte, lte) = self.bounds_with(other);
        if are_crossed(gte, lte) {
            return false;
        }
        let (one, rest) = match (self.complement, other.complement) {
            (true, true) => return true,
            (true, false) => (other, self),
            (false, _) => (self, other),
        };
        let is_common = |value: &Name| {
            rest.values.contains(value) != rest.complement && within(value, gte, lte)
        };
        one.values.iter().any(is_common)
    }

    fn bounds_with(&self, other: &Self) -> (Option<i64>, Option<i64>) {
        let smaller = match (self.lte, other.lte) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        (self.gte.max(other.gte), smaller)
    }

    /// The API form: two requirements if there are two bounds (`NodeSelectorRequirements`).
    pub fn written(&self) -> Vec<WrittenRequirement> {
        let bound = |operator, value: i64| WrittenRequirement {
            key: self.key.clone(),
            operator,
            values: vec![value.to_string().into()],
            min_values: self.min_values,
        };
        let bounds: Vec<_> = [(NodeOperator::Gte, self.gte), (NodeOperator::Lte, self.lte)]
            .into_iter()
            .filter_map(|(operator, value)| Some(bound(operator, value?)))
            .collect();
        if !bounds.is_empty() {
            return bounds;
        }
        vec![WrittenRequirement {
            key: self.key.clone(),
            operator: self.operator(),
            values: self.values.iter().cloned().collect(),
            min_values: self.min_values,
        }]
    }

    /// The allowed integers, both ends included.
    pub fn bounds(&self) -> (i64, i64) {
        (self.gte.unwrap_or(0), self.lte.unwrap_or(i64::MAX - 1))
    }
}

fn are_crossed(gte: Option<i64>, lte: Option<i64>) -> bool {
    matches!((gte, lte), (Some(gte), Some(lte)) if gte > lte)
}

/// True if there are no bounds, or the value is an integer within them.
fn within(value: &str, gte: Option<i64>, lte: Option<i64>) -> bool {
    if gte.is_none() && lte.is_none() {
        return true;
    }
    let Ok(number) = value.parse::<i64>() else { return false };
    gte.is_none_or(|gte| number >= gte) && lte.is_none_or(|lte| number <= lte)
}

impl fmt::Display for Requirement {
    /// The format of Karpenter's messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 5;
        write!(f, "{} {}", self.key, self.operator().as_str())?;
        if !self.values.is_empty() {
            let mut shown: Vec<&str> = self.values.iter().take(SHOWN).map(AsRef::as_ref).collect();
            let others = format!("and {} others", self.values.len().saturating_sub(SHOWN));
            if self.values.len() > SHOWN {
                shown.push(&others);
            }
            write!(f, " [{}]", shown.join(" "))?;
        }
        if let Some(gte) = self.gte {
            write!(f, " >={gte}")?;
        }
        if let Some(lte) = self.lte {
            write!(f, " <={lte}")?;
        }
        if let Some(min_values) = self.min_values {
            write!(f, " minValues {min_values}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(operator: NodeOperator, values: &[&str]) -> Requirement {
        Requirement::new(&"k".into(), operator, values.iter().map(|value| Name::from(*value)), None)
    }

    #[test]
    fn bounds_are_inclusive_and_cut_the_values() {
        let above = requirement(NodeOperator::Gt, &["3"]);
        let below = requirement(NodeOperator::Lt, &["17"]);
        let both = above.intersection(&below);
        assert_eq!(both.to_string(), "k Exists >=4 <=16");
        assert!(both.has("4") && both.has("16") && !both.has("17") && !both.has("x"));
        let values = requirement(NodeOperator::In, &["3", "4", "x"]).intersection(&both);
        assert_eq!(values.to_string(), "k In [4]");
        assert!(!above.intersects(&requirement(NodeOperator::Lt, &["4"])));
        assert_eq!(
            above.intersection(&requirement(NodeOperator::Lt, &["4"])).operator(),
            NodeOperator::DoesNotExist
        );
    }

    #[test]
    fn complements_intersect_as_sets_do() {
        let not_a = requirement(NodeOperator::NotIn, &["a"]);
        let not_b = requirement(NodeOperator::NotIn, &["b"]);
        assert_eq!(not_a.intersection(&not_b).to_string(), "k NotIn [a b]");
        let one_of = requirement(NodeOperator::In, &["a", "b", "c"]);
        assert_eq!(one_of.intersection(&not_a).to_string(), "k In [b c]");
        assert!(!not_a.intersects(&requirement(NodeOperator::In, &["a"])));
        assert!(not_a.intersects(&not_b));
        assert_eq!(
            requirement(NodeOperator::Gt, &["9223372036854775807"]).to_string(),
            "k DoesNotExist"
        );
    }

    #[test]
    fn old_keys_stand_for_new_ones() {
        let zone = Requirement::any(&"failure-domain.beta.kubernetes.io/zone".into());
        assert_eq!(zone.key.as_ref(), "topology.kubernetes.io/zone");
    }
}
