//! From a NodeClaim to a cloud instance and its node.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::objects::delete_claim;
use super::snapshot_cache::{INITIALIZED, REGISTERED};
use super::{ACTOR, Karpenter, OfferingKey};
use crate::cloud::{Cloud, InstanceEvent};
use crate::environment::{Environment, node_reference};
use cluster::node::{CapacityType, ConditionStatus, HOSTNAME_LABEL, Machine, Node};
use cluster::pod_template::ResourceList;
use cluster::{Action, Labels, Name, ObjectMeta};
use engine::{SimDuration, SimTime};
use karpenter::labels::{CAPACITY_TYPE, SPOT, ZONE};
use karpenter::operator::Launched;
use karpenter::scheduling::NewClaim;
use karpenter::{Amounts, InstanceType, Offering};
use scenario::karpenter::Provider;
use units::{HourlyPrice, Quantity};

/// Maximum number of types in a request to EC2.
const MOST_TYPES: usize = 60;
/// Time for which an offering without capacity is not requested again (`UnavailableOfferingsTTL` of the AWS provider).
const UNAVAILABLE: SimDuration = SimDuration::from_secs(180);

impl Karpenter {
    /// Requests the instance of a claim from the cloud.
    pub(super) fn launch(&mut self, env: &Environment, cloud: &mut Cloud, name: &Name) {
        let Some(made) = self.operator.claims().get(name).and_then(|one| one.made.clone()) else {
            return;
        };
        let pool = self.pools.iter().find(|one| one.pool.name == made.pool.name);
        let Some(provider) = pool.map(|one| one.provider) else { return };
        let labels = self.operator.claims().get(name).map(|one| one.claim.labels.clone());
        let choices = self.choices(&made, provider, &labels.unwrap_or_default());
        if choices.is_empty() {
            self.operator.not_launched(name, env.now);
            return;
        }
        let times = self.plan.times(provider);
        cloud.request_instance(name, choices.into(), &times, env.now);
    }

    /// Candidates for the instance, cheapest first. If any is spot capacity, an EC2 instance considers only those.
    fn choices(&self, made: &NewClaim, provider: Provider, labels: &Labels) -> Vec<Arc<Node>> {
        let requirements = made.claim_requirements(self.operator.options());
        let types = made.options.iter().take(MOST_TYPES);
        let mut all: Vec<(&Arc<InstanceType>, &Offering)> = types
            .flat_map(|one| one.launchable(&requirements).map(move |branch| (one, branch)))
            .collect();
        let is_spot = |branch: &Offering| branch.capacity_type.as_ref() == SPOT;
        if provider == Provider::Ec2 && all.iter().any(|(_, branch)| is_spot(branch)) {
            all.retain(|(_, branch)| is_spot(branch));
        }
        all.sort_by(|(one, own), (other, branch)| {
            own.price
                .total_cmp(&branch.price)
                .then_with(|| one.name.cmp(&other.name))
                .then_with(|| own.zone.cmp(&branch.zone))
        });
        all.into_iter().map(|(one, branch)| Arc::new(node(made, one, branch, labels))).collect()
    }

    /// Handles a step of a machine.
    pub(crate) fn machine_stepped(
        &mut self,
        env: &mut Environment,
        cloud: &mut Cloud,
        number: u32,
    ) {
        let Some((name, news)) = cloud.instance_event(number) else { return };
        match news {
            InstanceEvent::Launched(node) => {
                if self
                    .operator
                    .claims()
                    .get(&name)
                    .is_none_or(|one| one.claim.provider_id.is_some())
                {
                    return;
                }
                let launched = Launched {
                    labels: node.meta.labels.with(HOSTNAME_LABEL, &*name),
                    capacity: Amounts::of(&node.capacity),
                    allocatable: Amounts::of(&node.allocatable),
                };
                self.operator.launched(&name, launched, env.now);
                self.history.launched(&name, &node);
                self.write_claim(env, &name);
            }
            InstanceEvent::Refused(choices) => {
                for one in choices.iter() {
                    let key = offering_of(one);
                    self.unavailable.insert(key, env.now + UNAVAILABLE);
                }
                let message = format!(
                    "NodeClaim {name} was deleted: the cloud has none of {} offerings",
                    choices.len()
                );
                env.warn(ACTOR, &node_reference(&name), "InsufficientCapacityError", message);
                cloud.delete_instance(&name, env.now);
                self.operator.not_launched(&name, env.now);
                delete_claim(env, &name);
            }
        }
        self.wait(env);
    }

    /// Registers nodes that have joined, and initializes those that are ready with all their resources.
    pub(super) fn take_up(&mut self, env: &mut Environment) {
        for name in std::mem::take(&mut self.to_take_up) {
            let Some(id) = env.store().node_named(&name) else { continue };
            let Some(one) = self.operator.claims().get(&name) else { continue };
            let claim = Arc::clone(&one.claim);
            let (is_registered, node) = (one.is_registered, env.store().nodes()[id].clone());
            let mut labels = node.meta.labels.clone();
            if !is_registered {
                labels = labels.with(REGISTERED, "true");
                self.operator.registered(&name);
            }
            let has_all = claim.requests.iter().all(|(resource, amount)| {
                amount == 0 || Amounts::of(&node.allocatable).get(resource).unwrap_or(0) > 0
            });
            let is_ready = node.ready.status == ConditionStatus::True;
            if is_ready && has_all && claim.initialized.is_none() && !claim.is_terminating {
                labels = labels.with(INITIALIZED, "true");
                let startup = &claim.startup_taints;
                let kept =
                    node.taints.iter().filter(|one| !startup.iter().any(|own| own.key == one.key));
                let kept: Vec<_> = kept.cloned().collect();
                if kept.len() < node.taints.len() {
                    env.act(ACTOR, Action::SetNodeTaints(id, kept));
                }
                let _ = self.operator.initialized(&name, env.now);
            }
            if labels != node.meta.labels {
                env.act(ACTOR, Action::SetNodeLabels(id, labels));
                self.write_claim(env, &name);
            }
        }
    }
}

/// The instance types without the offerings that lacked capacity a short time ago.
pub(super) fn on_offer(
    types: &Arc<[Arc<InstanceType>]>,
    unavailable: &BTreeMap<OfferingKey, SimTime>,
) -> Arc<[Arc<InstanceType>]> {
    if unavailable.is_empty() {
        return Arc::clone(types);
    }
    let is_missing = |one: &InstanceType, branch: &Offering| {
        let key = (one.name.clone(), branch.zone.clone(), branch.capacity_type.clone());
        unavailable.contains_key(&key)
    };
    let with_gaps = |one: &Arc<InstanceType>| {
        if !one.offerings.iter().any(|branch| is_missing(one, branch)) {
            return Arc::clone(one);
        }
        let mut gapped = InstanceType::clone(one);
        for branch in &mut gapped.offerings {
            branch.is_available = !is_missing(one, branch);
        }
        Arc::new(gapped)
    };
    types.iter().map(with_gaps).collect()
}

/// The offering that a node was launched from.
fn offering_of(node: &Node) -> (Name, Name, Name) {
    let label = |key: &str| node.meta.labels.get(key).cloned().unwrap_or_else(|| "".into());
    (node.machine.instance_type.clone(), label(ZONE), label(CAPACITY_TYPE))
}

/// A node of this instance type and offering.
fn node(made: &NewClaim, one: &InstanceType, branch: &Offering, own: &Labels) -> Node {
    let single = one.requirements.iter();
    let of_type = single.filter_map(|one| Some((one.key.clone(), one.only_value()?.clone())));
    let labels: Labels = of_type
        .chain([
            (Name::from(ZONE), branch.zone.clone()),
            (Name::from(CAPACITY_TYPE), branch.capacity_type.clone()),
        ])
        .chain(own.iter().map(|(key, value)| (key.clone(), value.clone())))
        .collect();
    let template = &made.pool.template;
    let taints = template.taints.iter().chain(&template.startup_taints).cloned().collect();
    let is_spot = branch.capacity_type.as_ref() == SPOT;
    let meta = ObjectMeta {
        labels,
        annotations: template.annotations.clone(),
        ..ObjectMeta::new("", &*made.pool.name)
    };
    Node {
        capacity: list(&one.capacity),
        taints,
        pool: made.pool.name.clone(),
        machine: Machine {
            instance_type: one.name.clone(),
            capacity_type: if is_spot { CapacityType::Spot } else { CapacityType::OnDemand },
            price: Some(HourlyPrice::from_usd(branch.price)),
            launched: None,
            serverless: None,
            attach_limit: scenario::cluster::attach_limit_of(&one.name),
        },
        ..Node::new(meta, list(&one.allocatable))
    }
}

fn list(amounts: &Amounts) -> ResourceList {
    amounts.iter().map(|(name, nanos)| (Name::from(name), Quantity::from_nanos(nanos))).collect()
}
