//! Read-only queries about the current state of a simulation.

use super::changing::template_of;
use super::endpoints::traffic_id;
use super::node_autoscaler::NodeHistory;
use super::simulation::Simulation;
use cluster::attachment::{AttachState, Attachment};
use cluster::claim::Claim;
use cluster::node::NodeId;
use cluster::pod::Pod;
use cluster::rollout::ROLLOUT_HASH_LABEL;
use cluster::store::Store;
use cluster::{ClusterView, Kind, Name, NamespacedName, ObjectId, ObjectReference, Verbs};
use controllers::{Key, Row};
use record::Recorder;
use scheduler::explanation::Explanation;
use traffic::ServicePolicy;

impl Simulation {
    /// The seed of the run's random draws.
    pub fn seed(&self) -> u64 {
        self.env.world.seed
    }

    /// True if a node's kubelet works and can reach the API server.
    pub fn node_works(&self, node: NodeId) -> bool {
        self.data_plane.kubelet.works(node)
    }

    /// The cluster at the current time.
    pub const fn view(&self) -> ClusterView<'_> {
        self.env.view()
    }

    /// The recorder, with everything recorded so far.
    pub const fn recorder(&self) -> &Recorder {
        &self.env.observers.recorder
    }

    /// The Services with traffic, by their position in it.
    pub fn traffic_services(&self) -> impl Iterator<Item = &NamespacedName> {
        let world = &self.env.world;
        let services = world.traffic.len() - world.subsets.len();
        world.traffic.iter().take(services).map(|(name, _)| name)
    }

    /// True if clients send requests to the Service at this position of the traffic, not only other services.
    pub fn has_clients(&self, service: usize) -> bool {
        self.env.world.traffic.get(service).is_some_and(|(_, traffic)| traffic.has_clients())
    }

    /// The load balancing policy of the Service at this position of the traffic.
    pub fn policy_of(&self, service: usize) -> Option<&ServicePolicy> {
        self.env.world.traffic.get(service).map(|(_, traffic)| &traffic.policy)
    }

    /// The NetworkPolicies that have blocked requests to the Service at this position of the traffic so far.
    pub fn policies_blocking(&self, service: usize) -> Vec<NamespacedName> {
        self.data_plane.network_policies.policies_blocking(service)
    }

    /// True if the Service at this position of the traffic is headless, so that its clients choose among its pods.
    pub fn is_headless(&self, service: usize) -> bool {
        let id = self.data_plane.endpoints.service(service);
        let service = id.and_then(|id| self.env.store().services().get(id));
        service.is_some_and(|service| service.spec.is_headless)
    }

    /// Number of requests so far, warm-up included.
    pub fn requests(&self) -> u64 {
        let services = 0..self.env.world.traffic.len();
        services.map(|position| self.data_plane.traffic.arrived(traffic_id(position))).sum()
    }

    /// Requests accepted so far by each pod that takes any, in order of pod slot.
    pub fn requests_taken(&mut self) -> Vec<u64> {
        let backends: Vec<_> = self.data_plane.apps.iter().filter_map(|app| app.backend).collect();
        let now = self.env.now;
        let traffic = &mut self.data_plane.traffic;
        backends.into_iter().map(|backend| traffic.pod_load(now, backend).taken).collect()
    }

    /// Positions of the recorded workloads whose pods a Service with traffic selects.
    pub fn workloads_behind(&self, service: usize) -> Vec<usize> {
        let view = self.view();
        let service = self.data_plane.endpoints.service(service);
        let Some(service) = service.and_then(|id| view.services().get(id)) else {
            return Vec::new();
        };
        let Some(selector) = &service.spec.selector else { return Vec::new() };
        let is_behind = |workload: &ObjectReference| {
            // Argo Rollouts adds the hash of one version to the selectors of its Services.
            let hash =
                selector.value_of(ROLLOUT_HASH_LABEL).filter(|_| workload.kind == Kind::Rollout);
            workload.id.namespace == *service.meta.namespace()
                && template_of(view.store(), workload).is_some_and(|template| match hash {
                    Some(hash) => {
                        selector.matches(&template.labels.with(ROLLOUT_HASH_LABEL, hash.clone()))
                    }
                    None => selector.matches(&template.labels),
                })
        };
        let workloads = self.recorder().workloads.iter().enumerate();
        let selected = workloads.filter(|(_, track)| is_behind(&track.workload));
        selected.map(|(position, _)| position).collect()
    }

    /// The last decision of an autoscaler about an object in words; `None` if there was none.
    pub fn explain(&self, object: &ObjectReference) -> Option<String> {
        let (key, now) = (self.autoscaler(object)?, self.now());
        self.env.plane.explanations().find_map(|one| one.explain(key, now))
    }

    /// The same as JSON with named values; for KEDA and VPA, whose decisions have no such form, their text.
    pub fn explain_as_json(&self, object: &ObjectReference) -> Option<serde_json::Value> {
        let (key, now) = (self.autoscaler(object)?, self.now());
        let words = || Some(serde_json::json!({ "explanation": self.explain(object)? }));
        self.env.plane.explanations().find_map(|one| one.explain_as_json(key, now)).or_else(words)
    }

    /// The same as a row of a table; for HPAs only.
    pub fn explain_as_row(&self, object: &ObjectReference) -> Option<Row> {
        let (key, now) = (self.autoscaler(object)?, self.now());
        self.env.plane.explanations().find_map(|one| one.explain_as_row(key, now))
    }

    /// The existing autoscalers of a kind.
    pub fn autoscalers(&self, kind: Kind) -> Vec<ObjectReference> {
        let all = self.env.store().objects_of(kind).into_iter();
        let all = all.filter(|_| kind.can(Verbs::EXPLAIN));
        all.map(|(_, id)| ObjectReference { kind, id: id.clone() }).collect()
    }

    fn autoscaler(&self, object: &ObjectReference) -> Option<Key> {
        Some(match self.env.store().object_named(object.kind, &object.id)? {
            ObjectId::HorizontalPodAutoscaler(id) => Key::Hpa(id),
            ObjectId::VerticalPodAutoscaler(id) => Key::Vpa(id),
            ObjectId::ScaledObject(id) => Key::ScaledObject(id),
            ObjectId::ScaledJob(id) => Key::ScaledJob(id),
            ObjectId::ClusterQueue(id) => Key::ClusterQueue(id),
            ObjectId::PodAutoscaler(id) => Key::PodAutoscaler(id),
            ObjectId::Rollout(id) => Key::Rollout(id),
            _ => return None,
        })
    }

    /// In words, where each volume of a pod is that has to be attached to its node, and since when it has it.
    pub fn volumes_of(&self, pod: &NamespacedName) -> Vec<String> {
        let store = self.env.store();
        let pod = store.pod_named(pod).and_then(|id| store.pods().get(id));
        let Some((pod, node)) = pod.and_then(|pod| Some((pod, pod.node?))) else {
            return Vec::new();
        };
        let claims = store.claims_of(pod).map(|(_, claim)| claim);
        let claims = claims.filter(|one| one.volume.is_some() && store.is_attachable(one));
        claims.map(|claim| volume_in_words(store, claim, (pod, node))).collect()
    }

    /// The node that a pod is bound to, if any.
    pub fn node_of(&self, pod: &NamespacedName) -> Option<NodeId> {
        self.env.store().pods().get(self.env.store().pod_named(pod)?)?.node
    }

    /// The reason for adding a node, its machine's launch, and the reason to keep or remove it; `None` if there never was
    /// a node of this name.
    pub fn explain_node(&self, name: &Name) -> Option<NodeHistory> {
        let autoscaler = self.node_autoscaler.as_ref();
        let history = NodeHistory::new(self.view(), &self.cloud, autoscaler, name)?;
        let is_there = self.env.store().node_named(name).is_some();
        let karpenter = self.karpenter.as_ref().and_then(|one| one.node_history(name, is_there));
        Some(history.with_karpenter(karpenter))
    }

    /// The decision that the scheduler would take about a pod now, with the reasons; `None` if it does not know the
    /// pod.
    pub fn examine(&self, pod: &NamespacedName) -> Option<Explanation> {
        let (view, id) = (self.view(), self.env.store().pod_named(pod)?);
        let profiles = self.scheduler.profile_names();
        let unexamined = Explanation::unexamined(view, view.pods().get(id)?, &profiles);
        unexamined.or_else(|| {
            let decision = self.scheduler.examine(view, id)?;
            Some(Explanation::new(pod.to_string(), &decision, self.scheduler.cache(), view))
        })
    }
}

fn volume_in_words(store: &Store, claim: &Claim, (pod, node): (&Pod, NodeId)) -> String {
    let name = |id: NodeId| {
        let node = store.nodes().get(id);
        node.map_or_else(|| "a node that is gone".to_owned(), |node| node.meta.name().to_string())
    };
    let course = |one: &Attachment| match one.state {
        AttachState::Attaching(until) => {
            format!("being attached to {} until {until}", name(one.node))
        }
        AttachState::Attached(since) => {
            let begun = pod.start_time.unwrap_or(since);
            let wait = if one.node == node && since > begun {
                format!(", for which the pod waited {}", since - begun)
            } else {
                String::new()
            };
            format!("attached to {} since {since}{wait}", name(one.node))
        }
        AttachState::Detaching(until) => {
            format!("being detached from {} until {until}", name(one.node))
        }
    };
    let courses: Vec<String> = claim.attachments.iter().map(course).collect();
    let course = if courses.is_empty() { "not attached".to_owned() } else { courses.join(", ") };
    let waits = if claim.is_attached(node) { "" } else { "; the pod waits for it" };
    format!("volume {} of claim {}: {course}{waits}", claim.volume_name(), claim.meta.name())
}
