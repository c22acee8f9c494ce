//! Checks the network times.

use super::Checker;
use manifest::FieldPath;
use traffic::ArrivalProcess;

impl Checker<'_> {
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
