//! CPU that applications burn for themselves rather than for requests (warm-up, settling, CPU load): the demand,
//! and the part that contention on the node withholds.

use super::cpu_load::CpuLoads;
use super::pod_app::PodApp;
use engine::{SimDuration, SimTime};
use traffic::CpuClaim;

/// The part of its own CPU demand that an application gets.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnCpu {
    /// Fraction of the demand that is granted, 0 to 1.
    granted: f64,
    /// Total demand up to the time when `granted` took effect.
    wanted_before: SimDuration,
    /// Total withheld up to that time.
    withheld: SimDuration,
}

impl OwnCpu {
    /// The whole demand is granted.
    pub(super) const UNHINDERED: Self =
        Self { granted: 1.0, wanted_before: SimDuration::ZERO, withheld: SimDuration::ZERO };

    /// CPU time withheld so far, given the total demand so far.
    pub(super) fn withheld(&self, wanted: SimDuration) -> SimDuration {
        if self.granted >= 1.0 {
            return self.withheld;
        }
        let since = (wanted - self.wanted_before).as_secs_f64();
        self.withheld + SimDuration::from_secs_f64(since * (1.0 - self.granted))
    }

    /// Fraction of the demand that is granted, 0 to 1.
    pub(super) const fn granted(&self) -> f64 {
        self.granted
    }

    /// Changes the granted fraction; `wanted` is the total demand so far.
    pub(super) fn grant(&mut self, wanted: SimDuration, granted: f64) {
        *self = Self { granted, wanted_before: wanted, withheld: self.withheld(wanted) };
    }

    /// True if part of the demand is withheld.
    pub(super) const fn is_hindered(&self) -> bool {
        self.granted < 1.0
    }
}

impl PodApp {
    /// The most CPU that the pod's containers can use, in billionths of a core.
    pub(super) fn most_nano(&self) -> i64 {
        let others = self.others.iter().flat_map(|others| others.iter()).map(|one| one.cpu_nano);
        others.fold(self.limit_nano, i64::saturating_add)
    }

    /// The current own demand, in cores.
    pub(super) fn own_demand(&self, now: SimTime, loads: &CpuLoads) -> f64 {
        let milli = |milli: u32| f64::from(milli) / 1000.0;
        let profile = &self.app.profile;
        let warm_up = self.warming_since.map_or(0.0, |_| milli(profile.warm_up_cpu_milli));
        let settling = if self.is_settling(now) { milli(profile.settling_cpu_milli) } else { 0.0 };
        let load = self.share.map_or(0.0, |share| loads.rate(share).0 as f64 / 1e9);
        (warm_up + settling + load).min(self.cores)
    }

    /// True if the application takes part in the sharing of its node's CPU while its own demand is `own` cores.
    pub(super) const fn takes_cpu(&self, own: f64) -> bool {
        self.backend.is_some() || own > 0.0 || self.own_cpu.is_hindered()
    }

    /// The application's claim on the CPU of its node while its own demand is `own` cores.
    pub(super) fn claim(&self, own: f64) -> CpuClaim {
        CpuClaim {
            backend: self.backend,
            limit: self.cores,
            burst: self.burst_cores,
            // The kernel's minimum is 2 CPU shares, which correspond to a request of 2 m.
            weight: self.weight.0.max(2) as f64,
            own,
        }
    }

    /// True if the application burns CPU for itself at any time.
    pub(super) fn has_own_cpu(&self) -> bool {
        let profile = &self.app.profile;
        profile.warm_up_cpu_milli > 0
            || profile.settling_cpu_milli > 0
            || self.app.cpu_load.is_some()
    }

    /// Cores that the pod's other containers use while it runs.
    pub(super) fn other_containers_cores(&self) -> f64 {
        if !self.is_running() {
            return 0.0;
        }
        let others = self.others.iter().flat_map(|others| others.iter());
        others.map(|one| one.cpu_nano as f64 / 1e9).sum()
    }

    /// Total own demand for CPU time so far.
    pub(super) fn own_time(&self, now: SimTime, loads: &CpuLoads) -> SimDuration {
        let shared = self.share.map_or(SimDuration::ZERO, |share| loads.burnt(now, share));
        self.warm_up_cpu_time_at(now) + self.settled(now) + self.burnt + shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_from_an_application_follows_what_it_wanted_meanwhile() {
        let at = SimDuration::from_secs;
        let mut own = OwnCpu::UNHINDERED;
        assert_eq!(own.withheld(at(10)), at(0));
        own.grant(at(10), 0.25);
        assert_eq!(own.withheld(at(18)), at(6));
        own.grant(at(18), 1.0);
        assert_eq!(own.withheld(at(30)), at(6));
    }
}
