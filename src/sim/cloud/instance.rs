//! Instances that are asked for one by one, each with a list of what it may be.

use std::sync::Arc;

use super::Cloud;
use super::machine::{Luck, Machine, Phase};
use cluster::Name;
use cluster::node::Node;
use engine::SimTime;
use scenario::machines::MachineTimes;

/// What became of an instance in its last step.
#[derive(Clone, Debug)]
pub(crate) enum InstanceNews {
    /// The cloud gave it: a node like its own.
    Launched(Arc<Node>),
    /// The cloud has none of what it may be.
    Refused(Arc<[Arc<Node>]>),
}

impl Cloud {
    /// Asks for an instance of one of these kinds, the first that there is.
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
        let luck = Luck::draw(times, self.plan.boot_failures, &mut stream);
        self.by_name.insert(name.clone(), number);
        self.machines.push(Machine {
            name: name.clone(),
            group: None,
            zone: 0,
            choices,
            phase: Phase::Requested,
            due: None,
            launched: None,
            luck,
            steps: vec![("requested", now)],
        });
        self.supply.pass(now);
        self.plan_step(number, now + luck.request);
    }

    /// An instance is the first of its choices that there is.
    pub(super) fn choose(&mut self, number: usize) {
        let choices = &self.machines[number].choices;
        let is_there = |one: &Arc<Node>| self.supply.refusal(one, &self.plan).is_none();
        if let Some(place) = choices.iter().position(is_there) {
            self.machines[number].zone = place;
        }
    }

    /// What became of an instance, if this was one, in the step that it has just taken.
    pub(crate) fn instance_news(&self, number: u32) -> Option<(Name, InstanceNews)> {
        let machine = self.machines.get(number as usize)?;
        let news = match machine.phase {
            _ if machine.group.is_some() => return None,
            Phase::Booting => InstanceNews::Launched(Arc::clone(&machine.choices[machine.zone])),
            Phase::Refused(_) => InstanceNews::Refused(Arc::clone(&machine.choices)),
            _ => return None,
        };
        Some((machine.name.clone(), news))
    }

    /// An instance is to go.
    pub(crate) fn delete_instance(&mut self, name: &str, now: SimTime) {
        if let Some(number) = self.number_of(name) {
            self.delete(number, now);
        }
    }
}
