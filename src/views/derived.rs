//! What a real cluster would have drawn and only views show; `cluster::assigned` has the rest.

use cluster::assigned::hex_digits;
use cluster::pod::Pod;

/// The version that kubelets report if no Node object says otherwise: the one that is simulated.
pub(super) const KUBELET_VERSION: &str = "v1.36.2";

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
