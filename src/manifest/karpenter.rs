//! Karpenter's objects (`pkg/apis/v1` of Karpenter 1.13, of its AWS provider and of its KWOK provider), with the
//! upstream field names.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::definitions::ObjectMetaFields;

/// Fields that are accepted but not interpreted.
pub type Fields = BTreeMap<String, Value>;

/// A NodePool as written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePool {
    /// `karpenter.sh/v1`.
    pub api_version: String,
    /// NodePool.
    pub kind: String,
    /// `metadata` of the NodePool.
    #[schemars(with = "ObjectMetaFields")]
    pub metadata: meta::ObjectMeta,
    /// Its specification.
    pub spec: NodePoolSpec,
    /// Status written by Karpenter.
    pub status: Option<Fields>,
}

/// `spec` of a NodePool.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePoolSpec {
    /// Template of its nodes.
    pub template: NodeClaimTemplate,
    /// Disruption settings.
    pub disruption: NodePoolDisruption,
    /// Limits on the total resources of its nodes.
    pub limits: BTreeMap<String, Value>,
    /// Priority: pools with higher weight are tried first.
    pub weight: i32,
    /// Fixed number of nodes of a static pool, which is not simulated.
    pub replicas: Option<i64>,
}

/// `spec.template`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeClaimTemplate {
    /// Labels and annotations of the nodes.
    pub metadata: NodeClaimTemplateMetadata,
    /// Specification of the nodes.
    pub spec: NodeClaimTemplateSpec,
}

/// `spec.template.metadata`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeClaimTemplateMetadata {
    /// Labels of the nodes.
    pub labels: BTreeMap<String, String>,
    /// Annotations of the nodes.
    pub annotations: BTreeMap<String, String>,
}

/// `spec.template.spec`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeClaimTemplateSpec {
    /// Requirements on the nodes' labels.
    pub requirements: Vec<NodePoolRequirement>,
    /// Taints of the nodes.
    pub taints: Vec<NodePoolTaint>,
    /// Taints that are removed by another component before the node is initialized.
    pub startup_taints: Vec<NodePoolTaint>,
    /// Maximum lifetime of a node, or `Never`.
    pub expire_after: Option<String>,
    /// Maximum time that a node may take to drain.
    pub termination_grace_period: Option<String>,
    /// The node class.
    pub node_class_ref: Option<NodeClassReference>,
}

/// A requirement.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePoolRequirement {
    /// The label.
    pub key: String,
    /// In, `NotIn`, Exists, `DoesNotExist`, Gt, Lt, Gte or Lte.
    pub operator: String,
    /// Its values.
    pub values: Vec<String>,
    /// Minimum number of distinct values.
    pub min_values: Option<i64>,
}

/// A taint.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePoolTaint {
    /// Key.
    pub key: String,
    /// Value.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// A reference to a node class.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeClassReference {
    /// Its API group.
    pub group: String,
    /// `kind` of the node class, such as EC2NodeClass.
    pub kind: String,
    /// `name` of the node class.
    pub name: String,
}

/// `spec.disruption`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePoolDisruption {
    /// `WhenEmpty` or `WhenEmptyOrUnderutilized`.
    pub consolidation_policy: Option<String>,
    /// Time without pod changes before a node may be consolidated, or `Never`.
    pub consolidate_after: Option<String>,
    /// Limits on the number of nodes disrupted at once.
    pub budgets: Option<Vec<NodePoolBudget>>,
}

/// A budget.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePoolBudget {
    /// A number of nodes, or a percentage such as `10%`.
    pub nodes: String,
    /// The disruption reasons that it applies to.
    pub reasons: Vec<String>,
    /// Cron schedule at which it becomes active.
    pub schedule: Option<String>,
    /// Time that it stays active.
    pub duration: Option<String>,
}

/// An EC2NodeClass as written. Of its spec, only `kubelet.maxPods` and the fact that it has changed matter.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "EC2NodeClass")]
pub struct Ec2NodeClass {
    /// `karpenter.k8s.aws/v1`.
    pub api_version: String,
    /// EC2NodeClass.
    pub kind: String,
    /// `metadata` of the node class.
    #[schemars(with = "ObjectMetaFields")]
    pub metadata: meta::ObjectMeta,
    /// Instance configuration.
    pub spec: Fields,
    /// Status written by Karpenter.
    pub status: Option<Fields>,
}

/// A KWOKNodeClass as written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "KWOKNodeClass")]
pub struct KwokNodeClass {
    /// `karpenter.kwok.sh/v1alpha1`.
    pub api_version: String,
    /// KWOKNodeClass.
    pub kind: String,
    /// `metadata` of the node class.
    #[schemars(with = "ObjectMetaFields")]
    pub metadata: meta::ObjectMeta,
    /// Its specification.
    pub spec: KwokNodeClassSpec,
    /// Status written by Karpenter.
    pub status: Option<Fields>,
}

/// `spec` of a KWOKNodeClass.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "KWOKNodeClassSpec")]
pub struct KwokNodeClassSpec {
    /// Delay from the launch to the registration of the node.
    pub node_registration_delay: Option<String>,
}
