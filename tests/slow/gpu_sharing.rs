//! The GPU-sharing policies on the openb cluster, beside the simulator of Weng et al. (USENIX ATC 2023):
//! under FGD every pod on the same node and device, the others at the published allocation.
#![expect(clippy::disallowed_methods, reason = "tests read recorded data")]

use std::io::Read as _;

use flate2::read::GzDecoder;
use wavetank::pack::figures::SHARED_GPU;
use wavetank::pack::{Outcome, Plan, PodList, Policy, node_list, policy};

fn unpacked(path: &str) -> String {
    let bytes = std::fs::read(path).expect("the data are in the repository");
    let mut text = String::new();
    GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("gzip of UTF-8");
    text
}

fn openb() -> Plan {
    let data = "scenarios/openb-gpu-sharing/data";
    let nodes = unpacked(&format!("{data}/nodes.csv.gz"));
    let pods = unpacked(&format!("{data}/pods.csv.gz"));
    Plan {
        nodes: node_list::nodes_from_csv(nodes.as_bytes()).expect("a list of nodes"),
        prices: std::collections::BTreeMap::new(),
        pods: PodList::from_csv(pods.as_bytes()).expect("a list of pods"),
        seed: 42,
        ties_by_name: true,
        typical_of: Some(8_152),
        typical_percent: 95,
    }
}

fn run(plan: &Plan, name: &str) -> Outcome {
    let configuration = policy::named(name).expect("a named policy");
    plan.run(&Policy { name: name.to_owned(), configuration }).expect("its profile makes sense")
}

#[test]
fn fgd_puts_every_pod_on_the_node_and_device_of_the_recorded_run() {
    let plan = openb();
    let outcome = run(&plan, "fgd");
    let expected = unpacked("tests/golden/openb/fgd-placements.csv.gz");
    let mut rows = csv::Reader::from_reader(expected.as_bytes());
    let mut compared = 0;
    for ((row, pod), place) in rows.records().zip(&plan.pods.pods).zip(&outcome.places) {
        let row = row.expect("a row");
        assert_eq!(row[0], *pod.name, "pod {compared}");
        let found = place.as_ref().map_or((String::new(), String::new()), |place| {
            (place.node.to_string(), place.devices.to_string())
        });
        assert_eq!((&row[1], &row[2]), (found.0.as_str(), found.1.as_str()), "{}", &row[0]);
        compared += 1;
    }
    assert_eq!((compared, outcome.placed()), (10_866, 8_334));
    let gpu = &outcome.resources[SHARED_GPU];
    assert_eq!((gpu.requested, gpu.allocatable), (5_919_410, 6_212_000));
    assert_eq!(outcome.resources["cpu"].requested, 89_928_302);
    assert_eq!(outcome.resources["memory"].requested, 328_998_433_325_056);
    assert_eq!(outcome.gpus_touched, 6_189);
    assert!((gpu.fragmented - 291_361.65).abs() < 0.01, "{}", gpu.fragmented);
}

/// Allocation in percent of the GPUs at the end, published for seed 42.
const PUBLISHED: [(&str, f64); 4] = [
    ("dot-product", 90.54),
    ("gpu-clustering", 91.53),
    ("gpu-packing", 91.57),
    ("best-fit", 93.13),
];

fn allocated_percent(plan: &Plan, name: &str) -> f64 {
    run(plan, name).resources[SHARED_GPU].utilization_percent()
}

#[test]
fn the_other_policies_allocate_what_was_published_in_the_published_order() {
    let plan = openb();
    // The original does not repeat under Random: its ten seeds came to 87.07 to 88.03, 87.47 in the mean.
    let seeds = [42, 43, 44];
    let random = seeds.map(|seed| allocated_percent(&Plan { seed, ..plan.clone() }, "random"));
    let mut last = random.iter().sum::<f64>() / 3.0;
    assert!((last - 87.47).abs() <= 0.3, "random: {random:?}");
    for (name, published) in PUBLISHED {
        let percent = allocated_percent(&plan, name);
        assert!((percent - published).abs() <= 0.3, "{name}: {percent} instead of {published}");
        assert!(percent > last, "{name} allocates more than the one before it");
        last = percent;
    }
}
