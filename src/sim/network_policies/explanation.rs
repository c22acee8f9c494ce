//! Explains the policies' decision about one call.

use std::fmt;

use serde_json::{Value, json};

use super::super::simulation::Simulation;
use super::{TCP, target_ports};
use cluster::connections::{
    ConnectionEnd, DNS_PORT, Direction, Port, SideVerdict, Verdict, cluster_dns, verdict,
};
use cluster::pod::Pod;
use cluster::service::Service;
use cluster::{ClusterView, Kind, NamespacedName, ObjectId, ObjectReference};
use record::workload_of;

/// One end of a call, as a user names it.
#[derive(Clone, Debug, PartialEq)]
pub enum CallEnd {
    /// External clients.
    Clients,
    /// An address.
    Address(std::net::IpAddr),
    /// A pod, a workload or a Service.
    Object(ObjectReference),
}

/// The policies' decision about a call, port by port.
#[derive(Clone, Debug)]
pub struct CallExplanation {
    from: String,
    to: String,
    /// The decision about the caller's DNS queries; absent if the caller is not a pod, or does not call by Service
    /// name.
    dns: Option<Verdict>,
    /// By port of the called pod.
    ports: Vec<(u16, Verdict)>,
    /// Effect of the mesh's proxies on it.
    mesh: Vec<String>,
}

impl CallExplanation {
    /// True if the call gets through.
    pub fn allows(&self) -> bool {
        let dns = self.dns.as_ref().is_none_or(Verdict::allows);
        dns && self.ports.iter().any(|(_, verdict)| verdict.allows())
    }

    /// As JSON, with all facts named.
    pub fn to_json(&self) -> Value {
        let side = |side: &SideVerdict| {
            let names: Vec<String> = side.isolating.iter().map(ToString::to_string).collect();
            let by = side.allowed_by.as_ref();
            json!({
                "allowed": side.allows(),
                "isolatedBy": names,
                "allowedBy": by.map(|(policy, rule)| json!({"policy": policy.to_string(), "rule": rule})),
            })
        };
        let verdict_json = |verdict: &Verdict| {
            json!({
                "allowed": verdict.allows(),
                "egress": side(&verdict.egress),
                "ingress": side(&verdict.ingress),
            })
        };
        let ports = self.ports.iter().map(|(port, verdict)| {
            let mut value = verdict_json(verdict);
            value["port"] = json!(port);
            value
        });
        json!({
            "from": self.from,
            "to": self.to,
            "allowed": self.allows(),
            "dns": self.dns.as_ref().map(verdict_json),
            "ports": ports.collect::<Vec<Value>>(),
            "mesh": self.mesh,
        })
    }
}

impl fmt::Display for CallExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb =
            if self.allows() { "gets through" } else { "is dropped: the connection times out" };
        writeln!(f, "a call from {} to {} {verb}", self.from, self.to)?;
        if let Some(dns) = self.dns.as_ref().filter(|dns| !dns.allows()) {
            writeln!(f, "names are not resolved (kube-system, UDP port 53):")?;
            write_sides(f, dns)?;
        }
        for (port, verdict) in &self.ports {
            let verb = if verdict.allows() { "allowed" } else { "denied" };
            match port {
                0 => writeln!(f, "any port: {verb}")?,
                port => writeln!(f, "TCP port {port}: {verb}")?,
            }
            write_sides(f, verdict)?;
        }
        self.mesh.iter().try_for_each(|rule| writeln!(f, "{rule}"))
    }
}

fn write_sides(f: &mut fmt::Formatter<'_>, verdict: &Verdict) -> fmt::Result {
    for (direction, side, whose) in [
        (Direction::Egress, &verdict.egress, "the caller's pods"),
        (Direction::Ingress, &verdict.ingress, "the called pods"),
    ] {
        let name = direction.name();
        let field = name.to_lowercase();
        if side.isolating.is_empty() {
            writeln!(f, "  {name}: no policy isolates {whose}")?;
            continue;
        }
        let names: Vec<String> = side.isolating.iter().map(ToString::to_string).collect();
        write!(f, "  {name}: {whose} are isolated by {}; ", names.join(", "))?;
        match &side.allowed_by {
            Some((policy, rule)) => writeln!(f, "allowed by {policy}, spec.{field}[{rule}]")?,
            None => writeln!(f, "no rule allows it")?,
        }
    }
    Ok(())
}

impl Simulation {
    /// Explains the policies' current decision about a call. The port is that of the pod; without one, all ports that
    /// the Service targets are listed. An error names the end that does not exist.
    pub fn explain_call(
        &self,
        from: &CallEnd,
        to: &CallEnd,
        port: Option<u16>,
    ) -> Result<CallExplanation, String> {
        let view = self.view();
        let caller = self.peer_group(from)?;
        let endpoint = self.peer_group(to)?;
        let service = match to {
            CallEnd::Object(ObjectReference { kind: Kind::Service, id }) => {
                view.store().find::<Service>(id)
            }
            _ => None,
        };
        let ports = match (port, service) {
            (Some(port), Some(service)) if !service.spec.is_headless => {
                // The Service's own port, as callers name it.
                let ports = &service.spec.ports;
                let Some(position) = ports.iter().position(|one| one.port == port) else {
                    let known: Vec<String> = ports.iter().map(|one| one.port.to_string()).collect();
                    let known = known.join(", ");
                    return Err(format!(
                        "{to} has no port {port}: calls to it time out; it has {known}"
                    ));
                };
                let all = target_ports(service, &endpoint);
                vec![all.get(position).copied().unwrap_or(port)]
            }
            // Without an address of its own a Service passes on no ports.
            (Some(port), _) => vec![port],
            (None, Some(service)) => target_ports(service, &endpoint),
            (None, None) => vec![0],
        };
        let store = view.store();
        let asks_dns = matches!(caller, ConnectionEnd::Pod(_)) && service.is_some();
        let verdict_json = ports.into_iter().map(|number| {
            (number, verdict(store, &caller, &endpoint, Port { protocol: TCP, number }))
        });
        Ok(CallExplanation {
            from: from.to_string(),
            to: to.to_string(),
            dns: asks_dns.then(|| verdict(store, &caller, &cluster_dns(store), DNS_PORT)),
            ports: verdict_json.collect(),
            mesh: self.mesh_rules(from, to),
        })
    }

    /// Effect of the proxies of a mesh on a call: the proxies that it passes, and their rules.
    fn mesh_rules(&self, from: &CallEnd, to: &CallEnd) -> Vec<String> {
        let view = self.view();
        let has_proxy = |end: &CallEnd| {
            let CallEnd::Object(object) = end else { return false };
            pod_of(view, object).is_some_and(|pod| view.template_of(pod).spec.has_proxy())
        };
        let ends = (has_proxy(from), has_proxy(to));
        let proxies = match ends {
            (false, false) => return Vec::new(),
            (true, true) => "it passes the proxies of both pods",
            (true, false) => "it passes the proxy of the caller",
            (false, true) => {
                "it passes the proxy of the called pod alone: no route of the mesh applies"
            }
        };
        let rules = match to {
            CallEnd::Object(object) if ends.0 => self.env.world.mesh_rules.get(&object.id),
            _ => None,
        };
        std::iter::once(proxies.to_owned()).chain(rules.into_iter().flatten().cloned()).collect()
    }

    /// The peer group of an end: for a workload or a Service that of its first pod.
    fn peer_group(&self, end: &CallEnd) -> Result<ConnectionEnd, String> {
        let view = self.view();
        let object = match end {
            CallEnd::Clients => return Ok(ConnectionEnd::Anyone),
            CallEnd::Address(address) => return Ok(ConnectionEnd::Address(*address)),
            CallEnd::Object(object) => object,
        };
        match pod_of(view, object) {
            Some(pod) => Ok(ConnectionEnd::of_pod(view.store(), pod)),
            None if view.store().object_named(object.kind, &object.id).is_some() => {
                Err(format!("{object} has no pod at this time"))
            }
            None => Err(format!("{object} does not exist at this time")),
        }
    }
}

/// A pod of an object: for a workload or a Service its first.
fn pod_of<'a>(view: ClusterView<'a>, object: &ObjectReference) -> Option<&'a Pod> {
    let store = view.store();
    match object.kind {
        Kind::Pod => view.pod_named(&object.id).and_then(|id| store.pods().get(id)),
        Kind::Service => first_of_service(view, &object.id),
        _ => store.pods().values().find(|pod| workload_of(view, pod) == *object),
    }
}

fn first_of_service<'a>(view: ClusterView<'a>, id: &NamespacedName) -> Option<&'a Pod> {
    let ObjectId::Service(id) = view.store().object_named(Kind::Service, id)? else { return None };
    let selecting = cluster::selection::Selecting::Service(id);
    view.store().selected_by(selecting).map(|(_, pod)| pod).next()
}

impl fmt::Display for CallEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clients => f.write_str("clients"),
            Self::Address(address) => address.fmt(f),
            Self::Object(object) => object.fmt(f),
        }
    }
}
