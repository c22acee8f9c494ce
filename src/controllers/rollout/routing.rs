//! The weight of the new version in a traffic router, and the objects that carry it (`rollout/trafficrouting.go`,
//! `rollout/trafficrouting/nginx`, Argo Rollouts 1.9.1; `rollouts-plugin-trafficrouter-gatewayapi` 0.8).

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::canary::{has_progressed, proportion};
use super::steps;
use super::sync::Sync;
use cluster::rollout::{CanaryStrategy, TrafficRouter, TrafficRouting, TrafficWeights};
use cluster::routes::{HTTPRoute, HTTPRouteSpec, Ingress, IngressSpec};
use cluster::{Action, Document, Labels, Name, NamespacedName, ObjectMeta};

const NGINX: &str = "nginx.ingress.kubernetes.io";
const CLASS: &str = "kubernetes.io/ingress.class";

impl Sync<'_> {
    /// Gives the router the weight that pods and step allow (`reconcileTrafficRouting`).
    pub(super) fn route(&mut self, canary: &CanaryStrategy) {
        let Some(routing) = &canary.routing else {
            self.weights = None;
            return;
        };
        let max_weight = routing.max_weight;
        let rolls_back_from = self.dynamic_rollback();
        let weight = self.routed_weight(canary, rolls_back_from.is_some());
        let is_aborted = self.pauses.is_aborted(self.rollout);
        let is_promoted = self.rollout.status.is_fully_promoted();
        if is_aborted && !is_promoted && (!canary.dynamic_stable_scale || weight == 0) {
            self.point(canary.canary_service.as_ref(), self.sets.stable, false);
        }
        if !self.has_pods_for(canary, max_weight - weight, max_weight) {
            return;
        }
        let hash = |set: Option<&super::sets::SetState<'_>>| {
            set.map_or_else(|| "".into(), |set| set.hash.clone())
        };
        let weights = TrafficWeights {
            canary: weight,
            stable: max_weight - weight,
            canary_hash: rolls_back_from.unwrap_or_else(|| hash(self.sets.new_set())),
            stable_hash: hash(self.sets.stable()),
        };
        let before = self.rollout.status.weights.as_ref();
        if before != Some(&weights) {
            let change = match before {
                None => format!("to {weight}"),
                Some(before) if before.canary == weight => String::new(),
                Some(before) => format!("from {} to {weight}", before.canary),
            };
            self.tell("TrafficWeightUpdated", format!("Traffic weight updated {change}"));
        }
        self.carry(canary, routing, &weights);
        self.weights = Some(weights);
    }

    /// The weight that the new version should have now.
    fn routed_weight(&self, canary: &CanaryStrategy, rolls_back: bool) -> i32 {
        let rollout = self.rollout;
        let (status, max_weight) = (&rollout.status, steps::max_weight(&rollout.spec));
        let Some(new) = self.sets.new_set() else { return 0 };
        if rolls_back {
            return self.weight_on_the_way_back(canary);
        }
        if status.is_fully_promoted() {
            return 0;
        }
        if self.pauses.is_aborted(rollout) {
            return self.weight_on_the_way_back(canary);
        }
        if new.available() == 0 {
            return 0;
        }
        if status.promote_full {
            return if canary.dynamic_stable_scale {
                proportion(max_weight, new.available(), self.wanted().max(1))
            } else {
                status.weights.as_ref().map_or(0, |weights| weights.canary)
            };
        }
        let Some(index) = status.current_step else { return 0 };
        if !self.is_at_desired_counts(canary, None) {
            return steps::weight_before(&canary.steps, index);
        }
        if index == canary.steps.len() { max_weight } else { steps::set_weight(rollout) }
    }

    /// The weight while requests go back to the stable version as that grows
    /// (`calculateDesiredWeightOnAbortOrStableRollback`).
    fn weight_on_the_way_back(&self, canary: &CanaryStrategy) -> i32 {
        let (Some(new), Some(stable)) = (self.sets.new_set(), self.sets.stable()) else { return 0 };
        let wanted = self.wanted();
        if !canary.dynamic_stable_scale || wanted == 0 {
            return 0;
        }
        let max_weight = steps::max_weight(&self.rollout.spec);
        let desired = steps::desired_weight(self.rollout, Some(new.size()), Some(stable.size()));
        let covered = proportion(max_weight, stable.available(), wanted);
        let expected = (max_weight - covered).max(0);
        let Some(current) = self.rollout.status.weights.as_ref().map(|weights| weights.canary)
        else {
            return expected.max(desired);
        };
        if desired <= 0 {
            expected.min(current)
        } else if covered < max_weight - desired {
            current
        } else {
            desired.min(current)
        }
    }

    /// Whether the stable version has pods for a weight (`checkReplicasAvailable`).
    fn has_pods_for(&self, canary: &CanaryStrategy, weight: i32, max_weight: i32) -> bool {
        let Some(stable) = self.sets.stable() else { return false };
        let wanted = proportion(self.wanted(), weight, max_weight);
        stable.available() >= wanted
            || has_progressed(canary.progress_threshold, Some(stable.size()), wanted)
    }

    /// Writes the weights into the objects that carry them.
    fn carry(
        &mut self,
        canary: &CanaryStrategy,
        routing: &TrafficRouting,
        weights: &TrafficWeights,
    ) {
        let services = canary.canary_service.as_ref().zip(canary.stable_service.as_ref());
        let Some((new, stable)) = services else { return };
        let namespace = self.rollout.meta.namespace().clone();
        let named = |name: &Name| NamespacedName::new(namespace.clone(), name.clone());
        let owner = Some(self.id);
        for router in &routing.routers {
            match router {
                TrafficRouter::Other(_) => {}
                TrafficRouter::GatewayApi { routes } => {
                    for route in routes {
                        let Some(route) = self.view.find::<HTTPRoute>(&named(route)) else {
                            continue;
                        };
                        let written = weighted(
                            &route.meta,
                            [(new, weights.canary), (stable, weights.stable)],
                        );
                        if let Some(meta) = written {
                            self.actions.push(Action::apply(meta, HTTPRouteSpec));
                        }
                    }
                }
                TrafficRouter::Nginx { ingresses } => {
                    for ingress in ingresses {
                        let id = named(ingress);
                        let name = format!("{}-{ingress}-canary", self.rollout.meta.name());
                        let known = self.view.find::<Ingress>(&named(&name.as_str().into()));
                        let Some(main) = self.view.find::<Ingress>(&id) else { continue };
                        let meta =
                            canary_ingress(&main.meta, &name, (new, stable), (routing, weights));
                        let is_known = known.is_some_and(|known| {
                            known.meta.annotations == meta.annotations
                                && known.meta.document.as_ref().map(|one| &one.object["spec"])
                                    == meta.document.as_ref().map(|one| &one.object["spec"])
                        });
                        if !is_known {
                            self.actions.push(Action::apply(meta, IngressSpec { owner }));
                        }
                    }
                }
            }
        }
    }
}

/// An HTTPRoute whose rules give these Services these weights; `None` if they do already.
fn weighted(meta: &ObjectMeta, weights: [(&Name, i32); 2]) -> Option<ObjectMeta> {
    let document = meta.document.as_ref()?;
    let mut changed = (**document).clone();
    let rules = changed.object.pointer_mut("/spec/rules").and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten() {
        for backend in
            rule.get_mut("backendRefs").and_then(Value::as_array_mut).into_iter().flatten()
        {
            let name = backend.get("name").and_then(Value::as_str).unwrap_or_default();
            if let Some((_, weight)) = weights.iter().find(|(service, _)| ***service == *name) {
                backend["weight"] = (*weight).into();
            }
        }
    }
    (changed.object != document.object)
        .then(|| ObjectMeta { document: Some(Arc::new(changed)), ..meta.clone() })
}

/// The Ingress that takes the canary's share of another one's requests (`buildCanaryIngress`).
fn canary_ingress(
    main: &ObjectMeta,
    name: &str,
    (new, stable): (&Name, &Name),
    (routing, weights): (&TrafficRouting, &TrafficWeights),
) -> ObjectMeta {
    let written = main.document.as_ref().map(|document| &document.object["spec"]);
    let rules = written.and_then(|spec| spec["rules"].as_array()).into_iter().flatten();
    let mut of_stable: Vec<Value> = Vec::new();
    for rule in rules {
        let mut rule = rule.clone();
        let mut is_its = false;
        let paths = rule.pointer_mut("/http/paths").and_then(Value::as_array_mut);
        for path in paths.into_iter().flatten() {
            let service = path.pointer_mut("/backend/service/name");
            if let Some(service) = service.filter(|name| name.as_str() == Some(&**stable)) {
                *service = Value::from(&**new);
                is_its = true;
            }
        }
        of_stable.extend(is_its.then_some(rule));
    }
    let mut spec = Map::new();
    for field in ["ingressClassName", "tls"] {
        if let Some(value) = written.and_then(|spec| spec.get(field)) {
            spec.insert(field.to_owned(), value.clone());
        }
    }
    spec.insert("rules".to_owned(), of_stable.into());
    let class = main.annotations.get(CLASS).map(|class| (CLASS.to_owned(), class.to_string()));
    let mut pairs = vec![
        (format!("{NGINX}/canary"), "true".to_owned()),
        (format!("{NGINX}/canary-weight"), weights.canary.to_string()),
    ];
    if routing.max_weight != 100 {
        pairs.push((format!("{NGINX}/canary-weight-total"), routing.max_weight.to_string()));
    }
    let annotations: Labels = pairs.into_iter().chain(class).collect();
    let mut meta = ObjectMeta::new(main.namespace().clone(), name);
    let written: Map<String, Value> =
        annotations.iter().map(|(key, value)| (key.to_string(), Value::from(&**value))).collect();
    let object = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": &**main.namespace(), "annotations": written},
        "spec": spec,
    });
    meta.annotations = annotations;
    meta.document = Some(Arc::new(Document { object, last_applied: None }));
    meta
}
