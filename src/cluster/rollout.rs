//! Rollouts of Argo Rollouts (`argoproj.io/v1alpha1`, 1.9.1): a workload whose update goes by steps, or from blue to green.

use jiff::Timestamp;

use super::action::Refused;
use super::analysis::{AnalysisCall, AnalysisRun};
use super::change::Change;
use super::deployment::{IntOrPercent, WorkloadCondition, selector_is_immutable};
use super::kind::Kind;
use super::meta::{Labels, Name, ObjectMeta};
use super::object::{self, Object, Stored};
use super::pod_template::PodTemplate;
use super::selector::Selector;
use super::store::Store;
use engine::{Id, SimDuration, SimTime};

/// Key of a [`Rollout`] in the store.
pub type RolloutId = Id<Rollout>;

/// Label by which the pods of a Rollout's ReplicaSets differ.
pub const ROLLOUT_HASH_LABEL: &str = "rollouts-pod-template-hash";

/// A Rollout.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// Object metadata.
    pub meta: ObjectMeta,
    /// `spec`: the desired state.
    pub spec: RolloutSpec,
    /// `status`: the observed state.
    pub status: RolloutStatus,
}

/// `spec` of a Rollout, defaulted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutSpec {
    /// `spec.replicas`.
    pub replicas: i32,
    /// Selects the pods that belong to it.
    pub selector: Selector,
    /// The pod template, without the hash label.
    pub template: PodTemplate,
    /// How an update proceeds.
    pub strategy: RolloutStrategy,
    /// `spec.minReadySeconds`: how long a pod must be ready before it counts as available.
    pub min_ready_seconds: i32,
    /// Old ReplicaSets kept for rollback.
    pub revision_history_limit: i32,
    /// While set, neither counts nor Services change.
    pub paused: bool,
    /// Pods older than this are replaced, without an update (`kubectl argo rollouts restart`).
    pub restart_at: Option<Timestamp>,
    /// An update without progress for this long is reported as failed.
    pub progress_deadline_seconds: i32,
    /// Whether such an update is aborted.
    pub progress_deadline_abort: bool,
    /// A rollback that skips fewer revisions than this also skips the steps (`rollbackWindow.revisions`); 0 = none does.
    pub rollback_window: i32,
    /// `workloadRef`: the Deployment with its pod template, and when it is scaled down in its favor.
    pub workload: Option<(Name, ScaleDown)>,
}

/// When the Deployment from which a Rollout took over is scaled down (`workloadRef.scaleDown`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScaleDown {
    /// Its replicas are left to the user.
    #[default]
    Never,
    /// To zero, once the Rollout is healthy.
    OnSuccess,
    /// As the Rollout's pods become ready.
    Progressively,
}

/// `spec.strategy` of a Rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolloutStrategy {
    /// The new version gets a growing share of pods and requests.
    Canary(Box<CanaryStrategy>),
    /// The new version runs beside the old one, and gets all requests at once.
    BlueGreen(Box<BlueGreenStrategy>),
}

/// `spec.strategy.canary`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CanaryStrategy {
    /// The steps of an update.
    pub steps: Vec<CanaryStep>,
    /// Extra pods allowed above `replicas`; absent = 25 %.
    pub max_surge: Option<IntOrPercent>,
    /// Pods that may be unavailable; absent = 25 %.
    pub max_unavailable: Option<IntOrPercent>,
    /// The Service of the new version.
    pub canary_service: Option<Name>,
    /// The Service of the old version.
    pub stable_service: Option<Name>,
    /// The router that divides requests by weight; absent = the numbers of pods divide them.
    pub routing: Option<TrafficRouting>,
    /// Whether the old version shrinks as its share of requests does.
    pub dynamic_stable_scale: bool,
    /// Least number of pods of a version that has any, with traffic routing.
    pub min_pods_per_replica_set: i32,
    /// For how long the old version stays after the update, with traffic routing; absent = 30 s.
    pub scale_down_delay_seconds: Option<i32>,
    /// How many old versions wait so; absent = all.
    pub scale_down_delay_revision_limit: Option<i32>,
    /// For how long the new version stays after an abort, with traffic routing; 0 = forever, absent = 30 s.
    pub abort_scale_down_delay_seconds: Option<i32>,
    /// Analysis beside the steps.
    pub analysis: Option<AnalysisCall>,
    /// The step from which on that runs.
    pub analysis_starting_step: usize,
    /// Available pods that are enough for a step to be complete; absent = all.
    pub progress_threshold: Option<IntOrPercent>,
}

/// `trafficRouting`: what shares out the requests between the two Services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficRouting {
    /// The weight of all requests.
    pub max_weight: i32,
    /// The objects that hold the weights.
    pub routers: Vec<TrafficRouter>,
}

/// A carrier of weights that is simulated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrafficRouter {
    /// ingress-nginx: a canary Ingress beside each of these.
    Nginx {
        /// The Ingresses of the stable Service.
        ingresses: Vec<Name>,
    },
    /// The plug-in for the Gateway API: HTTPRoutes with the weights.
    GatewayApi {
        /// Their names, in the Rollout's namespace.
        routes: Vec<Name>,
    },
    /// Another one, by its name: its weights reach no requests.
    Other(Name),
}

/// One step of a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryStep {
    /// Its action.
    pub action: StepAction,
    /// `setCanaryScale`, by itself or beside another action: the pods of the new version, apart from its weight.
    pub scale: Option<CanaryScale>,
}

/// Action of a step of a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepAction {
    /// `setWeight`: the share of the new version, of all requests or of the pods.
    SetWeight(i32),
    /// `pause`: for this long; absent = until it is promoted.
    Pause(Option<PauseLength>),
    /// Nothing but its `setCanaryScale`.
    Scale,
    /// `analysis`.
    Analysis(AnalysisCall),
    /// It is passed at once as nothing here carries it out, such as `experiment`.
    Other(Name),
}

/// The length of a pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PauseLength {
    /// How long it is.
    pub duration: SimDuration,
    /// The same as written, such as 2m, which Events quote.
    pub written: Name,
}

/// `setCanaryScale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanaryScale {
    /// This many pods.
    Replicas(i32),
    /// This percentage of `replicas`.
    Weight(i32),
    /// As the weight of the requests says again.
    MatchTrafficWeight,
}

/// `spec.strategy.blueGreen`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlueGreenStrategy {
    /// The Service of the version in use.
    pub active_service: Name,
    /// The Service of the version to come.
    pub preview_service: Option<Name>,
    /// Whether the switch happens without a promotion.
    pub auto_promotion_enabled: bool,
    /// Time from the new version's readiness to the switch; 0 = none.
    pub auto_promotion_seconds: i32,
    /// Pods of the new version until the switch; absent = all.
    pub preview_replica_count: Option<i32>,
    /// For how long the old version stays after the switch; absent = 30 s.
    pub scale_down_delay_seconds: Option<i32>,
    /// How many old versions wait so; absent = all.
    pub scale_down_delay_revision_limit: Option<i32>,
    /// For how long the new version stays after an abort; 0 = forever, absent = 30 s.
    pub abort_scale_down_delay_seconds: Option<i32>,
    /// Analysis before the switch.
    pub pre_promotion_analysis: Option<AnalysisCall>,
    /// Analysis after the switch, which is undone if it fails.
    pub post_promotion_analysis: Option<AnalysisCall>,
}

/// Why the controller holds an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseReason {
    /// A `pause` step.
    CanaryPauseStep,
    /// The new version is ready and waits for the switch.
    BlueGreenPause,
    /// An analysis told neither success nor failure.
    InconclusiveAnalysisRun,
}

/// The weights that the traffic router has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficWeights {
    /// Weight of the canary Service.
    pub canary: i32,
    /// Weight of the stable Service.
    pub stable: i32,
    /// Hash of the version behind the canary Service.
    pub canary_hash: Name,
    /// Hash of the version behind the stable Service.
    pub stable_hash: Name,
}

/// `status.phase`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RolloutPhase {
    /// An update is under way.
    #[default]
    Progressing,
    /// It waits.
    Paused,
    /// All pods are of the present version and available.
    Healthy,
    /// It was aborted or makes no progress.
    Degraded,
}

/// `status` of a Rollout.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RolloutStatus {
    /// The generation that this status describes.
    pub observed_generation: i64,
    /// Pods of all versions.
    pub replicas: i32,
    /// Pods of the present template.
    pub updated_replicas: i32,
    /// Pods that are ready; with blue-green those of the active version.
    pub ready_replicas: i32,
    /// Pods that have been ready for at least `minReadySeconds`; with blue-green those of the active version.
    pub available_replicas: i32,
    /// Pods that an HPA counts.
    pub hpa_replicas: i32,
    /// Hash of the present template; empty at first.
    pub current_pod_hash: Name,
    /// Hash of the version that last completed an update; empty at first.
    pub stable_hash: Name,
    /// The step under way, or their number after the last; absent without steps.
    pub current_step: Option<usize>,
    /// A digest of the steps; absent until the first sync.
    pub steps_digest: Option<u64>,
    /// Why the controller holds the update, and since when.
    pub pauses: Vec<(PauseReason, SimTime)>,
    /// Whether the controller, not the user, has paused it.
    pub controller_pause: bool,
    /// Since when the update is aborted.
    pub aborted_at: Option<SimTime>,
    /// The `restart_at` up to which all pods are replaced.
    pub restarted_at: Option<Timestamp>,
    /// Whether the rest of the steps is to be skipped.
    pub promote_full: bool,
    /// The weights that the traffic router has.
    pub weights: Option<TrafficWeights>,
    /// Hash in the selector of the active Service.
    pub active_selector: Name,
    /// Hash in the selector of the preview Service.
    pub preview_selector: Name,
    /// With `previewReplicaCount`: whether the preview was accepted, so that all its pods start.
    pub preview_accepted: bool,
    /// The runs of its analyses that are under way or just ended.
    pub runs: AnalysisRuns,
    /// Its conditions, in the order in which they were last set.
    pub conditions: Vec<WorkloadCondition>,
    /// Its phase, as `kubectl argo rollouts` shows it.
    pub phase: RolloutPhase,
    /// Why it is in that phase.
    pub message: Name,
}

/// The analyses of a Rollout that are under way, or ended in the present step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnalysisRuns {
    /// That of an `analysis` step.
    pub step: Option<AnalysisRun>,
    /// That beside the steps.
    pub background: Option<AnalysisRun>,
    /// That before the switch to green.
    pub pre_promotion: Option<AnalysisRun>,
    /// That after it.
    pub post_promotion: Option<AnalysisRun>,
}

impl AnalysisRuns {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &AnalysisRun> {
        [&self.step, &self.background, &self.pre_promotion, &self.post_promotion]
            .into_iter()
            .flatten()
    }
}

impl RolloutStatus {
    /// Whether the update is aborted.
    pub const fn is_aborted(&self) -> bool {
        self.aborted_at.is_some()
    }

    /// Whether the present version is the stable one (`IsFullyPromoted`).
    pub fn is_fully_promoted(&self) -> bool {
        self.stable_hash == self.current_pod_hash
    }

    /// Since when it is paused for a reason.
    pub fn paused_since(&self, reason: PauseReason) -> Option<SimTime> {
        self.pauses.iter().find(|(known, _)| *known == reason).map(|(_, since)| *since)
    }
}

impl RolloutSpec {
    /// The canary strategy, if it is one.
    pub fn canary(&self) -> Option<&CanaryStrategy> {
        match &self.strategy {
            RolloutStrategy::Canary(canary) => Some(canary),
            RolloutStrategy::BlueGreen(_) => None,
        }
    }

    /// The blue-green strategy, if it is one.
    pub fn blue_green(&self) -> Option<&BlueGreenStrategy> {
        match &self.strategy {
            RolloutStrategy::BlueGreen(blue_green) => Some(blue_green),
            RolloutStrategy::Canary(_) => None,
        }
    }

    /// The steps of its canary; none with blue-green.
    pub fn steps(&self) -> &[CanaryStep] {
        self.canary().map_or(&[], |canary| &canary.steps)
    }
}

impl CanaryStep {
    /// A step without `setCanaryScale`.
    pub const fn new(action: StepAction) -> Self {
        Self { action, scale: None }
    }

    /// The weight that it sets.
    pub const fn weight(&self) -> Option<i32> {
        match self.action {
            StepAction::SetWeight(weight) => Some(weight),
            _ => None,
        }
    }

    /// Its analysis.
    pub const fn analysis(&self) -> Option<&AnalysisCall> {
        match &self.action {
            StepAction::Analysis(call) => Some(call),
            _ => None,
        }
    }

    /// The length of its pause; absent too if that lasts until it is promoted.
    pub fn pause(&self) -> Option<SimDuration> {
        match &self.action {
            StepAction::Pause(length) => length.as_ref().map(|length| length.duration),
            _ => None,
        }
    }
}

impl PauseReason {
    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CanaryPauseStep => "CanaryPauseStep",
            Self::BlueGreenPause => "BlueGreenPause",
            Self::InconclusiveAnalysisRun => "InconclusiveAnalysisRun",
        }
    }
}

/// The hash by which a version's pods and ReplicaSet are marked; empty without one.
pub fn rollout_hash(labels: &Labels) -> Name {
    labels.get(ROLLOUT_HASH_LABEL).cloned().unwrap_or_default()
}

impl Object for Rollout {
    const KIND: Kind = Kind::Rollout;
    type Spec = RolloutSpec;
    type Status = RolloutStatus;

    object::accessors!(RolloutStatus);

    fn new(_: &mut Store, meta: ObjectMeta, spec: RolloutSpec) -> Self {
        Self { meta, spec, status: RolloutStatus::default() }
    }

    fn update(
        store: &mut Store,
        id: RolloutId,
        meta: ObjectMeta,
        spec: RolloutSpec,
    ) -> Result<bool, Refused> {
        let rollout = Self::collection_mut(store).table.get_mut(id).ok_or(Refused::NotFound)?;
        selector_is_immutable(&rollout.spec.selector, &spec.selector)?;
        Ok(object::replace((&mut rollout.meta, &mut rollout.spec), meta, spec))
    }

    fn removed(
        self,
        store: &mut Store,
        now: SimTime,
        id: RolloutId,
        changes: &mut Vec<Change>,
    ) -> Result<(), Refused> {
        let ingresses = store.ingresses().iter();
        let ingresses = ingresses.filter(|(_, ingress)| ingress.spec.owner == Some(id));
        let ingresses: Vec<_> = ingresses.map(|(ingress, _)| ingress).collect();
        for ingress in ingresses {
            object::delete(store, now, ingress, changes)?;
        }
        let owned = store.index.replica_sets_by_owner.remove(&id.into()).unwrap_or_default();
        owned.into_iter().try_for_each(|set| object::delete(store, now, set, changes))
    }
}
