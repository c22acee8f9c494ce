//! Converts NetworkPolicies of the API, already checked by `validation`, to those of `cluster`.

use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::field::{FieldErrors, FieldPath};
use super::selector::label_selector;
use cluster::Name;
use cluster::network_policy::{
    AddressRange, NetworkPolicySpec, PolicyPeer, PolicyPort, PolicyRule, PortMatch,
};

/// A NetworkPolicy with defaulted `policyTypes`.
pub(super) fn network_policy_spec(
    spec: &networking::NetworkPolicySpec,
    errors: &mut FieldErrors,
) -> NetworkPolicySpec {
    let path = FieldPath::ROOT.field("spec");
    let has_say = |direction: &str| spec.policy_types.iter().flatten().any(|one| one == direction);
    let ingress = spec.ingress.iter().flatten().enumerate().map(|(index, one)| {
        let at = path.field("ingress");
        rule(one.from.as_deref(), one.ports.as_deref(), (&at.item(index), "from"), errors)
    });
    let ingress: Vec<PolicyRule> = ingress.collect();
    let egress = spec.egress.iter().flatten().enumerate().map(|(index, one)| {
        let at = path.field("egress");
        rule(one.to.as_deref(), one.ports.as_deref(), (&at.item(index), "to"), errors)
    });
    let egress: Vec<PolicyRule> = egress.collect();
    let selector = spec.pod_selector.as_ref();
    NetworkPolicySpec {
        pod_selector: selector
            .map(|selector| label_selector(selector, &path.field("podSelector"), errors))
            .unwrap_or_default(),
        ingress: has_say("Ingress").then_some(ingress),
        egress: has_say("Egress").then_some(egress),
    }
}

fn rule(
    peers: Option<&[networking::NetworkPolicyPeer]>,
    ports: Option<&[networking::NetworkPolicyPort]>,
    (path, field): (&FieldPath<'_>, &'static str),
    errors: &mut FieldErrors,
) -> PolicyRule {
    let at = path.field(field);
    let peers = peers.unwrap_or_default().iter().enumerate();
    PolicyRule {
        peers: peers.map(|(index, one)| peer(one, &at.item(index), errors)).collect(),
        ports: ports.unwrap_or_default().iter().map(port).collect(),
    }
}

fn peer(
    peer: &networking::NetworkPolicyPeer,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> PolicyPeer {
    let block = peer.ip_block.as_ref();
    if let Some((block, range)) = block.and_then(|one| Some((one, AddressRange::parse(&one.cidr)?)))
    {
        let except = block.except.iter().flatten();
        let except = except.filter_map(|one| AddressRange::parse(one)).collect();
        return PolicyPeer::Block { range, except };
    }
    let mut selector = |given: &Option<_>, field| {
        given.as_ref().map(|given| label_selector(given, &path.field(field), errors))
    };
    PolicyPeer::Pods {
        pods: selector(&peer.pod_selector, "podSelector"),
        namespaces: selector(&peer.namespace_selector, "namespaceSelector"),
    }
}

fn port(port: &networking::NetworkPolicyPort) -> PolicyPort {
    let number = |number: i32| u16::try_from(number).unwrap_or_default();
    PolicyPort {
        protocol: Name::from(port.protocol.as_deref().unwrap_or("TCP")),
        ports: match &port.port {
            None => PortMatch::All,
            Some(IntOrString::Int(first)) => {
                PortMatch::Numbers(number(*first), number(port.end_port.unwrap_or(*first)))
            }
            Some(IntOrString::String(name)) => PortMatch::Named(Name::from(name.as_str())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defaults::SetDefaults;

    fn lower(spec: &str) -> NetworkPolicySpec {
        let text = format!("{{\"spec\": {spec}}}");
        let mut policy: networking::NetworkPolicy = serde_json::from_str(&text).unwrap();
        policy.set_defaults();
        network_policy_spec(&policy.spec.unwrap_or_default(), &mut FieldErrors::default())
    }

    #[test]
    fn policy_types_are_ingress_and_with_an_egress_rule_both() {
        let rule_text = |spec| {
            let spec = lower(spec);
            (spec.ingress.map(|rules| rules.len()), spec.egress.map(|rules| rules.len()))
        };
        assert_eq!(rule_text(r#"{"podSelector": {}}"#), (Some(0), None));
        assert_eq!(rule_text(r#"{"podSelector": {}, "egress": []}"#), (Some(0), None));
        assert_eq!(rule_text(r#"{"podSelector": {}, "egress": [{}]}"#), (Some(0), Some(1)));
        assert_eq!(rule_text(r#"{"podSelector": {}, "policyTypes": ["Egress"]}"#), (None, Some(0)));
        let both = r#"{"podSelector": {}, "policyTypes": ["Egress"], "ingress": [{}]}"#;
        assert_eq!(rule_text(both), (None, Some(0)));
    }
}
