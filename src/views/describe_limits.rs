//! `kubectl describe` of objects that limit others: budgets, quotas, LimitRanges, namespaces, PriorityClasses.

use std::collections::BTreeSet;

use super::describe::{labels, names};
use super::get::{Snapshot, label_text};
use super::page::{Page, line};
use super::rows::{amount_text, labels_text};
use cluster::limit_range::{LimitRange, LimitType};
use cluster::pod_template::ResourceList;
use cluster::policy::Budget;
use cluster::priority_class::PriorityClass;
use cluster::quota::ResourceQuota;
use cluster::{Kind, NamespacedName, ObjectMeta};

const LIMIT_TITLES: [&str; 2] = [
    "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio",
    "----\t--------\t---\t---\t---------------\t-------------\t-----------------------",
];

pub(super) fn disruption_budget(
    snapshot: Snapshot<'_>,
    id: &NamespacedName,
    page: &mut Page,
) -> Option<()> {
    let store = snapshot.view.store();
    let budget = store.disruption_budgets().get(snapshot.view.named(id)?)?;
    names(id, page);
    match &budget.spec.budget {
        Budget::MinAvailable(value) => line!(page, 0, "Min available:\t{}", amount_text(*value)),
        Budget::MaxUnavailable(value) => {
            line!(page, 0, "Max unavailable:\t{}", amount_text(*value));
        }
    }
    let selector = budget.spec.selector.as_ref().map_or_else(|| "<unset>".to_owned(), label_text);
    line!(page, 0, "Selector:\t{selector}");
    let status = &budget.status;
    line!(page, 0, "Status:");
    for (title, pods) in [
        ("Allowed disruptions", status.disruptions_allowed),
        ("Current", status.current_healthy),
        ("Desired", status.desired_healthy),
        ("Total", status.expected_pods),
    ] {
        line!(page, 2, "{title}:\t{pods}");
    }
    Some(())
}

pub(super) fn quota(snapshot: Snapshot<'_>, id: &NamespacedName, page: &mut Page) -> Option<()> {
    let quota = snapshot.view.store().find::<ResourceQuota>(id)?;
    names(id, page);
    line!(page, 0, "Resource\tUsed\tHard");
    line!(page, 0, "--------\t----\t----");
    for one in snapshot.view.store().quota_used(quota) {
        line!(page, 0, "{}\t{}\t{}", one.resource, one.used, one.hard);
    }
    Some(())
}

pub(super) fn limit_range(
    snapshot: Snapshot<'_>,
    id: &NamespacedName,
    page: &mut Page,
) -> Option<()> {
    let range = snapshot.view.store().find::<LimitRange>(id)?;
    names(id, page);
    for titles in LIMIT_TITLES {
        line!(page, 0, "{titles}");
    }
    limits(range, "", page);
    Some(())
}

/// `describeLimitRangeSpec`, ordered by resource; kubectl's order is random.
fn limits(range: &LimitRange, indent: &str, page: &mut Page) {
    for item in &range.spec.limits {
        let kind = match item.limit_type {
            LimitType::Container => "Container",
            LimitType::Pod => "Pod",
            LimitType::PersistentVolumeClaim => "PersistentVolumeClaim",
        };
        let lists = [
            &item.min,
            &item.max,
            &item.default_requests,
            &item.default_limits,
            &item.max_limit_request_ratio,
        ];
        let resources: BTreeSet<&str> =
            lists.iter().flat_map(|list| list.iter().map(|(name, _)| &**name)).collect();
        for resource in resources {
            let cell = |list: &ResourceList| {
                list.get(resource).map_or_else(|| "-".to_owned(), |amount| amount.to_string())
            };
            let cells = lists.map(cell).join("\t");
            line!(page, 0, "{indent}{kind}\t{resource}\t{cells}");
        }
    }
}

pub(super) fn namespace(
    snapshot: Snapshot<'_>,
    id: &NamespacedName,
    page: &mut Page,
) -> Option<()> {
    let store = snapshot.view.store();
    let namespace = store.namespace(&id.name)?;
    line!(page, 0, "Name:\t{}", namespace.meta.name());
    labels(&namespace.meta, page);
    line!(page, 0, "Status:\tActive");
    line!(page, 0, "");
    let is_in = |other: &ObjectMeta| *other.namespace() == id.name;
    let mut quotas: Vec<_> = store.quotas().values().filter(|one| is_in(&one.meta)).collect();
    quotas.sort_by(|one, other| one.meta.id.cmp(&other.meta.id));
    let titles = if quotas.is_empty() { "No resource quota." } else { "Resource Quotas" };
    line!(page, 0, "{titles}");
    for quota in quotas {
        line!(page, 1, "Name:\t{}", quota.meta.name());
        line!(page, 1, "Resource\tUsed\tHard");
        line!(page, 1, "--------\t---\t---");
        for one in store.quota_used(quota) {
            line!(page, 1, "{}\t{}\t{}", one.resource, one.used, one.hard);
        }
    }
    line!(page, 0, "");
    let mut ranges: Vec<_> = store.limit_ranges().values().filter(|one| is_in(&one.meta)).collect();
    ranges.sort_by(|one, other| one.meta.id.cmp(&other.meta.id));
    if ranges.is_empty() {
        line!(page, 0, "No LimitRange resource.");
        return Some(());
    }
    line!(page, 0, "Resource Limits");
    for titles in LIMIT_TITLES {
        line!(page, 0, " {titles}");
    }
    for range in ranges {
        limits(range, " ", page);
    }
    Some(())
}

pub(super) fn priority_class(
    snapshot: Snapshot<'_>,
    id: &NamespacedName,
    page: &mut Page,
) -> Option<()> {
    let class = snapshot.view.store().find::<PriorityClass>(id)?;
    let written = snapshot.written(Kind::PriorityClass, id);
    line!(page, 0, "Name:\t{}", class.meta.name());
    line!(page, 0, "Value:\t{}", class.spec.value);
    line!(page, 0, "GlobalDefault:\t{}", class.spec.global_default);
    let policy = if class.spec.never_preempts { "Never" } else { "PreemptLowerPriority" };
    line!(page, 0, "PreemptionPolicy:\t{policy}");
    line!(page, 0, "Description:\t{}", written["description"].as_str().unwrap_or_default());
    line!(page, 0, "Annotations:\t{}", labels_text(&class.meta.annotations));
    Some(())
}
