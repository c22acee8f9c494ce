//! Admission plugins of the API server for pods, in their order: mutation before storage, and reasons for refusal.

use super::action::Refused;
use super::limit_range;
use super::meta::{Name, NamespacedName};
use super::pod::Owner;
use super::pod_security::{Mode, standard, violations};
use super::pod_template::TemplateId;
use super::quota;
use super::service_account::ServiceAccount;
use super::store::Store;

/// The template after admission: `LimitRanger`, the webhooks of a mesh, of the VPA and of Kueue, then validating plugins.
pub(super) fn admit(
    store: &mut Store,
    pod: &NamespacedName,
    owner: Option<Owner>,
    template: TemplateId,
) -> Result<TemplateId, Refused> {
    let template = store.default_by_limit_ranges(&pod.namespace, template);
    let template = store.inject_proxy(&pod.namespace, template);
    let template = store.admit_by_vpa(owner, template);
    let template = store.admit_by_kueue(owner, template);
    let spec = &store.templates[template].spec;
    has_service_account(store, pod, &spec.service_account_name)?;
    limit_range::admit_pod(store, &pod.namespace, &pod.name, spec)?;
    meets_standard(store, pod, template)?;
    quota::admit_pod(store, &pod.namespace, &pod.name, spec)?;
    Ok(template)
}

/// Refuses a pod that violates the enforced Pod Security standard of its namespace (the `PodSecurity` plugin).
fn meets_standard(
    store: &Store,
    pod: &NamespacedName,
    template: TemplateId,
) -> Result<(), Refused> {
    let Some(namespace) = store.namespace(&pod.namespace) else { return Ok(()) };
    let standard = standard(&namespace.meta.labels, Mode::Enforce);
    let written = store.templates[template].document.get();
    match written.and_then(|written| violations(written, standard)) {
        None => Ok(()),
        Some(broken) => Err(Refused::Forbidden(format!(
            "pods \"{}\" is forbidden: violates PodSecurity \"{standard}\": {broken}",
            pod.name
        ))),
    }
}

/// Refuses a pod whose ServiceAccount does not exist (the `ServiceAccount` plugin); every namespace has `default`.
fn has_service_account(store: &Store, pod: &NamespacedName, account: &Name) -> Result<(), Refused> {
    let id = NamespacedName { namespace: pod.namespace.clone(), name: account.clone() };
    if account.is_empty() || **account == *"default" || store.find::<ServiceAccount>(&id).is_some()
    {
        return Ok(());
    }
    Err(Refused::Forbidden(format!(
        "pods \"{}\" is forbidden: error looking up service account {id}: serviceaccount \"{account}\" \
         not found",
        pod.name
    )))
}
