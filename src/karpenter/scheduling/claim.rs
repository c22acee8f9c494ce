//! A node that is to be made, with the pods for which it is made and all instance types that it could still be
//! (`nodeclaim.go`).

use std::sync::Arc;

use super::error::{FilterTrace, PodError};
use super::existing::conflicts;
use super::preferences::Ask;
use super::template::Template;
use super::topology::Topology;
use crate::amounts::Amounts;
use crate::instance_type::{InstanceType, Unsatisfied, satisfies_min_values};
use crate::labels::HOSTNAME;
use crate::pod::untolerated;
use crate::requirement::Requirement;
use crate::requirements::Requirements;
use crate::state::Snapshot;
use cluster::Name;
use scheduler::pod_class::HostPort;

/// A node that is to be made.
#[derive(Clone, Debug)]
pub(super) struct OpenClaim {
    /// Its template, by place.
    pub(super) template: usize,
    pub(super) host: Name,
    pub(super) requests: Amounts,
    pub(super) requirements: Requirements,
    pub(super) options: Vec<Arc<InstanceType>>,
    ports: Vec<HostPort>,
    /// The pods, by their places.
    pub(super) pods: Vec<usize>,
}

/// What a claim would be with one more pod.
#[derive(Debug)]
pub(super) struct Grown {
    pub(super) requirements: Requirements,
    options: Vec<Arc<InstanceType>>,
    requests: Amounts,
}

/// The instance types that are left, and the keys for which they have too few values.
#[derive(Debug)]
pub(super) struct Filtered {
    pub(super) options: Vec<Arc<InstanceType>>,
    unsatisfied: Unsatisfied,
}

impl OpenClaim {
    /// A claim without pods. `host` stands for its name, which nobody knows yet.
    pub(super) fn new(
        (place, template): (usize, &Template),
        options: Vec<Arc<InstanceType>>,
        host: Name,
    ) -> Self {
        let mut requirements = template.requirements.clone();
        requirements.add(Requirement::value(&HOSTNAME.into(), &host).into());
        Self {
            template: place,
            host,
            requests: template.overhead.clone(),
            requirements,
            options,
            ports: template.ports.clone(),
            pods: Vec::new(),
        }
    }

    /// Whether a pod cannot be added whatever else concerns it: no instance type has room. What holds once holds for the
    /// rest of the pass.
    pub(super) fn is_full_for(&self, ask: &Ask) -> bool {
        let requests = self.requests_with(ask);
        !self.options.iter().any(|one| requests.fits(&one.allocatable))
    }

    /// What the claim would be with one more pod, if some of its instance types can be all that.
    pub(super) fn can_grow(
        &self,
        ask: &Ask,
        (template, topology): (&Template, &Topology<'_>),
        snapshot: &Snapshot,
    ) -> Option<Grown> {
        let requirements = self.required(ask, (template, topology), snapshot).ok()?;
        if requirements != self.requirements {
            return self.limited(ask, requirements, false).ok();
        }
        // The types that are left meet these requirements, and can be had.
        let requests = self.requests_with(ask);
        let fits = |one: &&Arc<InstanceType>| requests.fits(&one.allocatable);
        let options: Vec<_> = self.options.iter().filter(fits).cloned().collect();
        let is_enough =
            !options.is_empty() && satisfies_min_values(&options, &requirements).is_ok();
        is_enough.then_some(Grown { requirements, options, requests })
    }

    /// What the claim would be with a pod, if some instance type can be all that (`CanAdd`).
    pub(super) fn can_add(
        &self,
        ask: &Ask,
        parts: (&Template, &Topology<'_>),
        relaxes: bool,
        snapshot: &Snapshot,
    ) -> Result<Grown, PodError> {
        let requirements = self.required(ask, parts, snapshot)?;
        self.limited(ask, requirements, relaxes)
    }

    fn requests_with(&self, ask: &Ask) -> Amounts {
        let mut requests = self.requests.clone();
        requests.add(&ask.pod.requests);
        requests
    }

    /// What the claim would require with a pod.
    fn required(
        &self,
        ask: &Ask,
        (template, topology): (&Template, &Topology<'_>),
        snapshot: &Snapshot,
    ) -> Result<Requirements, PodError> {
        if let Some(taint) = untolerated(&template.pool.template.taints, &ask.tolerations) {
            let taint = format!("{}={}:{:?}", taint.key, taint.value, taint.effect);
            return Err(PodError::new(format!("did not tolerate taint (taint={taint})")));
        }
        if conflicts(&ask.pod.host_ports, &self.ports) {
            return Err(PodError::new(
                "checking host port usage, pod hostport conflicts with existing hostport configuration",
            ));
        }
        let undefined = Some(snapshot.well_known.as_ref());
        let mut requirements = self.requirements.clone();
        requirements
            .compatible(&ask.requirements, undefined)
            .map_err(|error| PodError::new(format!("incompatible requirements, {error}")))?;
        requirements.add_all(&ask.requirements);
        let tightened = topology.tighten(ask, &template.pool.template.taints, &requirements)?;
        requirements.compatible(&tightened, undefined).map_err(PodError::new)?;
        requirements.add_all(&tightened);
        Ok(requirements)
    }

    /// The instance types that are left with a pod and these requirements.
    fn limited(
        &self,
        ask: &Ask,
        mut requirements: Requirements,
        relaxes: bool,
    ) -> Result<Grown, PodError> {
        let requests = self.requests_with(ask);
        let Filtered { options, unsatisfied } =
            filter_types(&self.options, &requirements, &requests, relaxes)?;
        for (key, count) in unsatisfied {
            let mut lowered = Requirement::clone(&requirements.get_or_any(&key));
            lowered.min_values = Some(count);
            requirements.replace(lowered);
        }
        Ok(Grown { requirements, options, requests })
    }

    /// Adds a pod; whether that changes what the claim requires.
    pub(super) fn add(
        &mut self,
        ask: &Ask,
        grown: Grown,
        template: &Template,
        topology: &mut Topology<'_>,
    ) -> bool {
        let is_changed = grown.requirements != self.requirements;
        self.pods.push(ask.index);
        self.options = grown.options;
        self.requests = grown.requests;
        self.requirements = grown.requirements;
        topology.register_host(&self.host);
        topology.record(ask, &template.pool.template.taints, &self.requirements);
        self.ports.extend(ask.pod.host_ports.iter().cloned());
        is_changed
    }

    /// Whether some key now wants fewer values than before.
    pub(super) fn wants_fewer_than(&self, before: &Requirements) -> bool {
        before.iter().any(|one| {
            let now = self.requirements.get(&one.key).and_then(|now| now.min_values);
            matches!((one.min_values, now), (Some(before), Some(now)) if now < before)
        })
    }
}

/// The instance types that meet the requirements, hold the requests and can be had, all in one
/// (`filterInstanceTypesByRequirements`). If they have too few distinct values, that is an error, or, where it may be
/// relaxed, told.
pub(super) fn filter_types(
    types: &[Arc<InstanceType>],
    requirements: &Requirements,
    requests: &Amounts,
    relaxes: bool,
) -> Result<Filtered, PodError> {
    let mut trace = FilterTrace::default();
    let mut options = Vec::new();
    for one in types {
        let met = one.requirements.intersects(requirements);
        let fits = requests.fits(&one.allocatable);
        let has_offering = one.launchable(requirements).next().is_some();
        trace.note((met, fits, has_offering));
        if met && fits && has_offering {
            options.push(Arc::clone(one));
        }
    }
    let unsatisfied = satisfies_min_values(&options, requirements).err().unwrap_or_default();
    if !unsatisfied.is_empty() && !relaxes {
        let keys: Vec<&str> = unsatisfied.keys().map(AsRef::as_ref).collect();
        return Err(PodError::new(format!(
            "minValues requirement is not met for label(s) (label(s)=[{}]), requirements={requirements}",
            keys.join(" ")
        )));
    }
    if options.is_empty() {
        return Err(trace.error(requirements, requests));
    }
    Ok(Filtered { options, unsatisfied })
}
