//! Karpenter: its settings, and its NodePools and node classes resolved against the cloud's instance types.

mod instance_types;
mod own_pool;

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::instance_types::{ec2_types, known_labels, kwok_types};
pub(crate) use self::own_pool::{manifests_of, problem};
use super::check::region_of;
use capacity::machine_prices::MachinePrices;
use cluster::{Kind, Name};
use engine::SimDuration;
use karpenter::api::{ApiError, node_class_label, node_pool, set_defaults};
use karpenter::labels::{NODE_POOL, WellKnownLabels, restriction};
use karpenter::requirement::NodeOperator;
use karpenter::state::{MinValuesPolicy, Options, PreferencePolicy};
use karpenter::{InstanceType, NodePool, Requirements, parse_go_duration};
use manifest::karpenter::{KwokNodeClass, NodePoolSpec};
use units::{HourlyPrice, LoopPhase};

/// Settings of Karpenter, which runs if the manifests contain a NodePool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KarpenterSettings {
    /// Zones of the subnets that an EC2NodeClass selects. Default [us-east-1a, us-east-1b, us-east-1c].
    pub zones: Vec<Name>,
    /// Spot prices of instance types in US dollars per hour, such as {m5.large: 0.035}. The built-in catalog has no
    /// spot prices for AWS; types without one are offered on demand only. KWOK types have their own prices.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub spot_prices: BTreeMap<Name, HourlyPrice>,
    /// The on-demand prices of a user's own list.
    #[serde(skip)]
    pub on_demand_prices: BTreeMap<Name, HourlyPrice>,
    /// Spot price of all other types as a share of their on-demand price, 0 to 1. Default: they have none.
    #[schemars(range(min = 0, max = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spot_share: Option<f64>,
    /// `BATCH_IDLE_DURATION`: a batch of pods is closed when no pod has arrived for this long. Default 1s.
    pub batch_idle_duration: SimDuration,
    /// `BATCH_MAX_DURATION`: longest time that a batch of pods stays open. Default 10s.
    pub batch_max_duration: SimDuration,
    /// `PREFERENCE_POLICY`: true to respect the preferences of pods as long as they can be met. Default true.
    pub respects_preferences: bool,
    /// The feature gate `SpotToSpotConsolidation`. Default false.
    pub spot_to_spot_consolidation: bool,
    /// Time of the first disruption loop: a time from the start, or seeded for a random time within the first 10 s.
    /// Default seeded.
    pub first_loop: LoopPhase,
}

impl KarpenterSettings {
    /// Applies a user's own price list in the region of the first zone. Spot prices set in the scenario take precedence.
    pub fn take_prices(&mut self, prices: &MachinePrices) {
        let region = self.zones.first().and_then(|zone| region_of(zone));
        let region = region.map_or("", |(_, region)| region).to_owned();
        for (kind, _, _) in prices.iter() {
            let Some(price) = prices.find(kind, &region) else { continue };
            self.on_demand_prices.insert(kind.into(), price.on_demand);
            if let Some(spot) = price.spot {
                self.spot_prices.entry(kind.into()).or_insert(spot);
            }
        }
    }
}

impl Default for KarpenterSettings {
    fn default() -> Self {
        Self {
            zones: ["us-east-1a", "us-east-1b", "us-east-1c"].map(Name::from).to_vec(),
            spot_prices: BTreeMap::new(),
            on_demand_prices: BTreeMap::new(),
            spot_share: None,
            batch_idle_duration: SimDuration::from_secs(1),
            batch_max_duration: SimDuration::from_secs(10),
            respects_preferences: true,
            spot_to_spot_consolidation: false,
            first_loop: LoopPhase::Seeded,
        }
    }
}

impl KarpenterSettings {
    /// The operator's options. The EC2 provider itself limits a launch to 60 instance types.
    pub fn options(&self) -> Options {
        Options {
            batch_idle: self.batch_idle_duration,
            batch_max: self.batch_max_duration,
            preference_policy: if self.respects_preferences {
                PreferencePolicy::Respect
            } else {
                PreferencePolicy::Ignore
            },
            min_values_policy: MinValuesPolicy::Strict,
            spot_to_spot_consolidation: self.spot_to_spot_consolidation,
            ..Options::default()
        }
    }
}

/// The provider of a pool's machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Amazon EC2.
    Ec2,
    /// KWOK: nodes without machines, which register after a delay.
    Kwok {
        /// Time from the launch to the registration.
        delay: SimDuration,
    },
}

/// A NodePool with the instance types of its cloud.
#[derive(Clone, Debug)]
pub struct KarpenterPool {
    /// The pool.
    pub pool: Arc<NodePool>,
    /// All instance types of its cloud, in the cloud's order.
    pub types: Arc<[Arc<InstanceType>]>,
    /// The provider of its machines.
    pub provider: Provider,
}

/// A problem of a NodePool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolProblem {
    /// The pool.
    pub pool: Name,
    /// The field of the manifest.
    pub field: String,
    /// Description of the problem.
    pub message: String,
    /// The correction.
    pub help: String,
    /// True if nodes can be created nevertheless.
    pub is_warning: bool,
}

/// A NodePool or node class: its kind, its name, and the object as written.
pub type KarpenterManifest<'a> = (Kind, &'a str, &'a Value);

/// The labels that nodes of these clouds have even if their pool does not name them.
pub fn well_known() -> Arc<WellKnownLabels> {
    Arc::new(WellKnownLabels::with(known_labels()))
}

/// The usable NodePools among some objects, and the problems found in them.
pub fn read_pools(
    objects: &[KarpenterManifest<'_>],
    settings: &KarpenterSettings,
) -> (Vec<KarpenterPool>, Vec<PoolProblem>) {
    let mut reader = Reader {
        objects,
        settings,
        well_known: well_known(),
        ec2: None,
        kwok: None,
        problems: Vec::new(),
    };
    let written = objects.iter().filter(|(kind, ..)| *kind == Kind::NodePool);
    let pools = written.filter_map(|(_, name, value)| reader.pool(name, value)).collect();
    (pools, reader.problems)
}

struct Reader<'a> {
    objects: &'a [KarpenterManifest<'a>],
    settings: &'a KarpenterSettings,
    well_known: Arc<WellKnownLabels>,
    ec2: Option<Arc<[Arc<InstanceType>]>>,
    kwok: Option<Arc<[Arc<InstanceType>]>>,
    problems: Vec<PoolProblem>,
}

const REQUIREMENTS: &str = "spec.template.spec.requirements";

impl Reader<'_> {
    fn problem(&mut self, pool: &str, field: &str, message: String, help: impl Into<String>) {
        let (field, help) = (field.to_owned(), help.into());
        self.problems.push(PoolProblem {
            pool: pool.into(),
            field,
            message,
            help,
            is_warning: false,
        });
    }

    fn pool(&mut self, name: &str, value: &Value) -> Option<KarpenterPool> {
        // Wrong types are reported where manifests are read.
        let mut spec: NodePoolSpec = serde_json::from_value(value["spec"].clone()).ok()?;
        if spec.replicas.is_some() {
            let message = "a pool with a fixed number of nodes (StaticCapacity) is not simulated";
            let help = "remove `replicas`, or write a pool under `cluster.nodePools`";
            self.problem(name, "spec.replicas", message.to_owned(), help);
            return None;
        }
        set_defaults(&mut spec);
        let (provider, label, class) = self.class(name, &spec)?;
        let types = match provider {
            Provider::Ec2 => {
                let settings = self.settings;
                Arc::clone(self.ec2.get_or_insert_with(|| ec2_types(settings, max_pods(&class))))
            }
            Provider::Kwok { .. } => Arc::clone(self.kwok.get_or_insert_with(kwok_types)),
        };
        let class = class["spec"].to_string();
        match node_pool(name, &spec, label, &class) {
            Ok(pool) => self.fits(&pool, &types).then(|| KarpenterPool {
                pool: Arc::new(pool),
                types,
                provider,
            }),
            Err(ApiError { field, message }) => {
                self.problem(name, &field, message, "see the reference of karpenter.sh/v1");
                None
            }
        }
    }

    /// The node class of a pool.
    fn class(
        &mut self,
        name: &str,
        spec: &NodePoolSpec,
    ) -> Option<(Provider, (Name, Name), Value)> {
        const FIELD: &str = "spec.template.spec.nodeClassRef";
        let Some(reference) = &spec.template.spec.node_class_ref else {
            let help = "write {group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}";
            self.problem(name, FIELD, "the pool names no node class".to_owned(), help);
            return None;
        };
        let kind = match (&*reference.group, &*reference.kind) {
            ("karpenter.k8s.aws", "EC2NodeClass") => Kind::EC2NodeClass,
            ("karpenter.kwok.sh", "KWOKNodeClass") => Kind::KWOKNodeClass,
            (group, kind) => {
                let message = format!("node classes {kind} of {group:?} are not simulated");
                let help = "write an EC2NodeClass of karpenter.k8s.aws, or a KWOKNodeClass of karpenter.kwok.sh";
                self.problem(name, FIELD, message, help);
                return None;
            }
        };
        let of_kind = || self.objects.iter().filter(|(one, ..)| *one == kind);
        let Some((.., value)) = of_kind().find(|(_, name, _)| *name == reference.name) else {
            let known: Vec<&str> = of_kind().map(|(_, name, _)| *name).collect();
            let help = match &known[..] {
                [] => format!("add a {} called {}", reference.kind, reference.name),
                known => format!("the manifests have {}", known.join(", ")),
            };
            let message = format!("there is no {} {:?}", reference.kind, reference.name);
            self.problem(name, &format!("{FIELD}.name"), message, help);
            return None;
        };
        let provider = if kind == Kind::EC2NodeClass {
            Provider::Ec2
        } else {
            let class: KwokNodeClass = serde_json::from_value((*value).clone()).unwrap_or_default();
            let delay = class.spec.node_registration_delay.as_deref().and_then(parse_go_duration);
            Provider::Kwok { delay: delay.unwrap_or_default() }
        };
        let label = node_class_label(&reference.group, &reference.kind);
        Some((provider, (label, reference.name.as_str().into()), (*value).clone()))
    }

    /// True if the cloud has an instance type that meets the pool's requirements; otherwise reports which requirement
    /// cannot be met.
    fn fits(&mut self, pool: &NodePool, types: &[Arc<InstanceType>]) -> bool {
        let before = self.problems.len();
        for (place, one) in pool.template.requirements.iter().enumerate() {
            let field = format!("{REQUIREMENTS}[{place}]");
            if one.key.as_ref() == NODE_POOL {
                let help = "remove it: every node gets the label of its pool";
                self.problem(
                    &pool.name,
                    &format!("{field}.key"),
                    format!("{NODE_POOL} is Karpenter's own"),
                    help,
                );
                continue;
            }
            if let Some(reason) = restriction(&one.key, &self.well_known) {
                self.problem(&pool.name, &format!("{field}.key"), reason, "use another label");
                continue;
            }
            let earlier = &pool.template.requirements[..place];
            let mut other = earlier.iter().filter(|other| other.key == one.key);
            let excludes = |other: &&karpenter::requirement::WrittenRequirement| {
                let (one, other) =
                    (Requirements::of_written([one]), Requirements::of_written([*other]));
                !one.intersects(&other)
            };
            if other.any(|other| excludes(&other)) {
                let message =
                    format!("no value of {} meets this and the earlier requirements", one.key);
                self.problem(&pool.name, &field, message, "remove one of the two requirements");
                continue;
            }
            self.values(pool, (one, &field), types);
        }
        if self.problems[before..].iter().any(|one| !one.is_warning) {
            return false;
        }
        let all = pool.requirements();
        let fitting = |one: &&Arc<InstanceType>| one.requirements.intersects(&all);
        let mut possible = types.iter().filter(fitting).peekable();
        if possible.peek().is_none() {
            let message = "no instance type meets all requirements of the pool".to_owned();
            self.problem(
                &pool.name,
                REQUIREMENTS,
                message,
                "relax the requirements; `wavetank catalog` lists the types",
            );
            return false;
        }
        if possible.all(|one| one.launchable(&all).next().is_none()) {
            let message =
                "no allowed instance type has a price for the required capacity types and zones"
                    .to_owned();
            let help = "allow on-demand, or set cluster.autoscaler.karpenter.spotPrices or spotShare; the zones \
                        are cluster.autoscaler.karpenter.zones";
            self.problem(&pool.name, REQUIREMENTS, message, help);
            return false;
        }
        true
    }

    /// Checks that the values listed by a requirement are known.
    fn values(
        &mut self,
        pool: &NodePool,
        (one, field): (&karpenter::requirement::WrittenRequirement, &str),
        types: &[Arc<InstanceType>],
    ) {
        if one.operator != NodeOperator::In || !self.well_known.contains(&one.key) {
            return;
        }
        let has = |value: &Name| {
            types
                .iter()
                .any(|kind| kind.requirements.get(&one.key).is_some_and(|known| known.has(value)))
        };
        let unknown: Vec<&str> =
            one.values.iter().filter(|value| !has(value)).map(AsRef::as_ref).collect();
        if unknown.is_empty() {
            return;
        }
        let is_spot = one.key.as_ref() == karpenter::labels::CAPACITY_TYPE;
        let message = if is_spot && unknown == ["spot"] {
            "no instance type has a spot price, so no spot node can be created".to_owned()
        } else {
            format!("no instance type with a price has {} {}", one.key, unknown.join(", "))
        };
        let help = if is_spot {
            "set cluster.autoscaler.karpenter.spotPrices or spotShare"
        } else {
            "the types are those of AWS in `wavetank catalog`, with the labels of Karpenter's AWS provider"
        };
        self.problem(&pool.name, &format!("{field}.values"), message, help);
        // One known value is enough to launch nodes.
        if unknown.len() < one.values.len()
            && let Some(last) = self.problems.last_mut()
        {
            last.is_warning = true;
        }
    }
}

/// `spec.kubelet.maxPods` of an EC2NodeClass.
fn max_pods(class: &Value) -> Option<i64> {
    class["spec"]["kubelet"]["maxPods"].as_i64()
}
