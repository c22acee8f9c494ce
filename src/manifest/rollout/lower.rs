//! Validates Rollouts as their controller does (`pkg/apis/rollouts/validation`, Argo Rollouts 1.9.1), and converts them.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;
use serde_json::Value;

use super::steps::{call, call_of, step};
use super::{
    BlueGreenStrategy, CanaryStrategy, Opaque, ReplicaProgressThreshold, Rollout, RolloutAnalysis,
    RolloutSpec, RolloutTrafficRouting,
};
use crate::defaults::pod::template as default_template;
use crate::field::{FieldErrors, FieldPath};
use crate::int_or_percent::is_zero;
use crate::workload::{count, pod_count, selector_and_template};
use cluster::deployment::IntOrPercent;
use cluster::rollout as lean;
use cluster::{Name, ObjectMeta};

/// The highest weight of a backend in the Gateway API. The controller has no bound of its own, but multiplies weights and
/// pods in 32 bits.
const MOST_WEIGHT: i32 = 1_000_000;

/// A Rollout and its document, in which the pod template is defaulted.
pub(crate) fn rollout(
    meta: &ObjectMeta,
    mut value: Value,
    errors: &mut FieldErrors,
) -> Result<(lean::RolloutSpec, Value), serde_json::Error> {
    let written: Rollout = Deserialize::deserialize(&value)?;
    let RolloutSpec { selector, template, workload_ref, strategy, .. } = &written.spec;
    let path = FieldPath::ROOT.field("spec");
    let selector = selector.clone().unwrap_or_default();
    let mut template = template.clone().unwrap_or_default();
    default_template(&mut template);
    if let Some(fields) = value.get_mut("spec").and_then(Value::as_object_mut) {
        fields.insert("template".to_owned(), serde_json::to_value(&template)?);
    }
    let (selector, template) = selector_and_template(&selector, &template, &[], &path, errors);
    let spec = &written.spec;
    let replicas = Some(spec.replicas.unwrap_or(1));
    let replicas = pod_count(replicas, &path.field("replicas"), errors);
    let mut counted = |given: Option<i32>, default: i32, field: &str| {
        count(Some(given.unwrap_or(default)), &path.field(field), errors)
    };
    let min_ready_seconds = counted(spec.min_ready_seconds, 0, "minReadySeconds");
    let revision_history_limit = counted(spec.revision_history_limit, 10, "revisionHistoryLimit");
    let progress_deadline_seconds =
        counted(spec.progress_deadline_seconds, 600, "progressDeadlineSeconds");
    if progress_deadline_seconds <= min_ready_seconds {
        let at = path.field("progressDeadlineSeconds");
        errors.invalid(&at, progress_deadline_seconds, "must be greater than minReadySeconds");
    }
    let at = path.field("strategy");
    let strategy = strategy.clone().unwrap_or_default();
    let strategy = match (&strategy.canary, &strategy.blue_green) {
        (Some(_), Some(_)) => {
            errors.invalid(
                &at,
                "blueGreen: true canary: true",
                "Multiple Strategies can not be listed",
            );
            lean::RolloutStrategy::Canary(Box::default())
        }
        (None, None) => {
            let missing = ".spec.strategy.canary or .spec.strategy.blueGreen";
            errors.required(&at, &format!("Rollout has missing field '{missing}'"));
            lean::RolloutStrategy::Canary(Box::default())
        }
        (Some(written), None) => {
            let lowered = canary(meta, written, &at.field("canary"), errors);
            lean::RolloutStrategy::Canary(Box::new(lowered))
        }
        (None, Some(written)) => {
            let limit = revision_history_limit;
            let lowered = blue_green(meta, written, limit, &at.field("blueGreen"), errors);
            lean::RolloutStrategy::BlueGreen(Box::new(lowered))
        }
    };
    let workload = workload_ref.as_ref().map(|reference| {
        let choices = [
            ("never", lean::ScaleDown::Never),
            ("onsuccess", lean::ScaleDown::OnSuccess),
            ("progressively", lean::ScaleDown::Progressively),
        ];
        let at = path.field("workloadRef");
        let scale_down =
            errors.choose(reference.scale_down.as_deref(), &choices, &at.field("scaleDown"));
        (reference.name.as_str().into(), scale_down)
    });
    let lowered = lean::RolloutSpec {
        replicas,
        selector,
        template,
        strategy,
        min_ready_seconds,
        revision_history_limit,
        paused: spec.paused.unwrap_or_default(),
        restart_at: spec.restart_at.as_ref().map(|at| at.0),
        progress_deadline_seconds,
        progress_deadline_abort: spec.progress_deadline_abort.unwrap_or_default(),
        rollback_window: spec
            .rollback_window
            .as_ref()
            .and_then(|window| window.revisions)
            .unwrap_or_default(),
        workload,
    };
    Ok((lowered, value))
}

fn blue_green(
    meta: &ObjectMeta,
    written: &BlueGreenStrategy,
    revision_history_limit: i32,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> lean::BlueGreenStrategy {
    if Some(&written.active_service) == written.preview_service.as_ref() {
        let rule = "This rollout uses the same service for the active and preview services, but two different \
                    services are required.";
        errors.invalid(&path.field("activeService"), &written.active_service, rule);
    } else if written.active_service.is_empty() {
        errors.required(&path.field("activeService"), "the Service of the version in use");
    }
    if let Some(limit) =
        written.scale_down_delay_revision_limit.filter(|limit| revision_history_limit < *limit)
    {
        let rule = "This rollout's revision history limit can not be smaller than the rollout's scale down limit";
        errors.invalid(&path.field("scaleDownDelayRevisionLimit"), limit, rule);
    }
    anti_affinity(&written.anti_affinity, &path.field("antiAffinity"), errors);
    let preview_replica_count = written
        .preview_replica_count
        .map(|count| pod_count(Some(count), &path.field("previewReplicaCount"), errors));
    let mut analysis = |written: &Option<RolloutAnalysis>, field: &str| {
        let written = written.as_ref().filter(|written| !written.templates.is_empty());
        written.map(|written| call(meta, written, &path.field(field), errors))
    };
    lean::BlueGreenStrategy {
        active_service: written.active_service.as_str().into(),
        preview_service: named(written.preview_service.as_ref()),
        auto_promotion_enabled: written.auto_promotion_enabled.unwrap_or(true),
        auto_promotion_seconds: written.auto_promotion_seconds.unwrap_or_default(),
        preview_replica_count,
        scale_down_delay_seconds: written.scale_down_delay_seconds,
        scale_down_delay_revision_limit: written.scale_down_delay_revision_limit,
        abort_scale_down_delay_seconds: written.abort_scale_down_delay_seconds,
        pre_promotion_analysis: analysis(&written.pre_promotion_analysis, "prePromotionAnalysis"),
        post_promotion_analysis: analysis(
            &written.post_promotion_analysis,
            "postPromotionAnalysis",
        ),
    }
}

fn named(name: Option<&String>) -> Option<Name> {
    name.filter(|name| !name.is_empty()).map(|name| name.as_str().into())
}

fn canary(
    meta: &ObjectMeta,
    written: &CanaryStrategy,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> lean::CanaryStrategy {
    let mut bound = |given: &Option<IntOrString>, field: &str| {
        given.as_ref().map(|given| int_or_percent(given, &path.field(field), errors))
    };
    let max_surge = bound(&written.max_surge, "maxSurge");
    let max_unavailable = bound(&written.max_unavailable, "maxUnavailable");
    if max_surge.is_some_and(is_zero) && max_unavailable.is_some_and(is_zero) {
        let rule = "MaxSurge and MaxUnavailable both can not be zero";
        errors.invalid(&path.field("maxSurge"), 0, rule);
    }
    let (canary_service, stable_service) =
        (named(written.canary_service.as_ref()), named(written.stable_service.as_ref()));
    if canary_service.is_some() && canary_service == stable_service {
        let rule = "This rollout uses the same service for the stable and canary services, but two different \
                    services are required.";
        errors.invalid(&path.field("stableService"), &written.stable_service, rule);
    }
    let routing = written
        .traffic_routing
        .as_ref()
        .map(|routing| traffic_routing(routing, written, path, errors));
    check_delays(written, path, errors);
    anti_affinity(&written.anti_affinity, &path.field("antiAffinity"), errors);
    let max_weight = routing.as_ref().map_or(100, |routing| routing.max_weight);
    let at_steps = path.field("steps");
    let steps = written.steps.iter().enumerate();
    let steps = steps
        .map(|(index, one)| {
            let at = at_steps.item(index);
            if one.set_canary_scale.is_some() && routing.is_none() {
                let why = "SetCanaryScale requires TrafficRouting to be set";
                errors.required(&path.field("trafficRouting"), why);
            }
            step(meta, one, max_weight, &at, errors)
        })
        .collect();
    let background = written.analysis.as_ref().filter(|analysis| !analysis.templates.is_empty());
    let threshold = written.replica_progress_threshold.as_ref();
    lean::CanaryStrategy {
        steps,
        max_surge,
        max_unavailable,
        canary_service,
        stable_service,
        routing,
        dynamic_stable_scale: written.dynamic_stable_scale.unwrap_or_default(),
        min_pods_per_replica_set: pod_count(
            written.min_pods_per_replica_set,
            &path.field("minPodsPerReplicaSet"),
            errors,
        ),
        scale_down_delay_seconds: written.scale_down_delay_seconds,
        scale_down_delay_revision_limit: written.scale_down_delay_revision_limit,
        abort_scale_down_delay_seconds: written.abort_scale_down_delay_seconds,
        analysis: background.map(|one| {
            let at = path.field("analysis");
            call_of(meta, (&one.templates, &one.args, &one.dry_run), &at, errors)
        }),
        analysis_starting_step: background
            .and_then(|one| usize::try_from(one.starting_step?).ok())
            .unwrap_or_default(),
        progress_threshold: threshold.and_then(|one| {
            progress_threshold(one, &path.field("replicaProgressThreshold"), errors)
        }),
    }
}

/// A number or a percentage; the sign may be missing (`GetValueFromIntOrPercent`).
fn int_or_percent(
    given: &IntOrString,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> IntOrPercent {
    match given {
        IntOrString::Int(number) => IntOrPercent::Int(pod_count(Some(*number), path, errors)),
        IntOrString::String(text) => {
            if let Ok(percent) = text.trim_end_matches('%').parse() {
                IntOrPercent::Percent(percent)
            } else {
                errors.invalid(path, text, "must be a number or a percentage such as 25%");
                IntOrPercent::Int(0)
            }
        }
    }
}

fn check_delays(written: &CanaryStrategy, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let is_dynamic = written.dynamic_stable_scale == Some(true);
    match (&written.traffic_routing, written.scale_down_delay_seconds) {
        (None, delay) => {
            if let Some(delay) = delay {
                let rule = "Canary scaleDownDelaySeconds can only be used with traffic routing";
                errors.invalid(&path.field("scaleDownDelaySeconds"), delay, rule);
            }
            if is_dynamic {
                let rule = "Canary dynamicStableScale can only be used with traffic routing";
                errors.invalid(&path.field("dynamicStableScale"), true, rule);
            }
        }
        (Some(_), Some(_)) if is_dynamic => {
            let rule = "Canary dynamicStableScale cannot be used with scaleDownDelaySeconds";
            errors.invalid(&path.field("dynamicStableScale"), true, rule);
        }
        _ => {}
    }
}

/// `ValidateRolloutStrategyAntiAffinity`.
fn anti_affinity(written: &Opaque, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let Some(written) = written else { return };
    let has = |field: &str| written.get(field).is_some_and(|value| !value.is_null());
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    if has(preferred) == has("requiredDuringSchedulingIgnoredDuringExecution") {
        errors.invalid(path, "", "AntiAffinity must have exactly one strategy listed");
    } else if has(preferred) {
        let weight = written[preferred].get("weight").and_then(Value::as_i64).unwrap_or_default();
        if !(1..=100).contains(&weight) {
            errors.invalid(
                &path.field("weight"),
                weight,
                "AntiAffinity weight must be between 1-100",
            );
        }
    }
}

fn traffic_routing(
    written: &RolloutTrafficRouting,
    canary: &CanaryStrategy,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> lean::TrafficRouting {
    let mut routers = Vec::new();
    if let Some(nginx) = &written.nginx {
        let has_one = nginx.stable_ingress.as_deref().is_some_and(|name| !name.is_empty());
        if has_one != nginx.stable_ingresses.is_empty() {
            let how = if has_one { "Both are" } else { "Neither are" };
            let rule = format!(
                "Either StableIngress or StableIngresses must be configured. {how} configured."
            );
            errors.push(&path.field("trafficRouting").field("nginx"), rule);
        }
        let one = nginx.stable_ingress.iter().filter(|_| nginx.stable_ingresses.is_empty());
        let ingresses = nginx.stable_ingresses.iter().chain(one);
        let ingresses = ingresses.map(|name| name.as_str().into()).collect();
        routers.push(lean::TrafficRouter::Nginx { ingresses });
    }
    let mut needs_services = written.nginx.is_some();
    for (name, settings, needs) in [
        ("istio", &written.istio, !has_subsets(&written.istio)),
        ("alb", &written.alb, true),
        ("smi", &written.smi, true),
        ("ambassador", &written.ambassador, true),
        ("appMesh", &written.app_mesh, true),
        ("traefik", &written.traefik, true),
        ("apisix", &written.apisix, true),
    ] {
        if settings.is_some() {
            routers.push(lean::TrafficRouter::Other(name.into()));
            needs_services |= needs;
        }
    }
    for (name, settings) in &written.plugins {
        let routes = if name.ends_with("/gatewayAPI") { http_routes(settings) } else { Vec::new() };
        routers.push(if routes.is_empty() {
            lean::TrafficRouter::Other(name.as_str().into())
        } else {
            lean::TrafficRouter::GatewayApi { routes }
        });
    }
    if needs_services {
        let services =
            [("stableService", &canary.stable_service), ("canaryService", &canary.canary_service)];
        for (field, _) in services.into_iter().filter(|(_, name)| named(name.as_ref()).is_none()) {
            let rule = "Canary service and Stable service must to be set to use Traffic Routing";
            errors.invalid(&path.field(field), "", rule);
        }
    }
    let at = path.field("trafficRouting");
    if let Some(weight) = written.max_traffic_weight
        && written.nginx.is_none()
        && written.plugins.is_empty()
    {
        let rule = "Canary maxTrafficWeight in traffic routing only supported in Nginx and Plugins";
        errors.invalid(&at.field("maxTrafficWeight"), weight, rule);
    }
    let max_weight = written.max_traffic_weight.unwrap_or(100);
    if !(1..=MOST_WEIGHT).contains(&max_weight) {
        let rule = format!("must be between 1 and {MOST_WEIGHT}");
        errors.invalid(&at.field("maxTrafficWeight"), max_weight, rule);
    }
    lean::TrafficRouting { max_weight: max_weight.clamp(1, MOST_WEIGHT), routers }
}

fn has_subsets(istio: &Opaque) -> bool {
    istio.as_ref().is_some_and(|istio| istio.get("destinationRule").is_some())
}

/// The routes of the plug-in for the Gateway API (`httpRoute`, `httpRoutes`).
fn http_routes(settings: &Value) -> Vec<Name> {
    let one = settings.get("httpRoute").and_then(Value::as_str);
    let more = settings.get("httpRoutes").and_then(Value::as_array).into_iter().flatten();
    let more = more.filter_map(|route| route.get("name")?.as_str());
    one.into_iter().chain(more).map(Into::into).collect()
}

fn progress_threshold(
    written: &ReplicaProgressThreshold,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<IntOrPercent> {
    let kinds = [("Percentage", true), ("Pod", false)];
    let is_percentage = errors.choose(Some(&written.r#type), &kinds, &path.field("type"));
    // A negative threshold counts as none.
    (written.value >= 0).then_some({
        if is_percentage {
            IntOrPercent::Percent(written.value)
        } else {
            IntOrPercent::Int(written.value)
        }
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
