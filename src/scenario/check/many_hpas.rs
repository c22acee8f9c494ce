//! Warns of more HPAs than their controller's client can serve in a sync period.

use super::Checker;
use cluster::Kind;
use engine::{SimDuration, format_duration};
use manifest::FieldPath;

impl Checker<'_> {
    /// Checks that each HPA of the manifests is decided on in every sync period.
    pub(super) fn many_hpas(&mut self) {
        let scenario = &self.text.scenario;
        let qps = scenario.timing.controller_client.qps;
        let period = scenario.controller_manager.horizontal_pod_autoscaler.sync_period;
        let makes_hpa =
            |kind: Kind| [Kind::HorizontalPodAutoscaler, Kind::ScaledObject].contains(&kind);
        let hpas = self.at_start.objects.iter().filter(|object| makes_hpa(object.kind)).count();
        let needed = SimDuration::from_secs_f64(hpas as f64 / f64::from(qps.max(1)));
        if qps == 0 || needed <= period {
            return;
        }
        let message = format!(
            "each of the {hpas} HPAs is decided on every {} at most, not every {}: their controller reads {qps} scales \
             per second",
            format_duration(needed),
            format_duration(period)
        );
        let help = "real clusters raise --kube-api-qps of kube-controller-manager: \
                    `timing: {controllerClient: {qps: 100, burst: 150}}`";
        self.warn(&FieldPath::ROOT.field("manifests"), message, help);
    }
}
