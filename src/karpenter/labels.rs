//! Labels and annotations with a meaning for Karpenter (`pkg/apis/v1/labels.go`).

use std::collections::BTreeSet;

use cluster::Name;

/// Zone of a node.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// Instance type of a node.
pub const INSTANCE_TYPE: &str = "node.kubernetes.io/instance-type";
/// `spot`, `on-demand` or `reserved`.
pub const CAPACITY_TYPE: &str = "karpenter.sh/capacity-type";
/// NodePool of a node.
pub const NODE_POOL: &str = "karpenter.sh/nodepool";
/// Hostname of a node.
pub const HOSTNAME: &str = "kubernetes.io/hostname";
/// Annotation that protects a node or a pod from disruption.
pub(crate) const DO_NOT_DISRUPT: &str = "karpenter.sh/do-not-disrupt";
/// Spot capacity, which can be reclaimed at any time.
pub const SPOT: &str = "spot";
/// On-demand capacity, at the list price.
pub const ON_DEMAND: &str = "on-demand";
/// Reserved capacity, which is paid for in advance.
pub(crate) const RESERVED: &str = "reserved";
/// Taint of nodes that are about to be removed.
pub(crate) const DISRUPTED_TAINT: &str = "karpenter.sh/disrupted";
/// Taint of nodes that have not registered yet.
pub(crate) const UNREGISTERED_TAINT: &str = "karpenter.sh/unregistered";

/// Deprecated keys with their replacements (`NormalizedLabels`).
const NORMALIZED: [(&str, &str); 5] = [
    ("failure-domain.beta.kubernetes.io/zone", ZONE),
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
    ("beta.kubernetes.io/os", "kubernetes.io/os"),
    ("beta.kubernetes.io/instance-type", INSTANCE_TYPE),
];

/// Keys that every new node gets, even if its NodePool does not name them (`WellKnownLabels`): those of Karpenter
/// itself and those of the cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WellKnownLabels(BTreeSet<Name>);

impl WellKnownLabels {
    /// Karpenter's own keys and those of a cloud.
    pub fn with(of_cloud: impl IntoIterator<Item = Name>) -> Self {
        let own = [
            NODE_POOL,
            ZONE,
            "topology.kubernetes.io/region",
            INSTANCE_TYPE,
            "kubernetes.io/arch",
            "kubernetes.io/os",
            CAPACITY_TYPE,
            "node.kubernetes.io/windows-build",
        ];
        Self(own.into_iter().map(Name::from).chain(of_cloud).collect())
    }

    /// True if the key is well-known.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains(key)
    }
}

impl Default for WellKnownLabels {
    fn default() -> Self {
        Self::with([])
    }
}

/// The replacement of a deprecated key, or the key itself.
pub fn normalized(key: &Name) -> Name {
    let found = NORMALIZED.iter().find(|(old, _)| *old == key.as_ref());
    found.map_or_else(|| key.clone(), |(_, new)| Name::from(*new))
}

/// Why a pod or a NodePool may not use a label (`IsRestrictedLabel`); `None` if it may.
pub fn restriction(key: &str, well_known: &WellKnownLabels) -> Option<String> {
    if well_known.contains(key) {
        return None;
    }
    let domain = key.split_once('/').map_or("", |(domain, _)| domain);
    let is_own = domain == "karpenter.sh" || domain.ends_with(".karpenter.sh");
    (is_own || key == HOSTNAME).then(|| {
        format!(
            "label {key} might interfere with provisioning; use a well-known label, or one outside of karpenter.sh"
        )
    })
}
