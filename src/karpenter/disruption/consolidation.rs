//! Consolidation: whether nodes can be removed because their pods fit elsewhere or on one cheaper node
//! (`consolidation.go`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::candidate::Candidate;
use super::command::Command;
use super::methods::Method;
use super::simulate::simulate;
use crate::instance_type::{InstanceType, order_by_price, satisfies_min_values};
use crate::labels::{CAPACITY_TYPE, ON_DEMAND, SPOT};
use crate::node_pool::ConsolidationPolicy;
use crate::requirement::Requirement;
use crate::requirements::Requirements;
use crate::scheduling::{NewClaim, PassContext, Results};
use crate::state::Snapshot;
use cluster::Name;

/// Fewest instance types for replacing a single spot node by another: with less choice it would move from type to
/// type as prices change.
const MIN_TYPES_FOR_SPOT_TO_SPOT: usize = 15;

/// Why a node is not consolidated, worded as in its Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unconsolidatable {
    /// It holds for all nodes that are alike.
    OfKind(Cow<'static, str>),
    /// It names pods.
    OfPods(String),
}

impl From<&'static str> for Unconsolidatable {
    fn from(reason: &'static str) -> Self {
        Self::OfKind(reason.into())
    }
}

impl From<String> for Unconsolidatable {
    fn from(reason: String) -> Self {
        Self::OfKind(reason.into())
    }
}

impl Unconsolidatable {
    pub(super) fn into_reason(self) -> Cow<'static, str> {
        match self {
            Self::OfKind(reason) => reason,
            Self::OfPods(reason) => reason.into(),
        }
    }
}

/// Why a node that is not empty is never consolidated; `None` if it may be (`ShouldDisrupt`).
pub(super) fn obstacle(candidate: &Candidate) -> Option<Cow<'static, str>> {
    let pool = &candidate.pool;
    let reason = if candidate.instance_type.is_none() {
        "Instance Type not found".into()
    } else if !candidate.has_priced_labels() {
        "Node does not have the labels for capacity type and zone".into()
    } else if pool.disruption.consolidate_after.is_none() {
        format!("NodePool {:?} has consolidation disabled", pool.name).into()
    } else if pool.disruption.policy != ConsolidationPolicy::WhenEmptyOrUnderutilized {
        format!("NodePool {:?} has non-empty consolidation disabled", pool.name).into()
    } else {
        return None;
    };
    Some(reason)
}

/// Total price of the nodes; 0 if the cloud no longer offers one of them, so that nothing is cheaper.
fn price_of(candidates: &[Candidate]) -> f64 {
    candidates.iter().map(Candidate::price).sum::<Option<f64>>().unwrap_or(0.0)
}

/// Whether the nodes can be removed together (`computeConsolidation`).
pub(super) fn consolidate(
    ground: &PassContext<'_>,
    method: Method,
    candidates: &[Candidate],
) -> Result<Command, Unconsolidatable> {
    let snapshot = ground.snapshot;
    // With several candidates a second new node already makes the simulation fail, so that it can stop there,
    // unless a claim may still be dropped because of its `minValues`. With one candidate the message needs the
    // exact number.
    let is_told = method != Method::MultiNodeConsolidation || ground.wants_values();
    let most_claims = (!is_told).then_some(1);
    let results = simulate(ground, candidates, most_claims).ok_or("nodes are going already")?;
    if !results.all_non_pending_scheduled() {
        let failures = results.errors.iter().filter(|(_, failure)| !failure.is_pending);
        let told: Vec<String> = failures
            .take(5)
            .map(|(pod, failure)| format!("{pod} => {}", failure.message))
            .collect();
        let reason = format!("Not all pods would schedule, {}", told.join(" "));
        return Err(Unconsolidatable::OfPods(reason));
    }
    let command = |results: Results, replacements: Vec<NewClaim>| Command {
        method,
        candidates: candidates.to_vec(),
        replacements,
        results,
    };
    let claim = match results.claims.as_slice() {
        [] => return Ok(command(results, Vec::new())),
        [claim] => claim.clone(),
        several => {
            let count = several.len();
            return Err(format!("Can't remove without creating {count} candidates").into());
        }
    };
    let replacement = replace(snapshot, candidates, claim)?;
    Ok(command(results, vec![replacement]))
}

/// The replacement, limited to the options that are cheaper than the nodes together.
fn replace(
    snapshot: &Snapshot,
    candidates: &[Candidate],
    mut claim: NewClaim,
) -> Result<NewClaim, Unconsolidatable> {
    let price = price_of(candidates);
    order_by_price(&mut claim.options, &claim.requirements);
    let all_are_spot = candidates.iter().all(|one| one.has_capacity_type(SPOT));
    if all_are_spot && claim.requirements.allows(CAPACITY_TYPE, SPOT) {
        return replace_spot(snapshot, candidates, claim, price);
    }
    keep_cheaper(&mut claim, price)?;
    let allows = |capacity_type| claim.requirements.allows(CAPACITY_TYPE, capacity_type);
    if allows(SPOT) && allows(ON_DEMAND) {
        pin_to_spot(&mut claim.requirements);
    }
    Ok(claim)
}

/// The same for spot nodes replaced by a spot node (`computeSpotToSpotConsolidation`).
fn replace_spot(
    snapshot: &Snapshot,
    candidates: &[Candidate],
    mut claim: NewClaim,
    price: f64,
) -> Result<NewClaim, Unconsolidatable> {
    if !snapshot.options.spot_to_spot_consolidation {
        return Err(
            "SpotToSpotConsolidation is disabled, can't replace a spot node with a spot node"
                .into(),
        );
    }
    pin_to_spot(&mut claim.requirements);
    let NewClaim { options, requirements, .. } = &mut claim;
    options.retain(|one| one.launchable(requirements).next().is_some());
    keep_cheaper(&mut claim, price)?;
    if candidates.len() > 1 {
        return Ok(claim);
    }
    let count = claim.options.len();
    if count < MIN_TYPES_FOR_SPOT_TO_SPOT {
        return Err(format!(
            "SpotToSpotConsolidation requires {MIN_TYPES_FOR_SPOT_TO_SPOT} cheaper instance type options than the current candidate to consolidate, got {count}"
        )
        .into());
    }
    let wanted = satisfies_min_values(&claim.options, &claim.requirements).unwrap_or(count);
    claim.options.truncate(wanted.max(MIN_TYPES_FOR_SPOT_TO_SPOT));
    Ok(claim)
}

fn pin_to_spot(requirements: &mut Requirements) {
    requirements.add(Requirement::value(&CAPACITY_TYPE.into(), &SPOT.into()).into());
}

/// Keeps the options that are cheaper than this at their worst launch price
/// (`RemoveInstanceTypeOptionsByPriceAndMinValues`).
fn keep_cheaper(claim: &mut NewClaim, price: f64) -> Result<(), Unconsolidatable> {
    let NewClaim { options, requirements, .. } = claim;
    options.retain(|one: &Arc<InstanceType>| one.worst_launch_price(requirements) < price);
    if let Err(short) = satisfies_min_values(options, requirements) {
        let keys: Vec<&str> = short.keys().map(AsRef::as_ref).collect();
        let keys = keys.join(" ");
        return Err(format!("Filtering by price: minValues are not met for {keys}").into());
    }
    if options.is_empty() {
        return Err("Can't replace with a cheaper node".into());
    }
    Ok(())
}

/// If the options contain the type of a removed node, keeps only those cheaper than the cheapest such node, which
/// could stay instead (`filterOutSameInstanceType`).
pub(super) fn without_same_type(command: &mut Command) -> Result<(), Unconsolidatable> {
    let mut prices: BTreeMap<Name, f64> = BTreeMap::new();
    let mut is_priced: BTreeMap<Name, bool> = BTreeMap::new();
    for one in &command.candidates {
        let Some(kind) = &one.instance_type else { continue };
        let known = is_priced.entry(kind.name.clone()).or_insert(false);
        if let Some(price) = one.price() {
            let lowest = prices.entry(kind.name.clone()).or_insert(price);
            *lowest = lowest.min(price);
            *known = true;
        }
    }
    let Some(claim) = command.replacements.first_mut() else { return Ok(()) };
    let limit = claim
        .options
        .iter()
        .filter(|one| is_priced.contains_key(&one.name))
        .map(|one| prices.get(&one.name).copied().unwrap_or(0.0))
        .fold(f64::MAX, f64::min);
    keep_cheaper(claim, limit)
}
