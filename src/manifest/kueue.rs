//! The kinds of Kueue (`kueue.x-k8s.io`, v1beta1 and v1beta2): their fields, and the simulated ones among them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as WrittenQuantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::constraints::toleration;
use super::definitions::{
    LabelSelectorFields, ObjectMetaFields, QuantityFields, TaintFields, TolerationFields,
};
use super::field::{FieldErrors, FieldPath};
use super::names::{NameRule, check_labels, check_name};
use super::node::taints;
use super::pod::pairs;
use super::selector::label_selector;
use cluster::Name;
use cluster::kueue::{
    ClusterQueueSpec, FlavorQuota, FlavorQuotas, LocalQueueSpec, QueuePreemption,
    ResourceFlavorSpec, ResourceGroup, WorkloadPriorityClassSpec,
};
use units::Quantity;

/// Fields whose content is not simulated.
type Opaque = Option<BTreeMap<String, Value>>;

/// An object with a `spec`.
macro_rules! object {
    ($name:ident, $spec:ident) => {
        #[doc = concat!("A ", stringify!($name), " as written.")]
        #[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub(super) struct $name {
            #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
            api_version: String,
            #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
            kind: String,
            #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
            #[schemars(with = "ObjectMetaFields")]
            metadata: meta::ObjectMeta,
            #[serde(default)]
            spec: $spec,
            #[expect(dead_code, reason = "Kueue's; here for the schema")]
            status: Opaque,
        }
    };
}

object!(ResourceFlavor, WrittenFlavor);
object!(ClusterQueue, WrittenQueue);
object!(LocalQueue, WrittenLocalQueue);

/// A WorkloadPriorityClass as written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct WorkloadPriorityClass {
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    api_version: String,
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    kind: String,
    #[expect(dead_code, reason = "read for all kinds alike; here for the schema")]
    #[schemars(with = "ObjectMetaFields")]
    metadata: meta::ObjectMeta,
    #[serde(default)]
    value: i32,
    #[expect(dead_code, reason = "a comment for people; here for the schema")]
    description: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ResourceFlavorSpec")]
struct WrittenFlavor {
    node_labels: Option<BTreeMap<String, String>>,
    #[schemars(with = "Option<Vec<TaintFields>>")]
    node_taints: Option<Vec<core::Taint>>,
    #[schemars(with = "Option<Vec<TolerationFields>>")]
    tolerations: Option<Vec<core::Toleration>>,
    topology_name: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ClusterQueueSpec")]
struct WrittenQueue {
    cohort: Option<String>,
    cohort_name: Option<String>,
    resource_groups: Option<Vec<WrittenGroup>>,
    queueing_strategy: Option<String>,
    #[schemars(with = "Option<LabelSelectorFields>")]
    namespace_selector: Option<meta::LabelSelector>,
    flavor_fungibility: Option<FlavorFungibility>,
    preemption: Option<ClusterQueuePreemption>,
    admission_checks: Option<Vec<String>>,
    admission_checks_strategy: Opaque,
    stop_policy: Option<String>,
    fair_sharing: Opaque,
    admission_scope: Opaque,
    concurrent_admission_policy: Opaque,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "ResourceGroup")]
struct WrittenGroup {
    covered_resources: Vec<String>,
    flavors: Vec<WrittenFlavorQuotas>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "FlavorQuotas")]
struct WrittenFlavorQuotas {
    name: String,
    resources: Vec<WrittenQuota>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "FlavorResourceQuota")]
struct WrittenQuota {
    name: String,
    #[schemars(with = "QuantityFields")]
    nominal_quota: WrittenQuantity,
    #[schemars(with = "Option<QuantityFields>")]
    borrowing_limit: Option<WrittenQuantity>,
    #[schemars(with = "Option<QuantityFields>")]
    lending_limit: Option<WrittenQuantity>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct FlavorFungibility {
    when_can_borrow: Option<String>,
    when_can_preempt: Option<String>,
    preference: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct ClusterQueuePreemption {
    reclaim_within_cohort: Option<String>,
    borrow_within_cohort: Option<BorrowWithinCohort>,
    within_cluster_queue: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct BorrowWithinCohort {
    policy: Option<String>,
    max_priority_threshold: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "LocalQueueSpec")]
struct WrittenLocalQueue {
    cluster_queue: String,
    stop_policy: Option<String>,
    fair_sharing: Opaque,
}

const SPEC: FieldPath<'static> = FieldPath::ROOT.field("spec");

/// `spec` of a ResourceFlavor.
pub(super) fn resource_flavor(
    object: &ResourceFlavor,
    errors: &mut FieldErrors,
) -> ResourceFlavorSpec {
    let spec = &object.spec;
    let node_taints = spec.node_taints.as_deref().unwrap_or_default();
    check_labels(spec.node_labels.as_ref(), &SPEC.field("nodeLabels"), errors);
    let at = SPEC.field("tolerations");
    let tolerations = spec.tolerations.iter().flatten().enumerate();
    ResourceFlavorSpec {
        node_labels: pairs(spec.node_labels.as_ref()),
        node_taints: taints(node_taints, &SPEC.field("nodeTaints"), errors),
        tolerations: tolerations
            .map(|(index, one)| toleration(one, &at.item(index), errors))
            .collect(),
    }
}

/// `spec` of a ClusterQueue, defaulted.
pub(super) fn cluster_queue(object: &ClusterQueue, errors: &mut FieldErrors) -> ClusterQueueSpec {
    let spec = &object.spec;
    let at_groups = SPEC.field("resourceGroups");
    validate_groups(spec, &at_groups, errors);
    let groups = spec.resource_groups.iter().flatten().enumerate();
    let groups = groups.map(|(index, one)| group(one, &at_groups.item(index), errors)).collect();
    let strategies = [("BestEffortFIFO", false), ("StrictFIFO", true)];
    let at = SPEC.field("queueingStrategy");
    let is_strict = errors.choose(spec.queueing_strategy.as_deref(), &strategies, &at);
    let fungibility = spec.flavor_fungibility.clone().unwrap_or_default();
    let at = SPEC.field("flavorFungibility");
    let borrow = [("MayStopSearch", false), ("Borrow", false), ("TryNextFlavor", true)];
    let avoids_borrowing =
        errors.choose(fungibility.when_can_borrow.as_deref(), &borrow, &at.field("whenCanBorrow"));
    let preempt = [("TryNextFlavor", false), ("MayStopSearch", true), ("Preempt", true)];
    let stops_at_preemption = errors.choose(
        fungibility.when_can_preempt.as_deref(),
        &preempt,
        &at.field("whenCanPreempt"),
    );
    let preemption = spec.preemption.clone().unwrap_or_default();
    let at = SPEC.field("preemption");
    let within = [
        ("Never", QueuePreemption::Never),
        ("LowerPriority", QueuePreemption::LowerPriority),
        ("LowerOrNewerEqualPriority", QueuePreemption::LowerOrNewerEqualPriority),
    ];
    let within_queue = errors.choose(
        preemption.within_cluster_queue.as_deref(),
        &within,
        &at.field("withinClusterQueue"),
    );
    let reclaim = [
        ("Never", QueuePreemption::Never),
        ("LowerPriority", QueuePreemption::LowerPriority),
        ("Any", QueuePreemption::Any),
    ];
    let within_cohort = errors.choose(
        preemption.reclaim_within_cohort.as_deref(),
        &reclaim,
        &at.field("reclaimWithinCohort"),
    );
    let borrow = preemption.borrow_within_cohort.unwrap_or_default();
    let at_borrow = at.field("borrowWithinCohort");
    let policies = [("Never", false), ("LowerPriority", true)];
    let borrows = errors.choose(borrow.policy.as_deref(), &policies, &at_borrow.field("policy"));
    if borrows && within_cohort == QueuePreemption::Never {
        // A rule of the CustomResourceDefinition.
        errors.push(&at, "reclaimWithinCohort=Never and borrowWithinCohort.Policy!=Never");
    }
    let selector = spec.namespace_selector.as_ref();
    ClusterQueueSpec {
        cohort: name(spec.cohort_name.as_ref().or(spec.cohort.as_ref())),
        is_strict,
        namespaces: selector
            .map(|one| label_selector(one, &SPEC.field("namespaceSelector"), errors)),
        groups,
        avoids_borrowing,
        stops_at_preemption,
        within_queue,
        within_cohort,
        borrow_within_cohort: borrows.then_some(cluster::kueue::BorrowWithinCohort {
            max_priority: borrow.max_priority_threshold,
        }),
        is_stopped: is_stopped(spec.stop_policy.as_deref(), errors),
    }
}

/// The rules of Kueue's webhook over all resource groups (`validateResourceGroups`, 0.14).
fn validate_groups(spec: &WrittenQueue, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let has_cohort = name(spec.cohort_name.as_ref().or(spec.cohort.as_ref())).is_some();
    let (mut resources, mut flavors) = (BTreeSet::new(), BTreeSet::new());
    for (index, group) in spec.resource_groups.iter().flatten().enumerate() {
        let at = path.item(index);
        let at_resources = at.field("coveredResources");
        for (index, resource) in group.covered_resources.iter().enumerate() {
            if !resources.insert(resource) {
                errors.duplicate(&at_resources.item(index), resource);
            }
        }
        let at_flavors = at.field("flavors");
        if group.flavors.is_empty() {
            errors.invalid(&at_flavors, 0, "should have at least 1 items");
        }
        for (index, flavor) in group.flavors.iter().enumerate() {
            let at = at_flavors.item(index);
            if !flavors.insert(&flavor.name) {
                errors.duplicate(&at.field("name"), &flavor.name);
            }
            let at = at.field("resources");
            for (index, quota) in flavor.resources.iter().enumerate() {
                validate_quota(quota, has_cohort, &at.item(index), errors);
            }
        }
    }
}

fn validate_quota(
    quota: &WrittenQuota,
    has_cohort: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    // Lowering reports what is no quantity.
    let read = |written: &WrittenQuantity| written.0.parse::<Quantity>().ok();
    let nominal = read(&quota.nominal_quota);
    let limits =
        [("borrowingLimit", &quota.borrowing_limit), ("lendingLimit", &quota.lending_limit)];
    let mut not_negative = |field: &str, quantity: Option<Quantity>| {
        if quantity.is_some_and(|quantity| quantity.milli_value() < 0) {
            let rule = "must be greater than or equal to 0";
            errors.invalid(&path.field(field), quantity.unwrap_or_default().to_string(), rule);
        }
    };
    not_negative("nominalQuota", nominal);
    for (field, limit) in limits {
        not_negative(field, limit.as_ref().and_then(read));
    }
    for (field, limit) in limits {
        let Some(limit) = limit.as_ref().filter(|_| !has_cohort) else { continue };
        errors.invalid(&path.field(field), &limit.0, "must be nil when cohort is empty");
    }
    let lent = quota.lending_limit.as_ref().and_then(read);
    if let (Some(lent), Some(nominal)) = (lent, nominal)
        && lent > nominal
    {
        let rule = "must be less than or equal to the nominalQuota";
        errors.invalid(&path.field("lendingLimit"), lent.to_string(), rule);
    }
}

fn name(written: Option<&String>) -> Option<Name> {
    written.filter(|name| !name.is_empty()).map(|name| name.as_str().into())
}

fn is_stopped(written: Option<&str>, errors: &mut FieldErrors) -> bool {
    let policies = [("None", false), ("Hold", true), ("HoldAndDrain", true)];
    errors.choose(written, &policies, &SPEC.field("stopPolicy"))
}

fn group(written: &WrittenGroup, path: &FieldPath<'_>, errors: &mut FieldErrors) -> ResourceGroup {
    let at_flavors = path.field("flavors");
    let mut flavors = Vec::new();
    for (index, flavor) in written.flavors.iter().enumerate() {
        let at = at_flavors.item(index);
        let at = at.field("resources");
        // The webhook requires the resources of the group, in its order.
        let named = flavor.resources.iter().map(|quota| &quota.name);
        if !named.eq(&written.covered_resources) {
            let problem = "must be the coveredResources of its group, in their order".to_owned();
            errors.push(&at, problem);
        }
        let quotas = flavor.resources.iter().enumerate();
        let quotas = quotas
            .map(|(index, one)| (one.name.as_str().into(), quota(one, &at.item(index), errors)));
        let quotas = quotas.collect();
        flavors.push(FlavorQuotas { flavor: flavor.name.as_str().into(), quotas });
    }
    let resources = written.covered_resources.iter().map(|one| one.as_str().into()).collect();
    ResourceGroup { resources, flavors }
}

fn quota(written: &WrittenQuota, path: &FieldPath<'_>, errors: &mut FieldErrors) -> FlavorQuota {
    let mut milli = |written: &WrittenQuantity, field: &str| {
        let read: Result<Quantity, _> = written.0.parse();
        match read {
            Ok(quantity) => quantity.milli_value(),
            Err(problem) => {
                errors.push(&path.field(field), problem.to_string());
                0
            }
        }
    };
    FlavorQuota {
        nominal_milli: milli(&written.nominal_quota, "nominalQuota"),
        borrowing_limit_milli: written
            .borrowing_limit
            .as_ref()
            .map(|one| milli(one, "borrowingLimit")),
        lending_limit_milli: written.lending_limit.as_ref().map(|one| milli(one, "lendingLimit")),
    }
}

/// `spec` of a LocalQueue.
pub(super) fn local_queue(object: &LocalQueue, errors: &mut FieldErrors) -> LocalQueueSpec {
    let spec = &object.spec;
    let at = SPEC.field("clusterQueue");
    if spec.cluster_queue.is_empty() {
        errors.required(&at, "the ClusterQueue that has the quotas");
    } else {
        check_name(&spec.cluster_queue, false, NameRule::Subdomain, &at, errors);
    }
    LocalQueueSpec {
        cluster_queue: spec.cluster_queue.as_str().into(),
        is_stopped: is_stopped(spec.stop_policy.as_deref(), errors),
    }
}

/// The fields of a WorkloadPriorityClass.
pub(super) const fn workload_priority_class(
    object: &WorkloadPriorityClass,
) -> WorkloadPriorityClassSpec {
    WorkloadPriorityClassSpec { value: object.value }
}
