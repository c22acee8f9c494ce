//! The timeline of a scenario: at an instant, one thing is done to the cluster.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::outages::{ContainerCrash, KubeletRestart, Maintenance, Outage, SpotReclaim};
use cluster::custom_metrics::MetricsApi;
use cluster::{Name, ObjectReference};
use engine::SimDuration;
use units::Quantity;

/// One entry of the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "EntryFields")]
pub struct TimelineEntry {
    /// When, from the start of the run.
    pub at: SimDuration,
    /// From one time to the next, where it is done again and again until the end of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<SimDuration>,
    /// The action.
    #[serde(flatten)]
    pub action: TimelineAction,
}

/// An action on the cluster. The names are the keys that a scenario uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum TimelineAction {
    /// The machine of a node stops without a word.
    KillNode(Name),
    /// The machine of a node comes back.
    RecoverNode(Name),
    /// The machines of all nodes of a zone stop without a word.
    KillZone(Name),
    /// The machines of all nodes of a zone come back.
    RecoverZone(Name),
    /// The network to a node fails.
    DisconnectNode(Name),
    /// The kubelet of a node reports that it is not ready.
    NodeNotReady(Name),
    /// The kubelet of a node is restarted.
    RestartKubelet(KubeletRestart),
    /// The cloud takes spot machines back.
    ReclaimSpot(SpotReclaim),
    /// The nodes of a pool are drained and worked on, one after the other.
    Maintain(Maintenance),
    /// Applications crash.
    CrashContainer(ContainerCrash),
    /// Applications answer nothing for a while.
    Hang(Outage),
    /// Readiness probes fail for a while.
    FailReadiness(Outage),
    /// `kubectl cordon`.
    Cordon(Name),
    /// `kubectl uncordon`.
    Uncordon(Name),
    /// `kubectl drain --ignore-daemonsets --force --delete-emptydir-data`.
    Drain(Name),
    /// `kubectl delete pod`, of pods drawn from a workload's.
    DeletePod(PodDeletion),
    /// `kubectl set image`.
    SetImage(ImageChange),
    /// `kubectl scale`.
    Scale(ScaleChange),
    /// `kubectl patch pod --subresource resize`, of pods drawn from a workload's.
    Resize(ResizeChange),
    /// `kubectl rollout restart`.
    RestartRollout(ObjectReference),
    /// `kubectl rollout pause`.
    PauseRollout(ObjectReference),
    /// `kubectl rollout resume`.
    ResumeRollout(ObjectReference),
    /// `kubectl rollout undo`.
    Rollback(Rollback),
    /// `kubectl apply -f`; the path is relative to the scenario file.
    Apply(String),
    /// `kubectl patch --type merge`.
    Patch(PatchChange),
    /// `kubectl delete`.
    Delete(ObjectReference),
    /// A metrics API answers no more.
    MetricsApiDown(MetricsApi),
    /// A metrics API answers again.
    MetricsApiUp(MetricsApi),
    /// The source of a custom metric answers no more.
    MetricDown(Name),
    /// The source of a custom metric answers again.
    MetricUp(Name),
    /// A scraper pauses: what it has goes stale.
    PauseScrapes(Scraper),
    /// A scraper goes on.
    ResumeScrapes(Scraper),
    /// The scrapes of a node fail: its pods lose their samples.
    ScrapesFail(Name),
    /// The scrapes of a node succeed again.
    ScrapesRecover(Name),
}

/// A component that scrapes metrics for the autoscalers.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Scraper {
    /// metrics-server, for CPU and memory.
    MetricsServer,
    /// Prometheus, for custom and external metrics.
    Prometheus,
}

/// Other fields for an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchChange {
    /// The object, such as Deployment/shop/web or Service/shop/web.
    pub workload: ObjectReference,
    /// A JSON merge patch, such as {spec: {minReadySeconds: 10}}. What it does not name stays as the
    /// manifests, earlier patches and `setImage` have it; the number of replicas stays as it is.
    pub patch: serde_json::Value,
}

/// Pods of a workload that are deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodDeletion {
    /// The workload whose pods these are, such as Deployment/ai-agents/ai-agent.
    pub workload: ObjectReference,
    /// How many of its running pods, drawn at random with the run's seed. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub count: u32,
    /// Without grace, as `--grace-period=0 --force`. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// Another image for a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageChange {
    /// The workload whose pod template changes, such as Deployment/ai-agents/ai-agent.
    pub workload: ObjectReference,
    /// The container's name. Can be left out where the pod has only one container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Name>,
    /// The new image. How it differs from the old one is said under `workloads`, in `images`.
    pub image: Name,
}

/// Another number of replicas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScaleChange {
    /// The workload that is scaled, such as Deployment/ai-agents/ai-agent.
    pub workload: ObjectReference,
    /// Its new `spec.replicas`.
    #[schemars(range(max = 2_147_483_647))]
    pub replicas: u32,
}

/// Other resources for containers that run. New pods of the workload are made as before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResizeChange {
    /// The workload whose pods these are, such as Deployment/shop/web, or a pod without a controller.
    pub workload: ObjectReference,
    /// How many of its running pods, drawn at random with the run's seed. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub count: Option<u32>,
    /// The container's name. Can be left out where the pod has only one container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Name>,
    /// New requests: cpu, memory, or both. What is not named stays.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Quantity>,
    /// New limits: cpu, memory, or both. What is not named stays.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Quantity>,
}

/// A return to an earlier revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollback {
    /// The workload that is rolled back, such as Deployment/ai-agents/ai-agent.
    pub workload: ObjectReference,
    /// The revision to return to. Default: the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub to_revision: Option<u32>,
}

/// What is done at an instant of the run: `at`, `every` where it is done again, and exactly one of the
/// actions.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "TimelineEntry", extend("if" = {"required": ["every"]},
    "then" = {"minProperties": 3, "maxProperties": 3}, "else" = {"minProperties": 2, "maxProperties": 2}))]
struct EntryFields {
    /// When, from the start of the run, warm-up included: 30m, 1h15m.
    at: SimDuration,
    /// Done again after so long, and so on until the end of the run: 24h with `at: 3h` is every night at
    /// three of a run that starts at midnight. Default: once.
    #[serde(default)]
    every: Option<SimDuration>,
    /// The machine of this node stops without a word: its pods answer nothing, and the control plane
    /// learns of it as in life, by heartbeats that stay away. Nodes of a pool are called POOL-1, POOL-2, ...
    #[serde(default)]
    kill_node: Option<Name>,
    /// The machine of this node comes back, and its kubelet starts the containers anew.
    #[serde(default)]
    recover_node: Option<Name>,
    /// The machines of all nodes of this zone stop without a word.
    #[serde(default)]
    kill_zone: Option<Name>,
    /// The machines of all nodes of this zone come back.
    #[serde(default)]
    recover_zone: Option<Name>,
    /// The network to this node fails: its containers go on, but nobody reaches them and its kubelet
    /// is not heard. recoverNode ends it, and the containers are as they were.
    #[serde(default)]
    disconnect_node: Option<Name>,
    /// The kubelet of this node reports Ready=False, while its containers go on; recoverNode ends it.
    #[serde(default)]
    node_not_ready: Option<Name>,
    /// The kubelet of a node does not work for a while: no probes, no restarts, no heartbeats, while
    /// its containers go on.
    #[serde(default)]
    restart_kubelet: Option<KubeletRestart>,
    /// The cloud takes spot machines of a pool back, after a notice.
    #[serde(default)]
    reclaim_spot: Option<SpotReclaim>,
    /// The nodes of a pool are drained one after the other, each worked on and put into service again.
    #[serde(default)]
    maintain: Option<Maintenance>,
    /// The application of pods of a workload exits with an error.
    #[serde(default)]
    crash_container: Option<ContainerCrash>,
    /// The application of pods of a workload answers neither requests nor probes for a while.
    #[serde(default)]
    hang: Option<Outage>,
    /// The readiness probes of pods of a workload fail for a while.
    #[serde(default)]
    fail_readiness: Option<Outage>,
    /// kubectl cordon: no new pods on this node.
    #[serde(default)]
    cordon: Option<Name>,
    /// kubectl uncordon: new pods on this node again.
    #[serde(default)]
    uncordon: Option<Name>,
    /// kubectl drain --ignore-daemonsets --force --delete-emptydir-data: cordons this node and evicts its
    /// pods, as far as PodDisruptionBudgets allow, trying again every 5 seconds. Pods without a controller
    /// are evicted too, and nobody makes them anew.
    #[serde(default)]
    drain: Option<Name>,
    /// kubectl delete pod, of pods drawn from those of a workload.
    #[serde(default)]
    delete_pod: Option<PodDeletion>,
    /// kubectl set image: a new image for a workload, and so a rollout.
    #[serde(default)]
    set_image: Option<ImageChange>,
    /// kubectl scale.
    #[serde(default)]
    scale: Option<ScaleChange>,
    /// kubectl patch pod --subresource resize: other CPU and memory for containers where they run.
    #[serde(default)]
    resize: Option<ResizeChange>,
    /// kubectl rollout restart of this workload.
    #[serde(default)]
    restart_rollout: Option<ObjectReference>,
    /// kubectl rollout pause of this Deployment.
    #[serde(default)]
    pause_rollout: Option<ObjectReference>,
    /// kubectl rollout resume of this Deployment.
    #[serde(default)]
    resume_rollout: Option<ObjectReference>,
    /// kubectl rollout undo.
    #[serde(default)]
    rollback: Option<Rollback>,
    /// kubectl apply -f of this file, relative to the scenario file.
    #[serde(default)]
    apply: Option<String>,
    /// kubectl patch --type merge of an object: a Deployment's strategy, a Service's selector, the
    /// weights of an HTTPRoute, ...
    #[serde(default)]
    patch: Option<PatchChange>,
    /// kubectl delete of this object, with all that it owns. A node goes with its machine.
    #[serde(default)]
    delete: Option<ObjectReference>,
    /// This metrics API answers no more: its calls fail with 503, while scrapes go on.
    #[serde(default)]
    metrics_api_down: Option<MetricsApi>,
    /// This metrics API answers again.
    #[serde(default)]
    metrics_api_up: Option<MetricsApi>,
    /// The source of this metric of `metrics.custom` answers no more: HPAs and KEDA cannot read it.
    #[serde(default)]
    metric_down: Option<Name>,
    /// The source of this metric answers again.
    #[serde(default)]
    metric_up: Option<Name>,
    /// This scraper pauses: what it collected last is served on, and grows old.
    #[serde(default)]
    pause_scrapes: Option<Scraper>,
    /// This scraper goes on; its next samples span the gap.
    #[serde(default)]
    resume_scrapes: Option<Scraper>,
    /// metrics-server cannot scrape this node any more: its pods have no samples.
    #[serde(default)]
    scrapes_fail: Option<Name>,
    /// metrics-server can scrape this node again; samples come with the second scrape.
    #[serde(default)]
    scrapes_recover: Option<Name>,
}

impl TryFrom<EntryFields> for TimelineEntry {
    type Error = &'static str;

    fn try_from(fields: EntryFields) -> Result<Self, Self::Error> {
        let mut actions = [
            fields.kill_node.map(TimelineAction::KillNode),
            fields.recover_node.map(TimelineAction::RecoverNode),
            fields.kill_zone.map(TimelineAction::KillZone),
            fields.recover_zone.map(TimelineAction::RecoverZone),
            fields.disconnect_node.map(TimelineAction::DisconnectNode),
            fields.node_not_ready.map(TimelineAction::NodeNotReady),
            fields.restart_kubelet.map(TimelineAction::RestartKubelet),
            fields.reclaim_spot.map(TimelineAction::ReclaimSpot),
            fields.maintain.map(TimelineAction::Maintain),
            fields.crash_container.map(TimelineAction::CrashContainer),
            fields.hang.map(TimelineAction::Hang),
            fields.fail_readiness.map(TimelineAction::FailReadiness),
            fields.cordon.map(TimelineAction::Cordon),
            fields.uncordon.map(TimelineAction::Uncordon),
            fields.drain.map(TimelineAction::Drain),
            fields.delete_pod.map(TimelineAction::DeletePod),
            fields.set_image.map(TimelineAction::SetImage),
            fields.scale.map(TimelineAction::Scale),
            fields.resize.map(TimelineAction::Resize),
            fields.restart_rollout.map(TimelineAction::RestartRollout),
            fields.pause_rollout.map(TimelineAction::PauseRollout),
            fields.resume_rollout.map(TimelineAction::ResumeRollout),
            fields.rollback.map(TimelineAction::Rollback),
            fields.apply.map(TimelineAction::Apply),
            fields.patch.map(TimelineAction::Patch),
            fields.delete.map(TimelineAction::Delete),
            fields.metrics_api_down.map(TimelineAction::MetricsApiDown),
            fields.metrics_api_up.map(TimelineAction::MetricsApiUp),
            fields.metric_down.map(TimelineAction::MetricDown),
            fields.metric_up.map(TimelineAction::MetricUp),
            fields.pause_scrapes.map(TimelineAction::PauseScrapes),
            fields.resume_scrapes.map(TimelineAction::ResumeScrapes),
            fields.scrapes_fail.map(TimelineAction::ScrapesFail),
            fields.scrapes_recover.map(TimelineAction::ScrapesRecover),
        ]
        .into_iter()
        .flatten();
        match (actions.next(), actions.next()) {
            (Some(action), None) => Ok(Self { at: fields.at, every: fields.every, action }),
            (None, _) => Err("nothing is done at this time; beside `at` an entry has one action, \
                              such as `killNode: general-1`"),
            (Some(_), Some(_)) => {
                Err("an entry has one action; write a second entry with the same \
                                       `at`, they are carried out in the order of the file")
            }
        }
    }
}

impl TimelineEntry {
    /// When it is done in a run of this length, ascending.
    pub fn times(&self, duration: SimDuration) -> impl Iterator<Item = SimDuration> + use<> {
        let every = self.every.filter(|every| *every > SimDuration::ZERO);
        let next = move |at: &SimDuration| every.map(|every| *at + every);
        std::iter::successors(Some(self.at), next)
            .enumerate()
            // Once is done whatever the length, as a timeline of others may go on after it.
            .take_while(move |(position, at)| *position == 0 || *at < duration)
            .map(|(_, at)| at)
    }
}

impl JsonSchema for TimelineEntry {
    fn schema_name() -> Cow<'static, str> {
        EntryFields::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        EntryFields::json_schema(generator)
    }
}

const fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_action_reads_back_as_it_is_written() {
        for entry in [
            json!({"at": "30m", "killNode": "general-2"}),
            json!({"at": "40m", "recoverNode": "general-2"}),
            json!({"at": "3h", "every": "1d", "maintain": {"pool": "general", "takes": "5m"}}),
            json!({"at": "6m", "patch": {"workload": "Deployment/shop/web",
                "patch": {"spec": {"minReadySeconds": 10}}}}),
            json!({"at": "5m", "killZone": "us-east-1a"}),
            json!({"at": "6m", "recoverZone": "us-east-1a"}),
            json!({"at": "6m", "disconnectNode": "general-1"}),
            json!({"at": "6m", "nodeNotReady": "general-1"}),
            json!({"at": "6m", "restartKubelet": {"node": "general-1", "downFor": "20s"}}),
            json!({"at": "6m", "reclaimSpot": {"pool": "spot", "count": 2, "notice": "30s",
                   "drain": false, "replacedAfter": "3m"}}),
            json!({"at": "6m", "maintain": {"pool": "general", "takes": "10m"}}),
            json!({"at": "6m", "crashContainer": {"workload": "Deployment/shop/web", "count": 1,
                   "exitCode": 2}}),
            json!({"at": "6m", "hang": {"workload": "Deployment/shop/web", "for": "2m"}}),
            json!({"at": "6m", "failReadiness": {"workload": "Deployment/shop/web", "count": 3,
                   "for": "2m"}}),
            json!({"at": "6m", "cordon": "general-1"}),
            json!({"at": "6m", "uncordon": "general-1"}),
            json!({"at": "6m", "drain": "general-1"}),
            json!({"at": "6m", "deletePod": {"workload": "Deployment/shop/web", "count": 2}}),
            json!({"at": "6m", "setImage": {"workload": "Deployment/shop/web", "image": "web:v2"}}),
            json!({"at": "6m", "scale": {"workload": "Deployment/shop/web", "replicas": 5}}),
            json!({"at": "6m", "resize": {"workload": "Deployment/shop/web", "count": 1,
                   "requests": {"cpu": "500m"}, "limits": {"memory": "1Gi"}}}),
            json!({"at": "6m", "restartRollout": "Deployment/shop/web"}),
            json!({"at": "6m", "pauseRollout": "Deployment/shop/web"}),
            json!({"at": "6m", "resumeRollout": "Deployment/shop/web"}),
            json!({"at": "6m", "rollback": {"workload": "Deployment/shop/web", "toRevision": 3}}),
            json!({"at": "6m", "apply": "more.yaml"}),
            json!({"at": "6m", "delete": "HorizontalPodAutoscaler/shop/web"}),
            json!({"at": "6m", "metricsApiDown": "resource"}),
            json!({"at": "6m", "metricsApiUp": "external"}),
            json!({"at": "6m", "metricDown": "jobs"}),
            json!({"at": "6m", "metricUp": "jobs"}),
            json!({"at": "6m", "pauseScrapes": "metricsServer"}),
            json!({"at": "6m", "resumeScrapes": "prometheus"}),
            json!({"at": "6m", "scrapesFail": "general-1"}),
            json!({"at": "6m", "scrapesRecover": "general-1"}),
        ] {
            let typed: TimelineEntry =
                serde_json::from_value(entry.clone()).expect("a valid entry");
            assert_eq!(serde_json::to_value(typed).expect("serialises"), entry);
        }
    }

    #[test]
    fn an_entry_has_exactly_one_action() {
        let error = |entry| serde_json::from_value::<TimelineEntry>(entry).unwrap_err().to_string();
        assert!(error(json!({"at": "1m"})).contains("nothing is done"));
        let two = json!({"at": "1m", "cordon": "a", "drain": "a"});
        assert!(error(two).contains("write a second entry"));
        let misspelt = json!({"at": "1m", "killnode": "a"});
        assert!(
            error(misspelt)
                .contains("unknown field `killnode`, expected one of `at`, `every`, `killNode`")
        );
    }
}
