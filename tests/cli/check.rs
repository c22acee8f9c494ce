//! `wavetank check`, `compare` and `sweep` as a person or a pipeline meets them.

use crate::shop::{MANIFESTS, SCENARIO, Shop};
use serde_json::Value;

#[test]
fn a_scenario_that_meets_its_objectives_ends_with_0() {
    let ran = Shop::new().run(&["check", "scenario.yaml"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert!(ran.out.ends_with("1 run, 3 objectives: 3 met, 0 missed\n"), "{}", ran.out);
}

#[test]
fn a_verdict_says_on_how_many_guesses_it_rests() {
    let shop = Shop::new();
    let guess = "provenance: {assumed: ['traffic[0].load']}\n";
    shop.write("guessed.yaml", format!("{SCENARIO}{guess}"));
    let ran = shop.run(&["check", "guessed.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("based on a guess: see ASSUMED in wavetank run\n"), "{}", ran.out);
    let json: Value = serde_json::from_str(&shop.run(&["check", "guessed.yaml", "-o", "json"]).out)
        .expect("JSON");
    assert_eq!(json["scenarios"][0]["assumed"][0], "traffic[0].load");
}

#[test]
fn a_missed_objective_ends_with_1_and_a_failure_in_the_junit_file() {
    let shop = Shop::new();
    let strict = SCENARIO.replace("p95: 200ms", "p95: 1ms");
    shop.write("strict.yaml", strict);
    let ran = shop.run(&["check", "scenario.yaml", "strict.yaml", "--junit", "out/check.xml"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.out.ends_with("2 runs, 6 objectives: 5 met, 1 missed\n"), "{}", ran.out);
    let xml = shop.read("out/check.xml");
    assert!(xml.contains("tests=\"6\" skipped=\"0\" failures=\"1\" errors=\"0\""), "{xml}");
    assert!(xml.contains("<failure message=\"latency p95 is "), "{xml}");
}

#[test]
fn the_line_of_a_missed_objective_says_why() {
    let shop = Shop::new();
    let killed = format!("{SCENARIO}timeline: [{{at: 90s, killNode: general-1}}]\n");
    shop.write("killed.yaml", killed);
    let ran = shop.run(&["check", "killed.yaml"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let line = ran.out.lines().find(|line| line.contains("availability")).unwrap_or_default();
    assert!(line.trim_start().starts_with("✗ missed"), "{}", ran.out);
    assert!(line.contains("because Node general-1 was lost at 00:01:30; "), "{}", ran.out);
    assert!(line.contains(" no answer"), "{}", ran.out);
}

#[test]
fn one_wrong_scenario_ends_with_2_and_the_others_are_still_judged() {
    let shop = Shop::new();
    shop.write("wrong.yaml", SCENARIO.replace("duration: 4m", "duration: 4 minutes"));
    shop.write("aimless.yaml", SCENARIO.split("objectives:").next().expect("the start of it"));
    let files = ["wrong.yaml", "aimless.yaml", "missing.yaml", "scenario.yaml"];
    let ran = shop.run(&[&["check"][..], &files, &["-o", "json"]].concat());
    assert_eq!(ran.code, 2);
    let check: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!((&check["met"], &check["wrong"]), (&3.into(), &3.into()));
    let problem = |index: usize| check["scenarios"][index]["problem"].as_str().unwrap_or_default();
    assert!(problem(0).starts_with("error: wrong.yaml:4: "), "{}", problem(0));
    assert!(problem(1).contains("has no objectives to check"), "{}", problem(1));
    assert!(problem(2).contains("no such file"), "{}", problem(2));
    assert_eq!(check["scenarios"][3]["objectives"][0]["met"], true);
}

#[test]
fn an_objective_must_be_met_with_every_seed() {
    let ran = Shop::new().run(&["check", "scenario.yaml", "--seeds", "3", "--seed", "7"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for seed in [7, 8, 9] {
        assert!(ran.out.contains(&format!("scenario.yaml  seed {seed}\n")), "{}", ran.out);
    }
}

#[test]
fn a_setting_is_compared_with_the_scenario_as_it_is_on_the_same_requests() {
    let set = "manifests.Deployment/shop/web.spec.replicas=1";
    let arguments = ["compare", "scenario.yaml", "--set", set, "-o", "json"];
    let ran = Shop::new().run(&arguments);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let comparison: Value = serde_json::from_str(&ran.out).expect("JSON");
    let figure = |name: &str| {
        let figures = comparison["figures"].as_array().expect("a list");
        figures.iter().find(|one| one["figure"] == name).expect("this figure").clone()
    };
    assert_eq!(figure("requests")["verdict"], "same");
    assert_eq!(figure("cost per month")["verdict"], "same");
    let latency = figure("latency p95");
    assert_eq!(latency["verdict"], "worse");
    assert!(latency["interval"][0].as_f64() > Some(0.0), "{latency}");
    assert_eq!(latency["baseline_values"].as_array().map(Vec::len), Some(5));
}

#[test]
fn a_saved_side_is_the_baseline_of_a_pipeline() {
    let shop = Shop::new();
    let ran = shop.run(&["compare", "scenario.yaml", "--save", "base.json", "--seeds", "2"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "", ""));
    let against = |more: &[&str]| {
        let start = ["compare", "scenario.yaml", "--baseline", "base.json", "--fail-on", "change"];
        shop.run(&[&start[..], more].concat())
    };
    let same = against(&[]);
    assert_eq!(same.code, 0, "{}", same.out);
    let dearer = against(&["--set", "cluster.nodePools[general].count=3"]);
    assert_eq!(dearer.code, 1, "{}", dearer.out);
    assert!(dearer.out.contains("+$71.68 (+28.3 %)"), "{}", dearer.out);
    let three = ["--set", "cluster.nodePools[general].count=3", "--tolerance", "60%"];
    let over_budget = against(&three);
    assert_eq!(over_budget.code, 1, "{}", over_budget.out);
    assert!(over_budget.out.contains("1 objective newly missed"), "{}", over_budget.out);
    let tolerated = against(&[&three[..], &["--set", "objectives[1].costPerMonth=400"]].concat());
    assert_eq!(tolerated.code, 0, "{}", tolerated.out);
    shop.write("base.json", "{}");
    let wrong = against(&[]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.starts_with("error: base.json: this is not a file"), "{}", wrong.err);
}

#[test]
fn a_difference_of_less_than_a_hundredth_is_shown_if_asked_for_and_fails_no_comparison() {
    // Half a percent more CPU time for each request.
    let set = "workloads[Deployment/shop/web].requests.cpuTime.mean=20.05ms";
    let compared = |more: &[&str]| {
        let start = ["compare", "scenario.yaml", "--set", set, "--fail-on", "worse"];
        Shop::new().run(&[&start[..], more].concat())
    };
    let ran = compared(&[]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(!ran.out.contains("latency mean"), "{}", ran.out);
    let ran = compared(&["--all"]);
    let line =
        |name: &str| ran.out.lines().find(|line| line.trim().starts_with(name)).unwrap_or_default();
    let mean = line("latency mean");
    assert!(mean.contains(" %)") && mean.ends_with("within"), "{}", ran.out);
    assert!(
        ran.out.contains("differences up to 1 % count as none") && ran.out.contains(" within 1 %"),
        "{}",
        ran.out
    );
    let ran = compared(&["--tolerance", "0"]);
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(!ran.out.contains("within"), "{}", ran.out);
}

#[test]
fn nothing_to_compare_with_is_said() {
    let ran = Shop::new().run(&["compare", "scenario.yaml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("nothing to compare with"), "{}", ran.err);
}

#[test]
fn traffic_that_differs_is_noted_in_a_comparison() {
    let set = ["--set", "traffic[shop/web].load.rps=5", "--seeds", "2"];
    let ran = Shop::new().run(&[&["compare", "scenario.yaml"][..], &set].concat());
    assert!(ran.out.contains("the sides had different requests"), "{}", ran.out);
}

#[test]
fn a_sweep_marks_the_cheapest_setting_that_will_do() {
    let vary = [
        "--vary",
        "cluster.nodePools[general].count=1,2,3",
        "--vary",
        "manifests.Deployment/shop/web.spec.replicas=1,3",
    ];
    let shop = Shop::new();
    let ran = shop.run(&[&["sweep", "scenario.yaml", "-o", "json"][..], &vary].concat());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let table: Value = serde_json::from_str(&ran.out).expect("JSON");
    let rows = table["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 6);
    let of = |row: &Value| row["values"].as_array().cloned();
    let cheapest: Vec<_> = rows.iter().filter(|row| row["is_cheapest"] == true).collect();
    assert_eq!(cheapest.len(), 1);
    // One node is the cheapest; one replica of half a core is too slow for 20 requests of 20 ms a second.
    assert_eq!(of(cheapest[0]), Some(vec!["1".into(), "3".into()]));
    // Three nodes cost more than is allowed.
    assert_eq!(rows[5]["missed"][0], "cost per month");
    let csv = shop.run(&[&["sweep", "scenario.yaml", "-o", "csv"][..], &vary].concat());
    assert_eq!(csv.out.lines().count(), 7);
    assert!(
        csv.out.contains(",cost per month [USD],cost per million requests [USD]\n"),
        "{}",
        csv.out
    );
    let text = shop.run(&[&["sweep", "scenario.yaml"][..], &vary].concat());
    assert!(
        text.out.contains("► cheapest of these that meets every objective with every seed"),
        "{}",
        text.out
    );
}

#[test]
fn a_sweep_keeps_the_current_value_where_others_cost_as_much() {
    let shop = Shop::new();
    let vary = "manifests.Deployment/shop/web.spec.replicas=2,3,4,5";
    let ran = shop.run(&["sweep", "scenario.yaml", "--vary", vary, "-o", "json"]);
    let table: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!(table["current"], serde_json::json!(["3"]), "{}", ran.err);
    let rows = table["rows"].as_array().expect("rows");
    let cheapest = rows.iter().find(|row| row["is_cheapest"] == true).expect("one");
    assert_eq!(cheapest["values"], serde_json::json!(["3"]), "five leave more room");
    let text = shop.run(&["sweep", "scenario.yaml", "--vary", vary]);
    let words: Vec<&str> = text.out.split_whitespace().collect();
    assert!(words.join(" ").contains("this one keeps the current values"), "{}", text.out);
}

#[test]
fn a_sweep_takes_ranges_samples_and_tables_of_settings() {
    let shop = Shop::new();
    let rows = |arguments: &[&str]| {
        let all = [&["sweep", "scenario.yaml", "--confirm", "0", "-o", "json"][..], arguments];
        let ran = shop.run(&all.concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
        let table: Value = serde_json::from_str(&ran.out).expect("JSON");
        let rows = table["rows"].as_array().expect("rows").clone();
        (rows.into_iter().map(|row| row["values"].to_string()).collect::<Vec<_>>(), ran.err)
    };
    let range = "cluster.nodePools[general].count=1..5/2";
    assert_eq!(rows(&["--vary", range]).0, [r#"["1"]"#, r#"["3"]"#, r#"["5"]"#]);
    let replicas = "manifests.Deployment/shop/web.spec.replicas=2..5";
    let sample = ["--vary", range, "--vary", replicas, "--sample"];
    assert_eq!(rows(&[&sample[..], &["latin:4"]].concat()).0.len(), 4);
    assert_eq!(rows(&[&sample[..], &["sobol:50"]].concat()).0.len(), 12, "the whole grid");
    shop.write("rows.csv", "seed,cluster.nodePools[general].count\n7,1\n8,2\n");
    assert_eq!(rows(&["--table", "rows.csv"]).0, [r#"["7","1"]"#, r#"["8","2"]"#]);
    // One node has no second one that could fail; all else is run.
    let timeline = r#"timeline=[],[{"at":"1m","killNode":"general-2"}]"#;
    let (left, told) =
        rows(&["--vary", timeline, "--vary", "cluster.nodePools[general].count=1,2"]);
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(told.contains("1 of 4 settings are left out"), "{told}");
}

#[test]
fn a_sweep_is_drawn_as_charts_and_as_a_page() {
    let shop = Shop::new();
    let vary = [
        "--vary",
        "cluster.nodePools[general].count=1..3",
        "--vary",
        "manifests.Deployment/shop/web.spec.replicas=1..3",
    ];
    let to = ["--charts", "charts", "--report", "sweep.html"];
    let ran = shop.run(&[&["sweep", "scenario.yaml", "--confirm", "1"][..], &vary, &to].concat());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.contains("~ cost a month depends on cluster.nodePools[general].count 100 %"));
    for stem in ["pareto", "influence", "heat-cost", "heat-p99", "heat-availability"] {
        assert!(shop.path().join(format!("charts/{stem}.png")).exists(), "{stem}");
        assert!(shop.read(&format!("charts/{stem}.svg")).starts_with("<svg "), "{stem}");
    }
    let page = shop.read("sweep.html");
    assert_eq!(page.matches("<svg ").count(), 5);
    assert_eq!(page.matches("<tr").count(), 1 + 9);
    assert_eq!(page.matches("recommended</td>").count(), 1);
    assert!(!page.contains("http://") || page.contains("www.w3.org"), "nothing is fetched");
}

#[test]
fn a_sweep_gives_the_same_bytes_with_any_number_of_threads() {
    let arguments = [
        "sweep",
        "scenario.yaml",
        "--seeds",
        "2",
        "-o",
        "json",
        "--vary",
        "traffic[shop/web].load.rps=10,30",
    ];
    let shop = Shop::new();
    let [one, three] =
        ["1", "3"].map(|threads| shop.run_with(&arguments, &[("RAYON_NUM_THREADS", threads)]).out);
    assert!(one.contains("\"rows\""), "{one}");
    assert_eq!(one, three);
}

#[test]
fn a_wrong_setting_of_a_sweep_is_told_once() {
    let ran = Shop::new().run(&["sweep", "scenario.yaml", "--vary", "sed=1,2"]);
    assert_eq!(ran.code, 2);
    assert_eq!(ran.err.matches("unknown field").count(), 1, "{}", ran.err);
    let ran = Shop::new().run(&["sweep", "scenario.yaml", "--vary", "seed"]);
    assert_eq!(ran.code, 2);
}

#[test]
fn further_attempts_are_told_interval_by_interval_so_that_a_storm_is_seen_to_begin() {
    let shop = Shop::new();
    let overload = "{pattern: step, rps: 20, steps: [{at: 2m, rps: 300}]}";
    let retries = "2s, retries: {attempts: 2}";
    let stormy = SCENARIO
        .replace("{pattern: constant, rps: 20}", overload)
        .replace("timeout: 2s", &format!("timeout: {retries}"));
    shop.write("scenario.yaml", stormy);
    let ran = shop.run(&["run", "scenario.yaml", "-o", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let report: Value = serde_json::from_str(&ran.out).expect("JSON");
    let service = &report["services"][0];
    let numbers = |value: &Value| -> Vec<f64> {
        let list = value.as_array().expect("a list").iter();
        list.map(|number| number.as_f64().expect("a number")).collect()
    };
    let ends = numbers(&report["interval_ends_seconds"]);
    let retried = numbers(&service["series"]["retried_rps"]);
    let arrived = numbers(&service["series"]["arrived_rps"]);
    assert_eq!(retried.len(), ends.len());
    let mut begin = 0.0;
    let mut sum = 0.0;
    for ((end, retried), arrived) in ends.iter().zip(&retried).zip(arrived) {
        // While the pods start nobody answers; this is not counted in the sum.
        if *end > 30.0 {
            sum += retried * (end - begin);
            assert!(*end > 120.0 || *retried <= 0.0, "before the overload: {retried} at {end}");
        }
        assert!(*end < 150.0 || *retried > 0.5 * arrived, "{retried} at {end}");
        begin = *end;
    }
    let told = service["retries"].as_f64().expect("there were retries");
    assert!((sum - told).abs() < 1e-6 * told, "{sum} and {told}");
    let text = shop.run(&["run", "scenario.yaml"]);
    assert!(text.out.contains("\n  retries       "), "{}", text.out);
}

#[test]
fn language_models_are_compared_by_their_tokens() {
    let model = "requests: {llm: {model: Llama-3.1-8B, gpu: L4, kvCacheTokens: 20000, \
                 maxModelLen: 4096, maxNumSeqs: 32, promptTokens: {mean: 400}, outputTokens: {mean: 50}}}";
    let requests = SCENARIO.lines().find(|line| line.contains("requests:")).expect("a model");
    let scenario = SCENARIO.replace(requests, &format!("    {model}"));
    let scenario = scenario.replace("rps: 20", "rps: 1").replace("timeout: 2s", "timeout: 60s");
    let scenario = scenario.replace(
        "instanceType: aws/m5.large",
        "pricePerHour: 1, capacity: {cpu: 8, memory: 32Gi, nvidia.com/gpu: 4}",
    );
    let manifests = MANIFESTS.replace("limits: {cpu: 500m}", "limits: {nvidia.com/gpu: 1}");
    let set = "workloads[0].requests.llm.maxNumBatchedTokens=64";
    let shop = Shop::with(&scenario, &manifests);
    let ran = shop.run(&["compare", "scenario.yaml", "--set", set, "--fail-on", "worse"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{}", ran.out);
    let first = ran.out.lines().find(|line| line.trim_start().starts_with("TTFT p95"));
    assert!(first.is_some_and(|line| line.contains("WORSE")), "{}", ran.out);
    let vary = "workloads[0].requests.llm.maxNumBatchedTokens=64,2048";
    let table = shop.run(&["sweep", "scenario.yaml", "--vary", vary]);
    assert!(table.out.contains("TTFT p95"), "{}{}", table.out, table.err);
}

#[test]
fn scenarios_of_the_same_name_are_told_apart_in_the_junit_file_by_their_files() {
    let shop = Shop::new();
    shop.write("again.yaml", SCENARIO);
    shop.write("other.yaml", SCENARIO.replace("name: shop\n", "name: other\n"));
    let files = ["check", "scenario.yaml", "again.yaml", "other.yaml", "--junit", "-"];
    let xml = shop.run(&files).out;
    for suite in ["shop (scenario.yaml) seed ", "shop (again.yaml) seed ", "other seed "] {
        assert_eq!(xml.matches(&format!("<testsuite name=\"{suite}")).count(), 1, "{suite}: {xml}");
    }
}

#[test]
fn junit_goes_to_standard_output_where_it_is_asked_for() {
    let shop = Shop::new();
    let ran = shop.run(&["check", "scenario.yaml", "--junit", "-"]);
    assert!(ran.code == 0 && ran.out.starts_with("<?xml"), "{}", ran.out);
    assert!(!shop.path().join("-").exists());
}
