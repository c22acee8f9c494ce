//! Objectives from OpenSLO v1 files (openslo.com), as far as a simulation can evaluate them.

use std::collections::BTreeMap;

use engine::SimDuration;
use manifest::yaml::{Document, Source, read_documents};
use manifest::{Diagnostic, Diagnostics, FieldPath};
use serde_json::{Map, Value, json};

use super::objectives::Objective;
use super::read::ScenarioText;

const API_VERSION: &str = "openslo/v1";
/// Annotation of an SLO or its Service: the scenario's service, as namespace/name.
const SERVICE_ANNOTATION: &str = "wavetank/service";
/// Annotation with the unit of a threshold, `ms` or `s`, which OpenSLO lacks.
const UNIT_ANNOTATION: &str = "wavetank/unit";

/// Quantiles supported by latency objectives, with their shares.
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)];

/// A document being read.
struct Slo<'a> {
    document: &'a Document,
    problems: &'a mut Diagnostics,
}

impl ScenarioText {
    /// Adds the objectives of OpenSLO files. Warns of fields that cannot be mapped; documents that are not OpenSLO v1 are
    /// errors.
    pub fn take_slos(&mut self, sources: &[Source]) -> Diagnostics {
        let mut problems = Diagnostics::default();
        let documents: Vec<Document> =
            sources.iter().flat_map(|source| read_documents(source, &mut problems)).collect();
        let named = |kind: &str| -> BTreeMap<String, &Value> {
            let of_kind = documents.iter().filter(|one| one.value["kind"] == kind);
            let named = of_kind.filter_map(|one| {
                Some((one.value["metadata"]["name"].as_str()?.to_owned(), &one.value))
            });
            named.collect()
        };
        let (indicators, services) = (named("SLI"), named("Service"));
        for document in &documents {
            let mut slo = Slo { document, problems: &mut problems };
            if document.value["apiVersion"] != API_VERSION {
                let message = "not an OpenSLO v1 document".to_owned();
                slo.error(
                    &FieldPath::ROOT.field("apiVersion"),
                    message,
                    "write `apiVersion: openslo/v1`",
                );
                continue;
            }
            match document.value["kind"].as_str() {
                Some("SLO") => {
                    let service = slo.service(self, &services);
                    let Some(service) = service else { continue };
                    let objectives = slo.objectives(&service, &indicators);
                    self.scenario.objectives.extend(objectives);
                }
                Some("SLI" | "Service" | "DataSource") => {}
                kind => {
                    let message =
                        format!("{} is ignored", kind.unwrap_or("a document without a kind"));
                    slo.warn(
                        &FieldPath::ROOT.field("kind"),
                        message,
                        "only SLO, SLI and Service are read",
                    );
                }
            }
        }
        problems
    }
}

impl Slo<'_> {
    fn error(&mut self, at: &FieldPath, message: String, help: &str) {
        self.push(Diagnostic::error("openslo", message), at, help);
    }

    fn warn(&mut self, at: &FieldPath, message: String, help: &str) {
        self.push(Diagnostic::warning("openslo", message), at, help);
    }

    fn push(&mut self, problem: Diagnostic, at: &FieldPath, help: &str) {
        let problem = problem.at(self.document.place(at)).help(help);
        self.problems.push(Diagnostic { field: at.to_string(), ..problem });
    }

    /// The scenario's service: as an annotation says, or the only one of that name with traffic.
    fn service(
        &mut self,
        text: &ScenarioText,
        services: &BTreeMap<String, &Value>,
    ) -> Option<String> {
        let value = &self.document.value;
        let name = value["spec"]["service"].as_str().unwrap_or_default();
        let annotated = |value: &Value| {
            value["metadata"]["annotations"][SERVICE_ANNOTATION].as_str().map(str::to_owned)
        };
        let of_service = || services.get(name).and_then(|service| annotated(service));
        if let Some(named) = annotated(value).or_else(of_service) {
            return Some(named);
        }
        let known = text.scenario.traffic.iter().map(|traffic| traffic.service.to_string());
        let mut known: Vec<String> =
            known.chain(text.scenario.calls().map(|call| call.service.to_string())).collect();
        known.sort_unstable();
        known.dedup();
        let is_meant = |one: &&String| {
            **one == name || one.split_once('/').is_some_and(|(_, short)| short == name)
        };
        let mut meant = known.iter().filter(is_meant);
        if let (Some(only), None) = (meant.next(), meant.next()) {
            return Some(only.clone());
        }
        let message =
            format!("the service {name:?} matches none or several of the scenario's services");
        let help = format!(
            "add `metadata.annotations: {{{SERVICE_ANNOTATION}: NAMESPACE/NAME}}`; the services are {}",
            known.join(", ")
        );
        self.error(&FieldPath::ROOT.field("spec").field("service"), message, &help);
        None
    }

    /// Its objectives, converted to those of a scenario.
    fn objectives(
        &mut self,
        service: &str,
        indicators: &BTreeMap<String, &Value>,
    ) -> Vec<Objective> {
        let spec = FieldPath::ROOT.field("spec");
        let value = self.document.value["spec"].clone();
        let reference = value["indicatorRef"].as_str();
        let indicator = match reference {
            Some(name) => indicators.get(name).map(|sli| sli["spec"].clone()),
            None => value.get("indicator").map(|inline| inline["spec"].clone()),
        };
        let Some(indicator) = indicator else {
            let message = match reference {
                Some(name) => format!("there is no SLI {name}"),
                None => "the SLO has no indicator".to_owned(),
            };
            self.error(
                &spec.field("indicatorRef"),
                message,
                "add the SLI, or an inline `indicator`",
            );
            return Vec::new();
        };
        for field in ["alertPolicies", "timeWindow"] {
            if value
                .get(field)
                .is_some_and(|list| list.as_array().is_none_or(|list| !list.is_empty()))
            {
                let message = format!("{field} is ignored: objectives are evaluated over the run");
                self.warn(
                    &spec.field(field),
                    message,
                    "wavetank evaluates its own burn-rate alerts",
                );
            }
        }
        let method = value["budgetingMethod"].as_str().unwrap_or("Occurrences").to_owned();
        let list = spec.field("objectives");
        let objectives = value["objectives"].as_array().cloned().unwrap_or_default();
        let mapped = objectives.iter().enumerate().filter_map(|(index, objective)| {
            let at = list.item(index);
            let fields = if indicator.get("ratioMetric").is_some() {
                self.ratio(&at, objective, &method)
            } else if indicator.get("thresholdMetric").is_some() {
                self.threshold(&at, objective, &indicator, &method)
            } else {
                let message =
                    "an indicator without ratioMetric or thresholdMetric is not supported"
                        .to_owned();
                self.warn(&at, message, "add one of them");
                None
            }?;
            self.objective(&at, service, fields)
        });
        mapped.collect()
    }

    /// A ratio of good to total: availability by requests, or by minutes.
    fn ratio(
        &mut self,
        at: &FieldPath,
        objective: &Value,
        method: &str,
    ) -> Option<Map<String, Value>> {
        let target = self.target(at, objective)? * 100.0;
        let mut fields = Map::new();
        match method {
            "Occurrences" => drop(fields.insert("availability".to_owned(), json!(target))),
            "Timeslices" if objective["timeSliceWindow"].as_str().unwrap_or("1m") == "1m" => {
                let slice = objective["timeSliceTarget"].as_f64().map(|share| share * 100.0);
                fields.insert("availabilityByTime".to_owned(), json!(target));
                fields.extend(slice.map(|percent| ("downBelow".to_owned(), json!(percent))));
            }
            "Timeslices" => {
                let message = "only time slices of a minute are supported".to_owned();
                self.warn(&at.field("timeSliceWindow"), message, "write 1m");
                return None;
            }
            other => {
                let message = format!("the budgeting method {other} is not supported");
                self.warn(at, message, "use Occurrences, or Timeslices of a minute");
                return None;
            }
        }
        Some(fields)
    }

    /// A latency threshold for a share of the requests: a quantile.
    fn threshold(
        &mut self,
        at: &FieldPath,
        objective: &Value,
        indicator: &Value,
        method: &str,
    ) -> Option<Map<String, Value>> {
        if method != "Occurrences" {
            let message =
                format!("a threshold with the budgeting method {method} is not supported");
            self.warn(at, message, "use Occurrences");
            return None;
        }
        let op = objective["op"].as_str().unwrap_or_default();
        if !["lte", "lt"].contains(&op) {
            let message =
                format!("the operator {op:?} is not supported: a latency limit is an upper bound");
            self.warn(&at.field("op"), message, "write lte or lt");
            return None;
        }
        let target = self.target(at, objective)?;
        let Some((quantile, _)) =
            QUANTILES.into_iter().find(|(_, share)| (share - target).abs() < 1e-9)
        else {
            let message = format!("{} % is not a supported quantile", target * 100.0);
            self.warn(&at.field("target"), message, "use 50, 90, 95, 99 or 99.9 %");
            return None;
        };
        let value = objective["value"].as_f64().filter(|value| *value > 0.0)?;
        let unit = self.document.value["metadata"]["annotations"][UNIT_ANNOTATION].as_str();
        let query = indicator["thresholdMetric"].to_string();
        let seconds = match unit {
            Some("ms") => value / 1e3,
            Some("s") => value,
            None if query.contains("_seconds") => value,
            None if query.contains("_milliseconds") || query.contains("_ms") => value / 1e3,
            _ => {
                let message =
                    "the unit of the value is unknown: seconds or milliseconds".to_owned();
                let help = format!("add `metadata.annotations: {{{UNIT_ANNOTATION}: ms}}`, or `s`");
                self.warn(&at.field("value"), message, &help);
                return None;
            }
        };
        let limit = SimDuration::from_secs_f64(seconds);
        let latency = json!({ quantile: format!("{}ns", limit.as_nanos()) });
        Some(Map::from_iter([("latency".to_owned(), latency)]))
    }

    fn target(&mut self, at: &FieldPath, objective: &Value) -> Option<f64> {
        let percent = objective["targetPercent"].as_f64().map(|percent| percent / 100.0);
        let target = objective["target"].as_f64().or(percent);
        let target = target.filter(|share| (0.0..=1.0).contains(share));
        if target.is_none() {
            let message = "the objective has no target between 0 and 1".to_owned();
            self.error(
                &at.field("target"),
                message,
                "write `target: 0.999`, or `targetPercent: 99.9`",
            );
        }
        target
    }

    fn objective(
        &mut self,
        at: &FieldPath,
        service: &str,
        mut fields: Map<String, Value>,
    ) -> Option<Objective> {
        fields.insert("service".to_owned(), json!(service));
        match serde_json::from_value(Value::Object(fields)) {
            Ok(objective) => Some(objective),
            Err(error) => {
                self.error(
                    at,
                    format!("not a valid objective: {error}"),
                    "write it in the scenario's `objectives`",
                );
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENARIO: &str = "
apiVersion: wavetank/v1
kind: Scenario
name: slos
duration: 1h
traffic:
  - {service: shop/web, load: {pattern: constant, rps: 1}}
";

    /// The SLO of the specification's README, with a service of the scenario.
    fn slo(indicator: &str, objective: &str, method: &str) -> String {
        format!(
            "
apiVersion: openslo/v1
kind: SLO
metadata: {{name: web-slo}}
spec:
  service: web
  indicator: {{metadata: {{name: sli}}, spec: {indicator}}}
  budgetingMethod: {method}
  objectives: [{objective}]
"
        )
    }

    fn taken(slo: &str) -> (Vec<Objective>, String) {
        let mut text = ScenarioText::parse(&Source::new("scenario.yaml", SCENARIO), &[]).unwrap();
        let problems = text.take_slos(&[Source::new("slo.yaml", slo)]);
        (text.scenario.objectives, problems.to_string())
    }

    fn objective(json: Value) -> Objective {
        serde_json::from_value(json).unwrap()
    }

    const RATIO: &str = "{ratioMetric: {counter: true, good: {}, total: {}}}";
    const SECONDS: &str =
        "{thresholdMetric: {metricSource: {spec: {query: http_request_duration_seconds}}}}";

    #[test]
    fn a_ratio_is_an_availability() {
        let (objectives, problems) = taken(&slo(RATIO, "{target: 0.999}", "Occurrences"));
        assert_eq!(objectives, [objective(json!({"service": "shop/web", "availability": 99.9}))]);
        assert_eq!(problems, "");
        let minutes = "{target: 0.99, timeSliceTarget: 0.9, timeSliceWindow: 1m}";
        let (objectives, _) = taken(&slo(RATIO, minutes, "Timeslices"));
        let by_time = json!({"service": "shop/web", "availabilityByTime": 99.0, "downBelow": 90.0});
        assert_eq!(objectives, [objective(by_time)]);
    }

    #[test]
    fn a_threshold_is_a_quantile_of_the_latency() {
        let (objectives, problems) =
            taken(&slo(SECONDS, "{op: lte, value: 0.3, target: 0.95}", "Occurrences"));
        let expected = json!({"service": "shop/web", "latency": {"p95": "300ms"}});
        assert_eq!((objectives, problems.as_str()), (vec![objective(expected)], ""));
    }

    #[test]
    fn what_cannot_be_mapped_is_named() {
        for (indicator, one, method, words) in [
            (
                SECONDS,
                "{op: gte, value: 1, target: 0.95}",
                "Occurrences",
                "the operator \"gte\" is not supported",
            ),
            (
                SECONDS,
                "{op: lte, value: 1, target: 0.97}",
                "Occurrences",
                "97 % is not a supported quantile",
            ),
            (
                "{thresholdMetric: {}}",
                "{op: lte, value: 1, target: 0.95}",
                "Occurrences",
                "seconds or milliseconds",
            ),
            (RATIO, "{target: 0.9}", "RatioTimeslices", "RatioTimeslices is not supported"),
            (RATIO, "{}", "Occurrences", "no target"),
            ("{}", "{target: 0.9}", "Occurrences", "without ratioMetric or thresholdMetric"),
        ] {
            let (objectives, problems) = taken(&slo(indicator, one, method));
            assert!(objectives.is_empty() && problems.contains(words), "{words}: {problems}");
        }
        let other =
            slo(RATIO, "{target: 0.9}", "Occurrences").replace("service: web", "service: db");
        assert!(taken(&other).1.contains("the service \"db\" matches none"));
    }
}
