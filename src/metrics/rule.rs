//! The custom and external metrics of a scenario: under which name an adapter serves which measure of
//! the traffic. A further measure is a variant here, and an arm in `sim::adapter`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::{Name, ServiceReference};

/// One metric of the custom and external metrics APIs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricRule {
    /// Its name, as HPAs ask for it, or as it stands in the query of a KEDA trigger; for a KEDA trigger
    /// on a queue, the queue's name.
    pub name: Name,
    /// What it is.
    pub measure: Measure,
    /// The Service whose traffic is measured, as namespace/name: each of its pods for metrics of type
    /// Pods, all of it for types Object and External.
    pub service: ServiceReference,
    /// Labels by which the selector of a metric can ask for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Name, Name>,
}

/// What can be measured of the traffic.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Measure {
    /// rate(requests): of a Service, those that no pod takes included.
    RequestsPerSecond,
    /// Requests in the pods, queued ones included.
    Concurrency,
    /// Requests that wait in the pods.
    QueueDepth,
    /// 95 % of the answers in the rate's window took at most this many seconds, by histogram_quantile
    /// over the usual buckets. Of a Service alone.
    LatencyP95,
}

/// How a measure is read from what is scraped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It is the rate of a counter.
    Rate,
    /// It is the last value of a gauge.
    Gauge,
    /// It is a quantile over the rates of a histogram's cells.
    Quantile,
}

impl Measure {
    /// How it is read.
    pub const fn reading(self) -> Reading {
        match self {
            Self::RequestsPerSecond => Reading::Rate,
            Self::Concurrency | Self::QueueDepth => Reading::Gauge,
            Self::LatencyP95 => Reading::Quantile,
        }
    }
}
