//! Batches of pending pods, and the scheduling passes at their end (`pkg/controllers/provisioning`).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{
    ClaimState, ClusterAccess, LAUNCH_TIMEOUT, Nomination, Operator, Output, REGISTRATION_TIMEOUT,
    TRIGGER_PERIOD, Timer,
};
use crate::amounts::Amounts;
use crate::provisioner::{pending_pods, schedule};
use crate::scheduling::{NewClaim, Results};
use crate::state::{NodeClaim, Snapshot, StateNode};
use cluster::{Name, NamespacedName};
use engine::SimTime;

impl Operator {
    pub(super) fn trigger_pod(&mut self, pod: &NamespacedName, now: SimTime) {
        let Some(uid) = self.waiting.get(pod).cloned() else { return };
        self.batcher.trigger(&uid, now);
        self.at(now + TRIGGER_PERIOD + self.latency, Timer::Pod(pod.clone()));
    }

    pub(super) fn trigger_node(&mut self, node: &Name, now: SimTime) {
        if self.disrupted.contains(node) {
            self.batcher.trigger(&format!("node {node}").into(), now);
            self.at(now + TRIGGER_PERIOD + self.latency, Timer::Node(node.clone()));
        }
    }

    pub(super) fn wake_batcher(
        &mut self,
        now: SimTime,
        look: &mut ClusterAccess<'_>,
        out: &mut Vec<Output>,
    ) {
        if !self.batcher.wake(now) {
            return;
        }
        let mut nominated = std::mem::take(&mut self.untold);
        // Triggers are lost if a claim has no instance at the end of the batch.
        if self.claims.are_launched() {
            self.pass(&(look.cluster)(&self.claims), &mut nominated, out);
        }
        if !nominated.is_empty() {
            out.push(Output::Nominated(nominated));
        }
    }

    fn pass(
        &mut self,
        snapshot: &Snapshot,
        nominated: &mut Vec<Nomination>,
        out: &mut Vec<Output>,
    ) {
        let pending = pending_pods(snapshot).0.len();
        let deleting = snapshot.pods_of_going_nodes().len();
        if pending == 0 && deleting == 0 {
            return;
        }
        let results = schedule(snapshot).map(Arc::new);
        out.push(Output::Scheduled { pending, deleting, results: results.clone() });
        let Some(results) = results else { return };
        nominated.extend(self.nominate(&results, snapshot));
        let mut claims: Vec<&NewClaim> = results.claims.iter().collect();
        claims.sort_by_key(|claim| claim.pods.iter().map(|pod| pod.id.name.clone()).min());
        for made in claims {
            let Some(name) = self.create(made, snapshot, out) else { continue };
            nominated.extend(made.pods.iter().map(|pod| Nomination {
                pod: pod.id.clone(),
                claim: Some(name.clone()),
                node: None,
            }));
        }
    }

    /// Marks the existing nodes in a result as nominated for a while.
    pub(super) fn nominate(&mut self, results: &Results, snapshot: &Snapshot) -> Vec<Nomination> {
        let until = snapshot.now + self.options.nomination_window();
        let mut told = Vec::new();
        let there = snapshot.nodes.iter().filter(|state| state.node.is_some());
        let there: BTreeSet<&Name> = there.map(StateNode::name).collect();
        for place in results.existing.iter().filter(|place| !place.pods.is_empty()) {
            if let Some(one) = place.claim.as_ref().and_then(|name| self.claims.0.get_mut(name)) {
                one.nominated_until = until;
            }
            let has_node = there.contains(&place.node);
            told.extend(place.pods.iter().map(|pod| Nomination {
                pod: pod.id.clone(),
                claim: place.claim.clone(),
                node: has_node.then(|| place.node.clone()),
            }));
        }
        told
    }

    /// Creates a NodeClaim, unless its pool already exceeds its limits.
    pub(super) fn create(
        &mut self,
        made: &NewClaim,
        snapshot: &Snapshot,
        out: &mut Vec<Output>,
    ) -> Option<Name> {
        let pool = &made.pool;
        let is_limited = pool.limits != Amounts::default();
        let usage = || snapshot.pool_usage(&pool.name);
        if let Some(resource) = is_limited.then(|| usage().exceeds(&pool.limits)).flatten() {
            out.push(Output::OverLimit { pool: pool.name.clone(), resource });
            return None;
        }
        let name = self.names.next(&pool.name);
        let template = &pool.template;
        let claim = NodeClaim {
            name: name.clone(),
            labels: made.claim_labels(&snapshot.well_known, &snapshot.ties),
            annotations: template.annotations.clone(),
            taints: template.taints.clone(),
            startup_taints: template.startup_taints.clone(),
            requirements: made.claim_requirements(&self.options).written(),
            requests: made.requests.clone(),
            capacity: Amounts::default(),
            allocatable: Amounts::default(),
            created: snapshot.now.floor_to_second(),
            expire_after: template.expire_after,
            termination_grace_period: template.termination_grace_period,
            hash: pool.hash.clone(),
            provider_id: None,
            initialized: None,
            consolidatable: None,
            drifted: None,
            last_pod_event: None,
            is_terminating: false,
        };
        let state = ClaimState::new(Arc::new(claim), Some(Arc::new(made.clone())));
        self.claims.0.insert(name.clone(), state);
        self.plan_end(&name);
        self.at(snapshot.now + LAUNCH_TIMEOUT, Timer::Launch(name.clone()));
        self.at(snapshot.now + REGISTRATION_TIMEOUT, Timer::Register(name.clone()));
        out.push(Output::Created(name.clone()));
        out.push(Output::Launch(name.clone()));
        Some(name)
    }
}
