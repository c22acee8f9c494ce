//! CPU load that the scenario plans for a workload, independent of requests: it is spread evenly over the
//! workload's serving pods, each capped at its CPU limit.

use cluster::metrics::MeterId;
use cluster::pod::PodId;
use engine::{SimDuration, SimTime};
use metrics::{MeterReading, MeterUsage};

/// The loads of all workloads that have one.
#[derive(Clone, Debug, Default)]
pub(super) struct CpuLoads {
    groups: Vec<Group>,
    /// Indexed by [`MeterId`].
    meters: Vec<Meter>,
    /// Meters whose rates changed since the last scrape took the list.
    changed: Vec<MeterId>,
    /// Meters taken by the last scrape.
    scraped: Vec<MeterId>,
    /// Meters whose rates changed since the CPU of nodes was last shared out.
    spread: Vec<MeterId>,
}

/// A pod's place in its workload's load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    group: u32,
    meter: MeterId,
    /// Reading of the meter when the pod joined.
    burnt_before: i128,
}

#[derive(Clone, Debug, Default)]
struct Group {
    /// Demand of all pods together, in billionths of a core.
    demand_nano: i64,
    members: i64,
    meters: Vec<MeterId>,
}

/// The pods of a load with the same CPU limit: they burn CPU at the same rate and share one meter.
#[derive(Clone, Debug)]
struct Meter {
    limit_nano: i64,
    rate_nano: i64,
    since: SimTime,
    /// CPU time by `since` of a pod that was there from the start, in billionths of a core times nanoseconds.
    burnt: i128,
    pods: Vec<PodId>,
}

impl CpuLoads {
    /// Sets the demand of a group from `now` on.
    pub(super) fn set_demand(&mut self, now: SimTime, group: u32, demand_nano: i64) {
        self.group_mut(group).demand_nano = demand_nano;
        self.spread(now, group);
    }

    /// Adds a pod to its group from `now` on.
    pub(super) fn join(&mut self, now: SimTime, group: u32, pod: PodId, limit_nano: i64) -> Share {
        self.group_mut(group).members += 1;
        let meter = self.meter_of(now, group, limit_nano);
        self.meter_mut(meter).pods.push(pod);
        self.spread(now, group);
        Share { group, meter, burnt_before: self.meter(meter).burnt_at(now) }
    }

    /// Removes a pod from its group at `now` and returns the CPU time that it burnt since it joined.
    pub(super) fn leave(&mut self, now: SimTime, share: Share, pod: PodId) -> SimDuration {
        let burnt = self.burnt(now, share);
        self.group_mut(share.group).members -= 1;
        self.meter_mut(share.meter).pods.retain(|member| *member != pod);
        self.spread(now, share.group);
        burnt
    }

    /// CPU time that a pod has burnt since it joined.
    pub(super) fn burnt(&self, now: SimTime, share: Share) -> SimDuration {
        SimDuration::from_core_nanos(self.meter(share.meter).burnt_at(now) - share.burnt_before)
    }

    /// The current rate of a pod (billionths of a core), and since when it applies.
    pub(super) fn rate(&self, share: Share) -> (i64, SimTime) {
        let meter = self.meter(share.meter);
        (meter.rate_nano, meter.since)
    }

    /// The reading of a pod's meter.
    pub(super) fn reading(&self, now: SimTime, share: Share) -> MeterReading {
        MeterReading { meter: share.meter, burnt: self.meter(share.meter).burnt_at(now) }
    }

    /// The meters that a scrape at `now` must read: those whose rates changed since the last scrape, and those that
    /// had changed at the last scrape, which could only report a mean of the old and the new rate.
    pub(super) fn take_changed(&mut self, now: SimTime) -> Vec<MeterUsage> {
        let mut meters = std::mem::replace(&mut self.scraped, std::mem::take(&mut self.changed));
        meters.extend_from_slice(&self.scraped);
        meters.sort_unstable();
        meters.dedup();
        let usage = |meter| {
            let Meter { rate_nano, since, ref pods, .. } = *self.meter(meter);
            let reading = MeterReading { meter, burnt: self.meter(meter).burnt_at(now) };
            MeterUsage { reading, rate_nano, since, pods: pods.clone() }
        };
        meters.into_iter().map(usage).collect()
    }

    /// True if [`Self::take_spread`] would return any pods.
    pub(super) fn has_spread(&self) -> bool {
        !self.spread.is_empty()
    }

    /// The pods whose rates changed since the last call, grouped by meter.
    pub(super) fn take_spread(&mut self) -> impl Iterator<Item = &[PodId]> {
        let mut meters = std::mem::take(&mut self.spread);
        meters.sort_unstable();
        meters.dedup();
        meters.into_iter().map(|meter| &self.meter(meter).pods[..])
    }

    fn spread(&mut self, now: SimTime, group: u32) {
        let group = &self.groups[group as usize];
        let share = group.demand_nano.checked_div(group.members).unwrap_or(0);
        for id in &group.meters {
            let meter = &mut self.meters[id.0 as usize];
            let rate_nano = share.min(meter.limit_nano);
            // Pods at their limit keep their rate when others join or leave.
            if meter.rate_nano != rate_nano {
                meter.burnt = meter.burnt_at(now);
                meter.since = now;
                meter.rate_nano = rate_nano;
                self.changed.push(*id);
                self.spread.push(*id);
            }
        }
    }

    fn group_mut(&mut self, group: u32) -> &mut Group {
        let index = group as usize;
        if self.groups.len() <= index {
            self.groups.resize_with(index + 1, Group::default);
        }
        &mut self.groups[index]
    }

    /// The meter of a group's pods with this CPU limit.
    fn meter_of(&mut self, now: SimTime, group: u32, limit_nano: i64) -> MeterId {
        let known = &self.groups[group as usize].meters;
        let found = known.iter().find(|meter| self.meter(**meter).limit_nano == limit_nano);
        if let Some(meter) = found {
            return *meter;
        }
        let meter = MeterId(u32::try_from(self.meters.len()).unwrap_or(u32::MAX));
        let (since, pods) = (now, Vec::new());
        self.meters.push(Meter { limit_nano, rate_nano: 0, since, burnt: 0, pods });
        self.groups[group as usize].meters.push(meter);
        meter
    }

    fn meter(&self, meter: MeterId) -> &Meter {
        &self.meters[meter.0 as usize]
    }

    fn meter_mut(&mut self, meter: MeterId) -> &mut Meter {
        &mut self.meters[meter.0 as usize]
    }
}

impl Meter {
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
        // A single pod would burn 3 cores and is limited to 2.
        let second = loads.join(at(10), 0, two, 2_000_000_000);
        let third = loads.join(at(10), 0, three, 500_000_000);
        assert_eq!(loads.burnt(at(20), first), SimDuration::from_secs(20 + 10));
        assert_eq!(loads.burnt(at(20), second), SimDuration::from_secs(10));
        assert_eq!(loads.rate(third), (500_000_000, at(10)));
        assert_eq!(loads.leave(at(20), third, three), SimDuration::from_secs(5));
        assert_eq!(loads.take_spread().flatten().collect::<Vec<_>>(), [&one, &two]);
        assert_eq!(loads.take_spread().count(), 0, "nothing changed since");
        assert_eq!(loads.rate(first).0, 1_500_000_000);
    }

    #[test]
    fn a_meter_is_for_the_scrape_after_a_change_and_for_the_next() {
        let mut loads = CpuLoads::default();
        let at = SimTime::from_secs;
        loads.set_demand(at(0), 0, 1_000_000_000);
        let one = PodId::from_bits(1);
        let share = loads.join(at(10), 0, one, 2_000_000_000);
        for now in [20, 30] {
            let [usage] = &loads.take_changed(at(now))[..] else { panic!("one meter") };
            assert_eq!(usage.reading, loads.reading(at(now), share));
            assert_eq!((usage.rate_nano, usage.since), (1_000_000_000, at(10)));
            assert_eq!(usage.pods, [one]);
        }
        assert!(loads.take_changed(at(40)).is_empty());
    }
}
