//! Checks the network times.

use super::Checker;
use manifest::FieldPath;
use traffic::ArrivalProcess;

impl Checker<'_> {
    /// Checks `mesh`.
    pub(super) fn mesh(&mut self) {
        let path = FieldPath::ROOT.field("mesh");
        let mesh = &self.text.scenario.mesh;
        if let Some(time) = &mesh.proxy_time {
            self.report(time.problems(&path.field("proxyTime").to_string()));
        }
        let proxy = mesh.proxy.unwrap_or_default();
        for (request, limit, field) in
            [(proxy.cpu, proxy.cpu_limit, "cpu"), (proxy.memory, proxy.memory_limit, "memory")]
        {
            if let (Some(request), Some(limit)) = (request, limit)
                && request.nanos() > limit.nanos()
            {
                let message = format!("{request} is more than the limit, {limit}");
                self.error(&path.field("proxy").field(field), message, "raise the limit");
            }
        }
    }

    /// Checks `network`.
    pub(super) fn network(&mut self) {
        let path = FieldPath::ROOT.field("network");
        let scenario = &self.text.scenario;
        self.report(scenario.network.problems(&path.to_string()));
        if scenario.network.times().is_none() {
            return;
        }
        let flows = scenario.traffic.iter();
        let flows = flows.filter(|traffic| traffic.arrivals == Some(ArrivalProcess::Fluid));
        let names: Vec<String> = flows.map(|traffic| traffic.service.to_string()).collect();
        if !names.is_empty() {
            self.warn(
                &path,
                format!("the flow to {} takes no network time", names.join(", ")),
                "add the time to its latencies, or remove `arrivals: fluid`",
            );
        }
    }
}
