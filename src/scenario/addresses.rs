//! Finds the Services that an application calls by the addresses in its environment:
//! `PRODUCT_CATALOG_ADDR=catalog:3550`, `DB_HOST=db`, `API_URL=http://api.shop.svc.cluster.local/v1`.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1 as core;

use super::inventory::Inventory;
use cluster::{Name, NamespacedName, ObjectReference};

/// Suffixes of the names of variables that hold a host without a port.
const ADDRESS_ENDS: [&str; 8] =
    ["ADDR", "ADDRESS", "ENDPOINT", "HOST", "HOSTNAME", "SERVER", "URI", "URL"];

/// Words in the names of variables that hold the address of a telemetry backend, to which applications send in the
/// background: a request does not wait for it.
const TELEMETRY_WORDS: [&str; 8] =
    ["COLLECTOR", "JAEGER", "OTEL", "OTLP", "SENTRY", "STATSD", "TRACING", "ZIPKIN"];
/// Ports of OTLP, Jaeger, Zipkin and StatsD.
const TELEMETRY_PORTS: [&str; 7] = ["4317", "4318", "6831", "8125", "9411", "14250", "14268"];

/// An environment variable of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// Name and literal value.
    Text(String, String),
    /// Name, and the ConfigMap and key that the value is read from.
    Key(String, Name, String),
    /// All keys of a ConfigMap.
    All(Name),
}

/// The environment variables of all containers.
pub(super) fn variables(spec: &core::PodSpec) -> Vec<Variable> {
    let mut variables = Vec::new();
    for container in &spec.containers {
        for one in container.env.iter().flatten() {
            let key = one.value_from.as_ref().and_then(|from| from.config_map_key_ref.as_ref());
            match (&one.value, key) {
                (Some(text), _) => variables.push(Variable::Text(one.name.clone(), text.clone())),
                (None, Some(key)) => variables.push(Variable::Key(
                    one.name.clone(),
                    key.name.as_str().into(),
                    key.key.clone(),
                )),
                (None, None) => {}
            }
        }
        let maps =
            container.env_from.iter().flatten().filter_map(|one| one.config_map_ref.as_ref());
        variables.extend(maps.map(|map| Variable::All(map.name.as_str().into())));
    }
    variables
}

impl Inventory {
    /// The Services whose addresses are in the environment of a workload's pods, its own Services excluded.
    pub(super) fn addressed(&self, workload: &ObjectReference) -> BTreeSet<NamespacedName> {
        let namespace = &workload.id.namespace;
        let none = BTreeMap::new();
        let config = |map: &Name| {
            self.config.get(&NamespacedName::new(namespace.clone(), map.clone())).unwrap_or(&none)
        };
        let mut found = BTreeSet::new();
        let mut take_value = |name: &str, text: &str| {
            let services = hosts(name, text).filter_map(|host| self.service_at(host, namespace));
            found.extend(services);
        };
        for variable in self.workloads.get(workload).into_iter().flat_map(|pods| &pods.variables) {
            match variable {
                Variable::Text(name, text) => take_value(name, text),
                Variable::Key(name, map, key) => {
                    config(map).get(key).iter().for_each(|text| take_value(name, text));
                }
                Variable::All(map) => {
                    for (name, text) in config(map) {
                        take_value(name, text);
                    }
                }
            }
        }
        found.retain(|service| !self.workloads_behind(service).any(|behind| behind == workload));
        found
    }

    /// The Service that a host's name resolves to in a namespace.
    fn service_at(&self, host: &str, namespace: &Name) -> Option<NamespacedName> {
        let mut parts = host.split('.');
        let name = parts.next()?;
        let there = parts.next().map_or_else(|| namespace.clone(), Name::from);
        let rest = parts.collect::<Vec<_>>().join(".");
        let is_local = rest.is_empty() || rest == "svc" || rest.starts_with("svc.");
        let id = NamespacedName::new(there, name);
        (is_local && self.services.contains_key(&id)).then_some(id)
    }
}

/// The hosts in the value of a variable, except those of telemetry backends; several if the value is a comma-separated
/// list.
fn hosts<'a>(name: &str, text: &'a str) -> impl Iterator<Item = &'a str> {
    let name = name.to_ascii_uppercase();
    let is_address = ADDRESS_ENDS.iter().any(|end| name.ends_with(end));
    let is_telemetry = TELEMETRY_WORDS.iter().any(|word| name.contains(word));
    text.split(',').filter_map(move |one| {
        let (scheme, rest) =
            one.trim().split_once("://").map_or((None, one.trim()), |(s, r)| (Some(s), r));
        let authority = rest.split(['/', '?']).next()?;
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) =
            authority.split_once(':').map_or((authority, None), |(h, p)| (h, Some(p)));
        let has_port = port.is_some_and(|port| port.parse::<u16>().is_ok());
        let is_telemetry = is_telemetry || port.is_some_and(|port| TELEMETRY_PORTS.contains(&port));
        (!is_telemetry && (scheme.is_some() || has_port || is_address)).then_some(host)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifest::Source;

    #[test]
    fn hosts_are_known_by_scheme_port_or_the_name_of_the_variable() {
        for (name, text, found) in [
            ("CATALOG_ADDR", "catalog:3550", &["catalog"][..]),
            ("DB_HOST", "db", &["db"]),
            ("X", "http://api.shop.svc.cluster.local/v1?a=b:c", &["api.shop.svc.cluster.local"]),
            ("X", "postgresql://user:secret@db:5432/app", &["db"]),
            ("BROKERS", "kafka-0:9092, kafka-1:9092", &["kafka-0", "kafka-1"]),
            ("SERVICE_NAME", "frontend", &[]),
            ("TIME", "12:noon", &[]),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel-collector:8080", &[]),
            ("TRACES_URL", "http://tempo:4318/v1/traces", &[]),
        ] {
            assert_eq!(hosts(name, text).collect::<Vec<_>>(), found, "{name}={text}");
        }
    }

    #[test]
    fn addresses_in_variables_and_config_maps_lead_to_services_of_the_namespace_or_a_named_one() {
        let service = |name: &str, namespace: &str| {
            format!(
                "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
                 spec: {{selector: {{app: {name}}}}}\n"
            )
        };
        let text = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        env:
        - {name: CATALOG_ADDR, value: 'catalog:3550'}
        - {name: OWN_URL, value: 'http://web'}
        - {name: ELSEWHERE, value: 'redis.data:6379'}
        - {name: OUTSIDE_URL, value: 'https://catalog.example.com'}
        - {name: PAY, valueFrom: {configMapKeyRef: {name: more, key: pay}}}
        envFrom: [{configMapRef: {name: apis}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: apis, namespace: shop}
data: {USERS_API_ADDR: 'users:8080', PORT: '80'}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: more, namespace: shop}
data: {pay: 'http://pay'}
";
        let services: String = [
            ("web", "shop"),
            ("catalog", "shop"),
            ("users", "shop"),
            ("pay", "shop"),
            ("redis", "data"),
        ]
        .map(|(name, namespace)| service(name, namespace))
        .concat();
        let inventory = Inventory::of(&[Source::new("all.yaml", format!("{text}{services}"))]);
        let web = "Deployment/shop/web".parse().expect("a reference");
        let found: Vec<String> =
            inventory.addressed(&web).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["data/redis", "shop/catalog", "shop/pay", "shop/users"]);
    }
}
