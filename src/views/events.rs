//! `kubectl events` and `kubectl get events`, with equal events aggregated. Actions of the scenario itself are not
//! events, as the API server never gets to know of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::age::age;
use super::columns::Columns;
use super::get::{Scope, Snapshot};
use super::object::time;
use super::selection::Selection;
use cluster::Kind;
use cluster::assigned::uid_text;
use engine::SimTime;
use record::LogLine;

/// Log actors that are not components of the cluster.
const OUTSIDE: [&str; 2] = ["user", "scenario"];

/// Equal events, aggregated as in the API server's event series.
pub(super) struct Series<'a> {
    pub(super) first: &'a LogLine,
    last: SimTime,
    count: usize,
}

impl Series<'_> {
    pub(super) const fn kind(&self) -> &'static str {
        if self.first.is_warning { "Warning" } else { "Normal" }
    }

    /// `5s`, or `5s (x3 over 2m)`.
    pub(super) fn interval(&self, now: SimTime) -> String {
        match self.count {
            1 => age(now, self.last),
            count => format!("{} (x{count} over {})", age(now, self.last), age(now, self.first.at)),
        }
    }

    /// The message worded as by the kubelet, with container and pod.
    fn message(&self, snapshot: Snapshot<'_>) -> String {
        let line = self.first;
        match (line.actor, line.reason, self.container(snapshot)) {
            ("kubelet", "BackOff", Some((container, uid))) => {
                let id = &line.object;
                format!(
                    "Back-off restarting failed container {container} in pod {}_{}({uid})",
                    id.name, id.namespace
                )
            }
            _ => line.message.trim().to_owned(),
        }
    }

    /// The message in `describe`: prefixed with its container.
    pub(super) fn described(&self, snapshot: Snapshot<'_>) -> String {
        let message = self.message(snapshot);
        match self.container(snapshot) {
            Some((container, _)) => format!("spec.containers{{{container}}}: {message}"),
            None => message,
        }
    }

    /// The container of a kubelet's event, with its pod's UID: only known if the pod has a single container.
    fn container(&self, snapshot: Snapshot<'_>) -> Option<(String, String)> {
        let line = self.first;
        let is_of_container = matches!(line.reason, "BackOff" | "Failed" | "Unhealthy" | "Killing");
        if line.actor != "kubelet" || line.kind != Kind::Pod || !is_of_container {
            return None;
        }
        let store = snapshot.view.store();
        let pod = store.pods().get(snapshot.view.pod_named(&line.object)?)?;
        let [only] = store.template_of(pod).spec.containers.as_slice() else { return None };
        Some((only.name.to_string(), uid_text(pod.uid)))
    }

    /// The Event of the API.
    fn object(&self, snapshot: Snapshot<'_>) -> Value {
        let line = self.first;
        let [first, last] = [line.at, self.last].map(|at| time(snapshot.view, at));
        let mut involved = json!({
            "apiVersion": line.kind.api_version(),
            "kind": line.kind.name(),
            "name": &*line.object.name,
        });
        if !line.object.namespace.is_empty() {
            involved["namespace"] = (&*line.object.namespace).into();
        }
        if let Some((container, _)) = self.container(snapshot) {
            involved["fieldPath"] = format!("spec.containers{{{container}}}").into();
        }
        json!({
            "apiVersion": "v1",
            "count": self.count,
            "eventTime": null,
            "firstTimestamp": first,
            "involvedObject": involved,
            "kind": "Event",
            "lastTimestamp": last,
            "message": self.message(snapshot),
            "metadata": {
                "creationTimestamp": first,
                "name": event_name(self),
                "namespace": event_namespace(line),
            },
            "reason": line.reason,
            "reportingComponent": line.actor,
            "reportingInstance": "",
            "source": { "component": line.actor },
            "type": self.kind(),
        })
    }
}

/// The events of the scope's namespace and object, as objects.
pub fn event_objects(
    snapshot: Snapshot<'_>,
    log: &[LogLine],
    scope: &Scope,
    selection: &Selection,
) -> Result<Vec<Value>, String> {
    let series = event_list(snapshot, log, scope, selection)?;
    Ok(series.iter().map(|one| one.object(snapshot)).collect())
}

/// The events that `kubectl get` lists, in kubectl's order.
fn event_list<'a>(
    snapshot: Snapshot<'_>,
    log: &'a [LogLine],
    scope: &Scope,
    selection: &Selection,
) -> Result<Vec<Series<'a>>, String> {
    selection.check(Kind::Event, scope)?;
    let mut series = event_table(log, scope);
    series.sort_by_cached_key(|one| (event_namespace(one.first).to_owned(), event_name(one)));
    if selection.is_all() {
        return Ok(series);
    }
    let all = series.into_iter().map(|one| {
        let object = one.object(snapshot);
        (one, object)
    });
    selection.picked(Kind::Event, all)
}

/// The events of these log lines, aggregated, oldest first.
pub(super) fn event_table<'a>(
    log: impl IntoIterator<Item = &'a LogLine>,
    scope: &Scope,
) -> Vec<Series<'a>> {
    let mut series: Vec<Series<'a>> = Vec::new();
    let mut known: BTreeMap<(Kind, String, &str, &str), usize> = BTreeMap::new();
    let is_in = |line: &LogLine| {
        scope.namespace.as_ref().is_none_or(|wanted| event_namespace(line) == wanted)
    };
    let is_meant = |line: &&LogLine| {
        !OUTSIDE.contains(&line.actor) && is_in(line) && scope.has_name(&line.object)
    };
    for line in log.into_iter().filter(is_meant) {
        let key = (line.kind, line.object.to_string(), line.reason, line.message.as_str());
        let at = *known.entry(key).or_insert_with(|| {
            series.push(Series { first: line, last: line.at, count: 0 });
            series.len() - 1
        });
        series[at].last = line.at;
        series[at].count += 1;
    }
    series.sort_by_key(|one| one.last);
    series
}

/// Selection and format of printed events.
#[derive(Clone, Debug, Default)]
pub struct EventForm {
    /// True for `kubectl get events`: in order of name and without counts. False for `kubectl events`.
    pub as_objects: bool,
    /// Additional columns, as with `get events -o wide`.
    pub wide: bool,
    /// Only events of these types, Normal or Warning; empty = all.
    pub types: Vec<String>,
    /// For objects: field selector and order; by default all, by name.
    pub selection: Selection,
    /// Only events about objects of this kind.
    pub kind: Option<Kind>,
}

/// The events of the scope's namespace and object; empty if there are none.
pub fn events(
    snapshot: Snapshot<'_>,
    log: &[LogLine],
    scope: &Scope,
    form: &EventForm,
) -> Result<String, String> {
    let now = snapshot.view.now;
    let mut series = if form.as_objects {
        event_list(snapshot, log, scope, &form.selection)?
    } else {
        event_table(log, scope)
    };
    series.retain(|one| {
        let is_of_type = |kind: &String| kind.eq_ignore_ascii_case(one.kind());
        (form.types.is_empty() || form.types.iter().any(is_of_type))
            && form.kind.is_none_or(|kind| one.first.kind == kind)
    });
    let has_namespace = scope.namespace.is_none();
    let namespace = has_namespace.then_some("NAMESPACE");
    let titles: &[&str] = if form.wide && form.as_objects {
        &[
            "LAST SEEN",
            "TYPE",
            "REASON",
            "OBJECT",
            "SUBOBJECT",
            "SOURCE",
            "MESSAGE",
            "FIRST SEEN",
            "COUNT",
            "NAME",
        ]
    } else {
        &["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    };
    let mut columns = Columns::new(namespace.into_iter().chain(titles.iter().copied()));
    for one in &series {
        let line = one.first;
        let kind = line.kind.name();
        let kind = if form.as_objects { kind.to_lowercase() } else { kind.to_owned() };
        let seen = if form.as_objects { age(now, one.last) } else { one.interval(now) };
        let mut cells = vec![
            seen,
            one.kind().to_owned(),
            line.reason.to_owned(),
            format!("{kind}/{}", line.object.name),
            one.message(snapshot),
        ];
        if form.wide && form.as_objects {
            let of = one.container(snapshot);
            let of = of.map_or_else(String::new, |(name, _)| format!("spec.containers{{{name}}}"));
            cells.insert(4, of);
            cells.insert(5, line.actor.to_owned());
            cells.extend([age(now, line.at), one.count.to_string(), event_name(one)]);
        }
        let namespace = has_namespace.then(|| event_namespace(line).to_owned());
        columns.row(namespace.into_iter().chain(cells).collect());
    }
    Ok(columns.text())
}

/// Events of cluster-scoped objects are in the namespace `default`.
fn event_namespace(line: &LogLine) -> &str {
    match &*line.object.namespace {
        "" => "default",
        namespace => namespace,
    }
}

/// The object's name and the time of the first event in nanoseconds, as client-go's recorder names events.
fn event_name(series: &Series<'_>) -> String {
    let at = u64::try_from(series.first.at.as_nanos()).unwrap_or(0);
    format!("{}.{:016x}", series.first.object.name, at)
}
