//! Random scenarios, as the files that a user would write: what is drawn shrinks, and what is left can be run.

use std::fmt;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::changes::{Change, Targets, any_change};

/// The storm ends here: nodes come back, metrics too, and nothing is changed any more.
pub const CALM_SECONDS: u32 = 300;
/// A crash loop waits for five minutes at most, and a rollout behind it for its turn.
pub const DURATION_SECONDS: u32 = CALM_SECONDS + 900;

/// Zones that pools may have nodes in: the first ones.
pub const ZONES: [&str; 3] = ["a", "b", "c"];

/// A scenario with its files.
#[derive(Clone)]
pub struct StormyWorld {
    pub seed: u64,
    pub scenario: String,
    pub manifests: String,
    /// Files that the timeline applies.
    pub applies: Vec<(String, String)>,
}

impl fmt::Debug for StormyWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}\n# scenario.yaml\n{}", self.seed, self.scenario)?;
        writeln!(f, "# all.yaml\n{}", self.manifests)?;
        self.applies.iter().try_for_each(|(name, text)| writeln!(f, "# {name}\n{text}"))
    }
}

#[derive(Clone, Debug)]
struct Pool {
    instance_type: &'static str,
    nodes: u32,
    /// Further nodes that the Cluster Autoscaler may add.
    growth: u32,
    zones: usize,
}

#[derive(Clone, Debug)]
struct Service {
    rps: f64,
    cpu_ms: u32,
    concurrency: u32,
    timeout_ms: u32,
    balancer: &'static str,
    /// Whether each request calls the service after this one.
    calls_next: bool,
    retries: u32,
}

#[derive(Clone, Debug)]
struct Pods {
    replicas: u32,
    cpu_milli: u32,
    cpu_limit: bool,
    readiness: bool,
    liveness: bool,
    grace_seconds: u32,
    warm_up_seconds: u32,
    on_sigterm: &'static str,
    spread: bool,
}

#[derive(Clone, Debug)]
struct Deployment {
    pods: Pods,
    service: Option<Service>,
    recreate: bool,
    max_surge: u32,
    max_unavailable: u32,
    min_ready_seconds: u32,
    budget: Option<u32>,
    /// `maxReplicas` and the target of its HPA.
    autoscaler: Option<(u32, u32)>,
}

fn any_pool() -> impl Strategy<Value = Pool> {
    let types = prop::sample::select(vec!["aws/m5.large", "aws/m5.xlarge", "aws/c5.2xlarge"]);
    (types, 1..4u32, prop_oneof![2 => Just(0u32), 1 => 1..4u32], 1..4usize).prop_map(
        |(instance_type, nodes, growth, zones)| Pool { instance_type, nodes, growth, zones },
    )
}

fn any_pods() -> impl Strategy<Value = Pods> {
    let amounts = (0..6u32, 50..1_200u32, any::<bool>());
    let probes = (any::<bool>(), any::<bool>());
    let life = (1..40u32, 0..15u32, prop::sample::select(vec!["drain", "exit", "ignore"]));
    (amounts, probes, life, any::<bool>()).prop_map(|(amounts, probes, life, spread)| Pods {
        replicas: amounts.0,
        cpu_milli: amounts.1,
        cpu_limit: amounts.2,
        readiness: probes.0,
        liveness: probes.1,
        grace_seconds: life.0,
        warm_up_seconds: life.1,
        on_sigterm: life.2,
        spread,
    })
}

fn any_service() -> impl Strategy<Value = Service> {
    let balancers = vec!["random", "roundRobin", "leastConnections", "leastRequest"];
    let costs = (0.1..8.0f64, 1..150u32, 1..8u32, 50..3_000u32);
    (costs, prop::sample::select(balancers), any::<bool>(), 0..3u32).prop_map(
        |((rps, cpu_ms, concurrency, timeout_ms), balancer, calls_next, retries)| Service {
            rps,
            cpu_ms,
            concurrency,
            timeout_ms,
            balancer,
            calls_next,
            retries,
        },
    )
}

fn any_deployment() -> impl Strategy<Value = Deployment> {
    let strategy = (any::<bool>(), 0..3u32, 0..3u32, prop_oneof![Just(0u32), 1..20u32]);
    let beside = (prop::option::of(0..4u32), prop::option::of((1..9u32, 20..95u32)));
    (any_pods(), prop::option::of(any_service()), strategy, beside).prop_map(
        |(pods, service, strategy, beside)| Deployment {
            pods,
            service,
            recreate: strategy.0,
            // Both at zero is refused.
            max_surge: strategy.1.max(u32::from(strategy.2 == 0)),
            max_unavailable: strategy.2,
            min_ready_seconds: strategy.3,
            budget: beside.0,
            autoscaler: beside.1,
        },
    )
}

/// Any scenario of a few workloads on a few nodes, and what befalls it.
pub fn any_world() -> impl Strategy<Value = StormyWorld> {
    let workloads = (
        prop::collection::vec(any_deployment(), 1..4),
        prop::option::of(any_pods()),
        prop::option::of(50..200u32),
        prop::option::of((5..90u32, 0.0..0.6f64)),
    );
    let storm = prop::collection::vec((0..CALM_SECONDS, any_change()), 0..12);
    (
        0..1_000u64,
        prop::collection::vec(any_pool(), 1..3),
        prop::option::of(5..30u32),
        workloads,
        storm,
    )
        .prop_map(|(seed, pools, quota, (deployments, set, agent, batch), storm)| {
            let drawn = Drawn { pools, quota, deployments, set, agent, batch };
            drawn.written(seed, &storm)
        })
}

struct Drawn {
    pools: Vec<Pool>,
    quota: Option<u32>,
    deployments: Vec<Deployment>,
    set: Option<Pods>,
    agent: Option<u32>,
    batch: Option<(u32, f64)>,
}

impl Drawn {
    fn written(&self, seed: u64, storm: &[(u32, Change)]) -> StormyWorld {
        let targets =
            Targets { nodes: self.nodes(), workloads: self.scalable(), zones: self.zones() };
        let mut applies = Vec::new();
        let mut timeline: Vec<Value> = Vec::new();
        for (number, (at, change)) in storm.iter().enumerate() {
            let Some(mut entry) = change.entry(&targets) else { continue };
            if let Change::Quota(pods) = change {
                let file = format!("quota-{number}.yaml");
                entry["apply"] = json!(file);
                applies.push((file, text(&quota(*pods))));
            }
            entry["at"] = json!(format!("{at}s"));
            timeline.push(entry);
        }
        timeline.extend(self.calm().into_iter().map(|mut entry| {
            entry["at"] = json!(format!("{CALM_SECONDS}s"));
            entry
        }));
        let pools: Vec<Value> =
            self.pools.iter().enumerate().map(|(number, pool)| pool.written(number)).collect();
        let mut scenario = json!({
            "duration": format!("{DURATION_SECONDS}s"),
            "cluster": { "nodePools": pools },
            "workloads": self.applications(),
            "timeline": timeline,
        });
        let traffic = self.traffic();
        if !traffic.is_empty() {
            scenario["traffic"] = json!(traffic);
        }
        let Value::Object(parts) = &scenario else { unreachable!("it is an object") };
        let lines: Vec<String> =
            parts.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
        let scenario = lines.concat();
        let manifests: Vec<String> = self.manifests().iter().map(text).collect();
        StormyWorld { seed, scenario, manifests: manifests.join("---\n"), applies }
    }

    /// Workloads that have replicas and revisions, by the name under which a scenario refers to them.
    fn scalable(&self) -> Vec<String> {
        let deployments = (0..self.deployments.len()).map(|number| format!("Deployment/d{number}"));
        deployments.chain(self.set.iter().map(|_| "StatefulSet/set".to_owned())).collect()
    }

    fn nodes(&self) -> Vec<String> {
        let pools = self.pools.iter().enumerate();
        pools
            .flat_map(|(pool, one)| (1..=one.nodes).map(move |node| format!("p{pool}-{node}")))
            .collect()
    }

    /// Zones with nodes.
    fn zones(&self) -> &'static [&'static str] {
        &ZONES[..self.pools.iter().map(|pool| pool.zones).max().unwrap_or(0)]
    }

    /// Puts right what can be put right.
    fn calm(&self) -> Vec<Value> {
        let nodes = self.nodes().into_iter();
        let mut calm: Vec<Value> = nodes
            .flat_map(|node| [json!({ "recoverNode": node }), json!({ "uncordon": node })])
            .collect();
        calm.extend(self.zones().iter().map(|zone| json!({ "recoverZone": zone })));
        calm.push(json!({ "metricsApiUp": "resource" }));
        calm.push(json!({ "resumeScrapes": "metricsServer" }));
        calm
    }

    fn applications(&self) -> Vec<Value> {
        let deployments = self.deployments.iter().enumerate();
        let mut applications: Vec<Value> = deployments
            .map(|(number, one)| {
                let mut application = json!({
                    "workload": format!("Deployment/d{number}"), "app": one.pods.life(),
                });
                if let Some(service) = &one.service {
                    let next = (number + 1..self.deployments.len())
                        .find(|next| self.deployments[*next].service.is_some());
                    application["requests"] = service.model(next);
                }
                application
            })
            .collect();
        if let Some(set) = &self.set {
            applications.push(json!({ "workload": "StatefulSet/set", "app": set.life() }));
        }
        if let Some((seconds, failures)) = self.batch {
            applications.push(json!({ "workload": "CronJob/tick", "app":
                { "runsFor": format!("{seconds}s"), "runsForCv": 0.4, "failureProbability": failures } }));
        }
        applications
    }

    fn traffic(&self) -> Vec<Value> {
        let services = self.deployments.iter().enumerate();
        services.filter_map(|(number, one)| Some(one.service.as_ref()?.traffic(number))).collect()
    }

    fn manifests(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for (number, one) in self.deployments.iter().enumerate() {
            one.manifests(&format!("d{number}"), &mut all);
        }
        if let Some(set) = &self.set {
            all.push(json!({
                "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "set" },
                "spec": { "serviceName": "set", "replicas": set.replicas,
                    "selector": { "matchLabels": { "app": "set" } }, "template": set.template("set") },
            }));
        }
        if let Some(cpu) = self.agent {
            all.push(json!({
                "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": "agent" },
                "spec": { "selector": { "matchLabels": { "app": "agent" } }, "template":
                    { "metadata": { "labels": { "app": "agent" } },
                      "spec": { "containers": [container(cpu, None)] } } },
            }));
        }
        if self.batch.is_some() {
            all.push(json!({
                "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "tick" },
                "spec": { "schedule": "*/2 * * * *", "concurrencyPolicy": "Replace", "jobTemplate":
                    { "spec": { "backoffLimit": 2, "template":
                        { "metadata": { "labels": { "app": "tick" } },
                          "spec": { "restartPolicy": "OnFailure", "containers": [container(100, None)] } } } } },
            }));
        }
        all.extend(self.quota.map(quota));
        all
    }
}

impl Pool {
    fn written(&self, number: usize) -> Value {
        let count = if self.growth == 0 {
            json!(self.nodes)
        } else {
            json!({ "min": self.nodes, "max": self.nodes + self.growth })
        };
        json!({ "name": format!("p{number}"), "instanceType": self.instance_type, "count": count,
            "zones": ZONES[..self.zones] })
    }
}

impl Service {
    fn model(&self, next: Option<usize>) -> Value {
        let mut model = json!({
            "concurrency": self.concurrency, "queue": 50,
            "cpuTime": { "distribution": "exponential", "mean": format!("{}ms", self.cpu_ms) },
        });
        if let Some(next) = next.filter(|_| self.calls_next) {
            let mut call = json!({ "service": format!("default/d{next}"), "timeout": "900ms" });
            if self.retries > 0 {
                call["retries"] = json!({ "attempts": self.retries, "perTryTimeout": "400ms",
                    "budget": 0.5 });
            }
            model["calls"] = json!([call]);
        }
        model
    }

    fn traffic(&self, number: usize) -> Value {
        json!({ "service": format!("default/d{number}"), "balancer": self.balancer,
            "timeout": format!("{}ms", self.timeout_ms),
            "load": { "pattern": "constant", "rps": self.rps } })
    }
}

impl Pods {
    fn life(&self) -> Value {
        json!({ "warmUp": format!("{}s", self.warm_up_seconds), "onSigterm": self.on_sigterm,
            "shutDown": "1s" })
    }

    fn template(&self, name: &str) -> Value {
        let mut container = container(self.cpu_milli, self.cpu_limit.then_some(self.cpu_milli * 2));
        let probe =
            json!({ "tcpSocket": { "port": 80 }, "periodSeconds": 3, "failureThreshold": 3 });
        if self.readiness {
            container["readinessProbe"] = probe.clone();
        }
        if self.liveness {
            // Long enough for the slowest start: a loop of restarts that are all too early never ends.
            container["livenessProbe"] = probe;
            container["livenessProbe"]["initialDelaySeconds"] = json!(20);
        }
        let mut spec = json!({ "terminationGracePeriodSeconds": self.grace_seconds,
            "containers": [container] });
        if self.spread {
            spec["topologySpreadConstraints"] = json!([{ "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": { "matchLabels": { "app": name } } }]);
        }
        json!({ "metadata": { "labels": { "app": name } }, "spec": spec })
    }
}

impl Deployment {
    fn manifests(&self, name: &str, all: &mut Vec<Value>) {
        let selector = json!({ "matchLabels": { "app": name } });
        let strategy = if self.recreate {
            json!({ "type": "Recreate" })
        } else {
            json!({ "type": "RollingUpdate", "rollingUpdate":
                { "maxSurge": self.max_surge, "maxUnavailable": self.max_unavailable } })
        };
        all.push(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name },
            "spec": { "replicas": self.pods.replicas, "selector": selector, "strategy": strategy,
                "minReadySeconds": self.min_ready_seconds, "template": self.pods.template(name) },
        }));
        if self.service.is_some() {
            all.push(json!({
                "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
                "spec": { "selector": { "app": name }, "ports": [{ "port": 80 }] },
            }));
        }
        if let Some(unavailable) = self.budget {
            all.push(json!({
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": name },
                "spec": { "maxUnavailable": unavailable, "selector": selector },
            }));
        }
        if let Some((most, target)) = self.autoscaler {
            all.push(json!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "metadata": { "name": name },
                "spec": { "minReplicas": 1, "maxReplicas": most,
                    "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
                    "metrics": [{ "type": "Resource", "resource": { "name": "cpu",
                        "target": { "type": "Utilization", "averageUtilization": target } } }] },
            }));
        }
    }
}

pub fn container(cpu_milli: u32, limit: Option<u32>) -> Value {
    let mut resources = json!({ "requests": { "cpu": format!("{cpu_milli}m"), "memory": "64Mi" } });
    if let Some(limit) = limit {
        resources["limits"] = json!({ "cpu": format!("{limit}m") });
    }
    json!({ "name": "app", "image": "app:v1", "resources": resources })
}

fn quota(pods: u32) -> Value {
    json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "quota" },
        "spec": { "hard": { "pods": pods.to_string() } } })
}

/// JSON is YAML.
fn text(object: &Value) -> String {
    format!("{object}\n")
}
