//! The events of a replay in the form of the golden data.

use serde_json::{Map, Value, json};

use engine::{SimDuration, SimTime};

/// Timeline and pod events of a replay.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    /// Settled states, one for each instant at which something changed.
    pub(super) timeline: Vec<Value>,
    /// `[t, event, owner, ordinal, extra]`.
    pub(super) pods: Vec<Value>,
    /// Outcomes of the requests that the recording lists.
    pub(super) results: Vec<Value>,
    /// `[t, node, Ready status, reason, taints]`.
    pub(super) node_events: Vec<Value>,
    last: Value,
}

impl Trace {
    /// Records a pod event.
    pub(super) fn pod_event(
        &mut self,
        now: SimTime,
        event: &str,
        owner: &str,
        ordinal: usize,
        extra: &Value,
    ) {
        self.pods.push(json!([rounded(now), event, owner, ordinal, extra]));
    }

    /// Records a new status of a pod. Several status writes at one instant count as one, unless another event comes
    /// between them.
    pub(super) fn pod_status(&mut self, now: SimTime, owner: &str, ordinal: usize, status: &str) {
        let event = json!([rounded(now), "status", owner, ordinal, status]);
        match self.pods.last_mut() {
            Some(last) if (0..4).all(|field| last[field] == event[field]) => *last = event,
            _ => self.pods.push(event),
        }
    }

    /// Records a new state of a node.
    pub(super) fn node_event(&mut self, now: SimTime, mut state: Value) {
        if let Some(fields) = state.as_array_mut() {
            fields.insert(0, json!(rounded(now)));
        }
        self.node_events.push(state);
    }

    /// Records whether a pod creation was accepted or refused, with one entry per instant.
    pub(super) fn creation(&mut self, now: SimTime, is_accepted: bool) {
        let time = json!(now.as_secs_f64());
        if self.results.last().is_none_or(|last| last[0] != time) {
            self.results.push(json!([time, 0, 0]));
        }
        if let Some(last) = self.results.last_mut() {
            let count = &mut last[if is_accepted { 1 } else { 2 }];
            *count = json!(count.as_u64().unwrap_or(0) + 1);
        }
    }

    /// Records the state at the end of an instant, if it has changed.
    pub(super) fn settled(&mut self, now: SimTime, state: Map<String, Value>) {
        let state = Value::Object(state);
        if state == self.last || (self.last.is_null() && state == json!({})) {
            return;
        }
        let mut record = state.clone();
        record["t"] = json!(rounded(now));
        self.last = state;
        // Controller loops take some time: changes within one tenth of a second are one record.
        match self.timeline.last_mut() {
            Some(last) if last["t"] == record["t"] => *last = record,
            _ => self.timeline.push(record),
        }
    }
}

/// Seconds, rounded down to a tenth if at most 50 ms above it: hides retries after conflicts.
pub(super) fn rounded(time: SimTime) -> f64 {
    let tenth = SimDuration::from_millis(100).as_nanos();
    let above = time.as_nanos().rem_euclid(tenth);
    if above <= SimDuration::from_millis(50).as_nanos() {
        (time - SimDuration::from_nanos(above)).as_secs_f64()
    } else {
        time.as_secs_f64()
    }
}
