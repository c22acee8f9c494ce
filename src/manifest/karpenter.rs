//! Karpenter's objects (`pkg/apis/v1` of Karpenter 1.13, of its AWS provider and of its KWOK provider), with the field
//! names of upstream.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::definitions::ObjectMetaFields;

/// What is known to be there and not looked into.
pub type Fields = BTreeMap<String, Value>;

/// A NodePool as it is written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePool {
    /// `karpenter.sh/v1`.
    pub api_version: String,
    /// NodePool.
    pub kind: String,
    /// Its name.
    #[schemars(with = "ObjectMetaFields")]
    pub metadata: meta::ObjectMeta,
    /// What is made of it.
    pub spec: NodePoolSpec,
    /// What Karpenter says of it.
    pub status: Option<Fields>,
}

/// `spec` of a NodePool.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePoolSpec {
    /// What its nodes are made from.
    pub template: NodeClaimTemplate,
    /// When its nodes go.
    pub disruption: NodePoolDisruption,
    /// What all its nodes together may have.
    pub limits: BTreeMap<String, Value>,
    /// The heavier is asked first.
    pub weight: i32,
    /// With a number of nodes a pool is static, which is not simulated.
    pub replicas: Option<i64>,
}

/// `spec.template`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeClaimTemplate {
    /// Labels and annotations of the nodes.
    pub metadata: NodeClaimTemplateMetadata,
    /// What the nodes are.
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
    /// What is required of the nodes' labels.
    pub requirements: Vec<NodePoolRequirement>,
    /// Taints of the nodes.
    pub taints: Vec<NodePoolTaint>,
    /// Taints that somebody takes off before the node is initialized.
    pub startup_taints: Vec<NodePoolTaint>,
    /// How long a node lives, or `Never`.
    pub expire_after: Option<String>,
    /// How long a node may be drained.
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
    /// How many distinct values there are to be at least.
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

/// Which node class.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeClassReference {
    /// Its API group.
    pub group: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
}

/// `spec.disruption`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePoolDisruption {
    /// `WhenEmpty` or `WhenEmptyOrUnderutilized`.
    pub consolidation_policy: Option<String>,
    /// How long a node must have been left alone, or `Never`.
    pub consolidate_after: Option<String>,
    /// How many nodes may go at once.
    pub budgets: Option<Vec<NodePoolBudget>>,
}

/// A budget.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodePoolBudget {
    /// A number of nodes, or a share of them such as `10%`.
    pub nodes: String,
    /// For which reasons.
    pub reasons: Vec<String>,
    /// When it begins to hold.
    pub schedule: Option<String>,
    /// How long it holds.
    pub duration: Option<String>,
}

/// An EC2NodeClass as it is written. Of its spec only `kubelet.maxPods` plays a part, and that it changes.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "EC2NodeClass")]
pub struct Ec2NodeClass {
    /// `karpenter.k8s.aws/v1`.
    pub api_version: String,
    /// EC2NodeClass.
    pub kind: String,
    /// Its name.
    #[schemars(with = "ObjectMetaFields")]
    pub metadata: meta::ObjectMeta,
    /// How instances are set up.
    pub spec: Fields,
    /// What Karpenter says of it.
    pub status: Option<Fields>,
}

/// A KWOKNodeClass as it is written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "KWOKNodeClass")]
pub struct KwokNodeClass {
    /// `karpenter.kwok.sh/v1alpha1`.
    pub api_version: String,
    /// KWOKNodeClass.
    pub kind: String,
    /// Its name.
    #[schemars(with = "ObjectMetaFields")]
    pub metadata: meta::ObjectMeta,
    /// How nodes come.
    pub spec: KwokNodeClassSpec,
    /// What Karpenter says of it.
    pub status: Option<Fields>,
}

/// `spec` of a KWOKNodeClass.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "KWOKNodeClassSpec")]
pub struct KwokNodeClassSpec {
    /// From the launch until the node is there.
    pub node_registration_delay: Option<String>,
}
