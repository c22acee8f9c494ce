//! What a real cluster would have drawn or handed out and a simulation does not need: addresses, UIDs, digests.
//! Each follows from the object alone, so that it stays the same through a run, and no two live objects share
//! one. This is the only place that makes such values up.

use serde_json::Value;

use super::rows::Sight;
use cluster::node::Node;
use cluster::pod::{Pod, PodCondition};
use cluster::service::Service;
use engine::Digest;

/// The version that kubelets report if no Node object says otherwise: the one that is simulated.
pub(super) const KUBELET_VERSION: &str = "v1.36.2";

/// The `number`th address of a network, whose last byte is neither 0 nor 255.
fn address(network: [u64; 2], number: u64) -> String {
    let (upper, last) = (number / 254, 1 + number % 254);
    let [first, second] = network;
    format!("{first}.{}.{}.{last}", second + upper / 256, upper % 256)
}

/// `status.podIP`, once the pod's sandbox has its network: an address of 10.244.0.0/14 by the order of creation,
/// as from a network whose pods are not numbered by node; of a pod on the host's network the node's own.
pub(super) fn pod_ip(sight: Sight<'_>, pod: &Pod) -> Option<String> {
    let ready = pod.conditions.ready_to_start_containers;
    if !ready.is_some_and(PodCondition::is_true) && !pod.phase.is_terminal() {
        return None;
    }
    let view = sight.view;
    if view.template_of(pod).spec.host_network {
        return Some(node_ip(sight, view.nodes().get(pod.node?)?));
    }
    Some(address([10, 244], pod.sequence % (254 * 1_024)))
}

/// The InternalIP of a node: as its Node object says, else an address of 10.0.0.0/14 by the order of creation.
pub(super) fn node_ip(sight: Sight<'_>, node: &Node) -> String {
    let written = sight.written.get("Node", &node.meta.id)["status"]["addresses"].as_array();
    let internal = written.into_iter().flatten().find(|one| one["type"] == "InternalIP");
    match internal.and_then(|one| one["address"].as_str()) {
        Some(address) => address.to_owned(),
        None => address([10, 0], node.meta.sequence % (254 * 1_024)),
    }
}

/// `spec.clusterIP`: as written, `None` for a headless Service, else an address of 10.96.0.0/12 by the order of
/// creation, above those that clusters keep for their DNS.
pub(super) fn cluster_ip(sight: Sight<'_>, service: &Service) -> String {
    let spec = &sight.written.get("Service", &service.meta.id)["spec"];
    match spec["clusterIP"].as_str() {
        _ if spec["type"] == "ExternalName" => "<none>".to_owned(),
        Some(written) => written.to_owned(),
        None if service.is_headless => "None".to_owned(),
        None => address([10, 96], 254 + service.meta.sequence % (254 * 4_095)),
    }
}

/// `nodePort` of the Service's port at this position: as written, else one of 30000 to 32767.
pub(super) fn node_port(service: &Service, position: usize, written: &Value) -> u64 {
    let position = u64::try_from(position).unwrap_or(0);
    let drawn = 30_000 + (service.meta.sequence * 8 + position) % 2_768;
    written["nodePort"].as_u64().unwrap_or(drawn)
}

/// `metadata.uid`, in the form of a random UUID.
pub(super) fn uid(kind: &str, number: u64) -> String {
    let hex = hex_digits(&format!("{kind} {number}"));
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}

/// 64 hexadecimal digits that stand for a text, as the names of containers and images have.
pub(super) fn hex_digits(text: &str) -> String {
    let word = |part: u8| {
        let mut digest = Digest::default();
        digest.bytes(&[part]);
        digest.bytes(text.as_bytes());
        format!("{:016x}", engine::mix(digest.value()))
    };
    (0..4).map(word).collect()
}

/// Name of the volume with the token of a pod's ServiceAccount, which admission adds.
pub(super) fn token_volume(pod: &Pod) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let digest = hex_digits(&format!("token {}", pod.uid));
    let letters = digest.bytes().take(10).collect::<Vec<u8>>();
    let letter = |pair: &[u8]| {
        let number = pair.iter().fold(0, |sum, digit| sum * 31 + usize::from(*digit));
        char::from(ALPHABET[number % ALPHABET.len()])
    };
    let suffix: String = letters.chunks(2).map(letter).collect();
    format!("kube-api-access-{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_on_from_one_network_to_the_next() {
        let ips = [0, 253, 254, 254 * 256].map(|number| address([10, 244], number));
        assert_eq!(ips, ["10.244.0.1", "10.244.0.254", "10.244.1.1", "10.245.0.1"]);
        assert_eq!(uid("Job", 3).len(), 36);
    }
}
