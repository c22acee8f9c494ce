//! `kubectl get events`: what happened, equal events counted together.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::age::age;
use super::columns::Columns;
use super::get::Scope;
use super::object::seconds;
use engine::SimTime;
use record::LogLine;

/// Equal events, counted as the API server's event series are.
struct Series<'a> {
    first: &'a LogLine,
    last: SimTime,
    count: usize,
}

/// The events of the scope's namespace as objects, each as it was told.
pub fn event_objects(log: &[LogLine], scope: &Scope) -> Vec<Value> {
    let lines = log.iter().filter(|line| scope.has(&line.object));
    let told = lines.map(|line| {
        json!({
            "apiVersion": "v1",
            "kind": "Event",
            "type": if line.is_warning { "Warning" } else { "Normal" },
            "reason": line.reason,
            "message": line.message,
            "involvedObject": {
                "kind": line.kind,
                "namespace": &*line.object.namespace,
                "name": &*line.object.name,
            },
            "atSeconds": seconds(line.at),
        })
    });
    told.collect()
}

/// The events of the scope's namespace and object, the oldest first; empty if there are none.
pub fn events(now: SimTime, log: &[LogLine], scope: &Scope) -> String {
    let mut series: Vec<Series<'_>> = Vec::new();
    let mut known: BTreeMap<(&str, String, &str, &str), usize> = BTreeMap::new();
    for line in log.iter().filter(|line| scope.has(&line.object)) {
        let key = (line.kind, line.object.to_string(), line.reason, line.message.as_str());
        let at = *known.entry(key).or_insert_with(|| {
            series.push(Series { first: line, last: line.at, count: 0 });
            series.len() - 1
        });
        series[at].last = line.at;
        series[at].count += 1;
    }
    series.sort_by_key(|one| one.last);
    let has_namespace = scope.namespace.is_none();
    let namespace = has_namespace.then_some("NAMESPACE");
    let titles = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"];
    let mut columns = Columns::new(namespace.into_iter().chain(titles));
    for Series { first, last, count } in series {
        let seen = match count {
            1 => age(now, last),
            count => format!("{} (x{count} over {})", age(now, last), age(now, first.at)),
        };
        // Events of cluster-scoped objects are in the namespace default.
        let namespace = match &*first.object.namespace {
            "" => "default",
            namespace => namespace,
        };
        let cells = [
            seen,
            if first.is_warning { "Warning" } else { "Normal" }.to_owned(),
            first.reason.to_owned(),
            format!("{}/{}", first.kind.to_ascii_lowercase(), first.object.name),
            first.message.replace('\n', " "),
        ];
        let namespace = has_namespace.then(|| namespace.to_owned());
        columns.row(namespace.into_iter().chain(cells).collect());
    }
    columns.text()
}
