//! Instances requested one by one, each with a list of acceptable machine types.

use std::sync::Arc;

use super::Cloud;
use super::machine::{Machine, MachineDraws, Phase};
use cluster::Name;
use cluster::node::Node;
use engine::SimTime;
use scenario::machines::MachineTimes;

/// Outcome of an instance's last step.
#[derive(Clone, Debug)]
pub(crate) enum InstanceEvent {
    /// The cloud launched it; the node shows its type.
    Launched(Arc<Node>),
    /// The cloud has no capacity for any of the choices.
    Refused(Arc<[Arc<Node>]>),
}

impl Cloud {
    /// Requests an instance: the first of these choices that the cloud has.
    pub(crate) fn request_instance(
        &mut self,
        name: &Name,
        choices: Arc<[Arc<Node>]>,
        times: &MachineTimes,
        now: SimTime,
    ) {
        let Some(pool) = choices.first().map(|one| one.pool.clone()) else { return };
        let number = self.machines.len();
        let mut stream = self.streams.stream(&format!("instances of {pool}"), number as u64);
        let draws = MachineDraws::draw(times, self.plan.boot_failures, &mut stream);
        self.by_name.insert(name.clone(), number);
        self.machines.push(Machine {
            name: name.clone(),
            group: None,
            zone: 0,
            choices,
            phase: Phase::Requested,
            due: None,
            launched: None,
            draws,
            steps: vec![("requested", now)],
        });
        self.supply.pass(now);
        self.plan_step(number, now + draws.request);
    }

    /// Picks the first choice of an instance that the cloud has.
    pub(super) fn choose(&mut self, number: usize) {
        let choices = &self.machines[number].choices;
        let is_there = |one: &Arc<Node>| self.supply.refusal(one, &self.plan).is_none();
        if let Some(place) = choices.iter().position(is_there) {
            self.machines[number].zone = place;
        }
    }

    /// The outcome of the step that an instance has just taken; `None` for a machine of a group.
    pub(crate) fn instance_event(&self, number: u32) -> Option<(Name, InstanceEvent)> {
        let machine = self.machines.get(number as usize)?;
        let news = match machine.phase {
            _ if machine.group.is_some() => return None,
            Phase::Booting => InstanceEvent::Launched(Arc::clone(&machine.choices[machine.zone])),
            Phase::Refused(_) => InstanceEvent::Refused(Arc::clone(&machine.choices)),
            _ => return None,
        };
        Some((machine.name.clone(), news))
    }

    /// Deletes an instance.
    pub(crate) fn delete_instance(&mut self, name: &str, now: SimTime) {
        if let Some(number) = self.number_of(name) {
            self.delete(number, now);
        }
    }
}
