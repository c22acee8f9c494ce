//! Requests to the Deployment of a case, on connections of their own and on kept ones.

use cluster::NamespacedName;
use engine::SimTime;
use serde_json::{Value, json};
use sim::Simulation;
use traffic::{Outcomes, ServiceId};

/// The Services that stand for the ClusterIP of a case: new connections and kept ones.
pub(super) const SERVICES: [&str; 2] = ["new", "kept"];
/// Connections that the recorded client kept open: as many as it had requests under way at most.
const KEPT: u32 = 5;

/// The Services of a Deployment of this name, by the label that all pods of a case have.
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

/// The fields of a scenario by which one client sends this load to each, each request due in time and waited for 5 s.
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

/// What became of the requests to a Service so far.
pub(super) fn outcomes(simulation: &mut Simulation, service: &str) -> Outcomes {
    let named = NamespacedName::new("default", service);
    let position = simulation.traffic_services().position(|one| *one == named).unwrap_or(0);
    let (now, id): (SimTime, _) =
        (simulation.now(), ServiceId(u32::try_from(position).unwrap_or(u32::MAX)));
    simulation.traffic_mut().figures(now, id).outcomes
}
