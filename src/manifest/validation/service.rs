//! Services, except for rules that lowering checks (`ValidateServiceCreate`), and nodes (`ValidateNode`).

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;

use super::super::field::{FieldErrors, FieldPath};
use super::super::names::{check_key, check_label_value};
use super::handlers::{port_number, port_number_or_name};
use super::network::{check_cidr, check_ip};
use super::{SPEC, Validate, subdomain, supported};

/// `--service-node-port-range`.
const NODE_PORTS: std::ops::RangeInclusive<i32> = 30_000..=32_767;
/// A day, in seconds (`MaxClientIPServiceAffinitySeconds`).
const LONGEST_AFFINITY: i32 = 86_400;
const FOR_LOAD_BALANCERS: &str = "may only be used when `type` is 'LoadBalancer'";

impl Validate for core::Service {
    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        let service_type = spec.type_.as_deref().unwrap_or_default();
        let is_headless = spec.cluster_ip.as_deref() == Some("None");
        if is_headless && matches!(service_type, "LoadBalancer" | "NodePort") {
            let rule = format!("may not be set to 'None' for {service_type} services");
            errors.invalid(&SPEC.field("clusterIPs").item(0), "None", rule);
        }
        if service_type == "ExternalName" {
            external_name(spec, errors);
        } else {
            cluster_ips(spec, is_headless, errors);
        }
        ports(spec, service_type, errors);
        affinity(spec, errors);
        let at = SPEC.field("externalIPs");
        for (index, address) in spec.external_ips.iter().flatten().enumerate() {
            let at = at.item(index);
            check_ip(address, &at, errors);
            check_endpoint_address(address, &at, errors);
        }
        load_balancer(spec, service_type, errors);
        traffic_policies(spec, service_type, errors);
    }
}

/// `ValidateEndpointIP`.
fn check_endpoint_address(text: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    let Ok(address) = text.parse::<IpAddr>() else { return };
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.segments()[0] & 0xffc0 == 0xfe80,
    };
    for (is_broken, rule) in [
        (address.is_unspecified(), "may not be unspecified"),
        (address.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (is_link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
    ] {
        if is_broken {
            errors.invalid(path, text, rule);
        }
    }
}

fn external_name(spec: &core::ServiceSpec, errors: &mut FieldErrors) {
    let why = "may not be set for ExternalName services";
    let has_address = spec.cluster_ip.as_deref().is_some_and(|ip| !ip.is_empty());
    for (field, is_set) in [
        ("clusterIPs", has_address || spec.cluster_ips.as_ref().is_some_and(|ips| !ips.is_empty())),
        ("ipFamilies", spec.ip_families.as_ref().is_some_and(|all| !all.is_empty())),
        ("ipFamilyPolicy", spec.ip_family_policy.is_some()),
    ] {
        if is_set {
            errors.forbidden(&SPEC.field(field), why);
        }
    }
    let at = SPEC.field("externalName");
    let name = spec.external_name.as_deref().unwrap_or_default();
    match name.strip_suffix('.').unwrap_or(name) {
        "" => errors.required(&at, ""),
        name => subdomain(name, &at, errors),
    }
}

/// `ValidateServiceClusterIPsRelatedFields`; `clusterIP` alone counts as the only entry of `clusterIPs`.
fn cluster_ips(spec: &core::ServiceSpec, is_headless: bool, errors: &mut FieldErrors) {
    let at = SPEC.field("clusterIPs");
    let first = spec.cluster_ip.as_deref().unwrap_or_default();
    let given = spec.cluster_ips.as_deref().unwrap_or_default();
    let written: Vec<&str> = given.iter().map(String::as_str).collect();
    let addresses = match (written.as_slice(), first) {
        ([], "") => Vec::new(),
        ([], first) => vec![first],
        _ => written,
    };
    if !given.is_empty() && first.is_empty() {
        errors.invalid(&at, given, "must be empty when `clusterIP` is not specified");
    } else if !first.is_empty() && addresses.first() != Some(&first) {
        errors.invalid(&at, given, "first value must match `clusterIP`");
    }
    let families = spec.ip_families.as_deref().unwrap_or_default();
    let at_families = SPEC.field("ipFamilies");
    let mut seen = BTreeSet::new();
    for (index, family) in families.iter().enumerate() {
        supported(Some(family), &["IPv4", "IPv6"], &at_families.item(index), errors);
        if !seen.insert(family) {
            errors.duplicate(&at_families.item(index), family);
        }
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    supported(spec.ip_family_policy.as_deref(), &policies, &SPEC.field("ipFamilyPolicy"), errors);
    if is_headless && addresses.len() > 1 {
        errors.invalid(&at, given, "'None' must be the first and only value");
    }
    let addresses: Vec<&str> = addresses.into_iter().filter(|ip| *ip != "None").collect();
    for (index, address) in addresses.iter().enumerate() {
        check_ip(address, &at.item(index), errors);
    }
    if addresses.len() > 2 {
        errors.invalid(&at, given, "may only hold up to 2 values");
    }
    let versions: Vec<bool> =
        addresses.iter().filter_map(|ip| Some(ip.parse::<IpAddr>().ok()?.is_ipv6())).collect();
    if versions.len() != addresses.len() {
        return;
    }
    if versions.len() > 1 && versions[0] == versions[1] {
        errors.invalid(&at, given, "may specify no more than one IP for each IP family");
    }
    for (index, (family, is_ipv6)) in families.iter().zip(versions).enumerate() {
        if (family == "IPv6") != is_ipv6 {
            let rule = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            errors.invalid(&at.item(index), addresses[index], rule);
        }
    }
}

fn ports(spec: &core::ServiceSpec, service_type: &str, errors: &mut FieldErrors) {
    let path = SPEC.field("ports");
    let mut node_ports = BTreeSet::new();
    for (index, port) in spec.ports.iter().flatten().enumerate() {
        let at = path.item(index);
        if let Some(target) = &port.target_port {
            port_number_or_name(target, &at.field("targetPort"), errors);
        }
        if let Some(protocol) = &port.app_protocol {
            check_key(protocol, &at.field("appProtocol"), errors);
        }
        let Some(number) = port.node_port.filter(|number| *number != 0) else { continue };
        let at = at.field("nodePort");
        if service_type == "ClusterIP" {
            errors.forbidden(&at, "may not be used when `type` is 'ClusterIP'");
        } else if !NODE_PORTS.contains(&number) {
            let (first, last) = (NODE_PORTS.start(), NODE_PORTS.end());
            let rule = format!(
                "provided port is not in the valid range. The range of valid ports is {first}-{last}"
            );
            errors.invalid(&at, number, rule);
        }
        if !node_ports.insert((port.protocol.as_deref(), number)) {
            errors.duplicate(&at, number);
        }
    }
}

/// Session affinity; without `ClientIP`, the API server drops the timeout unchecked.
fn affinity(spec: &core::ServiceSpec, errors: &mut FieldErrors) {
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return;
    }
    let config = spec.session_affinity_config.as_ref().and_then(|all| all.client_ip.as_ref());
    let seconds = config.and_then(|client| client.timeout_seconds);
    if let Some(seconds) = seconds.filter(|seconds| !(1..=LONGEST_AFFINITY).contains(seconds)) {
        let at = SPEC.field("sessionAffinityConfig");
        let at = at.field("clientIP");
        let rule = format!("must be greater than 0 and less than {LONGEST_AFFINITY}");
        errors.invalid(&at.field("timeoutSeconds"), seconds, rule);
    }
}

fn load_balancer(spec: &core::ServiceSpec, service_type: &str, errors: &mut FieldErrors) {
    let is_load_balancer = service_type == "LoadBalancer";
    let ranges = spec.load_balancer_source_ranges.as_deref().unwrap_or_default();
    let at = SPEC.field("LoadBalancerSourceRanges");
    if !ranges.is_empty() && !is_load_balancer {
        errors.forbidden(&at, FOR_LOAD_BALANCERS);
    }
    for (index, range) in ranges.iter().enumerate() {
        check_cidr(range.trim(), &at.item(index), errors);
    }
    if spec.allocate_load_balancer_node_ports.is_some() && !is_load_balancer {
        errors.forbidden(&SPEC.field("allocateLoadBalancerNodePorts"), FOR_LOAD_BALANCERS);
    }
    if let Some(class) = &spec.load_balancer_class {
        let at = SPEC.field("loadBalancerClass");
        if is_load_balancer {
            check_key(class, &at, errors);
        } else {
            errors.forbidden(&at, FOR_LOAD_BALANCERS);
        }
    }
}

fn traffic_policies(spec: &core::ServiceSpec, service_type: &str, errors: &mut FieldErrors) {
    let policies = ["Cluster", "Local"];
    let at = SPEC.field("externalTrafficPolicy");
    let has_addresses = spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty());
    let is_on_nodes = matches!(service_type, "NodePort" | "LoadBalancer");
    let external = spec.external_traffic_policy.as_deref();
    if is_on_nodes || service_type == "ClusterIP" && has_addresses {
        supported(external, &policies, &at, errors);
    } else if let Some(policy) = external.filter(|policy| !policy.is_empty()) {
        errors.invalid(&at, policy, "may only be set for externally-accessible services");
    }
    let at = SPEC.field("healthCheckNodePort");
    let needs_check = service_type == "LoadBalancer" && external == Some("Local");
    if let Some(number) = spec.health_check_node_port.filter(|number| *number != 0) {
        if needs_check {
            port_number(number, &at, errors);
        } else {
            let rule = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.invalid(&at, number, rule);
        }
    }
    let at = SPEC.field("internalTrafficPolicy");
    supported(spec.internal_traffic_policy.as_deref(), &policies, &at, errors);
}

impl Validate for core::Node {
    fn validate(&self, errors: &mut FieldErrors) {
        let Some(spec) = &self.spec else { return };
        // The API server reports this path under `metadata`.
        let at = FieldPath::ROOT.field("metadata");
        let path = at.field("taints");
        let mut seen = BTreeSet::new();
        for (index, taint) in spec.taints.iter().flatten().enumerate() {
            let at = path.item(index);
            check_key(&taint.key, &at.field("key"), errors);
            check_label_value(
                taint.value.as_deref().unwrap_or_default(),
                &at.field("value"),
                errors,
            );
            if !seen.insert((&taint.key, &taint.effect)) {
                let problem = format!(
                    "Duplicate value: \"{}:{}\": taints must be unique by key and effect pair",
                    taint.key, taint.effect
                );
                errors.push(&at, problem);
            }
        }
        let at = SPEC.field("podCIDRs");
        for (index, range) in spec.pod_cidrs.iter().flatten().enumerate() {
            check_cidr(range, &at.item(index), errors);
        }
    }
}
