//! Explains a decision in words, with the numbers filled into the formulas: for `wavetank explain` and anyone
//! studying the behavior of an HPA. Makes no decisions.

use std::fmt::{self, Display};

use super::amount::{Amount, CeilingOperand, Short};
use super::decision::{Decision, Derivation, MetricsDerivation};
use super::groups::PodGroups;
use super::limits::{Limiting, PolicyLimit};
use super::metrics::{MetricEvaluation, MetricsEvaluation};
use super::pods::PodClass;
use super::replicas::{
    AssumedUsage, AverageValueCalculation, Calculation, CorrectedRatio, PerPodCalculation,
    Proposal, Tolerances, ValueCalculation, Verdict,
};
use super::stabilization::Stabilization;
use cluster::hpa::{MetricSource, MetricSpec, MetricTarget, PolicyKind};
use cluster::hpa_status::HpaConditionReason;
use cluster::meta::Name;

/// Maximum number of pods listed by name per class.
const NAMED_PODS: usize = 5;

impl Decision {
    /// The decision as text, one step per line. `pod_name` names a pod by its place in the list
    /// that the decision was made from.
    pub fn explain(&self, pod_name: &dyn Fn(usize) -> Name) -> String {
        Explanation { decision: self, pod_name }.to_string()
    }
}

struct Explanation<'a> {
    decision: &'a Decision,
    pod_name: &'a dyn Fn(usize) -> Name,
}

impl Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decision = self.decision;
        write!(f, "at {}: ", decision.time)?;
        match decision.scale {
            None => writeln!(f, "the scale of the target could not be read")?,
            Some(scale) => writeln!(
                f,
                "spec.replicas {}, status.replicas {}, allowed {} to {}",
                scale.spec, scale.status, decision.min_replicas, decision.max_replicas
            )?,
        }
        match &decision.course {
            Derivation::ScaleUnreadable | Derivation::SelectorUnusable => {}
            Derivation::Disabled => {
                writeln!(f, "0 replicas, not set by this HPA: scaling is disabled")?;
            }
            Derivation::AboveMax => {
                writeln!(f, "above maxReplicas: set to maxReplicas without reading metrics")?;
            }
            Derivation::BelowMin => {
                writeln!(f, "below minReplicas: set to minReplicas without reading metrics")?;
            }
            Derivation::MetricsFailed(metrics) => {
                self.fmt_metrics(f, metrics)?;
                writeln!(f, "no change: {}", why_unusable(metrics))?;
            }
            Derivation::Metrics(course) => self.fmt_course(f, course)?,
        }
        self.fmt_outcome(f)
    }
}

fn why_unusable(metrics: &MetricsEvaluation) -> String {
    match metrics.winner {
        None => "no metric yields a value".to_owned(),
        Some(_) => format!(
            "the other metrics ask for {}, but without all metrics nothing is scaled down",
            metrics.replicas
        ),
    }
}

impl Explanation<'_> {
    fn fmt_course(&self, f: &mut fmt::Formatter<'_>, course: &MetricsDerivation) -> fmt::Result {
        self.fmt_metrics(f, &course.metrics)?;
        let raw = course.stabilization.recommendation;
        writeln!(f, "raw recommendation: {raw}, from {}", course.metrics.winner_description())?;
        fmt_stabilization(f, &course.stabilization, self.current())?;
        fmt_limiting(f, &course.limiting, self.current())?;
        if course.replicas != course.limiting.replicas {
            writeln!(f, "waking up from 0: at least the minimum, {}", course.replicas)?;
        }
        Ok(())
    }

    fn current(&self) -> i32 {
        self.decision.scale.map_or(0, |scale| scale.spec)
    }

    fn fmt_metrics(&self, f: &mut fmt::Formatter<'_>, metrics: &MetricsEvaluation) -> fmt::Result {
        for metric in &metrics.metrics {
            let target = Amount::of_target(&metric.spec);
            writeln!(f, "metric {}, target {target}", metric.spec.description)?;
            match &metric.outcome {
                Ok(proposal) => self.fmt_proposal(f, metric, proposal)?,
                Err(error) => {
                    if let Some(pods) = &error.pods {
                        self.fmt_pods(f, pods)?;
                    }
                    writeln!(f, "  failed: {}", error.message)?;
                }
            }
        }
        Ok(())
    }

    fn fmt_proposal(
        &self,
        f: &mut fmt::Formatter<'_>,
        metric: &MetricEvaluation,
        proposal: &Proposal,
    ) -> fmt::Result {
        match &proposal.calculation {
            Calculation::PerPod(calculation) => {
                self.fmt_per_pod(f, &metric.spec, proposal, calculation)
            }
            Calculation::Value(calculation) => {
                self.fmt_value(f, &metric.spec, proposal, *calculation)
            }
            Calculation::AverageValue(calculation) => {
                self.fmt_average(f, &metric.spec, proposal, *calculation)
            }
        }
    }

    fn fmt_per_pod(
        &self,
        f: &mut fmt::Formatter<'_>,
        spec: &MetricSpec,
        proposal: &Proposal,
        calculation: &PerPodCalculation,
    ) -> fmt::Result {
        self.fmt_pods(f, &calculation.pods)?;
        let (current, target) = (Amount::of(spec, proposal.current), Amount::of_target(spec));
        let counted = &calculation.pods.counted;
        let first = Filled { spec, pods: &calculation.pods, corrected: None };
        writeln!(f, "  current: {first} = {current}{}", first.unit())?;
        let ratio = Short(calculation.ratio);
        write!(f, "  ratio = {current} / {target} = {ratio}")?;
        let (mut current, mut of) = (current, "counted pods");
        match &calculation.corrected {
            None => self.fmt_band(f, calculation.ratio)?,
            Some(corrected) => {
                writeln!(f)?;
                current = Amount::of(spec, corrected.current);
                of = "samples";
                fmt_assumptions(f, spec, &calculation.pods, corrected)?;
                let second = Filled { spec, pods: &calculation.pods, corrected: Some(corrected) };
                writeln!(f, "  corrected: {second} = {current}{}", second.unit())?;
                let ratio = Short(corrected.ratio);
                write!(f, "  corrected ratio = {current} / {target} = {ratio}")?;
                self.fmt_band(f, corrected.ratio)?;
            }
        }
        let (ratio, samples) = match (&calculation.corrected, calculation.verdict) {
            (Some(corrected), _) => (corrected.ratio, corrected.samples),
            (None, Verdict::Scaled { pods }) => (calculation.ratio, pods),
            (None, _) => (calculation.ratio, counted.pods),
        };
        let product = ratio * samples as f64;
        match calculation.verdict {
            Verdict::WithinTolerance => fmt_kept(f, proposal),
            Verdict::DirectionReversed => {
                writeln!(f, "  with the assumed samples the direction would reverse: no change")
            }
            Verdict::CountAgainstRatio => writeln!(
                f,
                "  ceil({samples} {of} x {current} / {target}) = {} contradicts the ratio: no change",
                libm::ceil(product)
            ),
            Verdict::Scaled { .. } => writeln!(
                f,
                "  desired = ceil({samples} {of} x {current} / {target}) = ceil({}) = {}",
                CeilingOperand(product),
                proposal.replicas
            ),
        }
    }

    fn fmt_value(
        &self,
        f: &mut fmt::Formatter<'_>,
        spec: &MetricSpec,
        proposal: &Proposal,
        calculation: ValueCalculation,
    ) -> fmt::Result {
        let (current, target) = (Amount::of(spec, proposal.current), Amount::of_target(spec));
        let ValueCalculation { ratio, ready_pods, is_within_tolerance } = calculation;
        write!(f, "  ratio = {current} / {target} = {}", Short(ratio))?;
        let desired = proposal.replicas;
        match ready_pods {
            Some(ready) => {
                self.fmt_band(f, ratio)?;
                let product = CeilingOperand(ratio * ready as f64);
                write!(f, "  desired = ceil({ready} ready pods x {current} / {target})")?;
                writeln!(f, " = ceil({product}) = {desired}")
            }
            None if is_within_tolerance => {
                self.fmt_band(f, ratio)?;
                fmt_kept(f, proposal)
            }
            None => {
                writeln!(f, ", from 0 without a tolerance")?;
                writeln!(f, "  desired = ceil({}) = {desired}", CeilingOperand(ratio))
            }
        }
    }

    fn fmt_average(
        &self,
        f: &mut fmt::Formatter<'_>,
        spec: &MetricSpec,
        proposal: &Proposal,
        calculation: AverageValueCalculation,
    ) -> fmt::Result {
        let AverageValueCalculation { ratio, total_milli, status_replicas, .. } = calculation;
        let (total, target) = (Amount::milli(spec, total_milli), Amount::of_target(spec));
        let ratio_text = Short(ratio);
        write!(
            f,
            "  ratio = {total} / ({target} x {status_replicas} status.replicas) = {ratio_text}"
        )?;
        self.fmt_band(f, ratio)?;
        if calculation.is_within_tolerance {
            return writeln!(f, "  desired = status.replicas = {status_replicas}");
        }
        let quotient = match spec.target {
            MetricTarget::AverageValueMilli(target) => total_milli as f64 / target as f64,
            _ => ratio,
        };
        let (quotient, desired) = (CeilingOperand(quotient), proposal.replicas);
        writeln!(f, "  desired = ceil({total} / {target}) = ceil({quotient}) = {desired}")
    }

    fn fmt_band(&self, f: &mut fmt::Formatter<'_>, ratio: f64) -> fmt::Result {
        let tolerances: Tolerances = self.decision.tolerances;
        let (low, high) = tolerances.band();
        let place = if tolerances.contain(ratio) { "inside" } else { "outside" };
        writeln!(f, ", {place} the tolerance {} to {}", Short(low), Short(high))
    }

    fn fmt_pods(&self, f: &mut fmt::Formatter<'_>, pods: &PodGroups) -> fmt::Result {
        writeln!(f, "  pods: {} counted", pods.counted.pods)?;
        let classes = [
            (PodClass::Unready, pods.unready.pods, "not started or not ready: 0 when scaling up"),
            (PodClass::Missing, pods.missing.pods, "without a sample"),
            (PodClass::Ignored, pods.ignored.pods, "failed or terminating"),
        ];
        for (class, count, why) in classes.into_iter().filter(|(_, count, _)| *count > 0) {
            let of_class = || pods.not_counted.iter().filter(move |(_, other)| *other == class);
            let named = of_class().take(NAMED_PODS);
            let mut names: Vec<Name> =
                named.map(|(index, _)| (self.pod_name)(*index as usize)).collect();
            if of_class().count() > NAMED_PODS {
                names.push("...".into());
            }
            writeln!(f, "        {count} {why} ({})", names.join(", "))?;
        }
        if pods.orphans.pods > 0 {
            writeln!(f, "        {} samples of pods that do not exist", pods.orphans.pods)?;
        }
        Ok(())
    }

    fn fmt_outcome(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decision = self.decision;
        match &decision.scale_write {
            None => writeln!(f, "replicas unchanged at {}", self.current())?,
            Some(write) => match &write.error {
                None => writeln!(f, "replicas go from {} to {}", self.current(), write.replicas)?,
                Some(error) => {
                    writeln!(f, "replicas should go to {}, but: {error}", write.replicas)?;
                }
            },
        }
        for condition in &decision.status.conditions {
            let (kind, status) = (condition.kind.as_str(), condition.status.as_str());
            let (reason, message) = (condition.reason.as_str(), condition.message());
            writeln!(f, "condition {kind} {status} {reason}: {message}")?;
        }
        for event in &decision.events {
            let kind = if event.is_warning { "Warning" } else { "Normal" };
            writeln!(f, "event {kind} {}: {}", event.reason, event.message)?;
        }
        Ok(())
    }
}

/// Numerator and denominator of the current value: usage and requests, or usage and samples; including assumed ones
/// if any.
struct Filled<'a> {
    spec: &'a MetricSpec,
    pods: &'a PodGroups,
    corrected: Option<&'a CorrectedRatio>,
}

impl Filled<'_> {
    const fn is_percentage(&self) -> bool {
        matches!(self.spec.target, MetricTarget::Utilization(_))
    }

    const fn unit(&self) -> &'static str {
        if self.is_percentage() { "" } else { " per pod" }
    }

    /// CPU is always shown in thousandths of a core, so that usage and requests are comparable.
    fn amount(&self, milli: i64) -> String {
        match &*self.spec.source {
            MetricSource::Resource { resource, .. } if &**resource == "cpu" => format!("{milli}m"),
            _ => Amount::milli(self.spec, milli).to_string(),
        }
    }
}

impl Display for Filled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PodGroups { counted, missing, unready, orphans, .. } = self.pods;
        let (mut usage, mut request) = (counted.usage_milli, counted.request_milli);
        let mut samples = counted.pods + orphans.pods;
        if let Some(corrected) = self.corrected {
            samples = corrected.samples;
            if corrected.missing_as.is_some() {
                request = request.wrapping_add(missing.request_milli);
            }
            if corrected.missing_as == Some(AssumedUsage::RequestOrTarget) {
                usage = usage.wrapping_add(missing.usage_milli);
            }
            if corrected.unready_as_idle {
                request = request.wrapping_add(unready.request_milli);
            }
        }
        if self.is_percentage() {
            return write!(f, "{} used of {} requested", self.amount(usage), self.amount(request));
        }
        usage = usage.wrapping_add(orphans.usage_milli);
        let plural = if samples == 1 { "" } else { "s" };
        write!(f, "{} over {samples} sample{plural}", self.amount(usage))
    }
}

fn fmt_kept(f: &mut fmt::Formatter<'_>, proposal: &Proposal) -> fmt::Result {
    writeln!(f, "  desired = the current {}", proposal.replicas)
}

fn fmt_assumptions(
    f: &mut fmt::Formatter<'_>,
    spec: &MetricSpec,
    pods: &PodGroups,
    corrected: &CorrectedRatio,
) -> fmt::Result {
    let is_resource = matches!(&*spec.source, MetricSource::Resource { .. });
    match corrected.missing_as {
        None => {}
        Some(AssumedUsage::Nothing) => {
            writeln!(f, "  assumed: {} missing pods assumed at 0 usage", pods.missing.pods)?;
        }
        Some(AssumedUsage::RequestOrTarget) if is_resource => writeln!(
            f,
            "  assumed: {} missing pods use their request, or the target if higher",
            pods.missing.pods
        )?,
        // Other metrics have no request (`calcPlainMetricReplicas`).
        Some(AssumedUsage::RequestOrTarget) => {
            writeln!(f, "  assumed: {} missing pods are at the target", pods.missing.pods)?;
        }
    }
    if corrected.unready_as_idle {
        writeln!(f, "  assumed: {} unready pods assumed at 0 usage", pods.unready.pods)?;
    }
    Ok(())
}

fn fmt_stabilization(
    f: &mut fmt::Formatter<'_>,
    stabilization: &Stabilization,
    current: i32,
) -> fmt::Result {
    let Stabilization { highest_in_down_window: highest, down_window, up_window, .. } =
        *stabilization;
    let stabilized = stabilization.stabilized;
    write!(f, "stabilization: ")?;
    match stabilization.lowest_in_up_window {
        None => {
            writeln!(f, "the highest recommendation of the last {down_window} is {stabilized}")?;
        }
        // The new recommendation lies in both windows, and nothing in them is otherwise.
        Some(lowest) if lowest == highest => {
            write!(f, "no other recommendation in the last {up_window} (scaling up) or ")?;
            writeln!(f, "{down_window} (scaling down): {stabilized}")?;
        }
        Some(lowest) => {
            write!(f, "the current {current} is brought to between {lowest}, the lowest of the ")?;
            write!(f, "last {up_window}, and {highest}, the highest of the last {down_window}: ")?;
            writeln!(f, "{stabilized}")?;
        }
    }
    if !stabilization.deciding.is_empty() {
        let entries = stabilization.deciding.chunk_by(|one, next| one.replicas == next.replicas);
        let entries: Vec<String> = entries
            .filter_map(|alike| {
                let (first, last) = (alike.first()?, alike.last()?);
                let (from, to) = (first.timestamp, last.timestamp);
                Some(if from == to {
                    format!("{} at {from}", first.replicas)
                } else {
                    format!("{} from {from} to {to}", first.replicas)
                })
            })
            .collect();
        writeln!(f, "  recommendations: {}", entries.join(", "))?;
    }
    Ok(())
}

fn fmt_limiting(f: &mut fmt::Formatter<'_>, limiting: &Limiting, current: i32) -> fmt::Result {
    if let Some(rate) = &limiting.rate {
        match rate.select_policy {
            None if rate.limit == current.saturating_mul(2).max(4) => {
                writeln!(f, "rate limit: at most max(2 x {current}, 4) = {}", rate.limit)?;
            }
            // The factor is another one in recordings of the controller's own tests.
            None => writeln!(f, "rate limit: at most {}", rate.limit)?,
            Some(select) => {
                writeln!(f, "rate limit: {}, selectPolicy {select:?}", rate.limit)?;
                for policy in &rate.policies {
                    fmt_policy(f, policy, limiting.stabilized > current)?;
                }
            }
        }
    }
    let is_limited = limiting.reason != HpaConditionReason::DesiredWithinRange;
    let (replicas, reason) = (limiting.replicas, limiting.reason.as_str());
    let verb = if is_limited { "limited to" } else { "not limited:" };
    writeln!(f, "{verb} {replicas} ({reason})")
}

fn fmt_policy(f: &mut fmt::Formatter<'_>, policy: &PolicyLimit, is_up: bool) -> fmt::Result {
    let PolicyLimit { policy: rule, added, removed, period_start_replicas: start, limit } = *policy;
    let (value, period) = (rule.value, rule.period);
    write!(f, "  {value} {:?} per {period}: {start} before ", rule.kind)?;
    write!(f, "({added} added, {removed} removed since), ")?;
    match (rule.kind, is_up) {
        (PolicyKind::Pods, true) => writeln!(f, "{start} + {value} = {limit}"),
        (PolicyKind::Pods, false) => writeln!(f, "{start} - {value} = {limit}"),
        (PolicyKind::Percent, true) => writeln!(f, "ceil({start} x (1 + {value}%)) = {limit}"),
        (PolicyKind::Percent, false) => writeln!(f, "cut({start} x (1 - {value}%)) = {limit}"),
    }
}
