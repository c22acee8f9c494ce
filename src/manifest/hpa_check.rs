//! Checks that an HPA has a target to scale, and metrics to scale it by.

use super::byte_check::suspicious_quantity;
use super::cross_check::warning;
use super::diagnostic::Diagnostics;
use super::hpa::METRICS_ANNOTATION;
use super::load::Object;
use cluster::hpa::{HpaSpec, MetricSource, MetricTarget};
use cluster::pod_template::{Container, PodSpec, PodTemplate, ResourceList};
use units::Quantity;

/// Whether the target of an HPA is among the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existence {
    AsWritten,
    /// In its place are the objects that its controller makes.
    Replaced,
    Missing,
}

/// Warns of reasons why an HPA can never scale: its target does not exist, is not simulated as written, or its template
/// does not fit. `tolerance` is that of the controller.
pub(super) fn check(
    hpa: &Object,
    spec: &HpaSpec,
    existence: Existence,
    template: Option<&PodTemplate>,
    tolerance: f64,
) -> Diagnostics {
    let mut problems = Diagnostics::default();
    let target = &spec.scale_target;
    let named = format!("{} {}/{}", target.kind, hpa.meta.namespace(), target.name);
    let field = || "spec.scaleTargetRef.name".to_owned();
    match existence {
        Existence::AsWritten => {}
        Existence::Replaced => {
            let message = format!(
                "{named} is simulated as the objects that its controller creates: this HPA does not scale them"
            );
            let help = "the number of its pods is constant here; in a cluster it follows the HPA";
            problems.push(warning("unscaled-target", message, hpa, field()).help(help));
            return problems;
        }
        Existence::Missing => {
            let message = format!("{named} is not in the manifests: the HPA will scale nothing");
            let help = "add it, or correct the reference";
            problems.push(warning("missing-reference", message, hpa, field()).help(help));
            return problems;
        }
    }
    let own = spec.behavior.as_ref().and_then(|behavior| behavior.scale_up.tolerance);
    let tolerance = own.unwrap_or(tolerance);
    for (index, metric) in spec.metrics.iter().enumerate() {
        if metric.lacks_target {
            let message = "the field of this type is not set: the HPA will not scale by it";
            let field = field_of(hpa, spec, index, "object.target.type");
            let help = "set type to the field that is set: Value or AverageValue";
            problems.push(warning("missing-target", message.to_owned(), hpa, field).help(help));
        }
        let MetricSource::Resource { resource, container: only } = &*metric.source else {
            continue;
        };
        let body = if only.is_some() { "containerResource" } else { "resource" };
        let at = |field: &str| field_of(hpa, spec, index, &format!("{body}.target.{field}"));
        if let MetricTarget::AverageValueMilli(milli) = metric.target
            && **resource == *"memory"
            && let Some(doubt) = suspicious_quantity(&Quantity::from_milli(milli).to_string())
        {
            let field = at("averageValue");
            problems.push(warning("doubtful-bytes", doubt.message, hpa, field).help(doubt.help));
        }
        let Some(template) = template else { continue };
        let counted = Counted { spec: &template.spec, resource, only: only.as_deref() };
        if matches!(metric.target, MetricTarget::Utilization(_))
            && let Some(lacking) = counted.without_request()
        {
            let message = format!(
                "container {lacking} of {named} requests no {resource}, to which utilization refers: the HPA will not scale by it"
            );
            let field = at("averageUtilization");
            let help = format!("add resources.requests.{resource} to the container");
            problems.push(warning("missing-requests", message, hpa, field).help(help));
        } else if let Some(Unreachable { message, help, field }) =
            counted.unreachable(metric.target, tolerance)
        {
            let field = at(field);
            problems.push(warning("unreachable-target", message, hpa, field).help(help));
        }
    }
    problems
}

/// The path of a metric's field as written: autoscaling/v1 has a single target field, and other metrics in an
/// annotation.
fn field_of(hpa: &Object, spec: &HpaSpec, index: usize, field: &str) -> String {
    let manifest = &hpa.manifest;
    if &*manifest.api_version != "autoscaling/v1" {
        return format!("spec.metrics[{index}].{field}");
    }
    let is_last = index + 1 == spec.metrics.len();
    let own = manifest.value.pointer("/spec/targetCPUUtilizationPercentage");
    let is_annotated = hpa.meta.annotations.contains_key(METRICS_ANNOTATION);
    if is_last && (own.is_some() || !is_annotated) {
        "spec.targetCPUUtilizationPercentage".to_owned()
    } else {
        format!("metadata.annotations[{METRICS_ANNOTATION}]")
    }
}

/// The containers covered by a resource metric.
struct Counted<'a> {
    spec: &'a PodSpec,
    resource: &'a str,
    /// The only container covered; absent means all.
    only: Option<&'a str>,
}

/// A target that the pods' usage cannot exceed.
struct Unreachable {
    message: String,
    help: String,
    field: &'static str,
}

impl Counted<'_> {
    fn without_request(&self) -> Option<&str> {
        let mut counted = self.spec.running();
        let lacks = counted.find(|one| {
            self.only.is_none_or(|only| *one.name == *only)
                && one.requests.get(self.resource).is_none()
        });
        lacks.map(|container| &*container.name)
    }

    /// Total amount of the containers, in thousandths; `None` if one of them has no amount.
    fn sum(&self, at_pod_level: &ResourceList, of_container: Amounts) -> Option<i64> {
        let mut counted =
            self.spec.running().filter(|one| self.only.is_none_or(|only| *one.name == *only));
        let of = |list: &ResourceList| list.get(self.resource).map(Quantity::milli_value);
        let whole = self.only.is_none().then(|| of(at_pod_level)).flatten();
        whole.or_else(|| {
            counted.try_fold(0, |sum: i64, one| Some(sum.saturating_add(of(of_container(one))?)))
        })
    }

    /// Pods use at most their limits. The HPA only adds pods if that usage exceeds the target by more than the
    /// tolerance (`GetResourceReplicas`).
    fn unreachable(&self, target: MetricTarget, tolerance: f64) -> Option<Unreachable> {
        let limit =
            self.sum(&self.spec.pod_limits, |one| &one.limits).filter(|limit| *limit > 0)?;
        let (reach, target, unit) = match target {
            MetricTarget::Utilization(percent) => {
                let request = self.sum(&self.spec.pod_requests, |one| &one.requests)?;
                (limit.saturating_mul(100).checked_div(request)?, i64::from(percent), Unit::Percent)
            }
            MetricTarget::AverageValueMilli(milli) => (limit, milli, Unit::Amount),
            MetricTarget::ValueMilli(_) => return None,
        };
        if target <= 0 || reach as f64 / target as f64 > 1.0 + tolerance {
            return None;
        }
        let resource = self.resource;
        let shown = |number: i64| match unit {
            Unit::Percent => format!("{number} % of its request"),
            Unit::Amount => amount(resource, number),
        };
        let within = if reach > target {
            format!(", above it by no more than the tolerance of {} %", tolerance * 100.0)
        } else {
            String::new()
        };
        let below = highest_below(reach as f64 / (1.0 + tolerance));
        let (below, field) = match unit {
            Unit::Percent => (below.to_string(), "averageUtilization"),
            Unit::Amount => (amount(resource, below), "averageValue"),
        };
        Some(Unreachable {
            message: format!(
                "a pod at its {resource} limit uses {}{within}: the HPA never scales up by this metric",
                shown(reach)
            ),
            help: format!("write {below} or less, or raise the {resource} limit"),
            field,
        })
    }
}

/// The largest integer below this number.
#[expect(clippy::cast_possible_truncation, reason = "a share of a 64-bit number, cut is meant")]
fn highest_below(number: f64) -> i64 {
    libm::ceil(number) as i64 - 1
}

/// Formats thousandths of a resource unit; bytes as whole mebibytes.
fn amount(resource: &str, milli: i64) -> String {
    const MIB: i64 = 1 << 20;
    match milli / 1000 / MIB {
        mebibytes @ 1.. if resource == "memory" => {
            Quantity::from_bytes(mebibytes * MIB).to_string()
        }
        _ => Quantity::from_milli(milli).to_string(),
    }
}

/// Selects the amounts of a container: requests or limits.
type Amounts = fn(&Container) -> &ResourceList;

/// The unit of a target.
#[derive(Clone, Copy)]
enum Unit {
    Percent,
    Amount,
}
