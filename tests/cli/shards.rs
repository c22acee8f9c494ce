//! A sweep on several machines: as parts by hand, on Slurm and on HyperQueue, and with all that can go wrong.
#![expect(clippy::disallowed_methods, reason = "tests read and write files")]

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::shop::Shop;

const GRID: [&str; 6] = [
    "--vary",
    "cluster.nodePools[general].count=1,2",
    "--vary",
    "manifests.Deployment/shop/web.spec.replicas=2,3",
    "--seeds",
    "2",
];

/// Time within which an engine starts and runs eight short simulations.
const PATIENCE: Duration = Duration::from_mins(2);

fn one_machine(shop: &Shop) -> String {
    let ran = shop.run(&[&["sweep", "scenario.yaml", "-o", "json"], &GRID[..]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out
}

fn plan(shop: &Shop) {
    let ran =
        shop.run(&[&["sweep", "plan", "scenario.yaml", "--to", "plan.json"], &GRID[..]].concat());
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "plan.json: 4 settings, 2 seeds each\n"),
        "{}",
        ran.err
    );
}

fn part(shop: &Shop, shard: &str) -> String {
    let ran = shop.run(&["sweep", "run", "plan.json", "--shard", shard]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out
}

fn merged(shop: &Shop) -> String {
    let ran = shop.run(&["sweep", "merge", "plan.json", "-o", "json"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    ran.out
}

fn results(shop: &Shop) -> Vec<PathBuf> {
    let entries = fs::read_dir(shop.path().join("results")).expect("the results");
    let mut paths: Vec<PathBuf> = entries.filter_map(|one| Some(one.ok()?.path())).collect();
    paths.sort();
    paths
}

#[test]
fn parts_make_what_one_machine_makes_and_run_nothing_twice() {
    let shop = Shop::new();
    plan(&shop);
    assert_eq!(part(&shop, "2/3"), "part 2 of 3: ran 3, had 0 already\n");
    let early = shop.run(&["sweep", "merge", "plan.json"]);
    assert_eq!(early.code, 2);
    assert!(early.err.contains("5 of 8 results cannot be used"), "{}", early.err);
    part(&shop, "1/3");
    part(&shop, "3/3");
    assert_eq!(part(&shop, "1/1"), "part 1 of 1: ran 0, had 8 already\n");
    assert_eq!(merged(&shop), one_machine(&shop));
    // The fresh seeds that confirm the row to take are kept, too.
    assert_eq!(results(&shop).len(), 8 + 5);
    assert_eq!(merged(&shop), one_machine(&shop));
}

#[test]
fn a_machine_that_is_killed_leaves_nothing_half_done() {
    let shop = Shop::new();
    plan(&shop);
    let program = assert_cmd::cargo::cargo_bin("wavetank");
    for _ in 0..3 {
        let mut run = Command::new(&program)
            .args(["sweep", "run", "plan.json"])
            .current_dir(shop.path())
            .env("RAYON_NUM_THREADS", "1")
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        std::thread::sleep(Duration::from_millis(400));
        run.kill().expect("SIGKILL");
        run.wait().expect("it is gone");
    }
    part(&shop, "1/1");
    assert_eq!(merged(&shop), one_machine(&shop));
}

#[test]
fn broken_results_are_run_again_and_never_counted() {
    let shop = Shop::new();
    plan(&shop);
    part(&shop, "1/1");
    let all = results(&shop);
    let whole = fs::read(&all[0]).expect("a result");
    fs::write(&all[0], &whole[..whole.len() / 2]).expect("cut off");
    // Another run's result under this name.
    fs::copy(&all[2], &all[1]).expect("mixed up");
    let merge = shop.run(&["sweep", "merge", "plan.json"]);
    assert_eq!(merge.code, 2);
    assert!(merge.err.contains("it is corrupt"), "{}", merge.err);
    assert!(merge.err.contains("it is not a result of this plan: its key is"), "{}", merge.err);
    let again = shop.run(&["sweep", "run", "plan.json"]);
    assert_eq!((again.code, again.out.as_str()), (0, "part 1 of 1: ran 2, had 6 already\n"));
    assert!(again.err.contains("it runs again"), "{}", again.err);
    assert_eq!(fs::read(&all[0]).expect("a result"), whole);
    assert_eq!(merged(&shop), one_machine(&shop));
}

#[test]
fn two_machines_that_run_the_same_part_count_once() {
    let shop = Shop::new();
    plan(&shop);
    let program = assert_cmd::cargo::cargo_bin("wavetank");
    let start = || {
        let mut run = Command::new(&program);
        run.args(["sweep", "run", "plan.json"]).current_dir(shop.path()).stdout(Stdio::null());
        run.spawn().expect("it starts")
    };
    for mut run in [start(), start()] {
        assert_eq!(run.wait().expect("it ends").code(), Some(0));
    }
    assert_eq!(results(&shop).len(), 8);
    assert_eq!(merged(&shop), one_machine(&shop));
}

#[test]
fn other_files_other_versions_and_other_plans_are_refused() {
    let shop = Shop::new();
    plan(&shop);
    part(&shop, "1/1");
    let kept = shop.read("plan.json");
    let version = format!("\"wavetankVersion\": \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(kept.contains(&version), "{kept}");
    shop.write("plan.json", kept.replace(&version, "\"wavetankVersion\": \"0.0.1\""));
    let other = shop.run(&["sweep", "run", "plan.json"]);
    assert_eq!(other.code, 2);
    assert!(other.err.contains("the plan is of wavetank 0.0.1"), "{}", other.err);
    shop.write("plan.json", kept);
    fs::write(shop.path().join("results/0123.json"), "{}").expect("written");
    let merge = shop.run(&["sweep", "merge", "plan.json"]);
    assert_eq!(merge.code, 0);
    assert!(merge.err.contains("1 files of other plans or versions"), "{}", merge.err);
    let scenario = shop.read("scenario.yaml");
    shop.write("scenario.yaml", scenario.replace("rps: 20", "rps: 21"));
    fs::remove_dir_all(shop.path().join("results")).expect("removed");
    let changed = shop.run(&["sweep", "run", "plan.json"]);
    assert_eq!(changed.code, 2);
    assert!(changed.err.contains("has changed since the plan was made"), "{}", changed.err);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_no_result_and_says_so() {
    let shop = Shop::new();
    plan(&shop);
    // A limit on the size of files is what a full disk is to a program that writes.
    let program = assert_cmd::cargo::cargo_bin("wavetank");
    let script =
        format!("ulimit -f 1; trap '' XFSZ; exec {} sweep run plan.json", program.display());
    let run = Command::new("bash").args(["-c", &script]).current_dir(shop.path()).output();
    let run = run.expect("bash");
    assert_eq!(run.status.code(), Some(2), "{run:?}");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(said.contains("cannot write"), "{said}");
    assert_eq!(results(&shop), Vec::<PathBuf>::new());
    part(&shop, "1/1");
    assert_eq!(merged(&shop), one_machine(&shop));
}

#[test]
fn the_job_for_kubernetes_is_a_valid_one() {
    let shop = Shop::new();
    plan(&shop);
    let job = shop.run(&["sweep", "export", "plan.json", "--target", "k8s-job", "--shards", "4"]);
    assert_eq!(job.code, 0, "{}", job.err);
    shop.write("job.yaml", &job.out);
    let valid = shop.run(&["validate", "job.yaml"]);
    assert_eq!(valid.code, 0, "{}{}", valid.out, valid.err);
    assert!(job.out.contains("completionMode: Indexed") && job.out.contains("values: [2]"));
}

/// Processes that end with the test.
struct Running(Vec<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn has(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    found.is_ok_and(|found| found.status.success())
}

/// Slurm on this machine alone, in a folder of its own: a controller and a node without authentication.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn slurm(shop: &Shop) -> Option<Running> {
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if !root || !["slurmctld", "slurmd", "sbatch"].into_iter().all(has) {
        eprintln!(
            "skipped: Slurm is not installed (apt-get install slurm-wlm), or this is not root"
        );
        return None;
    }
    let host = Command::new("hostname").arg("-s").output().expect("hostname");
    let host = String::from_utf8(host.stdout).expect("UTF-8").trim().to_owned();
    let at = shop.path().join("slurm");
    fs::create_dir_all(at.join("state")).expect("made");
    fs::create_dir_all(at.join("spool")).expect("made");
    let at = at.display();
    let port = 20_000 + std::process::id() % 20_000;
    shop.write(
        "slurm/slurm.conf",
        format!(
            "ClusterName=wavetank\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser=root\nSlurmdUser=root\n\
             AuthType=auth/none\nCredType=cred/none\nSlurmctldPort={port}\nSlurmdPort={}\n\
             StateSaveLocation={at}/state\nSlurmdSpoolDir={at}/spool\nSlurmctldPidFile={at}/ctld.pid\n\
             SlurmdPidFile={at}/d.pid\nSlurmctldLogFile={at}/ctld.log\nSlurmdLogFile={at}/d.log\n\
             ProctrackType=proctrack/pgid\nTaskPlugin=task/none\nSelectType=select/cons_tres\n\
             SelectTypeParameters=CR_CPU\nMpiDefault=none\nReturnToService=2\n\
             NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=100 State=UNKNOWN\n\
             PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP\n",
            port + 1
        ),
    );
    let start = |program: &str| {
        let mut command = Command::new(program);
        command.args(["-D", "-f", "slurm/slurm.conf"]).current_dir(shop.path());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a daemon of Slurm")
    };
    Some(Running(vec![start("slurmctld"), start("slurmd")]))
}

#[test]
fn slurm_makes_what_one_machine_makes() {
    let shop = Shop::new();
    let Some(_running) = slurm(&shop) else { return };
    plan(&shop);
    let script = shop.run(&["sweep", "export", "plan.json", "--target", "slurm", "--shards", "4"]);
    assert_eq!(script.code, 0, "{}", script.err);
    shop.write("sweep.sh", &script.out);
    let program = assert_cmd::cargo::cargo_bin("wavetank");
    let folder = program.parent().expect("a folder").display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let submit = Command::new("timeout")
        .args([&PATIENCE.as_secs().to_string(), "sh", "-c"])
        .arg("until sinfo -h -o %T 2>/dev/null | grep -q idle; do sleep 0.2; done; exec sbatch --wait sweep.sh")
        .env("SLURM_CONF", shop.path().join("slurm/slurm.conf"))
        .env("PATH", path)
        .current_dir(shop.path())
        .output()
        .expect("sbatch");
    assert!(submit.status.success(), "{submit:?}");
    assert_eq!(results(&shop).len(), 8);
    assert_eq!(merged(&shop), one_machine(&shop));
}

/// Submits the parts to HyperQueue through its Python package, which brings server and worker.
const HYPERQUEUE: &str = "
import sys
from hyperqueue import Job
from hyperqueue.cluster import LocalCluster, WorkerConfig
with LocalCluster() as cluster:
    cluster.start_worker(WorkerConfig(cores=2))
    client = cluster.client()
    job = Job()
    for _ in range(4):
        job.program([sys.argv[1], 'sweep', 'run', 'plan.json', '--shards', '4'])
    client.wait_for_jobs([client.submit(job)])
";

#[test]
fn hyperqueue_makes_what_one_machine_makes() {
    let import = Command::new("python3").args(["-c", "import hyperqueue"]).output();
    if !import.is_ok_and(|import| import.status.success()) {
        eprintln!("skipped: HyperQueue is not installed (pip install hyperqueue)");
        return;
    }
    let shop = Shop::new();
    plan(&shop);
    let program = assert_cmd::cargo::cargo_bin("wavetank");
    let submit = Command::new("timeout")
        .args([&PATIENCE.as_secs().to_string(), "python3", "-c", HYPERQUEUE])
        .arg(program)
        .current_dir(shop.path())
        .output()
        .expect("python3");
    assert!(submit.status.success(), "{submit:?}");
    assert_eq!(results(&shop).len(), 8);
    assert_eq!(merged(&shop), one_machine(&shop));
}
