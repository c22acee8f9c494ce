//! Requests to the Deployment of a case, on new and on kept connections.

use cluster::NamespacedName;
use engine::SimTime;
use serde_json::{Value, json};
use sim::Simulation;
use traffic::{Outcomes, ServiceId};

/// The Services that represent the ClusterIP of a case: for new and for kept connections.
pub(super) const SERVICES: [&str; 2] = ["new", "kept"];
/// Connections that the recorded client kept open: its maximum number of requests in flight.
const KEPT: u32 = 5;

/// The Services of a Deployment, by the label that all pods of a case have.
pub(super) fn services(deployment: &Value) -> Vec<Value> {
    let selector = &deployment["spec"]["selector"]["matchLabels"];
    let service = |name: &&str| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
            "spec": { "selector": selector, "ports": [{ "port": 80, "targetPort": 8080 }] },
        })
    };
    SERVICES.iter().map(service).collect()
}

/// Scenario fields for one client that sends this load to each Service, open-loop and with a timeout of 5 s.
pub(super) fn fields(load: &Value, arrivals: &str) -> Value {
    let to = |name: &&str| {
        let mut traffic = json!({
            "service": format!("default/{name}"), "load": load, "timeout": "5s",
        });
        traffic["arrivals"] = json!(arrivals);
        traffic
    };
    let reached = |name: &&str| {
        let mut service = json!({ "service": format!("default/{name}"), "clients": 1 });
        if **name == *"kept" {
            service["connections"] = json!({ "count": KEPT });
        }
        service
    };
    json!({
        "traffic": SERVICES.iter().map(to).collect::<Vec<_>>(),
        "services": SERVICES.iter().map(reached).collect::<Vec<_>>(),
    })
}

/// The outcomes of requests to a Service so far.
pub(super) fn outcomes(simulation: &mut Simulation, service: &str) -> Outcomes {
    let named = NamespacedName::new("default", service);
    let position = simulation.traffic_services().position(|one| *one == named).unwrap_or(0);
    let (now, id): (SimTime, _) =
        (simulation.now(), ServiceId(u32::try_from(position).unwrap_or(u32::MAX)));
    simulation.traffic_mut().figures(now, id).outcomes
}
