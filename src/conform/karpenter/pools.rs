//! The NodePools of a case.

use super::case::Pool;
use cluster::node::Taint;
use cluster::{Labels, Name};
use karpenter::api::{self, ApiError};
use karpenter::node_pool::NodePool;
use manifest::karpenter::NodePoolTaint;

/// The label that names the node class, common to all recorded pools.
pub(super) const CLASS_LABEL: &str = "karpenter.kwok.sh/kwoknodeclass";
/// The hash of an unchanged pool.
pub(super) const HASH: &str = "current";

/// A NodePool; `at` is its path in the case.
pub(super) fn node_pool(pool: &Pool, at: &str) -> Result<NodePool, String> {
    let class = (CLASS_LABEL.into(), "default".into());
    let made = api::node_pool(&pool.name, &pool.spec, class, "");
    let made = made.map_err(|ApiError { field, message }| format!("{at}.{field}: {message}"))?;
    Ok(NodePool { hash: HASH.into(), ..made })
}

/// Labels or annotations.
pub(super) fn labels<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> Labels {
    let pair = |(key, value): (&'a String, &'a String)| -> (Name, Name) {
        (key.as_str().into(), value.as_str().into())
    };
    pairs.into_iter().map(pair).collect()
}

/// Taints; `at` is their path in the case.
pub(super) fn taints(taints: &[NodePoolTaint], at: &str) -> Result<Vec<Taint>, String> {
    api::taints(taints, at).map_err(|error| error.to_string())
}
