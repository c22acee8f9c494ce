//! The endpoints of Services, and the counts of the pods that Services select, follow the changes of pods: they are what
//! looking at all pods gives.

use std::collections::BTreeSet;

use proptest::prelude::*;
use wavetank::cluster::action::{PodDeletion, PodDraft, PodName, PodSource};
use wavetank::cluster::node::ConditionStatus;
use wavetank::cluster::pod::{PodId, PodPhase};
use wavetank::cluster::pod_template::PodTemplate;
use wavetank::cluster::selection::Selecting;
use wavetank::cluster::selector::Selector;
use wavetank::cluster::service::{Endpoint, ServiceId, ServiceSpec};
use wavetank::cluster::standing::PodTally;
use wavetank::cluster::{Action, ClusterView, Labels, Name, ObjectId, ObjectMeta, Store, apply};
use wavetank::controllers::endpoints::{EndpointSliceController, conditions};
use wavetank::controllers::{Actions, Controller, Key};
use wavetank::engine::{SimDuration, SimTime, Streams};

use crate::in_memory::Run;

const NAMESPACES: [&str; 2] = ["blue", "green"];
const APPS: [&str; 3] = ["api", "web", "worker"];

/// A step of a random world.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A Service is applied, with a selector for this app, or with none.
    Apply {
        service: usize,
        app: Option<usize>,
        publishes_not_ready: bool,
    },
    Delete {
        service: usize,
    },
    Create {
        namespace: usize,
        app: usize,
    },
    Start(usize),
    Ready(usize, bool),
    End(usize),
    MarkForDeletion(usize),
    Remove(usize),
    /// The controller processes what it was woken for.
    Reconcile,
}

fn any_step() -> impl Strategy<Value = Step> {
    let pod = 0usize..12;
    let service = 0usize..4;
    prop_oneof![
        2 => (service.clone(), prop::option::weighted(0.9, 0..APPS.len()), prop::bool::weighted(0.2))
            .prop_map(|(service, app, publishes_not_ready)| Step::Apply { service, app, publishes_not_ready }),
        1 => service.prop_map(|service| Step::Delete { service }),
        5 => (0..NAMESPACES.len(), 0..APPS.len()).prop_map(|(namespace, app)| Step::Create { namespace, app }),
        5 => pod.clone().prop_map(Step::Start),
        6 => (pod.clone(), prop::bool::weighted(0.7)).prop_map(|(pod, is_ready)| Step::Ready(pod, is_ready)),
        1 => pod.clone().prop_map(Step::End),
        2 => pod.clone().prop_map(Step::MarkForDeletion),
        2 => pod.prop_map(Step::Remove),
        5 => Just(Step::Reconcile),
    ]
}

struct World {
    store: Store,
    controller: EndpointSliceController,
    woken: BTreeSet<ServiceId>,
    now: SimTime,
    created: usize,
}

impl World {
    fn new() -> Self {
        Self {
            store: Store::new(Streams::new(1)),
            controller: EndpointSliceController::default(),
            woken: BTreeSet::new(),
            now: SimTime::ZERO,
            created: 0,
        }
    }

    fn act(&mut self, action: Action) {
        let mut changes = Vec::new();
        // Some steps make no sense in the state that they find.
        let _ = apply(&mut self.store, self.now, action, &mut changes);
        let mut woken = Vec::new();
        for change in &changes {
            let view = ClusterView::new(&self.store, self.now);
            self.controller.wakes_on(view, change, &mut woken);
        }
        self.woken.extend(woken.into_iter().filter_map(|key| match key {
            Key::Service(service) => Some(service),
            _ => None,
        }));
    }

    /// The pod at this place, if there are any.
    fn pod(&self, place: usize) -> Option<PodId> {
        let pods: Vec<PodId> = self.store.pods().iter().map(|(pod, _)| pod).collect();
        (!pods.is_empty()).then(|| pods[place % pods.len()])
    }

    fn take(&mut self, step: Step) {
        self.now += SimDuration::from_millis(300);
        let on_pod =
            |world: &Self, place, action: &dyn Fn(PodId) -> Action| world.pod(place).map(action);
        let action = match step {
            Step::Apply { service, app, publishes_not_ready } => {
                let selector = app.map(|app| Selector::from_labels(&labels(app)));
                let spec = ServiceSpec {
                    selector,
                    publish_not_ready_addresses: publishes_not_ready,
                    ..ServiceSpec::default()
                };
                let (namespace, name) = name_of_service(service);
                Some(Action::apply(ObjectMeta::new(namespace, name), spec))
            }
            Step::Delete { service } => {
                let (namespace, name) = name_of_service(service);
                let found = self.store.services().iter().find(|(_, one)| {
                    *one.meta.namespace() == namespace && *one.meta.name() == name
                });
                found.map(|(id, _)| Action::Delete(ObjectId::Service(id)))
            }
            Step::Create { namespace, app } => {
                self.created += 1;
                let template = PodTemplate { labels: labels(app), ..PodTemplate::default() };
                Some(Action::CreatePod(Box::new(PodDraft {
                    name: PodName::Exact(format!("pod-{}", self.created).into()),
                    namespace: NAMESPACES[namespace].into(),
                    template: PodSource::New(Box::new(template)),
                    owner: None,
                })))
            }
            Step::Start(place) => on_pod(self, place, &Action::StartPod),
            Step::Ready(place, is_ready) => {
                let status = if is_ready { ConditionStatus::True } else { ConditionStatus::False };
                on_pod(self, place, &|pod| Action::SetPodReady(pod, status))
            }
            Step::End(place) => {
                on_pod(self, place, &|pod| Action::SetPodPhase(pod, PodPhase::Failed))
            }
            Step::MarkForDeletion(place) => {
                on_pod(self, place, &|pod| Action::DeletePod(pod, PodDeletion::default()))
            }
            Step::Remove(place) => on_pod(self, place, &Action::RemovePod),
            Step::Reconcile => return self.reconcile(),
        };
        if let Some(action) = action {
            self.act(action);
        }
    }

    fn reconcile(&mut self) {
        for service in std::mem::take(&mut self.woken) {
            let mut actions = Actions::default();
            let view = ClusterView::new(&self.store, self.now);
            self.controller.reconcile(view, Key::Service(service), &mut actions);
            let requests: Vec<Action> = actions.into_requests().map(|(action, _)| action).collect();
            for action in requests {
                self.act(action);
            }
        }
    }

    /// The endpoints of a Service by all of its pods.
    fn endpoints_of_all(&self, id: ServiceId) -> Vec<Endpoint> {
        let service = &self.store.services()[id];
        let selected = self.selected(id).filter_map(|pod| {
            let of_pod =
                conditions(&self.store.pods()[pod], service.spec.publish_not_ready_addresses)?;
            Some(Endpoint {
                pod,
                ready: of_pod.ready,
                serving: of_pod.serving,
                terminating: of_pod.terminating,
            })
        });
        selected.collect()
    }

    /// The pods whose labels and namespace are those of a Service, in order.
    fn selected(&self, id: ServiceId) -> impl Iterator<Item = PodId> {
        let service = &self.store.services()[id];
        let mut pods: Vec<PodId> = self
            .store
            .pods()
            .iter()
            .filter(|(_, pod)| {
                let selector = service.spec.selector.as_ref();
                pod.id.namespace == *service.meta.namespace()
                    && selector.is_some_and(|one| one.matches(self.store.labels_of(pod)))
            })
            .map(|(pod, _)| pod)
            .collect();
        pods.sort_unstable();
        pods.into_iter()
    }
}

fn labels(app: usize) -> Labels {
    [("app", APPS[app])].into_iter().collect()
}

fn name_of_service(service: usize) -> (Name, Name) {
    (NAMESPACES[service % 2].into(), format!("service-{service}").into())
}

proptest! {
    #[test]
    fn endpoints_that_follow_changes_are_those_of_all_pods(
        steps in prop::collection::vec(any_step(), 0..150),
    ) {
        let mut world = World::new();
        for step in steps.into_iter().chain([Step::Reconcile]) {
            world.take(step);
            for (id, service) in world.store.services().iter() {
                let is_settled = !world.woken.contains(&id) && service.spec.selector.is_some();
                if is_settled {
                    let endpoints: Vec<Endpoint> = service.endpoints.iter().copied().collect();
                    prop_assert_eq!(endpoints, world.endpoints_of_all(id), "after {:?}", step);
                }
                let counted = world.store.tallies_of(Selecting::Service(id));
                let pods: Vec<_> = world.selected(id).map(|pod| &world.store.pods()[pod]).collect();
                let ready = pods.iter().filter(|pod| pod.is_ready() && !pod.is_terminating());
                let sum = |count: fn(&PodTally) -> usize| counted.iter().map(|(_, one)| count(one)).sum::<usize>();
                prop_assert_eq!(sum(|one| one.pods), pods.len());
                prop_assert_eq!(sum(|one| one.ready), ready.count());
            }
        }
    }
}

/// Two pods behind a headless Service, which receives a request a second.
fn headless(service: &str, app: &str, timeline: &str) -> Run {
    let manifests = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  replicas: 2\n  selector: {{matchLabels: \
         {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    spec: {{containers: [{{name: a, image: 'a:1', \
         readinessProbe: {{httpGet: {{port: 80, path: /}}, periodSeconds: 1}}}}]}}\n---\n{{apiVersion: v1, kind: Service, \
         metadata: {{name: web}}, spec: {{clusterIP: None, {service}selector: {{app: web}}, ports: [{{port: 80}}]}}}}\n"
    );
    let scenario = format!(
        "apiVersion: wavetank/v1\nkind: Scenario\nname: names\nduration: 10m\nmanifests: [manifests.yaml]\ncluster: \
         {{nodePools: [{{name: general, count: 2, capacity: {{cpu: 4, memory: 8Gi}}}}]}}\nworkloads:\n- workload: \
         Deployment/default/web\n  app: {{{app}}}\n  requests: {{waitTime: 10ms}}\ntraffic:\n- service: default/web\n  \
         arrivals: even\n  load: {{pattern: constant, rps: 1}}\ntimeline: [{timeline}]\n"
    );
    Run::new(&scenario, &manifests)
}

#[test]
fn a_pod_has_no_endpoint_before_its_address_even_if_unready_ones_are_published() {
    let app = "imagePull: 20s, warmUp: 60s";
    let mut run = headless("publishNotReadyAddresses: true, ", app, "");
    let endpoints = |run: &Run| {
        let service = run.0.view().services().values().next().expect("the Service").clone();
        service.endpoints.iter().filter(|one| one.ready).count()
    };
    run.until(15);
    assert_eq!(endpoints(&run), 0, "the images are pulled");
    run.until(40);
    assert_eq!(endpoints(&run), 2);
    assert!(run.0.view().pods().values().all(|pod| !pod.is_ready()));
}

#[test]
fn a_deleted_headless_service_stays_away() {
    let app = "imagePull: 1s, warmUp: 1s";
    let timeline = "{at: 120s, scale: {workload: Deployment/default/web, replicas: 3}}, {at: 125s, delete: Service/default/web}";
    let mut run = headless("", app, timeline);
    let answered = |run: &mut Run| {
        let now = run.0.now();
        run.0.traffic_mut().figures(now, wavetank::traffic::ServiceId(0)).outcomes.answered
    };
    run.until(130);
    let before = answered(&mut run);
    assert!(before > 50);
    // The names that the third pod changed were cached for 30 s.
    run.until(300);
    assert_eq!(answered(&mut run), before);
}
