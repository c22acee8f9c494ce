//! What ResourceQuotas count of objects other than pods: their number
//! (`generic.NewObjectCountEvaluator`, 1.36), what Services take of nodes and clouds
//! (`pkg/quota/v1/evaluator/core/services.go`) and what claims ask for (`persistent_volume_claims.go`).

use super::action::{Action, Refused};
use super::claim::ClaimSpec;
use super::meta::{Name, NamespacedName};
use super::pod_template::ReferenceKind;
use super::service::Service;
use super::store::Store;
use units::Quantity;

/// Kinds that quotas count, beside pods: the names of their resource with the API group, and whether
/// a quota may name it without `count/`.
const COUNTED: [(&str, &str, bool); 17] = [
    (SERVICE, "services", true),
    ("ConfigMap", "configmaps", true),
    ("Secret", "secrets", true),
    (CLAIM, "persistentvolumeclaims", true),
    ("ResourceQuota", "resourcequotas", true),
    ("LimitRange", "limitranges", false),
    ("ServiceAccount", "serviceaccounts", false),
    ("Deployment", "deployments.apps", false),
    ("ReplicaSet", "replicasets.apps", false),
    ("StatefulSet", "statefulsets.apps", false),
    ("DaemonSet", "daemonsets.apps", false),
    ("Job", "jobs.batch", false),
    ("CronJob", "cronjobs.batch", false),
    ("PodDisruptionBudget", "poddisruptionbudgets.policy", false),
    ("HorizontalPodAutoscaler", "horizontalpodautoscalers.autoscaling", false),
    ("VerticalPodAutoscaler", "verticalpodautoscalers.autoscaling.k8s.io", false),
    ("ScaledObject", "scaledobjects.keda.sh", false),
];
const SERVICE: &str = "Service";
const CLAIM: &str = "PersistentVolumeClaim";
/// Comes after the name of a storage class, before what is counted of its claims.
const OF_CLASS: &str = ".storageclass.storage.k8s.io/";

/// An object as far as quotas look at it.
enum Counted<'a> {
    /// One of its kind.
    Plain,
    /// A Service.
    Service(&'a Service),
    /// A claim.
    Claim(&'a ClaimSpec),
}

impl Counted<'_> {
    /// How much of a resource that counts its kind the object uses.
    fn usage(&self, resource: &str) -> Quantity {
        let number = |count: usize| Quantity::from_units(i64::try_from(count).unwrap_or(i64::MAX));
        match (self, resource) {
            (Self::Service(service), "services.nodeports") => number(service.node_ports),
            (Self::Service(service), "services.loadbalancers") => {
                number(usize::from(service.is_load_balancer))
            }
            (Self::Claim(claim), _) => claim_usage(claim, resource),
            _ => Quantity::from_units(1),
        }
    }
}

fn claim_usage(claim: &ClaimSpec, resource: &str) -> Quantity {
    let nothing = Quantity::from_units(0);
    let what = match resource.split_once(OF_CLASS) {
        Some((class, _)) if claim.storage_class.as_deref() != Some(class) => return nothing,
        Some((_, what)) => what,
        None => resource,
    };
    if what == "requests.storage" {
        claim.storage().unwrap_or(nothing)
    } else {
        Quantity::from_units(1)
    }
}

/// The kind of which a quota's resource counts something, if it is one other than pods.
pub(super) fn counted_kind(resource: &str) -> Option<&'static str> {
    match resource {
        "services.nodeports" | "services.loadbalancers" => return Some(SERVICE),
        "requests.storage" => return Some(CLAIM),
        _ => {}
    }
    if let Some((_, what)) = resource.split_once(OF_CLASS) {
        return matches!(what, "requests.storage" | "persistentvolumeclaims").then_some(CLAIM);
    }
    let counted = resource.strip_prefix("count/");
    let is_it = |(_, name, is_core): &&(&str, &str, bool)| {
        counted == Some(*name) || (*is_core && *name == resource)
    };
    COUNTED.iter().find(is_it).map(|(kind, ..)| *kind)
}

impl Store {
    /// How much of a resource the objects of its kind in a namespace use.
    pub(super) fn used_by_objects(&self, kind: &str, resource: &str, namespace: &Name) -> Quantity {
        let add = |sum: Quantity, object: Counted<'_>| sum + object.usage(resource);
        let nothing = Quantity::from_units(0);
        match kind {
            SERVICE => {
                let all = self.services().values();
                let own = all.filter(|service| service.meta.namespace() == namespace);
                own.map(Counted::Service).fold(nothing, add)
            }
            CLAIM => {
                let own = self.claims().filter(|(id, _)| id.namespace == *namespace);
                own.map(|(_, claim)| Counted::Claim(&claim.spec)).fold(nothing, add)
            }
            _ => Quantity::from_units(self.count_of(kind, namespace)),
        }
    }

    /// How many objects of a kind a namespace has.
    fn count_of(&self, kind: &str, namespace: &Name) -> i64 {
        let config = |of: ReferenceKind| {
            let all = self.configs();
            all.filter(|(kind, id, _)| *kind == of && id.namespace == *namespace).count()
        };
        let own = |ids: &mut dyn Iterator<Item = &NamespacedName>| {
            ids.filter(|id| id.namespace == *namespace).count()
        };
        let count = match kind {
            // `kube-root-ca.crt` and the account `default` are in every namespace.
            "ConfigMap" => config(ReferenceKind::ConfigMap) + 1,
            "ServiceAccount" => own(&mut self.service_accounts.iter()) + 1,
            "Secret" => config(ReferenceKind::Secret),
            "ResourceQuota" => own(&mut self.quotas().keys()),
            "LimitRange" => own(&mut self.limit_ranges().keys()),
            "Deployment" => own(&mut self.deployments().values().map(|one| &one.meta.id)),
            "ReplicaSet" => own(&mut self.replica_sets().values().map(|one| &one.meta.id)),
            "StatefulSet" => own(&mut self.stateful_sets().values().map(|one| &one.meta.id)),
            "DaemonSet" => own(&mut self.daemon_sets().values().map(|one| &one.meta.id)),
            "Job" => own(&mut self.jobs().values().map(|one| &one.meta.id)),
            "CronJob" => own(&mut self.cron_jobs().values().map(|one| &one.meta.id)),
            "PodDisruptionBudget" => {
                own(&mut self.disruption_budgets().values().map(|one| &one.meta.id))
            }
            "VerticalPodAutoscaler" => own(&mut self.vpas().values().map(|one| &one.meta.id)),
            "ScaledObject" => own(&mut self.scaled_objects().values().map(|one| &one.meta.id)),
            _ => own(&mut self.hpas().values().map(|one| &one.meta.id)),
        };
        i64::try_from(count).unwrap_or(i64::MAX)
    }
}

/// Refuses an object with which a quota would be exceeded; pods are looked at with all that they ask for.
pub(super) fn admit_object(store: &Store, action: &Action) -> Result<(), Refused> {
    if store.quotas.is_empty() {
        return Ok(());
    }
    let Some((kind, id, object)) = counted_object(store, action) else { return Ok(()) };
    let before = match action {
        Action::ApplyService(service, _) => store.services().get(*service).map(Counted::Service),
        _ => None,
    };
    admit(store, (kind, id), &object, before.as_ref())
}

/// Refuses a claim with which a quota would be exceeded, or a size to which it cannot grow.
pub(super) fn admit_claim(
    store: &Store,
    id: &NamespacedName,
    spec: &ClaimSpec,
) -> Result<(), Refused> {
    let before = store.claim(id).map(|claim| Counted::Claim(&claim.spec));
    admit(store, (CLAIM, id), &Counted::Claim(spec), before.as_ref())
}

/// Looks at an object; of one that was there before, only the difference is new.
fn admit(
    store: &Store,
    (kind, id): (&'static str, &NamespacedName),
    object: &Counted<'_>,
    before: Option<&Counted<'_>>,
) -> Result<(), Refused> {
    let quotas = store.quotas.values().filter(|quota| quota.meta.namespace() == &id.namespace);
    for quota in quotas.filter(|quota| quota.scopes.is_empty()) {
        let nothing = Quantity::from_units(0);
        let (mut requested, mut used, mut limited) = (Vec::new(), Vec::new(), Vec::new());
        for (resource, hard) in quota.hard.iter() {
            if counted_kind(resource) != Some(kind) {
                continue;
            }
            let more = object.usage(resource);
            let less = before.map_or(nothing, |before| before.usage(resource));
            let now = store.used_by_objects(kind, resource, &id.namespace);
            // In sums, as amounts cannot be taken from each other.
            if more > less && now + more > hard + less {
                requested.push(format!("{resource}={more}"));
                used.push(format!("{resource}={now}"));
                limited.push(format!("{resource}={hard}"));
            }
        }
        if !requested.is_empty() {
            let plural = COUNTED.iter().find(|(name, ..)| *name == kind);
            return Err(Refused::Forbidden(format!(
                "{} \"{}\" is forbidden: exceeded quota: {}, requested: {}, used: {}, limited: {}",
                plural.map_or("", |(_, name, _)| *name),
                id.name,
                quota.meta.name(),
                requested.join(","),
                used.join(","),
                limited.join(",")
            )));
        }
    }
    Ok(())
}

/// The object that an action creates, or changes the use of.
fn counted_object<'a>(
    store: &Store,
    action: &'a Action,
) -> Option<(&'static str, &'a NamespacedName, Counted<'a>)> {
    let plain = |kind, id| Some((kind, id, Counted::Plain));
    match action {
        Action::CreateDeployment(draft) => plain("Deployment", &draft.0.id),
        Action::CreateReplicaSet(draft) => plain("ReplicaSet", &draft.meta.id),
        Action::CreateStatefulSet(draft) => plain("StatefulSet", &draft.0.id),
        Action::CreateDaemonSet(draft) => plain("DaemonSet", &draft.0.id),
        Action::CreateJob(draft) => plain("Job", &draft.meta.id),
        Action::CreateCronJob(draft) => plain("CronJob", &draft.0.id),
        Action::CreateService(service) | Action::ApplyService(_, service) => {
            Some((SERVICE, &service.meta.id, Counted::Service(service)))
        }
        Action::CreateHpa(draft) => plain("HorizontalPodAutoscaler", &draft.0.id),
        Action::CreateVpa(draft) => plain("VerticalPodAutoscaler", &draft.0.id),
        Action::CreateScaledObject(draft) => plain("ScaledObject", &draft.0.id),
        Action::CreateDisruptionBudget(budget) => plain("PodDisruptionBudget", &budget.meta.id),
        Action::CreateServiceAccount(id) if !store.service_accounts.contains(id) => {
            plain("ServiceAccount", id)
        }
        Action::ApplyResourceQuota(quota) if !store.quotas.contains_key(&quota.meta.id) => {
            plain("ResourceQuota", &quota.meta.id)
        }
        Action::ApplyLimitRange(range) if !store.limit_ranges.contains_key(&range.meta.id) => {
            plain("LimitRange", &range.meta.id)
        }
        Action::PutConfig(kind, object) if !store.has_config(*kind, &object.0) => match kind {
            ReferenceKind::Secret => plain("Secret", &object.0),
            _ => plain("ConfigMap", &object.0),
        },
        _ => None,
    }
}
