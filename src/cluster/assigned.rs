//! Values that a real cluster would allocate or draw at random and the simulation does not depend on: addresses,
//! ports and UIDs. Each is derived from the object alone, so it is stable throughout a run, and no two live objects
//! share one. This is the only place that invents such values.

use serde_json::Value;

use super::meta::ObjectMeta;
use super::node::Node;
use super::pod::{Pod, PodCondition};
use super::service::Service;
use super::store::Store;
use engine::{Digest, mix};

/// The `number`th address of a network, skipping those whose last byte is 0 or 255.
fn address(network: [u64; 2], number: u64) -> String {
    let (upper, last) = (number / 254, 1 + number % 254);
    let [first, second] = network;
    format!("{first}.{}.{}.{last}", second + upper / 256, upper % 256)
}

/// `status.podIP`, set once the sandbox has its network: an address of 10.244.0.0/14 in order of creation (a network
/// without per-node pod CIDRs). Pods with `hostNetwork` have their node's address.
pub fn pod_ip(store: &Store, pod: &Pod) -> Option<String> {
    let ready = pod.conditions.ready_to_start_containers;
    if !ready.is_some_and(PodCondition::is_true) && !pod.phase.is_terminal() {
        return None;
    }
    if store.template_of(pod).spec.host_network {
        return Some(node_ip(store.nodes().get(pod.node?)?));
    }
    Some(address([10, 244], pod.sequence % (254 * 1_024)))
}

/// A node's InternalIP: from its Node object if given, else an address of 10.0.0.0/14 in order of creation.
pub fn node_ip(node: &Node) -> String {
    let addresses = written(&node.meta, "/status/addresses").and_then(Value::as_array);
    let internal = addresses.into_iter().flatten().find(|one| one["type"] == "InternalIP");
    match internal.and_then(|one| one["address"].as_str()) {
        Some(address) => address.to_owned(),
        None => address([10, 0], node.meta.sequence % (254 * 1_024)),
    }
}

/// `spec.clusterIP`: as written; `None` for a headless Service; absent for an ExternalName Service; else an address
/// of 10.96.0.0/12 in order of creation, above those that clusters usually reserve for DNS.
pub fn cluster_ip(service: &Service) -> Option<String> {
    let text = |pointer| written(&service.meta, pointer).and_then(Value::as_str);
    match text("/spec/clusterIP").filter(|address| !address.is_empty()) {
        _ if text("/spec/type") == Some("ExternalName") => None,
        Some(written) => Some(written.to_owned()),
        None if service.spec.is_headless => Some("None".to_owned()),
        None => Some(address([10, 96], 254 + service.meta.sequence % (254 * 4_095))),
    }
}

/// `nodePort` of the Service port at this index: as written, else a port of 30000 to 32767.
pub fn node_port(service: &Service, position: usize) -> u64 {
    let at = format!("/spec/ports/{position}/nodePort");
    let position = u64::try_from(position).unwrap_or(0);
    let drawn = 30_000 + (service.meta.sequence * 8 + position) % 2_768;
    written(&service.meta, &at).and_then(Value::as_u64).unwrap_or(drawn)
}

fn written<'a>(meta: &'a ObjectMeta, pointer: &str) -> Option<&'a Value> {
    meta.document.as_ref()?.object.pointer(pointer)
}

/// `metadata.uid`, in the form of a random UUID.
pub fn uid_text(uid: u64) -> String {
    let hex = hex_digits(&format!("uid {uid}"));
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

/// 64 hexadecimal digits derived from a text, in the form of container and image IDs.
pub fn hex_digits(text: &str) -> String {
    let word = |part: u8| {
        let mut digest = Digest::default();
        digest.bytes(&[part]);
        digest.bytes(text.as_bytes());
        format!("{:016x}", mix(digest.value()))
    };
    (0..4).map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_on_from_one_network_to_the_next() {
        let ips = [0, 253, 254, 254 * 256].map(|number| address([10, 244], number));
        assert_eq!(ips, ["10.244.0.1", "10.244.0.254", "10.244.1.1", "10.245.0.1"]);
        assert_eq!(uid_text(3).len(), 36);
    }
}
