//! What a scenario demands of a run: latency, availability, cost.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use cluster::ServiceReference;
use engine::SimDuration;

/// One entry of `objectives`: limits for one service, or for the bill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ObjectiveFields", untagged)]
pub enum Objective {
    /// Limits for one service.
    Service(Box<ServiceObjective>),
    /// Limits for the bill.
    Cost(CostObjective),
}

/// Limits for the requests to one service after the warm-up.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceObjective {
    /// Which service.
    pub service: ServiceReference,
    /// Which class of its requests; absent = all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Upper limits of the latency.
    #[serde(skip_serializing_if = "LatencyObjective::is_empty")]
    pub latency: LatencyObjective,
    /// Upper limits of the time to the first token of a language model.
    #[serde(skip_serializing_if = "LatencyObjective::is_empty")]
    pub time_to_first_token: LatencyObjective,
    /// Upper limits of the time per token after the first.
    #[serde(skip_serializing_if = "LatencyObjective::is_empty")]
    pub time_per_output_token: LatencyObjective,
    /// Lower limit of answered over finished requests, percent.
    pub availability: Option<f64>,
    /// Lower limit of the share of time in which the service is not down, percent.
    pub availability_by_time: Option<f64>,
    /// A minute in which a smaller share of the requests is answered counts as down, percent.
    #[serde(skip_serializing_if = "is_default_down_below")]
    pub down_below: f64,
    /// Lower limit of the share of minutes that hold all limits of this entry by themselves, percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good_minutes: Option<f64>,
    /// Whether a failed request is slower than any limit.
    #[serde(skip_serializing_if = "is_true")]
    pub count_failures: bool,
}

/// A minute in which fewer of the requests are answered counts as down, in percent: what the service-level agreements of
/// cloud load balancers call an error rate above 5 %.
pub const DOWN_BELOW: f64 = 95.0;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default_down_below(percent: &f64) -> bool {
    percent.total_cmp(&DOWN_BELOW).is_eq()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_true(value: &bool) -> bool {
    *value
}

/// Upper limits of latency figures. Unless `countFailures` is false, a request that failed is slower than any limit of
/// a quantile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LatencyObjective {
    /// Arithmetic mean, of answered requests alone.
    pub mean: Option<SimDuration>,
    /// Half of the requests are answered within this time.
    pub p50: Option<SimDuration>,
    /// 90 % of the requests are answered within this time.
    pub p90: Option<SimDuration>,
    /// 95 % of the requests are answered within this time.
    pub p95: Option<SimDuration>,
    /// 99 % of the requests are answered within this time.
    pub p99: Option<SimDuration>,
    /// 99.9 % of the requests are answered within this time.
    pub p999: Option<SimDuration>,
    /// Every request is answered within this time.
    pub max: Option<SimDuration>,
}

/// Upper limits of what the cluster costs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CostObjective {
    /// US dollars per month of 730 hours, scaled from the run.
    pub cost_per_month: Option<f64>,
    /// US dollars per million answered requests of all services.
    pub cost_per_million_requests: Option<f64>,
}

/// What is demanded: either of a `service` (latency, availability), or of the bill (costPerMonth,
/// costPerMillionRequests).
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Objective")]
struct ObjectiveFields {
    /// The service, as namespace/name. Latency and availability are those of its requests after the
    /// warm-up.
    service: Option<ServiceReference>,
    /// The class of its requests that latency and availability are those of. Default: all requests.
    class: Option<String>,
    /// Upper limits of the latency, such as {p95: 300ms, p99: 1s}.
    latency: Option<LatencyObjective>,
    /// Upper limits of the time to the first token (TTFT) of a language model, such as {p95: 2s}.
    time_to_first_token: Option<LatencyObjective>,
    /// Upper limits of the time per token after the first (TPOT), such as {p95: 50ms}.
    time_per_output_token: Option<LatencyObjective>,
    /// Lower limit of answered requests among all that ended, in percent, such as 99.9.
    #[schemars(range(min = 0, max = 100))]
    availability: Option<f64>,
    /// Lower limit of the time in which the service is not down, in percent. It is down while no ready pod can be
    /// reached, and for each whole minute in which too few of the requests are answered (`downBelow`).
    #[schemars(range(min = 0, max = 100))]
    availability_by_time: Option<f64>,
    /// A minute in which fewer of the requests that end are answered counts as down, in percent. 0 looks at endpoints
    /// alone. Default 95.
    #[schemars(range(min = 0, max = 100))]
    down_below: Option<f64>,
    /// Lower limit of the minutes that hold the limits of latency and availability of this entry by themselves, in
    /// percent of the minutes with requests, such as 99. A quantile of a whole day can hide a bad hour.
    #[schemars(range(min = 0, max = 100))]
    good_minutes: Option<f64>,
    /// Whether a failed request counts as slower than any limit of `latency` and `timeToFirstToken`, their means
    /// excepted; else they look at answered requests alone. Default true.
    count_failures: Option<bool>,
    /// Upper limit of the bill, nodes and what comes beside them, in US dollars per month of 730 hours.
    #[schemars(range(min = 0))]
    cost_per_month: Option<f64>,
    /// Upper limit of the bill per million answered requests, in US dollars.
    #[schemars(range(min = 0))]
    cost_per_million_requests: Option<f64>,
}

impl LatencyObjective {
    /// The limits that are set, by the name of the figure.
    pub fn limits(&self) -> impl Iterator<Item = (&'static str, SimDuration)> {
        [
            ("mean", self.mean),
            ("p50", self.p50),
            ("p90", self.p90),
            ("p95", self.p95),
            ("p99", self.p99),
            ("p999", self.p999),
            ("max", self.max),
        ]
        .into_iter()
        .filter_map(|(name, limit)| Some((name, limit?)))
    }

    /// Whether no limit is set.
    pub fn is_empty(&self) -> bool {
        self.limits().next().is_none()
    }
}

impl TryFrom<ObjectiveFields> for Objective {
    type Error = &'static str;

    fn try_from(fields: ObjectiveFields) -> Result<Self, Self::Error> {
        let latency = fields.latency.unwrap_or_default();
        let time_to_first_token = fields.time_to_first_token.unwrap_or_default();
        let time_per_output_token = fields.time_per_output_token.unwrap_or_default();
        let of_service = [latency, time_to_first_token, time_per_output_token]
            .iter()
            .any(|limits| !limits.is_empty())
            || fields.availability.is_some()
            || fields.availability_by_time.is_some();
        let is_of_pods = !time_to_first_token.is_empty()
            || !time_per_output_token.is_empty()
            || fields.availability_by_time.is_some()
            || fields.down_below.is_some();
        let is_windowed = fields.good_minutes.is_some();
        let of_cost = fields.cost_per_month.is_some() || fields.cost_per_million_requests.is_some();
        match fields.service {
            Some(_) if fields.class.is_some() && is_of_pods => Err(
                "a class has `latency`, `availability`, `goodMinutes`; tokens and the time without endpoints are \
                     those of the service: write them as an entry of their own, without `class`",
            ),
            None if fields.class.is_some() => {
                Err("a class is one of the requests to a service; add `service: NAMESPACE/NAME`")
            }
            Some(_) if of_cost => {
                Err("costs are those of the whole cluster; write them as an entry \
                                       of their own, without `service`")
            }
            Some(service) if of_service => Ok(Self::Service(Box::new(ServiceObjective {
                service,
                class: fields.class,
                latency,
                time_to_first_token,
                time_per_output_token,
                availability: fields.availability,
                availability_by_time: fields.availability_by_time,
                down_below: fields.down_below.unwrap_or(DOWN_BELOW),
                good_minutes: fields.good_minutes,
                count_failures: fields.count_failures.unwrap_or(true),
            }))),
            Some(_) if is_windowed => {
                Err("`goodMinutes` needs limits for each minute; add `latency` such as \
                     {p95: 300ms}, or `availability` in percent")
            }
            Some(_) => {
                Err("nothing is demanded of the service; add `latency` such as {p95: 300ms}, \
                            or `availability` in percent")
            }
            None if of_service => {
                Err("latency and availability are those of a service; add `service: \
                                       NAMESPACE/NAME`")
            }
            None if of_cost => Ok(Self::Cost(CostObjective {
                cost_per_month: fields.cost_per_month,
                cost_per_million_requests: fields.cost_per_million_requests,
            })),
            None => {
                Err("nothing is demanded; write `service` with `latency` or `availability`, or \
                         `costPerMonth`")
            }
        }
    }
}

impl JsonSchema for Objective {
    fn schema_name() -> Cow<'static, str> {
        ObjectiveFields::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        ObjectiveFields::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::drop_empty_fields;
    use serde_json::json;

    #[test]
    fn objectives_read_back_as_they_are_written() {
        for objective in [
            json!({"service": "shop/web", "latency": {"p95": "2s", "p99": "5s"}, "availability": 99.9}),
            json!({"service": "shop/web", "availabilityByTime": 99.95}),
            json!({"service": "llm/chat", "timeToFirstToken": {"p95": "2s"},
                   "timePerOutputToken": {"p95": "50ms"}}),
            json!({"service": "shop/web", "latency": {"p95": "2s"}, "availabilityByTime": 99.0,
                   "downBelow": 50.0, "goodMinutes": 99.0, "countFailures": false}),
            json!({"service": "shop/web", "class": "checkout", "latency": {"p95": "2s"}}),
            json!({"costPerMonth": 300.0}),
        ] {
            let typed: Objective =
                serde_json::from_value(objective.clone()).expect("a valid objective");
            let mut written = serde_json::to_value(typed).expect("serialises");
            drop_empty_fields(&mut written);
            assert_eq!(written, objective);
        }
    }

    #[test]
    fn an_objective_demands_something_of_a_service_or_of_the_bill() {
        for (objective, says) in [
            (json!({"service": "shop/web"}), "nothing is demanded of the service"),
            (json!({"service": "shop/web", "goodMinutes": 99}), "needs limits for each minute"),
            (json!({"latency": {"p95": "2s"}}), "add `service"),
            (json!({"class": "checkout", "latency": {"p95": "2s"}}), "add `service"),
            (
                json!({"service": "shop/web", "class": "checkout", "availabilityByTime": 99}),
                "without `class`",
            ),
            (json!({"service": "shop/web", "costPerMonth": 3}), "an entry of their own"),
            (json!({}), "nothing is demanded;"),
        ] {
            let error = serde_json::from_value::<Objective>(objective).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
