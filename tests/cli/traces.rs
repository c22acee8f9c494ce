//! `wavetank init --traces`: calls and times of requests from an export of traces.

use crate::shop::Shop;

/// Deployments with a Service each; web has the addresses of two others in its environment.
fn manifests() -> String {
    let one = |(name, env): (&str, &str)| {
        format!(
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  replicas: 2\n  \
             selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec: \
             {{containers: [{{name: a, image: '{name}:1', resources: {{requests: {{cpu: 500m}}}}, env: [{env}]}}]}}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{selector: {{app: {name}}}, \
             ports: [{{port: 80}}]}}\n"
        )
    };
    let address = |of: &str| {
        format!("{{name: {of}_ADDR, value: '{of}:80'}}").replace("service_ADDR", "_ADDR")
    };
    let env = [address("cartservice"), address("ads")].join(", ");
    [("web", env.as_str()), ("cartservice", ""), ("ads", ""), ("idle", "")].map(one).concat()
}

/// A span: id, parent, service, name, kind, begin and end in milliseconds, and the host that is asked.
type Row =
    (&'static str, &'static str, &'static str, &'static str, &'static str, u64, u64, &'static str);

/// What a service costs that has no spans is told by those who ask it.
#[test]
fn a_service_without_spans_costs_what_its_callers_wait_for_it() {
    let shop = Shop::with("", &manifests());
    shop.write("traces.jsonl", otlp().replace("redis.cache", "ads.shop.svc:6379"));
    let ran = shop.run(&["init", "web.yaml", "--force", "--traces", "traces.jsonl"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let text = shop.read("scenario.yaml");
    let (ads, others) =
        text.split_once("- workload: Deployment/shop/cartservice").expect("ads is before");
    assert!(
        ads.contains("MEASURED from 10 calls to ads.shop.svc:6379 in traces")
            && ads.contains("cpuTime: 10ms\n"),
        "{text}"
    );
    assert!(others.contains("- {service: shop/ads, timeout: 5s, cacheHitRate: 0.333}"), "{text}");
}

/// Operations of a service are classes of its requests, each with its own time and calls; a call names the class that it
/// is of, where the service called has some.
#[test]
fn operations_become_classes_of_requests() {
    let shop = Shop::with("", &manifests());
    // Every second trace is of another operation of both services.
    let text = otlp();
    let is_other =
        |line: &str| [2, 4, 6, 8, 10].iter().any(|trace| line.contains(&format!("{trace:032x}")));
    let renamed = |line: &str| line.replace("GET /", "POST /buy").replace("cart.Get", "cart.Put");
    let lines =
        text.lines().map(|line| if is_other(line) { renamed(line) } else { line.to_owned() });
    shop.write("traces.jsonl", lines.collect::<Vec<_>>().join("\n"));
    let ran = shop.run(&["init", "web.yaml", "--force", "--traces", "traces.jsonl"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let text = shop.read("scenario.yaml");
    let (_, web) = text.split_once("workload: Deployment/shop/web").expect("web");
    for says in [
        "      classes:\n",
        "        - name: \"GET /\"\n          weight: ",
        "        - name: \"POST /buy\"\n          weight: ",
        "class: \"cart.Get\"",
        "class: \"cart.Put\"",
    ] {
        assert!(web.contains(says), "{says}: {text}");
    }
    assert!(text.contains(".requests.classes"), "measured: {text}");
    let ran = shop.run(&["run", "scenario.yaml", "--set", "duration=10m", "-o", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let report: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    let services = report["services"].as_array().expect("services");
    let web = services.iter().find(|one| one["service"] == "shop/web").expect("web");
    let classes = web["classes"].as_array().expect("classes");
    assert_eq!(classes.len(), 2, "{classes:?}");
    let arrived = |one: &serde_json::Value| one["arrived"].as_u64().expect("a count");
    assert_eq!(classes.iter().map(arrived).sum::<u64>(), arrived(web));
}

/// web takes 50 ms, of which it asks cart from 10 to 30 (which asks a redis outside for 10 of its 16), and in every
/// second trace cart again from 25 to 40.
fn rows(second: bool) -> Vec<Row> {
    let mut rows = vec![
        ("a1", "", "web", "GET /", "SERVER", 0, 50, ""),
        ("c1", "a1", "web", "cart.Get", "CLIENT", 10, 30, "cartservice"),
        ("b1", "c1", "cart", "cart.Get", "SERVER", 12, 28, ""),
        ("r1", "b1", "cart", "GET", "CLIENT", 14, 24, "redis.cache"),
    ];
    if second {
        rows.push(("c2", "a1", "web", "cart.Get", "CLIENT", 25, 40, "cartservice"));
        rows.push(("b2", "c2", "cart", "cart.Get", "SERVER", 27, 39, ""));
    }
    rows
}

fn otlp() -> String {
    let mut text = String::new();
    for trace in 1..=10 {
        for (id, parent, service, name, kind, start, end, host) in rows(trace % 2 == 0) {
            let line = format!(
                r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{service}"}}}}]}},"scopeSpans":[{{"spans":[{{"traceId":"{trace:032x}","spanId":"{id}","parentSpanId":"{parent}","name":"{name}","kind":"SPAN_KIND_{kind}","startTimeUnixNano":"{start}000000","endTimeUnixNano":"{end}000000","attributes":[{{"key":"server.address","value":{{"stringValue":"{host}"}}}}]}}]}}]}}]}}"#
            );
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

fn jaeger() -> String {
    let traces = (1..=10).map(|trace| {
        let spans = rows(trace % 2 == 0).into_iter().map(|(id, parent, service, name, kind, start, end, host)| {
            let references = if parent.is_empty() {
                String::new()
            } else {
                format!(r#"{{"refType":"CHILD_OF","traceID":"{trace:x}","spanID":"{parent}"}}"#)
            };
            format!(
                r#"{{"traceID":"{trace:x}","spanID":"{id}","operationName":"{name}","references":[{references}],"startTime":{},"duration":{},"tags":[{{"key":"span.kind","type":"string","value":"{}"}},{{"key":"net.peer.name","type":"string","value":"{host}"}}],"processID":"p{}"}}"#,
                start * 1000,
                (end - start) * 1000,
                kind.to_lowercase(),
                if service == "web" { 1 } else { 2 }
            )
        });
        format!(
            r#"{{"traceID":"{trace:x}","spans":[{}],"processes":{{"p1":{{"serviceName":"web"}},"p2":{{"serviceName":"cart"}}}}}}"#,
            spans.collect::<Vec<_>>().join(",\n")
        )
    });
    format!(r#"{{"data":[{}],"total":0}}"#, traces.collect::<Vec<_>>().join(","))
}

#[test]
fn both_formats_give_the_same_scenario_with_what_is_measured() {
    let mut texts = Vec::new();
    for traces in [otlp(), jaeger()] {
        let shop = Shop::with("", &manifests());
        shop.write("traces.json", traces);
        let ran = shop.run(&["init", "web.yaml", "--force", "--traces", "traces.json"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(
            ran.err.contains("50 spans in 10 traces; 2 of 2 services are in the manifests"),
            "{}",
            ran.err
        );
        let validated = shop.run(&["validate", "--strict", "scenario.yaml"]);
        assert_eq!(validated.code, 0, "{}", validated.out);
        // The folder's name is the scenario's.
        let text = shop.read("scenario.yaml");
        let lines = text.lines().filter(|line| !line.starts_with("name: "));
        texts.push(lines.collect::<Vec<_>>().join("\n") + "\n");
    }
    assert_eq!(texts[0], texts[1]);
    let text = &texts[0];
    let web = text.split("- workload: Deployment/shop/web").nth(1).expect("web");
    // Of 50 ms 20 or, where it asks twice at once, 30 are spent waiting: 25 in the mean, by cv 0.21.
    for line in [
        "MEASURED from 10 requests to web in traces",
        "cpuTime: {distribution: lognormal, mean: 25ms, cv: 0.21}",
        "- {service: shop/cartservice, timeout: 5s}\n",
        "- {service: shop/cartservice, timeout: 5s, cacheHitRate: 0.5, withPrevious: true}\n",
    ] {
        assert!(web.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("service: shop/ads, timeout"), "the traces know better: {text}");
    let cart = text.split("- workload: Deployment/shop/cartservice").nth(1).expect("cart");
    // Ten take 16 ms with 10 of redis, five 12 ms.
    assert!(cart.contains("not in the manifests: redis.cache\n      waitTime: {"), "{text}");
    for path in ["web].requests.cpuTime", "web].requests.calls", "cartservice].requests.waitTime"] {
        assert!(
            text.contains(&format!("    - \"workloads[Deployment/shop/{path}\"")),
            "{path}: {text}"
        );
    }
}

#[test]
fn guesses_about_what_was_measured_are_none() {
    let shop = Shop::with("", &manifests());
    shop.write("traces.jsonl", otlp());
    let arguments =
        ["init", "web.yaml", "--force", "--traces", "traces.jsonl", "--cpu-share", "40"];
    let ran = shop.run(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let text = shop.read("scenario.yaml");
    let web = text.split("- workload: Deployment/shop/web").nth(1).expect("web");
    assert!(
        web.contains("mean: 10ms, cv: 0.21}")
            && web.contains("waitTime: {distribution: lognormal, mean: 15ms"),
        "{text}"
    );
    let ran = shop.run(&["run", "scenario.yaml", "--set", "duration=10m", "-o", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let report: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    let assumed = report["assumptions"].as_array().expect("guesses");
    let cpu = assumed.iter().find(|one| one["setting"] == "workloads[*].requests.cpuTime");
    // That of ads and idle alone.
    assert_eq!(cpu.expect("there are others")["values"], serde_json::json!(["20ms"]));
}

#[test]
fn what_is_odd_in_traces_is_said_and_what_matches_nothing_is_refused() {
    let shop = Shop::with("", &manifests());
    let mut lines: Vec<String> = otlp().lines().map(str::to_owned).collect();
    lines[3].truncate(50);
    lines.remove(5);
    shop.write("traces.jsonl", lines.join("\n"));
    let ran = shop.run(&["init", "web.yaml", "--force", "--traces", "traces.jsonl"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for told in [
        "skipped 1 broken line or span, read 48",
        "\n  line 4: EOF",
        "1 request whose caller is not in the file",
    ] {
        assert!(ran.err.contains(told), "{told}: {}", ran.err);
    }
    let other = otlp().replace("\"web\"", "\"frontal\"").replace("\"cart\"", "\"basket\"");
    shop.write("traces.jsonl", other);
    let ran = shop.run(&["init", "web.yaml", "--force", "--traces", "traces.jsonl"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("the traces have basket, frontal"), "{}", ran.err);
    let named =
        ["--trace-service", "basket=shop/cartservice", "--trace-service", "frontal=shop/web"];
    let arguments =
        [&["init", "web.yaml", "--force", "--traces", "traces.jsonl"][..], &named].concat();
    assert_eq!(shop.run(&arguments).code, 0);
    let wrong = ["--trace-service", "basket=shop/none"];
    let arguments =
        [&["init", "web.yaml", "--force", "--traces", "traces.jsonl"][..], &wrong].concat();
    let ran = shop.run(&arguments);
    assert!(ran.code == 2 && ran.err.contains("basket=shop/none"), "{}", ran.err);
}

#[test]
fn traces_in_the_place_of_a_log_are_known() {
    let shop = Shop::with("", &manifests());
    for text in [otlp(), jaeger()] {
        shop.write("traces.json", text);
        for command in ["import", "calibrate"] {
            let ran = shop.run(&[command, "traces.json"]);
            assert_eq!(ran.code, 2, "{}", ran.err);
            assert!(ran.err.contains("init MANIFESTS --traces FILE"), "{command}: {}", ran.err);
        }
    }
}
