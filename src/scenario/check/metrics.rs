//! Checks the metrics pipeline and the autoscaler flags: periods of zero, metrics without a source.

use super::Checker;
use crate::workloads::Workload;
use engine::SimDuration;
use manifest::FieldPath;
use metrics::Reading;

impl Checker<'_> {
    /// Checks scrapes, custom metrics and periods.
    pub(super) fn metrics(&mut self) {
        let root = FieldPath::ROOT;
        let scenario = &self.text.scenario;
        let metrics = root.field("metrics");
        let prometheus = metrics.field("prometheus");
        let controller_manager = root.field("controllerManager");
        let hpa = controller_manager.field("horizontalPodAutoscaler");
        let settings = &scenario.controller_manager.horizontal_pod_autoscaler;
        let timing = scenario.metrics.prometheus;
        self.check_positive(&metrics.field("resolution"), scenario.metrics.resolution);
        self.check_positive(&prometheus.field("scrapeInterval"), timing.scrape_interval);
        self.check_positive(&prometheus.field("rateWindow"), timing.rate_window);
        self.check_positive(&hpa.field("syncPeriod"), settings.sync_period);
        if settings.tolerance < 0.0 || !settings.tolerance.is_finite() {
            self.error(
                &hpa.field("tolerance"),
                format!("a tolerance of {} contains no ratio", settings.tolerance),
                "write a share of the target such as 0.1, or 0 for none",
            );
        }
        if timing.rate_window < timing.scrape_interval * 2 {
            self.warn(
                &prometheus.field("rateWindow"),
                format!(
                    "a range of {} contains fewer than two scrapes, so rates are missing at times",
                    timing.rate_window
                ),
                "use four times the scrape interval",
            );
        }
        let list = metrics.field("custom");
        for (index, rule) in scenario.metrics.custom.iter().enumerate() {
            let item = list.item(index);
            let path = item.field("service");
            self.service_exists(&path, &rule.service.0);
            // Ratios are those of the pods that it selects, by whichever Service the requests come.
            if rule.measure.reading() != Reading::Ratio && !self.is_reached(&rule.service) {
                self.error(
                    &path,
                    format!("the Service {} has no traffic to measure", rule.service),
                    "name a Service of `traffic`, or one to which `ingress` or calls lead",
                );
            }
            if rule.measure.is_of_language_models() && !self.has_language_model() {
                self.error(
                    &item.field("measure"),
                    format!(
                        "{} is a metric of language models, but no workload serves one",
                        rule.name
                    ),
                    "add one in `workloads`: requests: {llm: {model: ..., gpu: ...}}",
                );
            }
        }
    }

    fn has_language_model(&self) -> bool {
        self.text.scenario.workloads.iter().any(Workload::serves_language_model)
    }

    fn check_positive(&mut self, path: &FieldPath, period: SimDuration) {
        if period <= SimDuration::ZERO {
            self.error(path, "a period of 0s never ends", "set a duration, such as 15s");
        }
    }
}
