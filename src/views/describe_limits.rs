//! `kubectl describe` of what limits others: budgets, quotas, LimitRanges, namespaces, PriorityClasses.

use std::collections::BTreeSet;

use super::describe::names;
use super::get::{Sight, label_text};
use super::page::{Page, line};
use super::rows::{amount_text, labels_text};
use super::rows_of_others::pairs;
use cluster::NamespacedName;
use cluster::limit_range::{LimitRange, LimitType};
use cluster::pod_template::ResourceList;
use cluster::policy::Budget;

const LIMIT_TITLES: [&str; 2] = [
    "Type\tResource\tMin\tMax\tDefault Request\tDefault Limit\tMax Limit/Request Ratio",
    "----\t--------\t---\t---\t---------------\t-------------\t-----------------------",
];

pub(super) fn disruption_budget(
    sight: Sight<'_>,
    id: &NamespacedName,
    page: &mut Page,
) -> Option<()> {
    let store = sight.view.store();
    let budget = store.disruption_budgets().get(sight.view.disruption_budget_named(id)?)?;
    names(id, page);
    match &budget.budget {
        Budget::MinAvailable(value) => line!(page, 0, "Min available:\t{}", amount_text(*value)),
        Budget::MaxUnavailable(value) => {
            line!(page, 0, "Max unavailable:\t{}", amount_text(*value));
        }
    }
    let selector = budget.selector.as_ref().map_or_else(|| "<unset>".to_owned(), label_text);
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

pub(super) fn quota(sight: Sight<'_>, id: &NamespacedName, page: &mut Page) -> Option<()> {
    let quota = sight.view.store().quotas().get(id)?;
    names(id, page);
    line!(page, 0, "Resource\tUsed\tHard");
    line!(page, 0, "--------\t----\t----");
    for one in sight.view.store().quota_used(quota) {
        line!(page, 0, "{}\t{}\t{}", one.resource, one.used, one.hard);
    }
    Some(())
}

pub(super) fn limit_range(sight: Sight<'_>, id: &NamespacedName, page: &mut Page) -> Option<()> {
    let range = sight.view.store().limit_ranges().get(id)?;
    names(id, page);
    for titles in LIMIT_TITLES {
        line!(page, 0, "{titles}");
    }
    limits(range, "", page);
    Some(())
}

/// `describeLimitRangeSpec`, by resource, which kubectl leaves to chance.
fn limits(range: &LimitRange, indent: &str, page: &mut Page) {
    for item in &range.limits {
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

pub(super) fn namespace(sight: Sight<'_>, id: &NamespacedName, page: &mut Page) -> Option<()> {
    let store = sight.view.store();
    let namespace = store.namespaces().get(&id.name)?;
    line!(page, 0, "Name:\t{}", namespace.name);
    page.labels("Labels", &namespace.labels);
    let written = &sight.written.get("Namespace", id)["metadata"]["annotations"];
    page.annotations("Annotations", &pairs(written));
    line!(page, 0, "Status:\tActive");
    line!(page, 0, "");
    let is_in = |other: &NamespacedName| other.namespace == namespace.name;
    let mut quotas = store.quotas().iter().filter(|(other, _)| is_in(other)).peekable();
    let titles = if quotas.peek().is_some() { "Resource Quotas" } else { "No resource quota." };
    line!(page, 0, "{titles}");
    for (other, quota) in quotas {
        line!(page, 1, "Name:\t{}", other.name);
        line!(page, 1, "Resource\tUsed\tHard");
        line!(page, 1, "--------\t---\t---");
        for one in store.quota_used(quota) {
            line!(page, 1, "{}\t{}\t{}", one.resource, one.used, one.hard);
        }
    }
    line!(page, 0, "");
    let mut ranges = store.limit_ranges().iter().filter(|(other, _)| is_in(other)).peekable();
    if ranges.peek().is_none() {
        line!(page, 0, "No LimitRange resource.");
        return Some(());
    }
    line!(page, 0, "Resource Limits");
    for titles in LIMIT_TITLES {
        line!(page, 0, " {titles}");
    }
    ranges.for_each(|(_, range)| limits(range, " ", page));
    Some(())
}

pub(super) fn priority_class(sight: Sight<'_>, id: &NamespacedName, page: &mut Page) -> Option<()> {
    let class = sight.view.store().priority_classes().get(&id.name)?;
    let written = sight.written.get("PriorityClass", id);
    line!(page, 0, "Name:\t{}", class.name);
    line!(page, 0, "Value:\t{}", class.value);
    line!(page, 0, "GlobalDefault:\t{}", class.global_default);
    let policy = if class.never_preempts { "Never" } else { "PreemptLowerPriority" };
    line!(page, 0, "PreemptionPolicy:\t{policy}");
    line!(page, 0, "Description:\t{}", written["description"].as_str().unwrap_or_default());
    let annotations = pairs(&written["metadata"]["annotations"]);
    line!(page, 0, "Annotations:\t{}", labels_text(&annotations));
    Some(())
}
