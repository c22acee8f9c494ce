//! Pod templates and containers as in `kubectl describe` (`DescribePodTemplate`, `describeContainers`). Images,
//! resources, ports and probe timing are from the store, everything else is as written.

use std::fmt::Write as _;

use serde_json::Value;

use super::derived;
use super::page::{Page, line};
use super::pod_status::state_lines;
use super::rows::Snapshot;
use super::written::written_template;
use cluster::assigned::{hex_digits, pod_ip, uid_text};
use cluster::container_status::{ContainerState, ContainerStatus};
use cluster::node::{NOT_READY_TAINT, UNREACHABLE_TAINT};
use cluster::pod::Pod;
use cluster::pod_template::{
    Container, PodSpec, PodTemplate, Probe, ResourceList, Toleration, TolerationOperator,
};

/// Mount path of the ServiceAccount token.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// The pod of the containers, if they are not those of a template.
#[derive(Clone, Copy)]
pub(super) struct OfPod<'a> {
    pub(super) snapshot: Snapshot<'a>,
    pub(super) pod: &'a Pod,
}

/// The section of a pod template.
pub(super) fn pod_template(template: &PodTemplate, page: &mut Page) {
    line!(page, 0, "Pod Template:");
    page.labels("  Labels", &template.labels);
    if !template.annotations.is_empty() {
        page.annotations("  Annotations", &template.annotations);
    }
    let spec = &written_template(template)["spec"];
    if let Some(account) = spec["serviceAccountName"].as_str() {
        line!(page, 1, "Service Account:\t{account}");
    }
    containers_of(&template.spec, spec, None, " ", page);
    volumes(&spec["volumes"], None, "  ", page);
    spread(&template.spec, "  ", page);
    if !template.spec.priority_class_name.is_empty() {
        line!(page, 1, "Priority Class Name:\t{}", template.spec.priority_class_name);
    }
    page.labels("  Node-Selectors", &template.spec.node_selector);
    // Admission adds the others to pods, not to templates.
    let is_written = |one: &&Toleration| {
        let written = list(&spec["tolerations"]);
        !is_of_admission(one) || written.iter().any(|other| other["key"] == *one.key)
    };
    let own: Vec<Toleration> =
        template.spec.tolerations.iter().filter(is_written).cloned().collect();
    page.list("  Tolerations", tolerations(&own));
}

/// True if the admission plugin DefaultTolerationSeconds adds this toleration.
fn is_of_admission(one: &Toleration) -> bool {
    one.toleration_seconds == Some(300) && matches!(&*one.key, NOT_READY_TAINT | UNREACHABLE_TAINT)
}

/// The sections of init containers and containers.
pub(super) fn containers_of(
    spec: &PodSpec,
    written: &Value,
    of_pod: Option<OfPod<'_>>,
    indent: &str,
    page: &mut Page,
) {
    let (init, regular) = of_pod.map_or((&[][..], &[][..]), |of| of.pod.containers.split(spec));
    let title = if indent.is_empty() { "" } else { "  " };
    for (name, field, containers, statuses) in [
        ("Init Containers", "initContainers", &spec.init_containers, init),
        ("Containers", "containers", &spec.containers, regular),
    ] {
        if containers.is_empty() {
            continue;
        }
        line!(page, 0, "{title}{name}:");
        for (position, one) in containers.iter().enumerate() {
            let written = written[field].as_array().into_iter().flatten();
            let written = written.clone().find(|other| other["name"] == *one.name);
            let written = written.unwrap_or(&Value::Null);
            line!(page, 1, "{indent}{}:", one.name);
            container(one, written, of_pod, statuses.get(position), page);
        }
    }
}

fn container(
    one: &Container,
    written: &Value,
    of_pod: Option<OfPod<'_>>,
    status: Option<&ContainerStatus>,
    page: &mut Page,
) {
    if let (Some(status), Some(of)) = (status, of_pod) {
        let has_run = status.last_termination.is_some()
            || !matches!(status.state, ContainerState::Waiting(_));
        let digits = || hex_digits(&format!("{} {} {}", of.pod.uid, one.name, status.restarts));
        let id = if has_run { format!("containerd://{}", digits()) } else { String::new() };
        line!(page, 2, "Container ID:\t{id}");
        line!(page, 2, "Image:\t{}", one.image);
        let digits = || hex_digits(&one.image);
        let id = if has_run { format!("sha256:{}", digits()) } else { String::new() };
        line!(page, 2, "Image ID:\t{id}");
    } else {
        line!(page, 2, "Image:\t{}", one.image);
    }
    let ports = |number: fn(&cluster::pod_template::ContainerPort) -> u16, named: bool| {
        let ports = one.ports.iter().map(|port| match &*port.name {
            name if named && !name.is_empty() => {
                format!("{}/{} ({name})", number(port), port.protocol)
            }
            _ => format!("{}/{}", number(port), port.protocol),
        });
        ports.collect::<Vec<_>>()
    };
    for (title, ports) in [
        ("Port", ports(|port| port.container_port, true)),
        ("Host Port", ports(|port| port.host_port, true)),
    ] {
        match ports.len() {
            0 => line!(page, 2, "{title}:\t<none>"),
            1 => line!(page, 2, "{title}:\t{}", ports[0]),
            _ => line!(page, 2, "{title}s:\t{}", ports.join(", ")),
        }
    }
    for (title, field) in [("Command", "command"), ("Args", "args")] {
        let words: Vec<&str> = texts(&written[field]).collect();
        if !words.is_empty() {
            line!(page, 2, "{title}:");
            words.iter().flat_map(|word| word.lines()).for_each(|word| line!(page, 3, "{word}"));
        }
    }
    if let (Some(status), Some(of)) = (status, of_pod) {
        for (level, name, text) in state_lines(status, of.snapshot) {
            line!(page, level, "{name}:\t{text}");
        }
    }
    amounts("Limits", &one.limits, page);
    amounts("Requests", &one.requests, page);
    for (title, field, timing) in [
        ("Liveness", "livenessProbe", &one.liveness_probe),
        ("Readiness", "readinessProbe", &one.readiness_probe),
        ("Startup", "startupProbe", &one.startup_probe),
    ] {
        if let Some(timing) = timing {
            line!(page, 2, "{title}:\t{}", probe(timing, &written[field]));
        }
    }
    environment(written, of_pod, page);
    mounts(written, of_pod, page);
}

/// `describeResources`.
fn amounts(title: &str, amounts: &ResourceList, page: &mut Page) {
    if !amounts.is_empty() {
        line!(page, 2, "{title}:");
    }
    for (name, amount) in amounts.iter() {
        line!(page, 3, "{name}:\t{amount}");
    }
}

/// `DescribeProbe`.
fn probe(timing: &Probe, written: &Value) -> String {
    let attributes = format!(
        "delay={}s timeout={}s period={}s #success={} #failure={}",
        timing.initial_delay.as_secs(),
        timing.timeout.as_secs(),
        timing.period.as_secs(),
        timing.success_threshold,
        timing.failure_threshold
    );
    let port = |handler: &Value| match &handler["port"] {
        Value::String(name) => name.clone(),
        other => other.to_string(),
    };
    let [exec, http, tcp, grpc] =
        ["exec", "httpGet", "tcpSocket", "grpc"].map(|handler| &written[handler]);
    let text = |value: &Value, otherwise: &str| value.as_str().unwrap_or(otherwise).to_owned();
    if exec.is_object() {
        let command: Vec<&str> = texts(&exec["command"]).collect();
        format!("exec [{}] {attributes}", command.join(" "))
    } else if http.is_object() {
        let scheme = text(&http["scheme"], "HTTP").to_lowercase();
        let (host, path) = (text(&http["host"], ""), text(&http["path"], "/"));
        format!("http-get {scheme}://{host}:{}{path} {attributes}", port(http))
    } else if tcp.is_object() {
        format!("tcp-socket {}:{} {attributes}", text(&tcp["host"], ""), port(tcp))
    } else if grpc.is_object() {
        format!("grpc <pod>:{} {} {attributes}", grpc["port"], text(&grpc["service"], ""))
    } else {
        format!("unknown {attributes}")
    }
}

/// `describeContainerEnvFrom`, `describeContainerEnvVars`.
fn environment(written: &Value, of_pod: Option<OfPod<'_>>, page: &mut Page) {
    let optional = |source: &Value| source["optional"].as_bool().unwrap_or(false);
    let from = list(&written["envFrom"]);
    if !from.is_empty() {
        line!(page, 2, "Environment Variables from:");
    }
    for one in from {
        let (kind, source) = if one["configMapRef"].is_object() {
            ("ConfigMap", &one["configMapRef"])
        } else {
            ("Secret", &one["secretRef"])
        };
        let prefix = one["prefix"].as_str().filter(|prefix| !prefix.is_empty());
        let prefix = prefix.map_or_else(String::new, |prefix| format!(" with prefix '{prefix}'"));
        let name = source["name"].as_str().unwrap_or_default();
        line!(page, 3, "{name}\t{kind}{prefix}\tOptional: {}", optional(source));
    }
    let all = list(&written["env"]);
    line!(page, 2, "Environment:{}", if all.is_empty() { "\t<none>" } else { "" });
    for one in all {
        let name = one["name"].as_str().unwrap_or_default();
        let source = &one["valueFrom"];
        let [field, resource, secret, config] =
            ["fieldRef", "resourceFieldRef", "secretKeyRef", "configMapKeyRef"]
                .map(|kind| &source[kind]);
        let key =
            |source: &Value, field: &str| source[field].as_str().unwrap_or_default().to_owned();
        if field.is_object() {
            let path = key(field, "fieldPath");
            let version = field["apiVersion"].as_str().unwrap_or("v1");
            let value = of_pod.map_or_else(String::new, |of| field_value(of, &path));
            line!(page, 3, "{name}:\t{value} ({version}:{path})");
        } else if resource.is_object() {
            line!(page, 3, "{name}:\t ({})", key(resource, "resource"));
        } else if secret.is_object() {
            let (of, secret_name) = (key(secret, "key"), key(secret, "name"));
            let optional = optional(secret);
            line!(
                page,
                3,
                "{name}:\t<set to the key '{of}' in secret '{secret_name}'>\tOptional: {optional}"
            );
        } else if config.is_object() {
            let (of, map) = (key(config, "key"), key(config, "name"));
            let optional = optional(config);
            line!(
                page,
                3,
                "{name}:\t<set to the key '{of}' of config map '{map}'>\tOptional: {optional}"
            );
        } else {
            let value = one["value"].as_str().unwrap_or_default();
            let mut lines = value.split('\n');
            line!(page, 3, "{name}:\t{}", lines.next().unwrap_or_default());
            lines.for_each(|more| line!(page, 3, "\t{more}"));
        }
    }
}

/// The value of a pod's field, if the simulation has it.
fn field_value(of: OfPod<'_>, path: &str) -> String {
    let OfPod { snapshot, pod } = of;
    match path {
        "metadata.name" => pod.name().to_string(),
        "metadata.namespace" => pod.id.namespace.to_string(),
        "metadata.uid" => uid_text(pod.uid),
        "spec.nodeName" if pod.node.is_some() => snapshot.node_name(pod.node).to_owned(),
        "status.podIP" => pod_ip(snapshot.view.store(), pod).unwrap_or_default(),
        _ => String::new(),
    }
}

/// `describeContainerVolumes`; the containers of a pod also have the ServiceAccount token mounted.
fn mounts(written: &Value, of_pod: Option<OfPod<'_>>, page: &mut Page) {
    let own = list(&written["volumeMounts"]).iter().map(|mount| {
        let text = |field: &str| mount[field].as_str().unwrap_or_default();
        let mode = if mount["readOnly"] == true { "ro" } else { "rw" };
        let sub = match text("subPath") {
            "" => String::new(),
            path => format!(",path={path:?}"),
        };
        format!("{} from {} ({mode}{sub})", text("mountPath"), text("name"))
    });
    let token =
        of_pod.map(|of| format!("{TOKEN_PATH} from {} (ro)", derived::token_volume(of.pod)));
    let mut all: Vec<String> = own.chain(token).collect();
    all.sort();
    line!(page, 2, "Mounts:{}", if all.is_empty() { "\t<none>" } else { "" });
    for mount in all {
        line!(page, 3, "{mount}");
    }
}

/// `describeVolumes`, for the most common volume sources.
pub(super) fn volumes(written: &Value, of_pod: Option<OfPod<'_>>, indent: &str, page: &mut Page) {
    let all = list(written);
    if all.is_empty() && of_pod.is_none() {
        return line!(page, 0, "{indent}Volumes:\t<none>");
    }
    line!(page, 0, "{indent}Volumes:");
    let name_indent = if indent.is_empty() { "" } else { " " };
    for volume in all {
        line!(page, 1, "{name_indent}{}:", volume["name"].as_str().unwrap_or_default());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let optional = |source: &Value| source["optional"].as_bool().unwrap_or(false);
        let [config, secret, empty, claim, host] =
            ["configMap", "secret", "emptyDir", "persistentVolumeClaim", "hostPath"]
                .map(|kind| &volume[kind]);
        if config.is_object() {
            line!(page, 2, "Type:\tConfigMap (a volume populated by a ConfigMap)");
            line!(page, 2, "Name:\t{}", text(&config["name"]));
            line!(page, 2, "Optional:\t{}", optional(config));
        } else if secret.is_object() {
            line!(page, 2, "Type:\tSecret (a volume populated by a Secret)");
            line!(page, 2, "SecretName:\t{}", text(&secret["secretName"]));
            line!(page, 2, "Optional:\t{}", optional(secret));
        } else if empty.is_object() {
            line!(page, 2, "Type:\tEmptyDir (a temporary directory that shares a pod's lifetime)");
            line!(page, 2, "Medium:\t{}", text(&empty["medium"]));
            line!(page, 2, "SizeLimit:\t{}", empty["sizeLimit"].as_str().unwrap_or("<unset>"));
        } else if claim.is_object() {
            let kind = "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)";
            line!(page, 2, "Type:\t{kind}");
            line!(page, 2, "ClaimName:\t{}", text(&claim["claimName"]));
            line!(page, 2, "ReadOnly:\t{}", claim["readOnly"].as_bool().unwrap_or(false));
        } else if host.is_object() {
            line!(page, 2, "Type:\tHostPath (bare host directory volume)");
            line!(page, 2, "Path:\t{}", text(&host["path"]));
            line!(page, 2, "HostPathType:\t{}", text(&host["type"]));
        } else {
            line!(page, 1, "<unknown>");
        }
    }
    if let Some(of) = of_pod {
        line!(page, 1, "{}:", derived::token_volume(of.pod));
        let kind = "Projected (a volume that contains injected data from multiple sources)";
        line!(page, 2, "Type:\t{kind}");
        line!(page, 2, "TokenExpirationSeconds:\t3607");
        line!(page, 2, "ConfigMapName:\tkube-root-ca.crt");
        line!(page, 2, "Optional:\tfalse");
        line!(page, 2, "DownwardAPI:\ttrue");
    }
}

/// `describeTopologySpreadConstraints`.
pub(super) fn spread(spec: &PodSpec, indent: &str, page: &mut Page) {
    if spec.topology_spread.is_empty() {
        return;
    }
    let mut all: Vec<_> = spec.topology_spread.iter().collect();
    all.sort_by(|one, other| one.topology_key.cmp(&other.topology_key));
    let texts = all.into_iter().map(|one| {
        let selector = one.selector.as_ref();
        let selector = selector.map_or_else(String::new, |one| format!(" for selector {one}"));
        let (key, what) = (&one.topology_key, one.when_unsatisfiable);
        format!("{key}:{what:?} when max skew {} is exceeded{selector}", one.max_skew)
    });
    page.list(&format!("{indent}Topology Spread Constraints"), texts);
}

/// `printPodTolerationsMultiline`.
pub(super) fn tolerations(all: &[Toleration]) -> Vec<String> {
    let mut all: Vec<&Toleration> = all.iter().collect();
    all.sort_by(|one, other| one.key.cmp(&other.key));
    let texts = all.into_iter().map(|one| {
        // Writing to a string cannot fail.
        let mut text = one.key.to_string();
        if !one.value.is_empty() {
            text.extend(["=", &*one.value]);
        }
        if let Some(effect) = one.effect {
            let _ = write!(text, ":{effect:?}");
        }
        if one.operator == TolerationOperator::Exists && one.value.is_empty() {
            text += if text.is_empty() { "op=Exists" } else { " op=Exists" };
        }
        if let Some(seconds) = one.toleration_seconds {
            let _ = write!(text, " for {seconds}s");
        }
        text
    });
    texts.collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    list(value).iter().filter_map(Value::as_str)
}
