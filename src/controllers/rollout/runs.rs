//! The AnalysisRuns of a Rollout: when they begin, what they measure, and what their end means (`rollout/analysis.go`,
//! Argo Rollouts 1.9.1).

use super::analysis::{add, assess_run, judge, mark_dry, metric_run, next_measurement};
use super::steps;
use super::sync::Sync;
use crate::keda::rule_of;
use cluster::analysis::{
    AnalysisCall, AnalysisPhase, AnalysisRun, AnalysisTemplateSpec, ArgumentValue, Measurement,
    MetricRun, MetricTemplate,
};
use cluster::rollout::{BlueGreenStrategy, CanaryStrategy, PauseReason};
use cluster::rollout_references::Beside;
use cluster::{ClusterView, Name};

/// The runs of a Rollout, with the words of the controller's messages.
#[derive(Clone, Copy)]
enum Role {
    Step,
    Background,
    PrePromotion,
    PostPromotion,
}

impl Sync<'_> {
    /// The runs of a step and beside the steps (`reconcileAnalysisRuns`).
    pub(super) fn reconcile_canary_runs(&mut self, canary: &CanaryStrategy) {
        if self.skips_analysis() {
            return self.end_runs();
        }
        let status = &self.rollout.status;
        let index = status.current_step.unwrap_or_default();
        if status.pauses.is_empty() {
            let call = steps::current(self.rollout).and_then(|(_, step)| step.analysis());
            let is_earlier = self.runs.step.as_ref().is_some_and(|run| run.step != Some(index));
            match call {
                Some(call) if !is_earlier => {
                    self.follow(Role::Step, call, &index.to_string());
                }
                _ => self.runs.step = None,
            }
        }
        let Some(call) = &canary.analysis else {
            self.runs.background = None;
            return;
        };
        let has_steps_to_go = index >= canary.analysis_starting_step || canary.steps.len() <= index;
        if status.is_fully_promoted() || !has_steps_to_go {
            self.runs.background = None;
            return;
        }
        if status.paused_since(PauseReason::InconclusiveAnalysisRun).is_none() {
            self.follow(Role::Background, call, "");
        }
    }

    /// The runs before and after the switch.
    pub(super) fn reconcile_blue_green_runs(&mut self, strategy: &BlueGreenStrategy) {
        if self.skips_analysis() {
            return self.end_runs();
        }
        let status = &self.rollout.status;
        let is_undecided = status.paused_since(PauseReason::InconclusiveAnalysisRun).is_some();
        if let Some(call) = &strategy.pre_promotion_analysis
            && !self.skips_pre_promotion(strategy)
            && !is_undecided
        {
            self.follow(Role::PrePromotion, call, "pre");
        }
        if let Some(call) = &strategy.post_promotion_analysis
            && !self.skips_post_promotion()
            && !is_undecided
        {
            self.follow(Role::PostPromotion, call, "post");
        }
    }

    /// Whether no analysis is needed (`reconcileAnalysisRuns`).
    fn skips_analysis(&self) -> bool {
        let status = &self.rollout.status;
        self.pauses.is_aborted(self.rollout)
            || status.promote_full
            || self.sets.new_set().is_some_and(|new| new.deadline.is_some())
            || status.stable_hash.is_empty()
            || self.is_rollback_within_window()
    }

    /// Ends the runs that are under way (`cancelAnalysisRuns`).
    fn end_runs(&mut self) {
        let runs = &mut self.runs;
        let all = [
            &mut runs.step,
            &mut runs.background,
            &mut runs.pre_promotion,
            &mut runs.post_promotion,
        ];
        for run in all.into_iter().flatten() {
            if !run.phase.is_completed() {
                assess_run(run, true);
            }
        }
    }

    /// Begins a run, or measures, and draws the consequences.
    fn follow(&mut self, role: Role, call: &AnalysisCall, infix: &str) {
        let known = self.slot(role).take();
        let before = known.as_ref().map(|run| run.phase);
        // After an undecided run that the user has resumed there is another (`needsNewAnalysisRun`).
        let status = &self.rollout.status;
        let needs_new = status.controller_pause
            && status.pauses.is_empty()
            && before == Some(AnalysisPhase::Inconclusive);
        let mut run = match known.filter(|_| !needs_new) {
            Some(run) => run,
            None => self.new_run(call, infix),
        };
        let changes = before != Some(run.phase);
        if !run.phase.is_completed() {
            self.measure(&mut run);
        }
        if changes || before != Some(run.phase) {
            self.tell_phase(role, &run, before.filter(|_| !needs_new));
        }
        self.conclude(role, &run);
        *self.slot(role) = Some(run);
    }

    fn slot(&mut self, role: Role) -> &mut Option<AnalysisRun> {
        match role {
            Role::Step => &mut self.runs.step,
            Role::Background => &mut self.runs.background,
            Role::PrePromotion => &mut self.runs.pre_promotion,
            Role::PostPromotion => &mut self.runs.post_promotion,
        }
    }

    fn tell_phase(&mut self, role: Role, run: &AnalysisRun, before: Option<AnalysisPhase>) {
        let kind = match role {
            Role::Step => "Step",
            Role::Background => "Background",
            Role::PrePromotion => "PrePromotion",
            Role::PostPromotion => "PostPromotion",
        };
        let before = before.map_or("NoPreviousStatus", AnalysisPhase::name);
        let phase = run.phase.name();
        let message = format!(
            "{kind} Analysis Run '{}' Status New: '{phase}' Previous: '{before}'",
            run.name
        );
        match run.phase {
            AnalysisPhase::Failed => self.warn("AnalysisRunFailed", message),
            AnalysisPhase::Error => self.warn("AnalysisRunError", message),
            AnalysisPhase::Successful => self.tell("AnalysisRunSuccessful", message),
            AnalysisPhase::Inconclusive => self.tell("AnalysisRunInconclusive", message),
            AnalysisPhase::Running | AnalysisPhase::Pending => {
                self.tell("AnalysisRunRunning", message);
            }
        }
    }

    /// Pauses or aborts the update after a run that ended without success.
    fn conclude(&mut self, role: Role, run: &AnalysisRun) {
        let kind = match role {
            Role::Step => "Step-based analysis",
            Role::Background => "Background analysis",
            Role::PrePromotion => "Blue/green pre-promotion analysis",
            Role::PostPromotion => "Blue/green post-promotion analysis",
        };
        match run.phase {
            AnalysisPhase::Inconclusive => self.pauses.add(PauseReason::InconclusiveAnalysisRun),
            AnalysisPhase::Error | AnalysisPhase::Failed => {
                let colon = if run.message.is_empty() { "" } else { ": " };
                self.pauses.abort =
                    Some(format!("{kind} phase error/failed{colon}{}", run.message));
            }
            _ => {}
        }
    }

    /// A run of the templates that a call names (`createAnalysisRun`).
    fn new_run(&self, call: &AnalysisCall, infix: &str) -> AnalysisRun {
        let new = self.sets.new_set();
        let revision = new.map_or(0, |set| set.revision);
        let hash = self.new_hash();
        let dash = if infix.is_empty() { "" } else { "-" };
        let name = format!("{}-{hash}-{revision}{dash}{infix}", self.rollout.meta.name());
        let mut run = AnalysisRun {
            name: name.into(),
            metrics: Vec::new(),
            phase: AnalysisPhase::Running,
            message: "".into(),
            started: self.view.now,
            step: infix.parse().ok(),
        };
        match self.metrics_of(call) {
            Ok(metrics) => run.metrics = metrics,
            Err(message) => {
                run.phase = AnalysisPhase::Error;
                run.message = message.into();
            }
        }
        run
    }

    fn metrics_of(&self, call: &AnalysisCall) -> Result<Vec<MetricRun>, String> {
        let beside = self.beside();
        let templates = call.all_templates(|reference| beside.template(reference));
        let templates = templates
            .map_err(|missing| format!("{} '{}' not found", missing.kind(), missing.name))?;
        let templates: Vec<&AnalysisTemplateSpec> =
            templates.into_iter().map(|(_, spec)| spec).collect();
        let whole = AnalysisTemplateSpec::flattened(&templates)?;
        call.check(&whole)?;
        let stable = self.sets.stable().map_or_else(|| "".into(), |set| set.hash.clone());
        let given = |name: &Name| {
            let value =
                call.args.iter().find(|(known, _)| known == name).map(|(_, value)| value)?;
            Some(match value {
                ArgumentValue::Text(text) => text.clone(),
                ArgumentValue::LatestHash => self.new_hash(),
                ArgumentValue::StableHash => stable.clone(),
            })
        };
        let args = whole.args.into_iter();
        let args =
            args.filter_map(|(name, default)| Some((name.clone(), given(&name).or(default)?)));
        let args: Vec<(Name, Name)> = args.collect();
        let mut runs = Vec::new();
        for metric in &whole.metrics {
            runs.push(metric_run(metric, &args)?);
        }
        let rules: Vec<&Name> = call.dry_run.iter().chain(&whole.dry_run).collect();
        mark_dry(&mut runs, &rules)
            .map_err(|problem| format!("Analysis spec invalid: {problem}"))?;
        Ok(runs)
    }

    /// Takes the measurements that are due, and sees to the next.
    fn measure(&mut self, run: &mut AnalysisRun) {
        let (view, now) = (self.view, self.view.now);
        for metric in &mut run.metrics {
            if next_measurement(metric, run.started).is_some_and(|at| at <= now) {
                add(metric, measurement(view, &metric.metric));
            }
        }
        assess_run(run, false);
        let next = run.metrics.iter().filter_map(|one| next_measurement(one, run.started)).min();
        if let Some(at) = next.filter(|_| !run.phase.is_completed()) {
            self.wake_at(at);
        }
    }
}

/// The scenario's metric that a metric of a template stands for: that of its own name, or else the longest name in its
/// query.
pub fn measured_by<'a>(
    metric: &MetricTemplate,
    names: impl Iterator<Item = &'a Name> + Clone,
) -> Option<&'a Name> {
    let mut own = names.clone().filter(|name| **name == metric.name);
    own.next().or_else(|| rule_of(&metric.query, names))
}

/// Measures a metric now. One that the scenario does not know is taken for successful, of which the run's notes tell.
fn measurement(view: ClusterView<'_>, metric: &MetricTemplate) -> Measurement {
    let all = &view.store().custom_metrics().series;
    let at = view.now;
    let Some(name) = measured_by(metric, all.keys()) else {
        let phase = AnalysisPhase::Successful;
        return Measurement { at, value: None, phase, message: "".into() };
    };
    if view.store().is_metric_failing(name) {
        let message = "the source of the metric does not answer".into();
        return Measurement { at, value: None, phase: AnalysisPhase::Error, message };
    }
    let value = all[name].iter().find_map(|series| series.exact);
    match judge(metric, value) {
        Ok(phase) => Measurement { at, value, phase, message: "".into() },
        Err(message) => {
            Measurement { at, value, phase: AnalysisPhase::Error, message: message.into() }
        }
    }
}
