//! Defaults of networking.k8s.io/v1 (`pkg/apis/networking/v1/defaults.go`, 1.36).

use k8s_openapi::api::networking::v1::NetworkPolicy;

use super::{SetDefaults, text};

impl SetDefaults for NetworkPolicy {
    fn set_defaults(&mut self) {
        let Some(spec) = &mut self.spec else { return };
        let of_ingress = spec.ingress.iter_mut().flatten().map(|rule| &mut rule.ports);
        let of_egress = spec.egress.iter_mut().flatten().map(|rule| &mut rule.ports);
        for port in of_ingress.chain(of_egress).flatten().flatten() {
            text(&mut port.protocol, "TCP");
        }
        if spec.policy_types.as_ref().is_none_or(Vec::is_empty) {
            let mut types = vec!["Ingress".to_owned()];
            if spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()) {
                types.push("Egress".to_owned());
            }
            spec.policy_types = Some(types);
        }
    }
}
