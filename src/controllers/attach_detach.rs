//! The attach-detach controller (`pkg/controller/volume/attachdetach`, 1.36): attaches the volumes of scheduled pods to
//! their nodes, and detaches those that no pod of a node needs any more.

use std::collections::{BTreeMap, BTreeSet};

use super::{Actions, Controller, Key, Requeue, Watches};
use cluster::action::Event;
use cluster::attachment::{AttachState, Attachment, DISK_DRIVERS};
use cluster::claim::{Claim, ClaimId};
use cluster::node::{ConditionStatus, Node, NodeId, OUT_OF_SERVICE_TAINT};
use cluster::pod::{Pod, PodId};
use cluster::{Action, Change, ClusterView, Kind, NamespacedName, ObjectId, PodChanges};
use engine::{SimDuration, SimTime};

/// Time for which a volume stays attached to a node that cannot confirm that it is unmounted
/// (`ReconcilerMaxWaitForUnmountDuration`).
const MAX_WAIT_FOR_UNMOUNT: SimDuration = SimDuration::from_secs(360);

/// Times of attaching and detaching.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttachDetachSettings {
    /// Time that the cloud takes to attach a volume; absent = the usual time of its driver.
    pub attach: Option<SimDuration>,
    /// Time that the cloud takes to detach it; absent = the usual time of its driver.
    pub detach: Option<SimDuration>,
    /// Interval at which a kubelet reports the volumes that it uses.
    pub report_period: SimDuration,
}

/// The time that a driver usually takes to attach a volume, and to detach it. EBS: 1 to 4 seconds (aws-ebs-csi-driver,
/// `pkg/cloud/cloud.go`); Google: the first look at the operation after 5 seconds (gcp-compute-persistent-disk-csi-driver,
/// `--attach-disk-backoff-duration`); Azure: 10 to 15 seconds (azuredisk-csi-driver, issue 269). Of others nothing is known.
fn usual_time(driver: Option<&str>, node: Option<&Node>) -> SimDuration {
    let kind = node.map_or("", |node| &node.machine.instance_type);
    let clouds = ["aws/", "gcp/", "azure/"];
    let place = match driver {
        Some(name) => DISK_DRIVERS.iter().position(|(driver, _)| *driver == name),
        None => clouds.iter().position(|cloud| kind.starts_with(cloud)),
    };
    SimDuration::from_secs(match place {
        Some(1) => 5,
        Some(2) => 13,
        _ => 3,
    })
}

/// The attach-detach controller.
#[derive(Clone, Debug, Default)]
pub struct AttachDetachController {
    settings: AttachDetachSettings,
    /// The pods with a node whose volumes name a claim, by claim.
    users: BTreeMap<NamespacedName, BTreeSet<PodId>>,
    /// The claims of these pods.
    claims: BTreeMap<PodId, Vec<NamespacedName>>,
    /// Since when no pod of a node has needed a volume.
    unneeded: BTreeMap<(ClaimId, NodeId), SimTime>,
    /// Volumes whose Multi-Attach error has been reported, with the node that waits.
    reported: BTreeSet<(ClaimId, NodeId)>,
}

/// Reason why a volume that no pod needs stays attached to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Nothing: it can be detached.
    Free,
    /// Nothing from this instant on: its kubelet then reports that it is unmounted, or it is detached by force.
    Until(SimTime),
    /// Its node counts as ready, but no longer reports anything.
    UntilNotReady,
}

impl AttachDetachController {
    /// A controller with these times.
    pub fn new(settings: AttachDetachSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// The pods that use a claim, by node.
    fn wanted<'a>(
        &self,
        view: ClusterView<'a>,
        claim: &Claim,
    ) -> BTreeMap<NodeId, Vec<(PodId, &'a Pod)>> {
        let mut wanted: BTreeMap<NodeId, Vec<(PodId, &Pod)>> = BTreeMap::new();
        for id in self.users.get(&claim.meta.id).into_iter().flatten() {
            let pod = view.store().pods().get(*id).filter(|pod| !pod.phase.is_terminal());
            if let Some((pod, node)) = pod.and_then(|pod| Some((pod, pod.node?))) {
                wanted.entry(node).or_default().push((*id, pod));
            }
        }
        wanted
    }

    fn forget(&mut self, pod: PodId, wake: &mut Vec<NamespacedName>) {
        for claim in self.claims.remove(&pod).into_iter().flatten() {
            if let Some(users) = self.users.get_mut(&claim) {
                users.remove(&pod);
                if users.is_empty() {
                    self.users.remove(&claim);
                }
            }
            wake.push(claim);
        }
    }

    fn remember(&mut self, view: ClusterView<'_>, id: PodId) {
        let Some(pod) = view.pods().get(id).filter(|pod| pod.node.is_some()) else { return };
        let names = view.template_of(pod).spec.claims();
        let claims: Vec<NamespacedName> =
            names.map(|name| NamespacedName::new(pod.id.namespace.clone(), name.clone())).collect();
        if !claims.is_empty() {
            for claim in &claims {
                self.users.entry(claim.clone()).or_default().insert(id);
            }
            self.claims.insert(id, claims);
        }
    }

    fn claims_of(&self, pod: PodId) -> Vec<NamespacedName> {
        self.claims.get(&pod).cloned().unwrap_or_default()
    }

    /// The attachments of a claim as they are from now on, and when to look again.
    fn next(
        &mut self,
        view: ClusterView<'_>,
        id: ClaimId,
        claim: &Claim,
        actions: &mut Actions,
    ) -> (Vec<Attachment>, Option<SimTime>) {
        let (now, period) = (view.now, self.settings.report_period);
        let wanted = self.wanted(view, claim);
        let driver = view.store().driver_of(claim);
        let mut again: Option<SimTime> = None;
        let mut look = |at: SimTime| again = Some(again.map_or(at, |known| known.min(at)));
        let mut attachments = claim.attachments.clone();
        self.unneeded.retain(|(of, node), _| *of != id || !wanted.contains_key(node));
        self.reported.retain(|(of, node)| *of != id || wanted.contains_key(node));
        attachments.retain_mut(|one| {
            let node = view.nodes().get(one.node);
            if let AttachState::Attaching(until) = one.state {
                if now < until {
                    look(until);
                    return true;
                }
                one.state = AttachState::Attached(now);
                for (_, pod) in wanted.get(&one.node).into_iter().flatten() {
                    let volume = claim.volume_name();
                    let message = format!("AttachVolume.Attach succeeded for volume \"{volume}\" ");
                    actions.push(event(pod, false, "SuccessfulAttachVolume", message));
                }
            }
            if let AttachState::Attached(_) = one.state
                && !wanted.contains_key(&one.node)
            {
                let since = *self.unneeded.entry((id, one.node)).or_insert(now);
                match hold(node, since, now, period) {
                    Hold::UntilNotReady => {}
                    Hold::Until(at) => look(at),
                    Hold::Free => {
                        let time = self.settings.detach;
                        let time = time.unwrap_or_else(|| usual_time(driver, node));
                        one.state = AttachState::Detaching(now + time);
                    }
                }
            }
            if let AttachState::Detaching(until) = one.state {
                if now < until {
                    look(until);
                }
                return now < until;
            }
            true
        });
        for (node, pods) in &wanted {
            if attachments.iter().any(|one| one.node == *node) {
                continue;
            }
            if claim.is_exclusive() && !attachments.is_empty() {
                // While it is being detached, nothing is reported.
                let is_held =
                    attachments.iter().any(|one| !matches!(one.state, AttachState::Detaching(_)));
                if is_held && self.reported.insert((id, *node)) {
                    report(claim, &attachments, &wanted, pods, actions);
                }
                continue;
            }
            let of_node = view.nodes().get(*node);
            let time = self.settings.attach.unwrap_or_else(|| usual_time(driver, of_node));
            let state = if time > SimDuration::ZERO {
                look(now + time);
                AttachState::Attaching(now + time)
            } else {
                AttachState::Attached(now)
            };
            attachments.push(Attachment { node: *node, state });
        }
        (attachments, again)
    }
}

/// Until when a node keeps a volume that none of its pods has needed since `since`: until its kubelet reports it as
/// unmounted, or, where none can, for [`MAX_WAIT_FOR_UNMOUNT`], but by force only while the node is not ready. On a node
/// out of service it need not be.
fn hold(node: Option<&Node>, since: SimTime, now: SimTime, period: SimDuration) -> Hold {
    let is_out = |node: &Node| node.taints.iter().any(|one| *one.key == *OUT_OF_SERVICE_TAINT);
    if node.is_some_and(is_out) {
        return Hold::Free;
    }
    let forced = since + MAX_WAIT_FOR_UNMOUNT;
    let reported = node.and_then(|node| {
        let report = node.next_report(since, period);
        node.health.lease.silent_since.is_none_or(|silent| silent >= report).then_some(report)
    });
    let is_ready = node.is_some_and(|node| node.ready.status == ConditionStatus::True);
    match reported {
        Some(at) if now >= at => Hold::Free,
        Some(at) => Hold::Until(at),
        None if now < forced => Hold::Until(forced),
        None if is_ready => Hold::UntilNotReady,
        None => Hold::Free,
    }
}

/// Tells the pods on a node why they do not get a volume (`reportMultiAttachError`).
fn report(
    claim: &Claim,
    attachments: &[Attachment],
    wanted: &BTreeMap<NodeId, Vec<(PodId, &Pod)>>,
    pods: &[(PodId, &Pod)],
    actions: &mut Actions,
) {
    let others = attachments.iter().filter_map(|one| wanted.get(&one.node)).flatten();
    let others: Vec<&str> = others.map(|(_, pod)| &**pod.name()).collect();
    let why = if others.is_empty() {
        "Volume is already exclusively attached to one node and can't be attached to another"
            .to_owned()
    } else {
        format!("Volume is already used by pod(s) {}", others.join(", "))
    };
    let message = format!("Multi-Attach error for volume \"{}\" {why}", claim.volume_name());
    for (_, pod) in pods {
        actions.push(event(pod, true, "FailedAttachVolume", message.clone()));
    }
}

fn event(pod: &Pod, is_warning: bool, reason: &'static str, message: String) -> Action {
    let object = pod.id.clone();
    Action::Event(Box::new(Event { kind: Kind::Pod, object, is_warning, reason, message }))
}

impl Controller for AttachDetachController {
    fn name(&self) -> &'static str {
        "attachdetach-controller"
    }

    fn watches(&self) -> Watches {
        Watches::PODS.and(Watches::CLAIMS).and(Watches::NODES)
    }

    fn wakes_on(&mut self, view: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        let mut names = Vec::new();
        match *change {
            Change::PodAdded(pod) => {
                self.remember(view, pod);
                names = self.claims_of(pod);
            }
            Change::PodUpdated(pod, what) if what.has(PodChanges::BOUND) => {
                self.remember(view, pod);
                names = self.claims_of(pod);
            }
            Change::PodUpdated(pod, what) if what.has(PodChanges::PHASE) => {
                names = self.claims_of(pod);
            }
            Change::PodRemoved { pod, .. } => self.forget(pod, &mut names),
            // The node is gone, silent, out of service, or back.
            Change::NodeUpdated(node) | Change::Removed { object: ObjectId::Node(node), .. } => {
                wake.extend(view.store().attached_to(node).map(Key::Claim));
            }
            // A claim has a volume now, or one node less has it.
            Change::Status(ObjectId::PersistentVolumeClaim(id))
            | Change::Spec(ObjectId::PersistentVolumeClaim(id), _) => wake.push(Key::Claim(id)),
            _ => {}
        }
        let ids = names.iter().filter_map(|name| view.store().named::<Claim>(name));
        wake.extend(ids.map(Key::Claim));
    }

    fn reconcile(&mut self, view: ClusterView<'_>, key: Key, actions: &mut Actions) -> Requeue {
        let Key::Claim(id) = key else { return Requeue::No };
        let Some(claim) = view.store().claims().get(id) else {
            self.unneeded.retain(|(claim, _), _| *claim != id);
            self.reported.retain(|(claim, _)| *claim != id);
            return Requeue::No;
        };
        if claim.volume.is_none() || !view.store().is_attachable(claim) {
            return Requeue::No;
        }
        let (attachments, again) = self.next(view, id, claim, actions);
        if attachments != claim.attachments {
            actions.push(Action::SetAttachments(id, attachments));
        }
        again.map_or(Requeue::No, Requeue::At)
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::node::{Lease, Machine, NodeHealth, NodeReady, Taint};
    use cluster::pod_template::{ResourceList, TaintEffect};
    use cluster::{Name, ObjectMeta};

    const AT: fn(i64) -> SimTime = SimTime::from_secs;
    const PERIOD: SimDuration = SimDuration::from_secs(10);

    /// A node whose kubelet reports at 3, 13, 23, ... and is silent from some instant on.
    fn node(is_ready: bool, silent_since: Option<i64>) -> Node {
        let lease =
            Lease { started: Some(AT(0)), phase: Some(AT(3)), silent_since: silent_since.map(AT) };
        Node {
            meta: ObjectMeta::new("", "n"),
            capacity: ResourceList::default(),
            allocatable: ResourceList::default(),
            unschedulable: false,
            taints: Vec::new(),
            ready: NodeReady { status: ConditionStatus::from(is_ready), since: AT(0) },
            health: NodeHealth { lease, ..NodeHealth::default() },
            images: Vec::new(),
            pool: Name::default(),
            machine: Machine::default(),
        }
    }

    #[test]
    fn a_volume_is_free_once_its_kubelet_has_reported_that_it_is_unmounted() {
        let well = node(true, None);
        let at = |now: i64| hold(Some(&well), AT(20), AT(now), PERIOD);
        assert_eq!(at(20), Hold::Until(AT(23)));
        assert_eq!(at(23), Hold::Free);
        // What falls into a report is in the next one.
        assert_eq!(hold(Some(&well), AT(23), AT(23), PERIOD), Hold::Until(AT(33)));
        assert_eq!(hold(Some(&well), AT(20), AT(20), SimDuration::ZERO), Hold::Free);
    }

    #[test]
    fn a_node_that_reports_nothing_keeps_it_for_six_minutes_and_as_long_as_it_counts_as_ready() {
        let lost = node(false, Some(21));
        let at = |now: i64| hold(Some(&lost), AT(20), AT(now), PERIOD);
        assert_eq!(at(30), Hold::Until(AT(380)));
        assert_eq!(at(379), Hold::Until(AT(380)));
        assert_eq!(at(380), Hold::Free);
        let unnoticed = node(true, Some(21));
        assert_eq!(hold(Some(&unnoticed), AT(20), AT(380), PERIOD), Hold::UntilNotReady);
        let gone = |now: i64| hold(None, AT(20), AT(now), PERIOD);
        assert_eq!((gone(379), gone(380)), (Hold::Until(AT(380)), Hold::Free));
        // It reported before it fell silent.
        assert_eq!(hold(Some(&node(false, Some(23))), AT(20), AT(24), PERIOD), Hold::Free);
    }

    #[test]
    fn a_node_out_of_service_gives_it_back_at_once() {
        let mut out = node(false, Some(5));
        out.taints.push(Taint {
            key: OUT_OF_SERVICE_TAINT.into(),
            value: Name::default(),
            effect: TaintEffect::NoExecute,
            time_added: None,
        });
        assert_eq!(hold(Some(&out), AT(20), AT(20), PERIOD), Hold::Free);
    }

    #[test]
    fn a_disk_takes_the_time_of_its_driver_or_else_of_its_nodes_cloud() {
        let seconds = |driver, kind: &str| {
            let mut one = node(true, None);
            one.machine.instance_type = kind.into();
            usual_time(driver, Some(&one)).as_secs()
        };
        assert_eq!(seconds(Some("ebs.csi.aws.com"), "gcp/e2-medium"), 3);
        assert_eq!(seconds(Some("pd.csi.storage.gke.io"), ""), 5);
        assert_eq!(seconds(None, "gcp/e2-medium"), 5);
        assert_eq!(seconds(None, "azure/Standard_D4s_v5"), 13);
        assert_eq!(seconds(Some("rbd.csi.ceph.com"), "azure/Standard_D4s_v5"), 3);
    }
}
