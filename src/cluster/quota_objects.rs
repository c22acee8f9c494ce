//! ResourceQuotas on objects other than pods: object counts (`generic.NewObjectCountEvaluator`, 1.36), node ports and
//! load balancers of Services (`pkg/quota/v1/evaluator/core/services.go`), and requests of claims
//! (`persistent_volume_claims.go`).

use super::action::Refused;
use super::claim::ClaimSpec;
use super::kind::{Kind, Verbs};
use super::meta::{Name, NamespacedName};
use super::objects::{AnySpec, ObjectId};
use super::service::{Service, ServiceSpec};
use super::store::Store;
use units::Quantity;

/// Separates the name of a storage class from the resource counted for its claims.
const OF_CLASS: &str = ".storageclass.storage.k8s.io/";

/// The parts of an object relevant to quotas.
enum Counted<'a> {
    /// One of its kind.
    Plain,
    /// A Service.
    Service(&'a ServiceSpec),
    /// A claim.
    Claim(&'a ClaimSpec),
}

impl Counted<'_> {
    /// The object's usage of a resource that counts its kind.
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

/// The kind counted by a quota's resource, if other than pods. Core resources may also be named without a group where
/// the API server tracks them so.
pub(super) fn counted_kind(resource: &str) -> Option<Kind> {
    const BY_NAME: [Kind; 5] = [
        Kind::Service,
        Kind::ConfigMap,
        Kind::Secret,
        Kind::PersistentVolumeClaim,
        Kind::ResourceQuota,
    ];
    match resource {
        "services.nodeports" | "services.loadbalancers" => return Some(Kind::Service),
        "requests.storage" => return Some(Kind::PersistentVolumeClaim),
        _ => {}
    }
    if let Some((_, what)) = resource.split_once(OF_CLASS) {
        let is_counted = matches!(what, "requests.storage" | "persistentvolumeclaims");
        return is_counted.then_some(Kind::PersistentVolumeClaim);
    }
    match resource.strip_prefix("count/") {
        Some(counted) => {
            let mut kinds = Kind::with(Verbs::DELETE);
            let is_counted = |kind: &Kind| kind.is_namespaced() && *kind != Kind::Pod;
            kinds.find(|kind| is_counted(kind) && kind.resource() == counted)
        }
        None => BY_NAME.into_iter().find(|kind| kind.info().plural == resource),
    }
}

impl Store {
    /// Total usage of a resource by the objects of its kind in a namespace.
    pub(super) fn used_by_objects(&self, kind: Kind, resource: &str, namespace: &Name) -> Quantity {
        let own = self.objects_of(kind).into_iter().filter(|(_, id)| id.namespace == *namespace);
        let objects = own.map(|(object, _)| match object {
            ObjectId::Service(id) => Counted::Service(&self.services()[id].spec),
            ObjectId::PersistentVolumeClaim(id) => Counted::Claim(&self.claims()[id].spec),
            _ => Counted::Plain,
        });
        // `kube-root-ca.crt` and the account `default` are in every namespace.
        let built_in = matches!(kind, Kind::ConfigMap | Kind::ServiceAccount);
        objects
            .fold(Quantity::from_units(built_in.into()), |sum, object| sum + object.usage(resource))
    }
}

/// Refuses an object that would exceed a quota; pods are checked with all their resources.
pub(super) fn admit_spec(
    store: &Store,
    id: &NamespacedName,
    spec: &AnySpec,
) -> Result<(), Refused> {
    if store.quotas().is_empty() {
        return Ok(());
    }
    let known = store.object_named(spec.kind(), id);
    let (object, before) = match (spec, known) {
        (AnySpec::Service(spec), known) => {
            let before = known.and(store.find::<Service>(id));
            (Counted::Service(spec), before.map(|service| Counted::Service(&service.spec)))
        }
        (AnySpec::PersistentVolumeClaim(content), known) => {
            let before = known.and(store.claim(id));
            (Counted::Claim(&content.spec), before.map(|claim| Counted::Claim(&claim.spec)))
        }
        (AnySpec::Pod(_), _) | (_, Some(_)) => return Ok(()),
        _ => (Counted::Plain, None),
    };
    admit(store, (spec.kind(), id), &object, before.as_ref())
}

/// Checks an object; for an existing one only the difference counts.
fn admit(
    store: &Store,
    (kind, id): (Kind, &NamespacedName),
    object: &Counted<'_>,
    before: Option<&Counted<'_>>,
) -> Result<(), Refused> {
    let quotas = store.quotas().values().filter(|quota| quota.meta.namespace() == &id.namespace);
    for quota in quotas.filter(|quota| quota.spec.scopes.is_empty()) {
        let nothing = Quantity::from_units(0);
        let (mut requested, mut used, mut limited) = (Vec::new(), Vec::new(), Vec::new());
        for (resource, hard) in quota.spec.hard.iter() {
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
            return Err(Refused::Forbidden(format!(
                "{} \"{}\" is forbidden: exceeded quota: {}, requested: {}, used: {}, limited: {}",
                kind.resource(),
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
