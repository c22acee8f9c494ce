//! Made-up values that only views show; `cluster::assigned` has the others.

use cluster::assigned::hex_digits;
use cluster::pod::Pod;

/// Kubelet version if the Node object does not define one: the simulated version.
pub(super) const KUBELET_VERSION: &str = "v1.36.2";

/// Name of a pod's ServiceAccount token volume, which admission adds.
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
