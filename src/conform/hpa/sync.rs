//! One sync, with the inputs that the controller collects.

use serde::Deserialize;
use serde_json::Value;

use super::pods::Pod;
use super::readings::Reading;
use cluster::hpa::HpaSpec;
use cluster::hpa_status::HpaStatus;
use cluster::meta::Name;
use cluster::pod_template::PodSpec;
use cluster::selector::Selector;
use controllers::hpa::{
    Decision, HpaHistory, HpaInputs, HpaSettings, HpaView, ObservedPod, ObservedScale,
    ScaleSelector, reconcile,
};
use engine::SimTime;

/// The scale subresource.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Scale {
    pub(super) spec_replicas: i32,
    pub(super) status_replicas: i32,
    /// Absent = the selector of the workload.
    pub(super) selector: Option<String>,
    pub(super) get_error: Flag,
    pub(super) update_error: Flag,
}

/// A boolean that may also be written as a string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Value")]
pub(super) struct Flag(pub(super) bool);

impl From<Value> for Flag {
    fn from(value: Value) -> Self {
        Self(!matches!(value, Value::Null | Value::Bool(false)))
    }
}

/// The inputs of a sync.
pub(super) struct Sync<'a> {
    pub(super) namespace: &'a str,
    pub(super) settings: &'a HpaSettings,
    pub(super) spec: &'a HpaSpec,
    pub(super) status: &'a HpaStatus,
    pub(super) scale: Option<&'a Scale>,
    /// The selector of the workload.
    pub(super) selector: &'a str,
    /// True if another HPA selects the same pods.
    pub(super) has_rival: bool,
    pub(super) write_fails: bool,
    pub(super) pods: &'a [Pod],
    pub(super) templates: &'a [PodSpec],
    /// The answers of the metrics APIs, in the order of the spec's metrics.
    pub(super) readings: &'a [Reading],
    pub(super) now: SimTime,
}

impl Sync<'_> {
    /// Runs the whole sync.
    pub(super) fn reconcile(&self, history: &mut HpaHistory) -> Decision {
        self.with_inputs(|inputs| reconcile(inputs, history, self.now))
    }

    /// Calls `decide` with these inputs.
    pub(super) fn with_inputs<T>(&self, decide: impl FnOnce(&HpaInputs<'_>) -> T) -> T {
        let error = Name::from("the API server says no");
        let pods: Vec<ObservedPod> = self.pods.iter().map(Pod::observed).collect();
        let templates: Vec<&PodSpec> = self.templates.iter().collect();
        let metrics: Vec<_> = self.readings.iter().map(Reading::as_input).collect();
        let scale = self.scale.filter(|scale| !scale.get_error.0);
        let selector = scale.and_then(|scale| scale.selector.as_deref()).unwrap_or(self.selector);
        let unparsable =
            selector.parse::<Selector>().err().map(|error| Name::from(error.to_string()));
        let rival = Name::from("another one");
        let selector = match &unparsable {
            _ if selector.is_empty() => ScaleSelector::Missing,
            Some(error) => ScaleSelector::Invalid(error),
            None if self.has_rival && !pods.is_empty() => ScaleSelector::Ambiguous(&rival),
            None => ScaleSelector::Unique,
        };
        let scale = scale.map(|scale| ObservedScale {
            spec_replicas: scale.spec_replicas,
            status_replicas: scale.status_replicas,
            selector,
        });
        let name = |index: usize| -> Name {
            let name = self.pods[index].name.as_str();
            if name.is_empty() { format!("group {index}").into() } else { name.into() }
        };
        decide(&HpaInputs {
            hpa: HpaView {
                namespace: self.namespace,
                spec: self.spec,
                status: self.status,
                settings: self.settings,
            },
            scale: scale.ok_or(&error),
            scale_write: if self.write_fails { Err(&error) } else { Ok(()) },
            pods: &pods,
            templates: &templates,
            metrics: &metrics,
            pod_name: &name,
        })
    }
}
