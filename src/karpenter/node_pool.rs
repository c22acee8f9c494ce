//! NodePools: the template of their nodes, limits and disruption (`pkg/apis/v1/nodepool.go`).

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::amounts::Amounts;
use super::labels::NODE_POOL;
use super::requirement::{Requirement, WrittenRequirement};
use super::requirements::Requirements;
use cluster::cron_schedule::Schedule;
use cluster::node::Taint;
use cluster::{Labels, Name};
use engine::{SimDuration, SimTime};

/// A NodePool.
#[derive(Clone, Debug)]
pub struct NodePool {
    /// Name.
    pub name: Name,
    /// The template of its nodes.
    pub template: NodeTemplate,
    /// Limits on the total resources of its nodes; absent resources are unlimited.
    pub limits: Amounts,
    /// Pools with a higher weight are tried first.
    pub weight: i32,
    /// Disruption settings.
    pub disruption: Disruption,
    /// Hash of the fields whose change makes a node drift (`karpenter.sh/nodepool-hash`).
    pub hash: Name,
    /// True if its node class exists and is ready.
    pub is_ready: bool,
}

/// The template of a pool's nodes (`spec.template`).
#[derive(Clone, Debug, Default)]
pub struct NodeTemplate {
    /// Labels of the nodes.
    pub labels: Labels,
    /// Annotations of the nodes.
    pub annotations: Labels,
    /// Requirements on the nodes' labels.
    pub requirements: Vec<WrittenRequirement>,
    /// Taints of the nodes.
    pub taints: Vec<Taint>,
    /// Taints that are removed by another component before the node is initialized.
    pub startup_taints: Vec<Taint>,
    /// The label that names the node class, and its value.
    pub node_class: Option<(Name, Name)>,
    /// Lifetime of a node; absent = unlimited.
    pub expire_after: Option<SimDuration>,
    /// Maximum duration of a drain; absent = unlimited.
    pub termination_grace_period: Option<SimDuration>,
}

/// Disruption settings of a pool (`spec.disruption`).
#[derive(Clone, Debug)]
pub struct Disruption {
    /// Which nodes are consolidated.
    pub policy: ConsolidationPolicy,
    /// Time without pod events before a node is consolidatable; absent = never.
    pub consolidate_after: Option<SimDuration>,
    /// Limits on the number of nodes disrupted at once.
    pub budgets: Vec<Budget>,
}

/// Which nodes are consolidated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConsolidationPolicy {
    /// Nodes without pods.
    WhenEmpty,
    /// Those, and nodes whose pods fit elsewhere or on a cheaper node.
    #[default]
    WhenEmptyOrUnderutilized,
}

/// Reason of a voluntary disruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DisruptionReason {
    /// Its pods fit elsewhere or on a cheaper node.
    Underutilized,
    /// It has no pods.
    Empty,
    /// It has drifted from its pool's template.
    Drifted,
}

impl DisruptionReason {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Underutilized => "Underutilized",
            Self::Empty => "Empty",
            Self::Drifted => "Drifted",
        }
    }
}

/// A limit on the number of nodes of a pool disrupted at once.
#[derive(Clone, Debug)]
pub struct Budget {
    /// The reasons that it applies to; empty = all.
    pub reasons: Vec<DisruptionReason>,
    /// The limit.
    pub nodes: BudgetNodes,
    /// When it becomes active, and for how long; absent = always active.
    pub window: Option<(Schedule, SimDuration)>,
}

/// A number of nodes, absolute or relative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BudgetNodes {
    /// An absolute number.
    Count(i64),
    /// A percentage of the pool's nodes, rounded up.
    Percent(i64),
}

impl BudgetNodes {
    /// Parses `3` or `10%`.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| text.parse().ok().filter(|number| *number >= 0);
        match text.strip_suffix('%') {
            Some(percent) => number(percent).map(Self::Percent),
            None => number(text).map(Self::Count),
        }
    }
}

impl Budget {
    /// True if it is active now: its schedule has fired within the last `duration`. The schedule is in UTC; `epoch`
    /// is the calendar time at which simulated time began.
    pub fn is_active(&self, now: SimTime, epoch: Timestamp) -> bool {
        let Some((schedule, duration)) = &self.window else { return true };
        let at = |time: SimTime| {
            let second = epoch.as_second() + time.as_nanos().div_euclid(1_000_000_000);
            Timestamp::from_second(second).ok()
        };
        let next = at(now - *duration).and_then(|from| schedule.next(from, &TimeZone::UTC));
        next.zip(at(now)).is_some_and(|(next, now)| next <= now)
    }

    fn allowed(&self, nodes: i64) -> i64 {
        match self.nodes {
            BudgetNodes::Count(count) => count,
            BudgetNodes::Percent(percent) => (nodes * percent + 99).div_euclid(100),
        }
    }
}

impl NodePool {
    /// How many of its nodes may be disrupted for a reason: the minimum over its active budgets
    /// (`GetAllowedDisruptionsByReason`).
    pub fn allowed_disruptions(
        &self,
        nodes: i64,
        reason: DisruptionReason,
        now: SimTime,
        epoch: Timestamp,
    ) -> i64 {
        let budgets = self.disruption.budgets.iter();
        let counting =
            budgets.filter(|one| one.reasons.is_empty() || one.reasons.contains(&reason));
        let active = counting.filter(|one| one.is_active(now, epoch));
        active.map(|one| one.allowed(nodes)).min().unwrap_or(i64::from(i32::MAX))
    }

    /// Requirements on its nodes, without the labels that name pool and class.
    pub(crate) fn own_requirements(&self) -> Requirements {
        let mut made = Requirements::of_written(&self.template.requirements);
        made.add_all(&Requirements::of_labels(&self.template.labels));
        made
    }

    /// Requirements on its nodes (`NewNodeClaimTemplate`).
    pub fn requirements(&self) -> Requirements {
        let mut made = self.own_requirements();
        let own = [(Name::from(NODE_POOL), self.name.clone())];
        for (key, value) in own.into_iter().chain(self.template.node_class.clone()) {
            made.add(Requirement::value(&key, &value).into());
        }
        made
    }

    /// Labels of its nodes, including those that name pool and class.
    pub fn node_labels(&self) -> Labels {
        let own = self.template.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
        own.chain([(Name::from(NODE_POOL), self.name.clone())])
            .chain(self.template.node_class.clone())
            .collect()
    }
}

/// Orders pools as they are tried: by descending weight, then by descending name (`OrderByWeight`).
pub(crate) fn order_by_weight<T: AsRef<NodePool>>(pools: &mut [T]) {
    pools.sort_by(|one, other| {
        let (one, other) = (one.as_ref(), other.as_ref());
        other.weight.cmp(&one.weight).then_with(|| other.name.cmp(&one.name))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_open_from_its_minute_for_its_duration() {
        let hours = |hours: i64| SimTime::from_secs(hours * 3600);
        let budget = Budget {
            reasons: Vec::new(),
            nodes: BudgetNodes::parse("10%").unwrap(),
            window: Some((Schedule::parse("0 9 * * *").unwrap(), SimDuration::from_secs(3600))),
        };
        let epoch = "2000-01-01T00:00:00Z".parse().unwrap();
        let open = [8, 9, 10, 33].map(|at| budget.is_active(hours(at), epoch));
        assert_eq!(open, [false, true, false, true]);
        assert!(budget.is_active(hours(9) + SimDuration::from_secs(1800), epoch));
        assert_eq!(budget.allowed(11), 2);
        assert_eq!(budget.allowed(0), 0);
    }

    #[test]
    fn of_equal_weights_the_later_name_comes_first() {
        let pool = |name: &str, weight| {
            let disruption = Disruption {
                policy: ConsolidationPolicy::default(),
                consolidate_after: None,
                budgets: Vec::new(),
            };
            std::sync::Arc::new(NodePool {
                name: name.into(),
                template: NodeTemplate::default(),
                limits: Amounts::default(),
                weight,
                disruption,
                hash: "".into(),
                is_ready: true,
            })
        };
        let mut pools = [pool("a", 1), pool("c", 1), pool("b", 2)];
        order_by_weight(&mut pools);
        assert_eq!(pools.map(|pool| pool.name.to_string()), ["b", "c", "a"]);
    }
}
