//! The timeline of a scenario: actions performed on the cluster at given times.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::outages::{ContainerCrash, KubeletRestart, Maintenance, Outage, SpotReclaim, StockOut};
use cluster::custom_metrics::MetricsApi;
use cluster::{Name, ObjectReference};
use engine::SimDuration;
use units::Quantity;

/// One entry of the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "EntryFields")]
pub struct TimelineEntry {
    /// Time since the start of the run.
    pub at: SimDuration,
    /// Interval at which the action repeats until the end of the run; absent = once.
    pub every: Option<SimDuration>,
    /// The acting user, whose requests are subject to RBAC; absent = all rights.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The action.
    #[serde(flatten)]
    pub action: TimelineAction,
}

/// Declares the actions with their keys in a scenario: the enum of actions, and the fields of an entry, exactly one
/// of which is set.
macro_rules! actions {
    ($($(#[$doc:meta])+ $key:literal $field:ident: $action:ident($of:ty),)+) => {
        /// An action on the cluster. The names are the keys used in a scenario.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(rename_all = "camelCase")]
        pub enum TimelineAction {
            $($(#[$doc])+ $action($of),)+
        }

        impl TimelineAction {
            /// Its key in a scenario, such as `killNode`.
            pub const fn key(&self) -> &'static str {
                match self {
                    $(Self::$action(_) => $key,)+
                }
            }
        }

        /// A timeline entry: `at`, optionally `every` and `as`, and exactly one action.
        #[derive(Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        #[schemars(rename = "TimelineEntry", extend("if" = {"required": ["every", "as"]},
            "then" = {"minProperties": 4, "maxProperties": 4},
            "else" = {"if": {"anyOf": [{"required": ["every"]}, {"required": ["as"]}]},
                "then": {"minProperties": 3, "maxProperties": 3},
                "else": {"minProperties": 2, "maxProperties": 2}}))]
        struct EntryFields {
            /// Time from the start of the run, warm-up included: 30m, 1h15m.
            at: SimDuration,
            /// Interval at which the action repeats until the end of the run: 24h with `at: 3h` means every night
            /// at three in a run that starts at midnight. Default: once.
            #[schemars(extend("x-minimum" = "1s"))]
            every: Option<SimDuration>,
            /// The acting user, as for `kubectl --as`: system:serviceaccount:shop:deployer, or a user name. Requests
            /// that the Roles, ClusterRoles and bindings in the manifests do not allow are refused with the API
            /// server's Forbidden message. Default: a user with all rights.
            #[serde(rename = "as")]
            actor: Option<String>,
            $($(#[$doc])+ $field: Option<$of>,)+
        }

        impl EntryFields {
            fn actions(self) -> impl Iterator<Item = TimelineAction> {
                [$(self.$field.map(TimelineAction::$action)),+].into_iter().flatten()
            }
        }
    };
}

actions! {
    /// The machine of this node fails without notice: its pods stop answering, and the control plane notices by
    /// missing heartbeats, as in a real cluster. Nodes of a pool are called POOL-1, POOL-2, ...
    "killNode" kill_node: KillNode(Name),
    /// The machine of one node of this pool fails without notice: of the node that runs the most pods then, pods of
    /// DaemonSets not counted, of those that work, and of several such nodes the first by name.
    "killBusiestNode" kill_busiest_node: KillBusiestNode(Name),
    /// The machine of this node comes back, and its kubelet recreates the containers.
    "recoverNode" recover_node: RecoverNode(Name),
    /// The machines of all nodes in this zone fail without notice.
    "killZone" kill_zone: KillZone(Name),
    /// The machines of all nodes in this zone come back.
    "recoverZone" recover_zone: RecoverZone(Name),
    /// The network to this node fails: its containers keep running, but are unreachable, and its kubelet is out of
    /// contact. recoverNode ends the fault, with the containers unchanged.
    "disconnectNode" disconnect_node: DisconnectNode(Name),
    /// The kubelet of this node reports Ready=False while its containers keep running; recoverNode ends the fault.
    "nodeNotReady" node_not_ready: NodeNotReady(Name),
    /// The kubelet of a node is down for a while: no probes, restarts or heartbeats, but its containers keep
    /// running.
    "restartKubelet" restart_kubelet: RestartKubelet(KubeletRestart),
    /// The cloud reclaims spot machines of a pool after a notice.
    "reclaimSpot" reclaim_spot: ReclaimSpot(SpotReclaim),
    /// The cloud has no more machines for a pool, zone or purchase option for a while: requests for new ones are
    /// refused. Existing machines stay.
    "stockOut" stock_out: StockOut(StockOut),
    /// Maintenance of a pool: its nodes are drained one after the other, serviced and put back into service.
    "maintain" maintain: Maintain(Maintenance),
    /// The application of pods of a workload exits with an error.
    "crashContainer" crash_container: CrashContainer(ContainerCrash),
    /// The application of pods of a workload answers neither requests nor probes for a while.
    "hang" hang: Hang(Outage),
    /// The readiness probes of pods of a workload fail for a while.
    "failReadiness" fail_readiness: FailReadiness(Outage),
    /// kubectl cordon: no new pods are scheduled to this node.
    "cordon" cordon: Cordon(Name),
    /// kubectl uncordon: new pods may be scheduled to this node again.
    "uncordon" uncordon: Uncordon(Name),
    /// kubectl taint nodes NODE node.kubernetes.io/out-of-service=nodeshutdown:NoExecute: says that the machine of this lost
    /// node is off for good, so that its pods are removed and its volumes detached without waiting for it.
    "outOfService" out_of_service: OutOfService(Name),
    /// kubectl drain --ignore-daemonsets --force --delete-emptydir-data: cordons this node and evicts its pods as
    /// far as PodDisruptionBudgets allow, retrying every 5 seconds. Pods without a controller are evicted too and
    /// not recreated.
    "drain" drain: Drain(Name),
    /// kubectl delete pod, for randomly drawn pods of a workload.
    "deletePod" delete_pod: DeletePod(PodDeletion),
    /// kubectl set image: sets a new image for a workload, which triggers a rollout.
    "setImage" set_image: SetImage(ImageChange),
    /// kubectl scale.
    "scale" scale: Scale(ScaleChange),
    /// kubectl patch pod --subresource resize: changes CPU and memory of running containers in place.
    "resize" resize: Resize(ResizeChange),
    /// kubectl rollout restart of this workload; of a Rollout kubectl argo rollouts restart, which replaces its pods without
    /// an update.
    "restartRollout" restart_rollout: RestartRollout(ObjectReference),
    /// kubectl rollout pause of this Deployment, or kubectl argo rollouts pause of this Rollout.
    "pauseRollout" pause_rollout: PauseRollout(ObjectReference),
    /// kubectl rollout resume of this Deployment or Rollout.
    "resumeRollout" resume_rollout: ResumeRollout(ObjectReference),
    /// kubectl argo rollouts promote of a Rollout: ends its pause, also that of `pauseRollout`, or its present step.
    "promoteRollout" promote_rollout: PromoteRollout(Promotion),
    /// kubectl argo rollouts abort of this Rollout: its requests and pods go back to the stable version.
    "abortRollout" abort_rollout: AbortRollout(ObjectReference),
    /// kubectl rollout undo.
    "rollback" rollback: Rollback(Rollback),
    /// kubectl apply -f of this file, relative to the scenario file.
    "apply" apply: Apply(String),
    /// kubectl patch --type merge of an object: a Deployment's strategy, a Service's selector, the
    /// weights of an HTTPRoute, ...
    "patch" patch: Patch(PatchChange),
    /// kubectl delete of this object and everything that it owns. Deleting a node also deletes its machine.
    "delete" delete: Delete(ObjectReference),
    /// This metrics API is down: calls fail with 503, while scrapes continue.
    "metricsApiDown" metrics_api_down: MetricsApiDown(MetricsApi),
    /// This metrics API is available again.
    "metricsApiUp" metrics_api_up: MetricsApiUp(MetricsApi),
    /// The source of this metric of `metrics.custom` is down: HPAs and KEDA cannot read it.
    "metricDown" metric_down: MetricDown(Name),
    /// The source of this metric is available again.
    "metricUp" metric_up: MetricUp(Name),
    /// This scraper pauses: its last samples are still served, and become stale.
    "pauseScrapes" pause_scrapes: PauseScrapes(Scraper),
    /// This scraper resumes; its next samples span the gap.
    "resumeScrapes" resume_scrapes: ResumeScrapes(Scraper),
    /// metrics-server can no longer scrape this node: its pods have no samples.
    "scrapesFail" scrapes_fail: ScrapesFail(Name),
    /// metrics-server can scrape this node again; samples are available after the second scrape.
    "scrapesRecover" scrapes_recover: ScrapesRecover(Name),
}

impl TimelineAction {
    /// True if the action is a kubectl command, which RBAC can forbid.
    pub const fn is_request(&self) -> bool {
        matches!(
            self,
            Self::Cordon(_)
                | Self::Uncordon(_)
                | Self::Drain(_)
                | Self::DeletePod(_)
                | Self::SetImage(_)
                | Self::Scale(_)
                | Self::Resize(_)
                | Self::RestartRollout(_)
                | Self::PauseRollout(_)
                | Self::ResumeRollout(_)
                | Self::PromoteRollout(_)
                | Self::AbortRollout(_)
                | Self::Rollback(_)
                | Self::Apply(_)
                | Self::Patch(_)
                | Self::Delete(_)
        )
    }
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

/// A patch of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PatchChange {
    /// The object, such as Deployment/shop/web or Service/shop/web.
    pub workload: ObjectReference,
    /// A JSON merge patch, such as {spec: {minReadySeconds: 10}}. Fields that it does not name keep the values set
    /// by the manifests, earlier patches and `setImage`; the number of replicas is unchanged.
    pub patch: serde_json::Value,
}

/// Deletion of pods of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodDeletion {
    /// The workload of the pods, such as Deployment/ai-agents/ai-agent.
    pub workload: ObjectReference,
    /// Number of its running pods, drawn at random with the run's seed. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub count: u32,
    /// Delete without a grace period, as with `--grace-period=0 --force`. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// A new image for a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageChange {
    /// The workload whose pod template changes, such as Deployment/ai-agents/ai-agent.
    pub workload: ObjectReference,
    /// Name of the container. Optional if the pod has only one container.
    pub container: Option<Name>,
    /// The new image. Its differences from the old one are described under `workloads`, in `images`.
    pub image: Name,
}

/// A new number of replicas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScaleChange {
    /// The workload that is scaled, such as Deployment/ai-agents/ai-agent.
    pub workload: ObjectReference,
    /// Its new `spec.replicas`.
    #[schemars(range(max = 2_147_483_647))]
    pub replicas: u32,
}

/// New resources for running containers. New pods of the workload keep the resources of its template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResizeChange {
    /// The workload of the pods, such as Deployment/shop/web, or a pod without a controller.
    pub workload: ObjectReference,
    /// Number of its running pods, drawn at random with the run's seed. Default: all.
    #[schemars(range(min = 1))]
    pub count: Option<u32>,
    /// Name of the container. Optional if the pod has only one container.
    pub container: Option<Name>,
    /// New requests: cpu, memory, or both. Resources left out keep their requests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Quantity>,
    /// New limits: cpu, memory, or both. Resources left out keep their limits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Quantity>,
}

/// A promotion of a Rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Promotion {
    /// The Rollout, such as Rollout/shop/web.
    pub workload: ObjectReference,
    /// Whether all further steps, pauses and analyses are skipped. Default false.
    #[serde(default)]
    pub full: bool,
}

/// A rollback to an earlier revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollback {
    /// The workload that is rolled back, such as Deployment/ai-agents/ai-agent.
    pub workload: ObjectReference,
    /// The target revision. Default: the previous one.
    #[schemars(range(min = 1))]
    pub to_revision: Option<u32>,
}

impl TryFrom<EntryFields> for TimelineEntry {
    type Error = &'static str;

    fn try_from(fields: EntryFields) -> Result<Self, Self::Error> {
        let EntryFields { at, every, .. } = fields;
        let actor = fields.actor.clone();
        let mut actions = fields.actions();
        match (actions.next(), actions.next()) {
            (Some(action), None) => Ok(Self { at, every, actor, action }),
            (None, _) => {
                Err("the entry has no action; add one besides `at`, such as `killNode: general-1`")
            }
            (Some(_), Some(_)) => Err(
                "an entry has only one action; write further entries with the same `at`, which run in the order of the file",
            ),
        }
    }
}

impl TimelineEntry {
    /// The times of the action in a run of this length, ascending.
    pub fn times(&self, duration: SimDuration) -> impl Iterator<Item = SimDuration> + use<> {
        let every = self.every.filter(|every| *every > SimDuration::ZERO);
        let next = move |at: &SimDuration| every.map(|every| *at + every);
        std::iter::successors(Some(self.at), next)
            .enumerate()
            // The first occurrence is kept even beyond the end, as a timeline may be applied to a longer run.
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
    use serde_json::{Value, json};

    #[test]
    fn every_action_reads_back_as_it_is_written() {
        for entry in [
            json!({"at": "30m", "killNode": "general-2"}),
            json!({"at": "40m", "recoverNode": "general-2"}),
            json!({"at": "50m", "killBusiestNode": "general"}),
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
            let read = |entry: &Value| TimelineEntry::deserialize(entry).expect("a valid entry");
            let typed = read(&entry);
            assert!(entry.get(typed.action.key()).is_some(), "{entry}");
            assert_eq!(read(&serde_json::to_value(&typed).expect("serialises")), typed);
        }
    }

    #[test]
    fn an_entry_has_exactly_one_action() {
        let error = |entry| serde_json::from_value::<TimelineEntry>(entry).unwrap_err().to_string();
        assert!(error(json!({"at": "1m"})).contains("the entry has no action"));
        let two = json!({"at": "1m", "cordon": "a", "drain": "a"});
        assert!(error(two).contains("write further entries"));
        let misspelt = json!({"at": "1m", "killnode": "a"});
        assert!(
            error(misspelt).contains(
                "unknown field `killnode`, expected one of `at`, `every`, `as`, `killNode`"
            )
        );
    }
}
