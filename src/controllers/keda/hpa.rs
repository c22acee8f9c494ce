//! The HPA that KEDA makes of a ScaledObject (`controllers/keda/hpa.go`).

use crate::cluster::hpa::{HpaSpec, MetricIdentifier, MetricSource, MetricSpec};
use crate::cluster::scaled_object::{ScaledObject, Trigger, TriggerSource};
use crate::cluster::selector::Selector;
use crate::cluster::{Name, ObjectMeta};

/// Label by which KEDA's metrics server knows whose trigger is asked for.
pub const SCALED_OBJECT_LABEL: &str = "scaledobject.keda.sh/name";

/// Name and spec of the HPA. From zero the HPA keeps out; it never goes below one.
pub fn hpa_of(object: &ScaledObject) -> (ObjectMeta, HpaSpec) {
    let spec = &object.spec;
    let meta = ObjectMeta::new(object.meta.namespace().clone(), spec.hpa_name.clone());
    let metrics = spec.triggers.iter().filter_map(|trigger| metric_of(object, trigger));
    let hpa = HpaSpec {
        scale_target: spec.scale_target.clone(),
        min_replicas: spec.min_replicas.max(1),
        max_replicas: spec.max_replicas,
        metrics: metrics.collect(),
        behavior: spec.behavior.clone(),
    };
    (meta, hpa)
}

fn metric_of(object: &ScaledObject, trigger: &Trigger) -> Option<MetricSpec> {
    match &trigger.source {
        TriggerSource::Resource { resource, container, target } => {
            let (resource, container) = (resource.clone(), container.clone());
            Some(MetricSpec::new(MetricSource::Resource { resource, container }, *target))
        }
        TriggerSource::Measured { target, .. } => {
            let name: &Name = &object.meta.id.name;
            let label = [(Name::from(SCALED_OBJECT_LABEL), name.clone())];
            let metric = MetricIdentifier {
                name: trigger.metric_name.clone(),
                selector: Some(Selector::from_labels(&label.into_iter().collect())),
                selector_text: format!(
                    "&LabelSelector{{MatchLabels:map[string]string{{{SCALED_OBJECT_LABEL}: {name},}},\
                     MatchExpressions:[]LabelSelectorRequirement{{}},}}"
                )
                .into(),
            };
            Some(MetricSpec::new(MetricSource::External { metric }, *target))
        }
        TriggerSource::Unknown => None,
    }
}
