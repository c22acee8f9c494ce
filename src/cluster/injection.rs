//! Proxies that a service mesh's webhook adds to new pods: Istio's (`pkg/kube/inject` and its `injection-template.yaml`,
//! 1.28) and Linkerd's (`pkg/inject`, `charts/partials` of 2.18).

use serde_json::{Value, json};

use super::meta::{Labels, Name};
use super::pod_template::{
    Container, ImagePullPolicy, PodSpec, PodTemplate, Probe, ResourceList, TemplateId,
};
use super::store::Store;
use engine::SimDuration;
use units::Quantity;

/// A service mesh with sidecars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mesh {
    /// Istio in sidecar mode.
    Istio,
    /// Linkerd.
    Linkerd,
}

/// The webhook of a service mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injector {
    /// The mesh.
    pub mesh: Mesh,
    /// Requests of each proxy without annotations.
    pub requests: ResourceList,
    /// Limits of each proxy without annotations.
    pub limits: ResourceList,
    /// Whether the proxy is a sidecar among the init containers, rather than an ordinary container.
    pub is_native: bool,
    /// Whether an ordinary proxy is the first container, and holds the others back until it is ready.
    pub holds_application: bool,
    /// Whether a CNI plugin redirects the traffic of pods, so that they need no privileged init container.
    pub has_cni: bool,
}

/// Namespaces into whose pods Istio injects nothing (`IgnoredNamespaces` of `pkg/kube/inject`).
const IGNORED_BY_ISTIO: [&str; 4] =
    ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

impl Mesh {
    /// Name of the proxy's container.
    pub const fn proxy(self) -> &'static str {
        match self {
            Self::Istio => "istio-proxy",
            Self::Linkerd => "linkerd-proxy",
        }
    }

    /// Name for messages.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Istio => "Istio",
            Self::Linkerd => "Linkerd",
        }
    }

    /// The annotations of a pod that give a resource of its proxy: the field, the resource, and the annotation.
    const fn annotations(self) -> [(bool, &'static str, &'static str); 4] {
        match self {
            Self::Istio => [
                (true, "cpu", "sidecar.istio.io/proxyCPU"),
                (true, "memory", "sidecar.istio.io/proxyMemory"),
                (false, "cpu", "sidecar.istio.io/proxyCPULimit"),
                (false, "memory", "sidecar.istio.io/proxyMemoryLimit"),
            ],
            Self::Linkerd => [
                (true, "cpu", "config.linkerd.io/proxy-cpu-request"),
                (true, "memory", "config.linkerd.io/proxy-memory-request"),
                (false, "cpu", "config.linkerd.io/proxy-cpu-limit"),
                (false, "memory", "config.linkerd.io/proxy-memory-limit"),
            ],
        }
    }
}

impl Injector {
    /// A mesh as it is installed by default: Istio's proxies request 100m and 128Mi and are limited to 2 cores and 1Gi,
    /// Linkerd's have neither; both are native sidecars.
    pub fn usual(mesh: Mesh) -> Self {
        let list = |amounts: &[(&str, &str)]| {
            let mut list = ResourceList::default();
            for (name, amount) in amounts {
                list.set(*name, amount.parse().expect("a quantity"));
            }
            list
        };
        let [requests, limits] = match mesh {
            Mesh::Istio => {
                [[("cpu", "100m"), ("memory", "128Mi")], [("cpu", "2"), ("memory", "1Gi")]]
                    .map(|amounts| list(&amounts))
            }
            Mesh::Linkerd => [(); 2].map(|()| ResourceList::default()),
        };
        Self {
            mesh,
            requests,
            limits,
            is_native: true,
            holds_application: mesh == Mesh::Linkerd,
            has_cni: false,
        }
    }

    /// Whether a pod of this template in a namespace with these labels and annotations gets a proxy.
    pub fn injects(&self, namespace: &NamespaceMarks<'_>, template: &PodTemplate) -> bool {
        let spec = &template.spec;
        let has_proxy = spec.containers.iter().chain(&spec.init_containers);
        let has_proxy = has_proxy.into_iter().any(|one| *one.name == *self.mesh.proxy());
        if spec.host_network || has_proxy {
            return false;
        }
        match self.mesh {
            Mesh::Istio => {
                !IGNORED_BY_ISTIO.contains(&namespace.name)
                    && istio_injects(namespace.labels, &template.labels, &template.annotations)
            }
            Mesh::Linkerd => linkerd_injects(namespace.annotations, &template.annotations),
        }
    }

    /// The template with its proxy.
    pub fn inject(&self, namespace: &NamespaceMarks<'_>, template: &PodTemplate) -> PodTemplate {
        let mut injected = template.clone();
        let spec = &mut injected.spec;
        let proxy = self.proxy(namespace, template);
        let init = self.init_container(&proxy);
        let written_proxy = self.written(&proxy, false);
        let written_init = self.written(&init, !self.has_cni);
        // Where each container goes: with a native sidecar Istio's come before all others, without one its init
        // container after them; Linkerd's come first.
        let goes_first = self.is_native || self.has_cni || self.mesh == Mesh::Linkerd;
        let init_place = if goes_first { 0 } else { spec.init_containers.len() };
        let proxy_place = match (self.is_native, self.holds_application) {
            (true, _) => init_place + 1,
            (false, true) => 0,
            (false, false) => spec.containers.len(),
        };
        spec.init_containers.insert(init_place, init);
        let list = if self.is_native { &mut spec.init_containers } else { &mut spec.containers };
        list.insert(proxy_place, proxy);
        if let Some(document) = template.document.get() {
            let mut document = document.clone();
            let mut add = |field: &str, place: usize, container: Value| {
                let list = &mut document["spec"][field];
                if !list.is_array() {
                    *list = json!([]);
                }
                if let Some(list) = list.as_array_mut() {
                    list.insert(place.min(list.len()), container);
                }
            };
            add("initContainers", init_place, written_init);
            let field = if self.is_native { "initContainers" } else { "containers" };
            add(field, proxy_place, written_proxy);
            injected.document = document.into();
        }
        injected
    }

    /// The proxy's container. With Istio, one annotation about resources replaces all defaults; with Linkerd each
    /// replaces its own, and a namespace may have them too.
    fn proxy(&self, namespace: &NamespaceMarks<'_>, template: &PodTemplate) -> Container {
        let amount = |annotation: &str| -> Option<Quantity> {
            let of_pod = template.annotations.get(annotation);
            let of_namespace = || match self.mesh {
                Mesh::Istio => None,
                Mesh::Linkerd => namespace.annotations.get(annotation),
            };
            of_pod.or_else(of_namespace)?.parse().ok()
        };
        let given = self
            .mesh
            .annotations()
            .map(|(is_request, resource, annotation)| (is_request, resource, amount(annotation)));
        let is_replaced = given.iter().any(|(.., amount)| amount.is_some());
        let (mut requests, mut limits) = match self.mesh {
            Mesh::Istio if is_replaced => Default::default(),
            _ => (self.requests.clone(), self.limits.clone()),
        };
        for (is_request, resource, amount) in given {
            if let Some(amount) = amount {
                if is_request { &mut requests } else { &mut limits }.set(resource, amount);
            }
        }
        // The API server defaults requests from limits.
        for (resource, limit) in limits.iter() {
            if requests.get(resource).is_none() {
                requests.set(resource.clone(), limit);
            }
        }
        let second = SimDuration::from_secs(1);
        let probe = |delay: i64, period: i64, timeout: i64, failures: u32| Probe {
            initial_delay: second * delay,
            period: second * period,
            timeout: second * timeout,
            success_threshold: 1,
            failure_threshold: failures,
            termination_grace_period: None,
        };
        let (startup, readiness, liveness) = match self.mesh {
            Mesh::Istio => (Some(probe(0, 1, 3, 600)), probe(0, 15, 3, 4), None),
            Mesh::Linkerd => (
                self.is_native.then(|| probe(0, 1, 1, 120)),
                probe(2, 10, 1, 3),
                Some(probe(10, 10, 1, 3)),
            ),
        };
        // The hook of a proxy that holds the application back waits until it is ready.
        let holds = !self.is_native && self.holds_application;
        Container {
            name: self.mesh.proxy().into(),
            image: match self.mesh {
                Mesh::Istio => "docker.io/istio/proxyv2".into(),
                Mesh::Linkerd => "cr.l5d.io/linkerd/proxy".into(),
            },
            image_pull_policy: ImagePullPolicy::IfNotPresent,
            requests,
            limits,
            startup_probe: startup,
            readiness_probe: Some(readiness),
            liveness_probe: liveness,
            post_start_sleep: holds.then_some(PROXY_START),
            is_sidecar: self.is_native,
            is_proxy: true,
            ..Container::default()
        }
    }

    /// The init container that redirects the pod's traffic, or checks that the CNI plugin does.
    fn init_container(&self, proxy: &Container) -> Container {
        let name = match self.mesh {
            Mesh::Istio if self.has_cni => "istio-validation",
            Mesh::Istio => "istio-init",
            Mesh::Linkerd if self.has_cni => "linkerd-network-validator",
            Mesh::Linkerd => "linkerd-init",
        };
        Container {
            name: name.into(),
            startup_probe: None,
            readiness_probe: None,
            liveness_probe: None,
            post_start_sleep: None,
            is_sidecar: false,
            ..proxy.clone()
        }
    }

    /// A container in the form of API clients, with the security context that Pod Security sees: that of an init
    /// container that redirects traffic has capabilities of its own.
    fn written(&self, container: &Container, redirects: bool) -> Value {
        let mut fields = json!({ "name": &*container.name, "image": &*container.image });
        let amounts = |list: &ResourceList| -> Value {
            let pairs = list.iter();
            pairs.map(|(name, amount)| (name.to_string(), json!(amount.to_string()))).collect()
        };
        fields["resources"] = json!({});
        for (field, list) in [("requests", &container.requests), ("limits", &container.limits)] {
            if list.iter().next().is_some() {
                fields["resources"][field] = amounts(list);
            }
        }
        if container.is_sidecar {
            fields["restartPolicy"] = "Always".into();
        }
        let mut context = json!({
            "allowPrivilegeEscalation": false, "privileged": false, "runAsNonRoot": !redirects,
            "readOnlyRootFilesystem": !redirects, "capabilities": {"drop": ["ALL"]},
        });
        if redirects {
            context["capabilities"]["add"] = json!(["NET_ADMIN", "NET_RAW"]);
        }
        // Istio sets none by default, and leaves it to the pod.
        if self.mesh == Mesh::Linkerd {
            context["seccompProfile"] = json!({"type": "RuntimeDefault"});
        }
        fields["securityContext"] = context;
        fields
    }
}

/// Time from the start of a proxy until it answers: it gets its configuration and a certificate first. Assumed.
pub const PROXY_START: SimDuration = SimDuration::from_secs(1);

/// A namespace as webhooks see it.
#[derive(Clone, Copy, Debug)]
pub struct NamespaceMarks<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its labels.
    pub labels: &'a Labels,
    /// Its annotations.
    pub annotations: &'a Labels,
}

/// Istio's webhooks and `injectRequired`: labels of the namespace select, those of the pod overrule them. Every revision
/// that a label names is taken to be installed.
fn istio_injects(namespace: &Labels, pod: &Labels, annotations: &Labels) -> bool {
    let own = pod.get("sidecar.istio.io/inject").map(|text| &**text);
    let is_called = match namespace.get("istio-injection").map(|text| &**text) {
        Some("enabled") => true,
        Some(_) => false,
        None if namespace.get("istio.io/rev").is_some() => true,
        None => own == Some("true") || pod.get("istio.io/rev").is_some(),
    };
    if !is_called || own == Some("false") {
        return false;
    }
    let chosen = own.or_else(|| annotations.get("sidecar.istio.io/inject").map(|text| &**text));
    chosen != Some("false")
}

/// Linkerd's `disabledByAnnotation`.
fn linkerd_injects(namespace: &Labels, pod: &Labels) -> bool {
    let mark = |marks: &Labels| marks.get("linkerd.io/inject").map(ToString::to_string);
    let enables = |mark: &Option<String>| matches!(mark.as_deref(), Some("enabled" | "ingress"));
    let own = mark(pod);
    if enables(&mark(namespace)) { own.as_deref() != Some("disabled") } else { enables(&own) }
}

impl PodSpec {
    /// Whether a mesh has injected a proxy.
    pub fn has_proxy(&self) -> bool {
        self.running().any(|one| one.is_proxy)
    }

    /// Position of the application among the containers: the one of this name, or the first that no mesh injected.
    pub fn application(&self, name: Option<&Name>) -> usize {
        let named = name.and_then(|name| self.containers.iter().position(|one| one.name == *name));
        let first = || self.containers.iter().position(|one| !one.is_proxy);
        named.or_else(first).unwrap_or(0)
    }
}

impl Store {
    /// Installs the webhook of a service mesh.
    #[must_use]
    pub fn with_injector(mut self, injector: Option<Injector>) -> Self {
        self.injector = injector;
        self
    }

    /// The template of a new pod with the proxy that the mesh adds to it.
    pub(super) fn inject_proxy(&mut self, namespace: &Name, template: TemplateId) -> TemplateId {
        let Some(injector) = &self.injector else { return template };
        let none = Labels::default();
        let found = self.namespace(namespace);
        let marks = NamespaceMarks {
            name: namespace,
            labels: found.map_or(&none, |one| &one.meta.labels),
            annotations: found.map_or(&none, |one| &one.meta.annotations),
        };
        let given = &self.templates[template];
        if !injector.injects(&marks, given) {
            return template;
        }
        let injected = injector.inject(&marks, given);
        self.intern(injected)
    }
}
