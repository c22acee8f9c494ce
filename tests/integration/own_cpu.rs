//! CPU that applications burn for themselves, without requests, on nodes where others want it too.

use crate::texts::{ran, resolved, simulation};
use wavetank::engine::{SimDuration, SimTime};
use wavetank::report::Report;

/// One node of two cores, of which pods may use 1.93.
const HEAD: &str = "duration: 20m
warmUp: 2m
cluster: {nodePools: [{name: pool, instanceType: aws/m5.large, count: 1}]}
traffic: [{service: web, load: {pattern: constant, rps: 60}, timeout: 5s}]
workloads:
- workload: Deployment/web
  requests: {concurrency: 16, queue: 100, cpuTime: {distribution: exponential, mean: 10ms}}
";

fn deployment(name: &str, replicas: u32, resources: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec: {{replicas: \
         {replicas}, selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: \
         {name}}}}}, spec: {{containers: [{{name: app, image: 'app:1', resources: {{{resources}}}}}]}}}}}}\n"
    )
}

const SERVICE: &str = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: \
                       web}, ports: [{port: 80}]}\n";

/// A web site beside an application that wants so many cores for itself from the tenth minute on.
fn beside(web: &str, batch: &str, cores: &str) -> Report {
    let scenario = format!(
        "{HEAD}- workload: Deployment/batch\n  cpuLoad: [{{at: 0s, cpu: 0}}, {{at: 10m, cpu: {cores}}}]\n"
    );
    let manifests =
        format!("{}{}{SERVICE}", deployment("web", 1, web), deployment("batch", 1, batch));
    ran(&resolved(&scenario, &manifests, &[])).0
}

/// The interval in which a minute of the twenty ends.
fn at<T: Copy>(series: &[T], minute: usize) -> T {
    series[series.len() * minute / 20]
}

/// Cores used in the middle of the last ten minutes.
fn late_cores(report: &Report, workload: &str) -> f64 {
    let found = report.workloads.iter().find(|one| one.workload.ends_with(workload));
    at(&found.expect("it is there").series.cpu_cores, 15)
}

/// Endless where nothing was answered.
fn late_p95(report: &Report) -> f64 {
    at(&report.services[0].series.latency_p95_ms, 15).unwrap_or(f64::INFINITY)
}

fn early_p95(report: &Report) -> f64 {
    at(&report.services[0].series.latency_p95_ms, 5).expect("requests were answered")
}

#[test]
fn a_node_gives_no_more_cpu_than_it_has() {
    let report = beside("requests: {cpu: 500m}", "requests: {cpu: 500m}", "4");
    let (web, batch) = (late_cores(&report, "web"), late_cores(&report, "batch"));
    assert!((web - 0.6).abs() < 0.05, "the web site gets what it needs: {web}");
    assert!((web + batch - 1.93).abs() < 0.1, "{web} and {batch}");
}

#[test]
fn who_requests_cpu_is_safe_from_who_burns_it_and_who_requests_none_is_not() {
    let safe = beside("requests: {cpu: 900m}", "requests: {cpu: 100m}", "4");
    assert!(late_p95(&safe) < 2.0 * early_p95(&safe), "{} ms", late_p95(&safe));
    let bare = beside("", "requests: {cpu: 100m}", "4");
    assert!(late_p95(&bare) > 20.0 * early_p95(&bare), "{} ms", late_p95(&bare));
}

#[test]
fn a_limit_keeps_the_neighbour_quiet() {
    let report = beside("", "requests: {cpu: 100m}, limits: {cpu: 500m}", "4");
    let batch = late_cores(&report, "batch");
    assert!((batch - 0.5).abs() < 0.01, "{batch}");
    assert!(late_p95(&report) < 1.5 * early_p95(&report), "{} ms", late_p95(&report));
}

#[test]
fn what_an_application_burns_for_itself_its_own_requests_cannot_have() {
    let scenario = format!("{HEAD}  cpuLoad: [{{at: 0s, cpu: 0}}, {{at: 10m, cpu: 800m}}]\n");
    let manifests =
        format!("{}{SERVICE}", deployment("web", 1, "requests: {cpu: 1}, limits: {cpu: 1}"));
    let (report, _) = ran(&resolved(&scenario, &manifests, &[]));
    let cores = late_cores(&report, "web");
    assert!((0.8..1.02).contains(&cores), "at most its limit: {cores}");
    assert!(late_p95(&report) > 3.0 * early_p95(&report), "{} ms", late_p95(&report));
}

#[test]
fn warm_up_of_many_pods_at_once_takes_cpu_from_who_serves() {
    let scenario = format!(
        "{HEAD}- workload: Deployment/batch\n  app: {{warmUp: 3m, warmUpCpuMilli: 2000}}\ntimeline: [{{at: \
         10m, scale: {{workload: Deployment/batch, replicas: 4}}}}]\n"
    );
    let manifests = format!("{}{}{SERVICE}", deployment("web", 1, ""), deployment("batch", 0, ""));
    let probe = "image: 'app:1', readinessProbe: {tcpSocket: {port: 1}}";
    let manifests = manifests.replace("image: 'app:1'", probe);
    let (report, _) = ran(&resolved(&scenario, &manifests, &[]));
    let during = at(&report.services[0].series.latency_p95_ms, 11).expect("requests were answered");
    assert!(during > 3.0 * early_p95(&report), "{during} ms");
    let batch = report.workloads.iter().find(|one| one.workload.ends_with("batch"));
    let cores = at(&batch.expect("it is there").series.cpu_cores, 11);
    assert!(cores < 1.93, "{cores}");
}

#[test]
fn a_load_that_changes_between_two_scrapes_shows_as_the_mean_of_each_pod_and_then_as_it_is() {
    let scenario = "duration: 20m
cluster: {nodePools: [{name: pool, instanceType: aws/m5.large, count: 1}]}
workloads:
- workload: Deployment/batch
  cpuLoad: [{at: 0s, cpu: 1}, {at: 607s, cpu: 600m}]
timeline: [{at: 901s, scale: {workload: Deployment/batch, replicas: 5}}]
";
    let manifests = deployment("batch", 4, "requests: {cpu: 100m}");
    let mut simulation = simulation(&resolved(scenario, &manifests, &[]), 1);
    let mut windows = 0;
    let mut before = SimTime::ZERO;
    for second in 300..1200 {
        let now = SimTime::from_secs(second);
        simulation.run_until(now);
        let view = simulation.view();
        let samples: Vec<(i64, SimTime, SimDuration)> = view
            .pods()
            .iter()
            .filter_map(|(id, _)| view.pod_metrics().get(id))
            .map(|sample| (sample.cpu_nano, sample.timestamp, sample.window))
            .collect();
        let (_, scraped, window) = samples[0];
        if scraped == before {
            continue;
        }
        (before, windows) = (scraped, windows + 1);
        let burnt = |from: i64, to: i64, nano: i64| {
            let [from, to] = [from, to].map(SimTime::from_secs);
            let within = to.min(scraped) - from.max(scraped - window);
            within.max(SimDuration::ZERO).as_nanos() * nano / window.as_nanos()
        };
        let expected = burnt(0, 607, 250_000_000) + burnt(607, 900, 150_000_000);
        if second < 900 {
            assert_eq!(samples.len(), 4);
            for (nano, _, _) in &samples {
                assert!((nano - expected).abs() <= 2, "{nano}, not {expected}");
            }
        } else if second > 1000 {
            assert_eq!(samples.len(), 5);
            assert!(samples.iter().all(|(nano, _, _)| *nano == 120_000_000));
        }
    }
    assert!(windows > 50, "{windows}");
}
