//! Whether a Service has the port that a route asks it for.
//!
//! For one that it lacks ingress-nginx has no endpoints and answers 503 (`serviceEndpoints` in
//! `internal/ingress/controller/controller.go`), and a gateway answers that backend's share with 500
//! (`ResolvedRefs` of Gateway API).

use std::fmt;

use serde_json::Value;

use super::routing::{Backend, Routing, Rule};

/// A port of a Service, as a route names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendPort {
    /// `port.number`, or `port` of a `backendRef`.
    Number(i64),
    /// `port.name`.
    Name(String),
}

/// The ports of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServicePorts(Vec<Port>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Port {
    number: i64,
    /// Empty if it has none.
    name: String,
    /// As it is written; that of the Service if it is not.
    target: String,
}

impl BackendPort {
    /// That of an Ingress' backend, with the field of the `service` that says so.
    pub(super) fn of_ingress(backend: &Value) -> Option<(Self, &'static str)> {
        let port = backend.pointer("/service/port")?;
        let number = port.get("number").and_then(Value::as_i64).filter(|number| *number != 0);
        let number = number.map(|number| (Self::Number(number), "port.number"));
        let name = || Some((Self::Name(port.get("name")?.as_str()?.to_owned()), "port.name"));
        number.or_else(name)
    }

    fn is(&self, port: &Port) -> bool {
        match self {
            Self::Number(number) => *number == port.number,
            Self::Name(name) => *name == port.name,
        }
    }
}

impl fmt::Display for BackendPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl ServicePorts {
    /// Those of a Service; `None` for an `ExternalName`, which stands for whatever port it is asked for.
    pub fn of(service: &Value) -> Option<Self> {
        if service.pointer("/spec/type").and_then(Value::as_str) == Some("ExternalName") {
            return None;
        }
        let ports = service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
        let port = |port: &Value| {
            let number = port.get("port")?.as_i64()?;
            let target = match port.get("targetPort") {
                Some(Value::String(name)) if !name.is_empty() => name.clone(),
                Some(Value::Number(target)) if target.as_i64() != Some(0) => target.to_string(),
                _ => number.to_string(),
            };
            let name = port.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            Some(Port { number, name, target })
        };
        Some(Self(ports.filter_map(port).collect()))
    }

    /// Each port, for messages.
    pub fn known(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|Port { number, name, .. }| {
            if name.is_empty() { number.to_string() } else { format!("{number} ({name})") }
        })
    }
}

impl Routing {
    /// Whether a backend of a rule has the port that the rule asks it for, as far as is known.
    pub(super) fn has_port(&self, rule: &Rule, backend: &Backend) -> bool {
        let (Some(asked), Some(known)) = (&backend.port, self.ports.get(&backend.service)) else {
            return true;
        };
        // It takes the port of the pods for that of the Service too.
        let takes_target = self.is_of_nginx(rule);
        known
            .0
            .iter()
            .any(|port| asked.is(port) || (takes_target && asked.to_string() == port.target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::ObjectReference;
    use serde_json::json;

    /// Whether a Service has the port that an Ingress of this class, or an HTTPRoute, asks for.
    fn has(class: Option<&str>, service: &Value, port: &Value) -> bool {
        let mut routing = Routing::default();
        let named = |text: &str| text.parse::<ObjectReference>().expect("a reference");
        routing.add(&named("Service/shop/web"), &json!({"spec": service}));
        let (kind, spec) = if let Some(class) = class {
            let backend = json!({"service": {"name": "web", "port": port}});
            ("Ingress", json!({"ingressClassName": class, "defaultBackend": backend}))
        } else {
            let backends = json!([{"name": "web", "port": port}]);
            ("HTTPRoute", json!({"rules": [{"backendRefs": backends}]}))
        };
        routing.add(&named(&format!("{kind}/shop/web")), &json!({"spec": spec}));
        let rule = routing.find("a", "/").expect("a rule");
        routing.has_port(rule, &rule.backends[0])
    }

    #[test]
    fn a_port_is_known_by_its_number_or_its_name() {
        let service = json!({"ports": [{"name": "http", "port": 80, "targetPort": 8080}]});
        for class in ["nginx", "haproxy"] {
            let has = |port| has(Some(class), &service, &port);
            assert!(has(json!({"number": 80})) && has(json!({"name": "http"})), "{class}");
            assert!(!has(json!({"number": 81})) && !has(json!({"name": "web"})), "{class}");
        }
        assert!(has(None, &service, &json!(80)));
        assert!(!has(None, &service, &json!(81)));
    }

    #[test]
    fn the_port_of_the_pods_will_do_for_ingress_nginx_alone() {
        let numbered = json!({"ports": [{"port": 80, "targetPort": 8080}]});
        let named = json!({"ports": [{"port": 80, "targetPort": "http"}]});
        let by_number = json!({"number": 8080});
        for (service, port) in [(&numbered, &by_number), (&named, &json!({"name": "http"}))] {
            assert!(has(Some("nginx"), service, port), "{port}");
            assert!(!has(Some("haproxy"), service, port), "{port}");
        }
        assert!(!has(None, &numbered, &json!(8080)));
    }

    #[test]
    fn nothing_is_known_against_external_names_and_a_headless_service_needs_its_port() {
        let external = json!({"type": "ExternalName", "externalName": "a.b"});
        assert!(has(Some("nginx"), &external, &json!({"number": 81})));
        let headless = json!({"clusterIP": "None", "ports": [{"port": 80}]});
        assert!(has(Some("nginx"), &headless, &json!({"number": 80})));
        assert!(!has(Some("nginx"), &headless, &json!({"number": 81})));
        assert!(!has(None, &json!({"clusterIP": "None"}), &json!(80)));
        assert!(has(Some("nginx"), &json!({"ports": [{"port": 80}]}), &json!({})));
    }
}
