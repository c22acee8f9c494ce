//! The Events of a StatefulSet about the pods and claims that are created for it
//! (`recordPodEvent`, `recordClaimEvent`).

use cluster::action::{Event, PodName};
use cluster::pod::Owner;
use cluster::{Action, Kind, NamespacedName, Refused, Store};

/// A request for a pod and its claims.
#[derive(Clone, Debug)]
pub struct StatefulPodOperation {
    set: NamespacedName,
    pod: String,
    claims: Vec<NamespacedName>,
}

impl StatefulPodOperation {
    /// The operation in a request, if it creates the pod of a StatefulSet.
    pub fn of(store: &Store, action: &Action) -> Option<Self> {
        let Action::CreateStatefulPod(draft) = action else { return None };
        let (pod, claims) = &**draft;
        let (Some(Owner::StatefulSet(set)), PodName::Exact(name)) = (pod.owner, &pod.name) else {
            return None;
        };
        let set = store.stateful_sets().get(set)?.meta.id.clone();
        let claims = claims.iter().map(|claim| claim.id.clone()).collect();
        Some(Self { set, pod: name.to_string(), claims })
    }

    /// The Events about its outcome.
    pub fn events(self, store: &Store, result: &Result<(), Refused>) -> Vec<Event> {
        let Self { set, pod, claims } = self;
        let event = |is_warning, message| Event {
            kind: Kind::StatefulSet,
            object: set.clone(),
            is_warning,
            reason: if is_warning { "FailedCreate" } else { "SuccessfulCreate" },
            message,
        };
        let in_set = format!("in StatefulSet {}", set.name);
        let mut events = Vec::new();
        for claim in &claims {
            let name = &claim.name;
            let is_there = store.claim(claim).is_some_and(|one| !one.is_terminating());
            events.push(match result {
                Err(why) if !is_there => {
                    let why = why.to_string();
                    let before = format!("failed to create PVC {name}: ");
                    let why = why.strip_prefix(&before).unwrap_or(&why);
                    event(
                        true,
                        format!("create Claim {name} for Pod {pod} {in_set} failed error: {why}"),
                    )
                }
                _ => event(false, format!("create Claim {name} Pod {pod} {in_set} success")),
            });
        }
        match result {
            Ok(()) => events.push(event(false, format!("create Pod {pod} {in_set} successful"))),
            // Waits without an Event for an object of this name that still exists.
            Err(Refused::AlreadyExists(_)) => {}
            Err(why) => {
                let message = format!("create Pod {pod} {in_set} failed error: {why}");
                events.push(event(true, message));
            }
        }
        events
    }
}
