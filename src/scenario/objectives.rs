//! The objectives of a scenario: latency, availability, cost.

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
    /// The service.
    pub service: ServiceReference,
    /// The request class; absent means all requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Upper limits of the latency.
    #[serde(skip_serializing_if = "LatencyObjective::is_empty")]
    pub latency: LatencyObjective,
    /// Upper limits of the time to first token (TTFT) of a language model.
    #[serde(skip_serializing_if = "LatencyObjective::is_empty")]
    pub time_to_first_token: LatencyObjective,
    /// Upper limits of the time per output token after the first (TPOT).
    #[serde(skip_serializing_if = "LatencyObjective::is_empty")]
    pub time_per_output_token: LatencyObjective,
    /// Least share of finished requests that are answered, in percent.
    pub availability: Option<f64>,
    /// Least share of time in which the service is not down, in percent.
    pub availability_by_time: Option<f64>,
    /// Least user-uptime, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability_by_user: Option<f64>,
    /// Least user-uptime of every window of some lengths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windowed_by_user: Vec<WindowObjective>,
    /// Time after a request for which its user counts as there; absent for the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_cutoff: Option<SimDuration>,
    /// A minute with a smaller share of answered requests counts as down, in percent.
    #[serde(skip_serializing_if = "is_default_down_below")]
    pub down_below: f64,
    /// Least share of minutes that individually meet the latency and availability limits of this entry, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good_minutes: Option<f64>,
    /// True if a failed request counts as slower than any limit.
    #[serde(skip_serializing_if = "is_true")]
    pub count_failures: bool,
}

/// Default threshold below which a minute counts as down, in percent of answered requests: the 5 % error rate used by
/// the service-level agreements of cloud load balancers.
pub const DOWN_BELOW: f64 = 95.0;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default_down_below(percent: &f64) -> bool {
    percent.total_cmp(&DOWN_BELOW).is_eq()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_true(value: &bool) -> bool {
    *value
}

/// Least user-uptime of every window of a length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WindowObjective {
    /// Length of the window, in whole minutes, such as 1h.
    pub window: SimDuration,
    /// Least user-uptime of the worst window, in percent.
    #[schemars(range(min = 0, max = 100))]
    pub availability: f64,
}

/// Upper limits of latency figures. Unless `countFailures` is false, a failed request counts as slower than any
/// quantile limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LatencyObjective {
    /// Arithmetic mean of answered requests only.
    pub mean: Option<SimDuration>,
    /// Median: half of the requests are answered within this time.
    pub p50: Option<SimDuration>,
    /// 90 % of the requests are answered within this time.
    pub p90: Option<SimDuration>,
    /// 95 % of the requests are answered within this time.
    pub p95: Option<SimDuration>,
    /// 99 % of the requests are answered within this time.
    pub p99: Option<SimDuration>,
    /// 99.9 % of the requests are answered within this time.
    pub p999: Option<SimDuration>,
    /// Maximum: every request is answered within this time.
    pub max: Option<SimDuration>,
}

/// Upper limits of the cluster's cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CostObjective {
    /// US dollars per month of 730 hours, extrapolated from the run.
    pub cost_per_month: Option<f64>,
    /// US dollars per million answered requests of all services.
    pub cost_per_million_requests: Option<f64>,
}

/// An objective, either for a `service` (latency, availability) or for the bill (costPerMonth, costPerMillionRequests).
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "Objective")]
struct ObjectiveFields {
    /// The service, as namespace/name. Latency and availability are measured over its requests after the warm-up.
    service: Option<ServiceReference>,
    /// The request class that latency and availability are measured for. Default: all requests.
    class: Option<String>,
    /// Upper limits of the latency, such as {p95: 300ms, p99: 1s}.
    latency: Option<LatencyObjective>,
    /// Upper limits of the time to first token (TTFT) of a language model, such as {p95: 2s}.
    time_to_first_token: Option<LatencyObjective>,
    /// Upper limits of the time per output token after the first (TPOT), such as {p95: 50ms}.
    time_per_output_token: Option<LatencyObjective>,
    /// Least share of finished requests that are answered, in percent, such as 99.9.
    #[schemars(range(min = 0, max = 100))]
    availability: Option<f64>,
    /// Least share of time in which the service is not down, in percent. It is down while no ready pod is reachable,
    /// and for each whole minute with too small a share of answered requests (`downBelow`).
    #[schemars(range(min = 0, max = 100))]
    availability_by_time: Option<f64>,
    /// Least user-uptime, in percent: the time for which the last request of a user was answered, over all time that
    /// users are there. Users are known where a trace has a `session` or `user` column, and in a closed loop.
    #[schemars(range(min = 0, max = 100))]
    availability_by_user: Option<f64>,
    /// Least user-uptime of the worst window of some lengths, such as [{window: 1h, availability: 99}] (windowed
    /// user-uptime).
    windowed_by_user: Option<Vec<WindowObjective>>,
    /// Time after a request for which its user counts as there, in the user-uptime. Default 30m.
    user_cutoff: Option<SimDuration>,
    /// A minute in which a smaller share of the finished requests is answered counts as down, in percent. With 0, only
    /// reachable endpoints count. Default 95.
    #[schemars(range(min = 0, max = 100))]
    down_below: Option<f64>,
    /// Least share of minutes that individually meet the latency and availability limits of this entry, in percent of
    /// the minutes with requests, such as 99. A quantile over a whole day can hide a bad hour.
    #[schemars(range(min = 0, max = 100))]
    good_minutes: Option<f64>,
    /// True if a failed request counts as slower than any limit of `latency` and `timeToFirstToken`, except in their
    /// means; false if they cover answered requests only. Default true.
    count_failures: Option<bool>,
    /// Upper limit of the bill, nodes and other items, in US dollars per month of 730 hours.
    #[schemars(range(min = 0))]
    cost_per_month: Option<f64>,
    /// Upper limit of the bill per million answered requests, in US dollars.
    #[schemars(range(min = 0))]
    cost_per_million_requests: Option<f64>,
}

impl LatencyObjective {
    /// The limits that are set, by figure.
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

    /// True if no limit is set.
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
            || fields.availability_by_time.is_some()
            || fields.availability_by_user.is_some()
            || fields.windowed_by_user.is_some();
        let is_of_pods = !time_to_first_token.is_empty()
            || !time_per_output_token.is_empty()
            || fields.availability_by_time.is_some()
            || fields.availability_by_user.is_some()
            || fields.windowed_by_user.is_some()
            || fields.down_below.is_some();
        let is_windowed = fields.good_minutes.is_some();
        let of_cost = fields.cost_per_month.is_some() || fields.cost_per_million_requests.is_some();
        match fields.service {
            Some(_) if fields.class.is_some() && is_of_pods => Err(
                "a class can have `latency`, `availability` and `goodMinutes`; put objectives on tokens, users and \
                 availability by time into an entry without `class`",
            ),
            None if fields.class.is_some() => {
                Err("a class belongs to a service; add `service: NAMESPACE/NAME`")
            }
            Some(_) if of_cost => {
                Err("costs apply to the whole cluster; put them into an entry without `service`")
            }
            Some(service) if of_service => Ok(Self::Service(Box::new(ServiceObjective {
                service,
                class: fields.class,
                latency,
                time_to_first_token,
                time_per_output_token,
                availability: fields.availability,
                availability_by_time: fields.availability_by_time,
                availability_by_user: fields.availability_by_user,
                windowed_by_user: fields.windowed_by_user.unwrap_or_default(),
                user_cutoff: fields.user_cutoff,
                down_below: fields.down_below.unwrap_or(DOWN_BELOW),
                good_minutes: fields.good_minutes,
                count_failures: fields.count_failures.unwrap_or(true),
            }))),
            Some(_) if is_windowed => {
                Err("`goodMinutes` needs limits for each minute; add `latency` such as \
                     {p95: 300ms}, or `availability` in percent")
            }
            Some(_) => Err(
                "the entry has no objective for the service; add `latency` such as {p95: 300ms}, or `availability` in percent",
            ),
            None if of_service => {
                Err("latency and availability belong to a service; add `service: NAMESPACE/NAME`")
            }
            None if of_cost => Ok(Self::Cost(CostObjective {
                cost_per_month: fields.cost_per_month,
                cost_per_million_requests: fields.cost_per_million_requests,
            })),
            None => Err(
                "the entry has no objective; write `service` with `latency` or `availability`, or `costPerMonth`",
            ),
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
            json!({"service": "shop/web", "availabilityByUser": 99.9, "userCutoff": "10m",
                   "windowedByUser": [{"window": "1h", "availability": 99.0}]}),
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
            (json!({"service": "shop/web"}), "the entry has no objective for the service"),
            (json!({"service": "shop/web", "goodMinutes": 99}), "needs limits for each minute"),
            (json!({"latency": {"p95": "2s"}}), "add `service"),
            (json!({"class": "checkout", "latency": {"p95": "2s"}}), "add `service"),
            (
                json!({"service": "shop/web", "class": "checkout", "availabilityByTime": 99}),
                "without `class`",
            ),
            (json!({"service": "shop/web", "costPerMonth": 3}), "an entry without `service`"),
            (json!({}), "the entry has no objective;"),
        ] {
            let error = serde_json::from_value::<Objective>(objective).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
