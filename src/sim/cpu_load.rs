//! CPU that workloads burn by a plan of their scenario, without requests: a workload's load is spread
//! evenly over its pods that serve, each of which burns at most what its limit allows.

use crate::cluster::pod::PodId;
use crate::engine::{SimDuration, SimTime};

/// The loads of all workloads that have one.
#[derive(Clone, Debug, Default)]
pub(super) struct CpuLoads {
    groups: Vec<Group>,
    /// Groups whose rates changed since a scrape last took the list.
    changed: Vec<u32>,
    /// The same since the CPU was last shared out.
    spread: Vec<u32>,
}

/// A pod's place in its workload's load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    group: u32,
    class: u32,
    /// What its class had burnt when it joined.
    burnt_before: i128,
}

#[derive(Clone, Debug, Default)]
struct Group {
    /// Of all pods together, billionths of a core.
    demand_nano: i64,
    members: Vec<PodId>,
    /// Pods of one limit burn alike.
    classes: Vec<Class>,
    changed_at: SimTime,
}

#[derive(Clone, Copy, Debug)]
struct Class {
    limit_nano: i64,
    rate_nano: i64,
    since: SimTime,
    /// What a pod that was always there had burnt by `since`, billionths of a core times nanoseconds.
    burnt: i128,
}

impl CpuLoads {
    /// The load of a group is this from `now` on.
    pub(super) fn set_demand(&mut self, now: SimTime, group: u32, demand_nano: i64) {
        let index = group as usize;
        if self.groups.len() <= index {
            self.groups.resize_with(index + 1, Group::default);
        }
        self.groups[index].demand_nano = demand_nano;
        self.spread(now, group);
    }

    /// A pod takes its share from `now` on.
    pub(super) fn join(&mut self, now: SimTime, group: u32, pod: PodId, limit_nano: i64) -> Share {
        let index = group as usize;
        if self.groups.len() <= index {
            self.groups.resize_with(index + 1, Group::default);
        }
        let row = &mut self.groups[index];
        row.members.push(pod);
        let class = row.classes.iter().position(|class| class.limit_nano == limit_nano);
        let class = class.unwrap_or_else(|| {
            row.classes.push(Class { limit_nano, rate_nano: 0, since: now, burnt: 0 });
            row.classes.len() - 1
        });
        self.spread(now, group);
        let class_row = &self.groups[index].classes[class];
        let class = u32::try_from(class).unwrap_or(u32::MAX);
        Share { group, class, burnt_before: class_row.burnt_at(now) }
    }

    /// A pod takes no more from `now` on; what it burnt is the answer.
    pub(super) fn leave(&mut self, now: SimTime, share: Share, pod: PodId) -> SimDuration {
        let burnt = self.burnt(now, share);
        self.groups[share.group as usize].members.retain(|member| *member != pod);
        self.spread(now, share.group);
        burnt
    }

    /// CPU time that a pod burnt since it joined.
    pub(super) fn burnt(&self, now: SimTime, share: Share) -> SimDuration {
        let class = &self.groups[share.group as usize].classes[share.class as usize];
        SimDuration::from_core_nanos(class.burnt_at(now) - share.burnt_before)
    }

    /// The rate of a pod, billionths of a core, and since when it is the same.
    pub(super) fn rate(&self, share: Share) -> (i64, SimTime) {
        let group = &self.groups[share.group as usize];
        (group.classes[share.class as usize].rate_nano, group.changed_at)
    }

    /// Tells of the pods whose rates changed since the last call.
    pub(super) fn take_changed(&mut self, tell: impl FnMut(PodId)) {
        take_members(&mut self.changed, &self.groups, tell);
    }

    /// Tells of the pods whose rates changed since the last call of this.
    pub(super) fn take_spread(&mut self, tell: impl FnMut(PodId)) {
        take_members(&mut self.spread, &self.groups, tell);
    }

    fn spread(&mut self, now: SimTime, group: u32) {
        let row = &mut self.groups[group as usize];
        let members = i64::try_from(row.members.len()).unwrap_or(i64::MAX);
        let share = row.demand_nano.checked_div(members).unwrap_or(0);
        let mut has_changed = false;
        for class in &mut row.classes {
            let rate_nano = share.min(class.limit_nano);
            // Pods at their limit burn on as before, whoever comes or goes.
            if class.rate_nano != rate_nano {
                class.burnt = class.burnt_at(now);
                class.since = now;
                class.rate_nano = rate_nano;
                has_changed = true;
            }
        }
        if has_changed {
            row.changed_at = now;
            self.changed.push(group);
            self.spread.push(group);
        }
    }
}

/// Empties a list of groups, and tells of the pods of each.
fn take_members(list: &mut Vec<u32>, groups: &[Group], tell: impl FnMut(PodId)) {
    if list.is_empty() {
        return;
    }
    list.sort_unstable();
    list.dedup();
    let groups = list.drain(..).map(|group| &groups[group as usize]);
    groups.flat_map(|group| &group.members).copied().for_each(tell);
}

impl Class {
    fn burnt_at(&self, now: SimTime) -> i128 {
        self.burnt + i128::from(self.rate_nano) * i128::from((now - self.since).as_nanos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_spread_evenly_and_cut_at_each_limit() {
        let [one, two, three] = [1, 2, 3].map(PodId::from_bits);
        let mut loads = CpuLoads::default();
        let at = SimTime::from_secs;
        loads.set_demand(at(0), 0, 3_000_000_000);
        let first = loads.join(at(0), 0, one, 2_000_000_000);
        // Alone, it would burn 3 cores and is limited to 2.
        let second = loads.join(at(10), 0, two, 2_000_000_000);
        let third = loads.join(at(10), 0, three, 500_000_000);
        assert_eq!(loads.burnt(at(20), first), SimDuration::from_secs(20 + 10));
        assert_eq!(loads.burnt(at(20), second), SimDuration::from_secs(10));
        assert_eq!(loads.rate(third), (500_000_000, at(10)));
        assert_eq!(loads.leave(at(20), third, three), SimDuration::from_secs(5));
        let mut changed = Vec::new();
        loads.take_changed(|pod| changed.push(pod));
        assert_eq!(changed, [one, two]);
        loads.take_changed(|pod| changed.push(pod));
        assert_eq!(changed.len(), 2, "nothing changed since");
        assert_eq!(loads.rate(first).0, 1_500_000_000);
    }
}
