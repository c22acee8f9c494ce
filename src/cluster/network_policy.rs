//! NetworkPolicies (networking.k8s.io/v1): the pods they isolate, and the traffic they allow.

use std::net::IpAddr;

use super::meta::{Name, ObjectMeta};
use super::object::plain_object;
use super::selector::Selector;

/// A NetworkPolicy.
#[derive(Clone, Debug)]
pub struct NetworkPolicy {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// Its isolation rules.
    pub spec: NetworkPolicySpec,
}

/// `spec` of a NetworkPolicy, defaulted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkPolicySpec {
    /// Selects the pods of its namespace that it isolates.
    pub pod_selector: Selector,
    /// Allowed ingress; absent = the policy does not isolate for ingress (`policyTypes`).
    pub ingress: Option<Vec<PolicyRule>>,
    /// Allowed egress; absent = the policy does not isolate for egress.
    pub egress: Option<Vec<PolicyRule>>,
}

plain_object!(NetworkPolicy, NetworkPolicySpec);

/// One rule: allows traffic with any of the peers on any of the ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRule {
    /// `from` or `to`; empty = everyone.
    pub peers: Vec<PolicyPeer>,
    /// `ports`; empty = all.
    pub ports: Vec<PolicyPort>,
}

/// A peer allowed by a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyPeer {
    /// Pods selected by labels.
    Pods {
        /// `podSelector`; absent = all pods of the namespaces.
        pods: Option<Selector>,
        /// `namespaceSelector`; absent = only the policy's own namespace.
        namespaces: Option<Selector>,
    },
    /// `ipBlock`: an address range.
    Block {
        /// `cidr`.
        range: AddressRange,
        /// `except`.
        except: Vec<AddressRange>,
    },
}

/// A port of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyPort {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Name,
    /// The matching ports.
    pub ports: PortMatch,
}

/// Destination ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortMatch {
    /// All.
    All,
    /// `port` to `endPort`, inclusive.
    Numbers(u16, u16),
    /// The container port with this name.
    Named(Name),
}

/// An address range in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    address: IpAddr,
    prefix: u32,
}

impl AddressRange {
    /// Parses CIDR notation.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix: u32 = prefix.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= width).then_some(Self { address, prefix })
    }

    /// Whether it contains an address.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = u32::from(own) ^ u32::from(other);
                differing.checked_shr(32 - self.prefix).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = u128::from(own) ^ u128::from(other);
                differing.checked_shr(128 - self.prefix).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_contain_what_their_prefix_says() {
        for (range, address, is_in) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("10.1.2.3/32", "10.1.2.3", true),
            ("10.1.2.3/32", "10.1.2.2", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/64", "2001:db8:0:1::1", false),
        ] {
            let range = AddressRange::parse(range).expect("a range");
            assert_eq!(range.contains(address.parse().expect("an address")), is_in, "{address}");
        }
        assert!(
            ["10.0.0.0", "10.0.0.0/33", "x/8", "10.0.0.0/x"].map(AddressRange::parse) == [None; 4]
        );
    }
}
