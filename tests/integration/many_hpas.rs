//! Many HPAs: their controller's clients send 20 requests per second, so that each HPA waits for its turn.

use crate::in_memory::world;
use wavetank::cluster::ObjectReference;
use wavetank::engine::SimTime;
use wavetank::sim::Simulation;

/// So many Deployments of one pod, each with an HPA on CPU.
fn manifests(count: usize) -> String {
    let one = |number: usize| {
        format!(
            "---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web-{number}}}
spec:
  selector: {{matchLabels: {{app: web-{number}}}}}
  template:
    metadata: {{labels: {{app: web-{number}}}}}
    spec: {{containers: [{{name: web, image: web, resources: {{requests: {{cpu: 10m}}}}}}]}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: web-{number}}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: web-{number}}}
  maxReplicas: 3
  metrics: [{{type: Resource, resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 50}}}}}}]
"
        )
    };
    (0..count).map(one).collect()
}

/// The seconds at which each of so many HPAs is decided on in the first minutes of a run.
fn decided(count: usize, seconds: i64, repeats_quiet_syncs: bool) -> Vec<Vec<f64>> {
    let scenario = "apiVersion: wavetank/v1\nkind: Scenario\nname: many\nduration: 5m\nmanifests: [manifests.yaml]\n\
         timing: {preset: ideal, controllerClient: {qps: 20, burst: 30}}\n\
         cluster: {nodePools: [{name: pool, count: 10, capacity: {cpu: 8, memory: 32Gi}}]}\n";
    let mut world = world(scenario, &manifests(count), &[]);
    world.controllers.hpa.repeats_quiet_syncs = repeats_quiet_syncs;
    let mut simulation = Simulation::new(world);
    let hpas: Vec<ObjectReference> =
        (0..count).map(|number| format!("hpa/web-{number}").parse().expect("an HPA")).collect();
    let mut decided = vec![Vec::new(); count];
    for tenth in 0..10 * seconds {
        simulation.run_until(SimTime::from_nanos(tenth * 100_000_000));
        for (hpa, decided) in hpas.iter().zip(&mut decided) {
            let at = simulation.explain_as_row(hpa).map(|row| row.at.as_secs_f64());
            if at.is_some() && decided.last() != at.as_ref() {
                decided.extend(at);
            }
        }
    }
    decided
}

#[test]
fn of_forty_hpas_applied_together_thirty_are_decided_on_at_once_and_all_every_15_seconds() {
    for repeats_quiet_syncs in [false, true] {
        let decided = decided(40, 50, repeats_quiet_syncs);
        let mut first: Vec<f64> = decided.iter().map(|all| all[0]).collect();
        first.sort_by(f64::total_cmp);
        assert!(first[..30].iter().all(|at| (at - first[0]).abs() < 1e-9), "{first:?}");
        assert!((first[30] - first[0] - 0.05).abs() < 1e-9, "{first:?}");
        assert!((first[39] - first[0] - 0.5).abs() < 1e-9, "{first:?}");
        let periods = decided.iter().flat_map(|all| all.windows(2).map(|two| two[1] - two[0]));
        assert!(periods.clone().count() >= 40);
        assert!(periods.clone().all(|period| (period - 15.0).abs() < 1e-9));
    }
}

#[test]
fn four_hundred_hpas_are_decided_on_every_20_seconds() {
    for repeats_quiet_syncs in [false, true] {
        let decided = decided(400, 90, repeats_quiet_syncs);
        let periods: Vec<f64> = decided
            .iter()
            .flat_map(|all| all.windows(2).skip(1).map(|two| two[1] - two[0]))
            .collect();
        assert!(periods.len() >= 700, "{}", periods.len());
        assert!(periods.iter().all(|period| (period - 20.0).abs() < 1e-9), "{:?}", decided[7]);
    }
}
