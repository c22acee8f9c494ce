//! A node to be created, with the pods that it is created for and the instance types that are still possible
//! (`nodeclaim.go`).

use std::sync::Arc;

use super::error::{FilterTrace, PodError};
use super::existing::conflicts;
use super::preferences::PodConstraints;
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

/// A node to be created.
#[derive(Clone, Debug)]
pub(super) struct OpenClaim {
    /// Position of its template.
    pub(super) template: usize,
    pub(super) host: Name,
    pub(super) requests: Amounts,
    pub(super) requirements: Requirements,
    pub(super) options: Vec<Arc<InstanceType>>,
    ports: Vec<HostPort>,
    /// Positions of its pods.
    pub(super) pods: Vec<usize>,
}

/// A claim after adding one more pod.
#[derive(Debug)]
pub(super) struct ExtendedClaim {
    pub(super) requirements: Requirements,
    options: Vec<Arc<InstanceType>>,
    requests: Amounts,
}

/// The remaining instance types, and the keys for which they have too few values.
#[derive(Debug)]
pub(super) struct Filtered {
    pub(super) options: Vec<Arc<InstanceType>>,
    unsatisfied: Unsatisfied,
}

impl OpenClaim {
    /// A claim without pods. `host` is a placeholder for its name, which is not known yet.
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

    /// True if no instance type has room for the pod, regardless of other constraints. This stays true for the rest
    /// of the pass.
    pub(super) fn is_full_for(&self, constraints: &PodConstraints) -> bool {
        let requests = self.requests_with(constraints);
        !self.options.iter().any(|one| requests.fits(&one.allocatable))
    }

    /// The claim with one more pod, if any instance type remains possible.
    pub(super) fn can_grow(
        &self,
        constraints: &PodConstraints,
        (template, topology): (&Template, &Topology<'_>),
        snapshot: &Snapshot,
    ) -> Option<ExtendedClaim> {
        let requirements = self.required(constraints, (template, topology), snapshot).ok()?;
        if requirements != self.requirements {
            return self.limited(constraints, requirements, false).ok();
        }
        // The remaining types already meet these requirements and are available.
        let requests = self.requests_with(constraints);
        let fits = |one: &&Arc<InstanceType>| requests.fits(&one.allocatable);
        let options: Vec<_> = self.options.iter().filter(fits).cloned().collect();
        let is_enough =
            !options.is_empty() && satisfies_min_values(&options, &requirements).is_ok();
        is_enough.then_some(ExtendedClaim { requirements, options, requests })
    }

    /// The claim with a pod, if any instance type remains possible (`CanAdd`).
    pub(super) fn can_add(
        &self,
        constraints: &PodConstraints,
        parts: (&Template, &Topology<'_>),
        relaxes: bool,
        snapshot: &Snapshot,
    ) -> Result<ExtendedClaim, PodError> {
        let requirements = self.required(constraints, parts, snapshot)?;
        self.limited(constraints, requirements, relaxes)
    }

    fn requests_with(&self, constraints: &PodConstraints) -> Amounts {
        let mut requests = self.requests.clone();
        requests.add(&constraints.pod.requests);
        requests
    }

    /// The claim's requirements with a pod.
    fn required(
        &self,
        constraints: &PodConstraints,
        (template, topology): (&Template, &Topology<'_>),
        snapshot: &Snapshot,
    ) -> Result<Requirements, PodError> {
        if let Some(taint) = untolerated(&template.pool.template.taints, &constraints.tolerations) {
            let taint = format!("{}={}:{:?}", taint.key, taint.value, taint.effect);
            return Err(PodError::new(format!("did not tolerate taint (taint={taint})")));
        }
        if conflicts(&constraints.pod.host_ports, &self.ports) {
            return Err(PodError::new(
                "checking host port usage, pod hostport conflicts with existing hostport configuration",
            ));
        }
        let undefined = Some(snapshot.well_known.as_ref());
        let mut requirements = self.requirements.clone();
        requirements
            .compatible(&constraints.requirements, undefined)
            .map_err(|error| PodError::new(format!("incompatible requirements, {error}")))?;
        requirements.add_all(&constraints.requirements);
        let tightened =
            topology.tighten(constraints, &template.pool.template.taints, &requirements)?;
        requirements.compatible(&tightened, undefined).map_err(PodError::new)?;
        requirements.add_all(&tightened);
        Ok(requirements)
    }

    /// The instance types that remain with a pod and these requirements.
    fn limited(
        &self,
        constraints: &PodConstraints,
        mut requirements: Requirements,
        relaxes: bool,
    ) -> Result<ExtendedClaim, PodError> {
        let requests = self.requests_with(constraints);
        let Filtered { options, unsatisfied } =
            filter_types(&self.options, &requirements, &requests, relaxes)?;
        for (key, count) in unsatisfied {
            let mut lowered = Requirement::clone(&requirements.get_or_any(&key));
            lowered.min_values = Some(count);
            requirements.replace(lowered);
        }
        Ok(ExtendedClaim { requirements, options, requests })
    }

    /// Adds a pod; true if the claim's requirements changed.
    pub(super) fn add(
        &mut self,
        constraints: &PodConstraints,
        grown: ExtendedClaim,
        template: &Template,
        topology: &mut Topology<'_>,
    ) -> bool {
        let is_changed = grown.requirements != self.requirements;
        self.pods.push(constraints.index);
        self.options = grown.options;
        self.requests = grown.requests;
        self.requirements = grown.requirements;
        topology.register_host(&self.host);
        topology.record(constraints, &template.pool.template.taints, &self.requirements);
        self.ports.extend(constraints.pod.host_ports.iter().cloned());
        is_changed
    }

    /// True if `minValues` of any key is lower than before.
    pub(super) fn wants_fewer_than(&self, before: &Requirements) -> bool {
        before.iter().any(|one| {
            let now = self.requirements.get(&one.key).and_then(|now| now.min_values);
            matches!((one.min_values, now), (Some(before), Some(now)) if now < before)
        })
    }
}

/// The instance types that meet the requirements, have room for the requests, and have an available offering
/// (`filterInstanceTypesByRequirements`). Too few distinct values are an error or, with the best-effort policy,
/// returned.
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
