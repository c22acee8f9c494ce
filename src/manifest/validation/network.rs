//! Addresses, Ingresses, IngressClasses and NetworkPolicies (`pkg/apis/networking/validation`).

use std::net::IpAddr;

use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::super::field::{FieldErrors, FieldPath};
use super::super::names::{broken_label, check_port_name};
use super::handlers::{port_number, port_number_or_name};
use super::placement::validate_selector;
use super::{SPEC, Validate, label, required, subdomain, supported};

const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must \
     consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. \
     '*.example.com')";
const UNDERSCORED: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-', '_' or \
     '.', and must start and end with an alphanumeric character (e.g. 'example.com')";
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// An address (`IsValidIP`, strictly).
pub(super) fn check_ip(text: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) if address.to_ipv4_mapped().is_some() => {
            errors.invalid(path, text, "must not be an IPv4-mapped IPv6 address");
        }
        Ok(_) => {}
        Err(_) => {
            let rule = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
            errors.invalid(path, text, rule);
        }
    }
}

/// Address and length of the prefix of a range.
#[derive(Clone, Copy)]
struct Range {
    bits: u128,
    prefix: u32,
    width: u32,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let is_number = prefix.bytes().all(|b| b.is_ascii_digit());
        let prefix: u32 = prefix.parse().ok().filter(|_| is_number)?;
        let (bits, width) = match address.parse::<IpAddr>().ok()? {
            IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        (prefix <= width).then_some(Self { bits, prefix, width })
    }

    fn masked(self, prefix: u32) -> u128 {
        self.bits.checked_shr(self.width - prefix).unwrap_or(0)
    }

    fn has_bits_beyond(self) -> bool {
        let shift = self.width - self.prefix;
        self.masked(self.prefix).checked_shl(shift).unwrap_or(0) != self.bits
    }

    fn strictly_contains(self, other: Self) -> bool {
        self.width == other.width
            && self.prefix < other.prefix
            && other.masked(self.prefix) == self.masked(self.prefix)
    }
}

/// A range of addresses (`IsValidCIDR`, strictly).
pub(super) fn check_cidr(text: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let rule = match Range::parse(text) {
        None => "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        Some(range) if range.has_bits_beyond() => "must not have bits set beyond the prefix length",
        Some(_) => return,
    };
    errors.invalid(path, text, rule);
}

pub(super) fn dns_subdomain_with_underscore(
    name: &str,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let is_label = |label: &str| broken_label(&label.replace('_', "a")).is_none();
    if name.len() > 253 || !name.split('.').all(is_label) {
        errors.invalid(path, name, UNDERSCORED);
    }
}

fn check_host(host: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if !host.contains('*') {
        return subdomain(host, path, errors);
    }
    let mut discarded = FieldErrors::default();
    subdomain(host.strip_prefix("*.").unwrap_or_default(), path, &mut discarded);
    if !discarded.is_empty() {
        errors.invalid(path, host, WILDCARD);
    }
}

/// `ValidateIngressCreate`.
pub(crate) fn validate_ingress(ingress: &networking::Ingress, errors: &mut FieldErrors) {
    let spec = ingress.spec.clone().unwrap_or_default();
    let rules = spec.rules.as_deref().unwrap_or_default();
    if rules.is_empty() && spec.default_backend.is_none() {
        let rule = "either `defaultBackend` or `rules` must be specified";
        errors.invalid(&SPEC, "[]", rule);
    }
    if let Some(backend) = &spec.default_backend {
        validate_backend(backend, &SPEC.field("defaultBackend"), errors);
    }
    let at = SPEC.field("rules");
    for (index, rule) in rules.iter().enumerate() {
        let item = at.item(index);
        let host = rule.host.as_deref().unwrap_or_default();
        if host.parse::<IpAddr>().is_ok() {
            let rule = "must be a DNS name, not an IP address";
            errors.invalid(&item.field("host"), host, rule);
        }
        if !host.is_empty() {
            check_host(host, &item.field("host"), errors);
        }
        let Some(http) = &rule.http else { continue };
        let http_at = item.field("http");
        let paths = http_at.field("paths");
        if http.paths.is_empty() {
            errors.required(&paths, "");
        }
        for (index, path) in http.paths.iter().enumerate() {
            validate_path(path, &paths.item(index), errors);
        }
    }
    let at = SPEC.field("tls");
    for (index, tls) in spec.tls.iter().flatten().enumerate() {
        let item = at.item(index);
        let hosts = item.field("hosts");
        for (place, host) in tls.hosts.iter().flatten().enumerate() {
            check_host(host, &hosts.item(place), errors);
        }
        if let Some(name) = tls.secret_name.as_deref().filter(|name| !name.is_empty()) {
            subdomain(name, &item.field("secretName"), errors);
        }
    }
    if let Some(class) = &spec.ingress_class_name {
        subdomain(class, &SPEC.field("ingressClassName"), errors);
        let annotations = ingress.metadata.annotations.as_ref();
        let annotated = annotations.and_then(|all| all.get(CLASS_ANNOTATION));
        if let Some(annotated) = annotated.filter(|annotated| *annotated != class) {
            let at = FieldPath::ROOT.field("annotations");
            let rule = "must match `ingressClassName` when both are specified";
            errors.invalid(&at.field(CLASS_ANNOTATION), annotated, rule);
        }
    }
}

/// `validateHTTPIngressPath`.
fn validate_path(
    path_of_rule: &networking::HTTPIngressPath,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let text = path_of_rule.path.as_deref().unwrap_or_default();
    let at = path.field("path");
    match path_of_rule.path_type.as_str() {
        "" => return errors.required(&path.field("pathType"), "pathType must be specified"),
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                errors.invalid(&at, text, "must be an absolute path");
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"] {
                if text.contains(part) {
                    errors.invalid(&at, text, format!("must not contain '{part}'"));
                }
            }
            for end in ["/..", "/."] {
                if text.ends_with(end) {
                    errors.invalid(&at, text, format!("cannot end with '{end}'"));
                }
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                errors.invalid(&at, text, "must be an absolute path");
            }
        }
        other => {
            let types = ["Exact", "ImplementationSpecific", "Prefix"];
            errors.not_supported(&path.field("pathType"), other, &types);
        }
    }
    validate_backend(&path_of_rule.backend, &path.field("backend"), errors);
}

/// `validateIngressBackend`.
fn validate_backend(
    backend: &networking::IngressBackend,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    match (&backend.resource, &backend.service) {
        (Some(_), Some(_)) => {
            errors.invalid(path, "", "cannot set both resource and service backends");
        }
        (Some(resource), None) => {
            let at = path.field("resource");
            if let Some(group) = &resource.api_group {
                subdomain(group, &at.field("apiGroup"), errors);
            }
            required(&resource.kind, &at.field("kind"), errors);
            required(&resource.name, &at.field("name"), errors);
        }
        (None, Some(service)) => {
            let at = path.field("service");
            if service.name.is_empty() {
                errors.required(&at.field("name"), "");
            } else {
                label(&service.name, &at.field("name"), errors);
            }
            let port = service.port.clone().unwrap_or_default();
            let name = port.name.filter(|name| !name.is_empty());
            let number = port.number.filter(|number| *number != 0);
            let at = at.field("port");
            match (name, number) {
                (Some(_), Some(_)) => {
                    errors.invalid(path, "", "cannot set both port name & port number");
                }
                (Some(name), None) => check_port_name(&name, &at.field("name"), errors),
                (None, Some(number)) => port_number(number, &at.field("number"), errors),
                (None, None) => errors.required(path, "port name or number is required"),
            }
        }
        (None, None) => errors.invalid(path, "", "resource or service backend is required"),
    }
}

/// `domain/path`, the form of controllers' names (`IsDomainPrefixedPath`).
pub(super) fn domain_prefixed_path(text: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if text.is_empty() {
        return errors.required(path, "");
    }
    match text.split_once('/') {
        Some((domain, rest)) if !domain.is_empty() && !rest.is_empty() => {
            subdomain(domain, path, errors);
            let is_path = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&b);
            if !rest.bytes().all(is_path) {
                errors.invalid(path, text, "Invalid path");
            }
        }
        _ => {
            let rule = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            errors.invalid(path, text, rule);
        }
    }
}

/// `ValidateIngressClass`.
pub(crate) fn validate_ingress_class(class: &networking::IngressClass, errors: &mut FieldErrors) {
    let spec = class.spec.clone().unwrap_or_default();
    let at = SPEC.field("controller");
    let controller = spec.controller.unwrap_or_default();
    if controller.len() > 250 {
        errors.push(&at, "Too long: may not be more than 250 bytes");
    }
    domain_prefixed_path(&controller, &at, errors);
    let Some(parameters) = &spec.parameters else { return };
    let at = SPEC.field("parameters");
    if let Some(group) = &parameters.api_group {
        subdomain(group, &at.field("apiGroup"), errors);
    }
    required(&parameters.kind, &at.field("kind"), errors);
    required(&parameters.name, &at.field("name"), errors);
    let namespace = parameters.namespace.as_deref();
    match (parameters.scope.as_deref().unwrap_or("Cluster"), namespace) {
        ("Cluster", None) => {}
        ("Cluster", Some(_)) => {
            errors.forbidden(&at.field("namespace"), "`parameters.scope` is set to 'Cluster'");
        }
        ("Namespace", None) => {
            let why = "`parameters.scope` is set to 'Namespace'";
            errors.required(&at.field("namespace"), why);
        }
        ("Namespace", Some(name)) => label(name, &at.field("namespace"), errors),
        (other, _) => {
            errors.not_supported(&at.field("scope"), other, &["Cluster", "Namespace"]);
        }
    }
}

/// `ValidateNetworkPolicy`.
impl Validate for networking::NetworkPolicy {
    fn validate(&self, errors: &mut FieldErrors) {
        validate_network_policy(&self.spec.clone().unwrap_or_default(), errors);
    }
}

fn validate_network_policy(spec: &networking::NetworkPolicySpec, errors: &mut FieldErrors) {
    validate_selector(spec.pod_selector.as_ref(), &SPEC.field("podSelector"), errors);
    let at = SPEC.field("ingress");
    for (index, rule) in spec.ingress.iter().flatten().enumerate() {
        let item = at.item(index);
        policy_ports(rule.ports.as_deref(), &item, errors);
        peers(rule.from.as_deref(), &item.field("from"), errors);
    }
    let at = SPEC.field("egress");
    for (index, rule) in spec.egress.iter().flatten().enumerate() {
        let item = at.item(index);
        policy_ports(rule.ports.as_deref(), &item, errors);
        peers(rule.to.as_deref(), &item.field("to"), errors);
    }
    let at = SPEC.field("policyTypes");
    let types = spec.policy_types.as_deref().unwrap_or_default();
    if types.len() > 2 {
        return errors.invalid(&at, types, "may not specify more than two policyTypes");
    }
    for (index, one) in types.iter().enumerate() {
        supported(Some(one), &["Ingress", "Egress"], &at.item(index), errors);
    }
}

fn policy_ports(
    ports: Option<&[networking::NetworkPolicyPort]>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let path = path.field("ports");
    for (index, port) in ports.into_iter().flatten().enumerate() {
        let at = path.item(index);
        let protocols = ["TCP", "UDP", "SCTP"];
        supported(port.protocol.as_deref(), &protocols, &at.field("protocol"), errors);
        if let Some(number) = &port.port {
            port_number_or_name(number, &at.field("port"), errors);
        }
        let Some(end) = port.end_port else { continue };
        let at = at.field("endPort");
        match &port.port {
            Some(IntOrString::Int(number)) => {
                if end < *number {
                    errors.invalid(&at, number, "must be greater than or equal to `port`");
                }
                port_number(end, &at, errors);
            }
            Some(IntOrString::String(_)) => {
                errors.invalid(&at, end, "may not be specified when `port` is non-numeric");
            }
            None => errors.invalid(&at, end, "may not be specified when `port` is not specified"),
        }
    }
}

fn peers(
    peers: Option<&[networking::NetworkPolicyPeer]>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    for (index, peer) in peers.into_iter().flatten().enumerate() {
        let at = path.item(index);
        validate_selector(peer.pod_selector.as_ref(), &at.field("podSelector"), errors);
        let selector = peer.namespace_selector.as_ref();
        validate_selector(selector, &at.field("namespaceSelector"), errors);
        let has_selector = peer.pod_selector.is_some() || selector.is_some();
        match &peer.ip_block {
            None if !has_selector => errors.required(&at, "must specify a peer"),
            None => {}
            Some(block) => {
                if has_selector {
                    errors.forbidden(&at, "may not specify both ipBlock and another peer");
                }
                ip_block(block, &at.field("ipBlock"), errors);
            }
        }
    }
}

fn ip_block(block: &networking::IPBlock, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let at = path.field("cidr");
    if block.cidr.is_empty() {
        return errors.required(&at, "");
    }
    check_cidr(&block.cidr, &at, errors);
    let Some(range) = Range::parse(&block.cidr) else { return };
    let at = path.field("except");
    for (index, except) in block.except.iter().flatten().enumerate() {
        check_cidr(except, &at.item(index), errors);
        if Range::parse(except).is_some_and(|except| !range.strictly_contains(except)) {
            errors.invalid(&at.item(index), except, "must be a strict subset of `cidr`");
        }
    }
}
