//! Spans of both formats become calls and own times.

use super::*;

/// A span of OTLP by hand: id, parent, service, name, kind, and begin and end in milliseconds.
type Row<'a> = (&'a str, &'a str, &'a str, &'a str, u8, i64, i64);

const SERVER: u8 = 2;
const CLIENT: u8 = 3;
const PRODUCER: u8 = 4;
const CONSUMER: u8 = 5;

/// As the file exporter writes it: a line for each service of each trace.
fn otlp(trace: u32, rows: &[Row<'_>]) -> String {
    let line = |(id, parent, service, name, kind, start, end): &Row<'_>| {
        let peer = if *kind == CLIENT && name.starts_with("to ") {
            let peer = name.trim_start_matches("to ");
            format!(r#"{{"key":"server.address","value":{{"stringValue":"{peer}"}}}}"#)
        } else {
            String::new()
        };
        format!(
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{service}"}}}}]}},"scopeSpans":[{{"scope":{{}},"spans":[{{"traceId":"{trace:032x}","spanId":"{id}","parentSpanId":"{parent}","name":"{name}","kind":{kind},"startTimeUnixNano":"{start}000000","endTimeUnixNano":"{end}000000","attributes":[{peer}],"status":{{}}}}]}}]}}]}}"#
        ) + "\n"
    };
    rows.iter().map(line).collect()
}

fn observed(text: &str) -> Observation {
    let mut store = SpanStore::default();
    read_spans(text.as_bytes(), &mut store).expect("spans");
    observe(&mut store, Kinds::Apart)
}

fn service<'a>(observation: &'a Observation, name: &str) -> &'a ObservedService {
    observation.services.iter().find(|service| service.name == name).expect("it is there")
}

fn in_words(class: &ObservedClass) -> Vec<String> {
    let calls = class.calls.iter().map(|call| {
        let plus = if call.with_previous { "+" } else { "" };
        format!("{plus}{} x{} {:.2}", call.service, call.times, call.share)
    });
    calls.collect()
}

/// front: 100 ms, of which 20 to 50 cart, 50 to 80 price and 55 to 90 stock at once, so that 30 ms are its own.
fn shop(trace: u32) -> String {
    otlp(
        trace,
        &[
            ("a1", "", "front", "GET /", SERVER, 1000, 1100),
            ("c1", "a1", "front", "ask cart", CLIENT, 1020, 1050),
            ("a2", "c1", "cart", "Get", SERVER, 1022, 1047),
            ("c2", "a1", "front", "ask price", CLIENT, 1050, 1080),
            ("a3", "c2", "price", "Of", SERVER, 1051, 1079),
            ("c3", "a1", "front", "ask stock", CLIENT, 1055, 1090),
            ("a4", "c3", "stock", "Of", SERVER, 1056, 1089),
            ("c4", "a2", "cart", "to redis-cart", CLIENT, 1025, 1045),
        ],
    )
}

#[test]
fn own_time_is_what_no_call_covers_and_calls_that_overlap_are_made_at_once() {
    let observation = observed(&shop(1));
    let front = &service(&observation, "front").classes[0];
    assert_eq!(in_words(front), ["cart x1 1.00", "price x1 1.00", "+stock x1 1.00"]);
    assert!((front.own_seconds - 0.030).abs() < 1e-9, "{front:?}");
    assert_eq!((front.name.as_str(), front.requests), ("GET /", 1));
    let cart = service(&observation, "cart");
    assert_eq!((cart.called, cart.requests), (1, 1));
    // A service without spans of its own, by the name that its client has for it.
    assert_eq!(in_words(&cart.classes[0]), ["redis-cart x1 1.00"]);
    assert_eq!(cart.classes[0].calls[0].class, None);
    assert!((cart.classes[0].own_seconds - 0.005).abs() < 1e-9);
    assert_eq!(observation.odd, TraceIrregularities::default());
}

#[test]
fn kinds_of_requests_are_told_apart_with_their_own_calls() {
    let mut text = String::new();
    for trace in 0..10 {
        // Every second buys, every fifth of all asks twice, one after the other.
        let name = if trace % 2 == 0 { "POST /buy" } else { "GET /" };
        let mut rows = vec![("a1", "", "front", name, SERVER, 0, 100)];
        if trace % 2 == 0 {
            rows.push(("b1", "a1", "pay", "Charge", SERVER, 10, 20));
        }
        if trace == 0 || trace == 2 {
            rows.push(("b2", "a1", "pay", "Charge", SERVER, 30, 40));
        }
        text += &otlp(trace, &rows);
    }
    let observation = observed(&text);
    let front = service(&observation, "front");
    assert_eq!(front.classes.len(), 2);
    let buy = front.classes.iter().find(|class| class.name == "POST /buy").expect("a kind");
    assert_eq!(in_words(buy), ["pay x1 1.00", "pay x1 0.40"]);
    assert!((buy.own_seconds - 0.086).abs() < 1e-9, "{buy:?}");
    let get = front.classes.iter().find(|class| class.name == "GET /").expect("a kind");
    assert_eq!(in_words(get), [""; 0]);
    assert!((get.own_cv).abs() < 1e-9 && (get.own_seconds - 0.1).abs() < 1e-9);
    // Taken together, half of the requests call, and a fifth of them twice.
    let mut store = SpanStore::default();
    read_spans(text.as_bytes(), &mut store).expect("spans");
    let together = observe(&mut store, Kinds::Together);
    let front = &service(&together, "front").classes;
    assert_eq!(in_words(&front[0]), ["pay x1 0.50", "pay x1 0.20"]);
    assert!(front.len() == 1 && (front[0].own_seconds - 0.093).abs() < 1e-9);
}

#[test]
fn calls_at_once_to_one_service_are_a_fan_out() {
    let mut rows = vec![("a1", "", "front", "GET /", SERVER, 0, 100)];
    let ids = ["b1", "b2", "b3"];
    rows.extend(ids.map(|id| (id, "a1", "ads", "Get", SERVER, 10, 60)));
    let front = observed(&otlp(1, &rows));
    assert_eq!(in_words(&service(&front, "front").classes[0]), ["ads x3 1.00"]);
}

#[test]
fn names_that_are_all_different_become_one_kind() {
    let text: String = (0..300)
        .map(|trace| otlp(trace, &[("a1", "", "front", &format!("GET /{trace}"), SERVER, 0, 9)]))
        .collect();
    let classes = &observed(&text).services[0].classes;
    assert_eq!(classes.len(), 1);
    assert_eq!((classes[0].name.as_str(), classes[0].requests), ("other", 300));
}

#[test]
fn messages_are_no_calls_and_nobody_waits_for_them() {
    let observation = observed(&otlp(
        1,
        &[
            ("a1", "", "shop", "POST /buy", SERVER, 0, 50),
            ("p1", "a1", "shop", "orders publish", PRODUCER, 40, 45),
            ("m1", "p1", "mail", "orders process", CONSUMER, 46, 400),
            ("c1", "m1", "mail", "ask smtp", CLIENT, 100, 300),
            ("s1", "c1", "smtp", "Send", SERVER, 110, 290),
        ],
    ));
    let shop = &service(&observation, "shop").classes[0];
    assert_eq!(in_words(shop), [""; 0]);
    assert!((shop.own_seconds - 0.05).abs() < 1e-9);
    assert_eq!(observation.odd.messages, 1);
    assert!(!observation.services.iter().any(|service| service.name == "mail"));
    assert_eq!(service(&observation, "smtp").called, 0);
}

#[test]
fn clocks_that_differ_are_clamped_and_counted() {
    // The callee's clock is 1 s ahead; there is no span of the client.
    let text = otlp(
        1,
        &[
            ("a1", "", "front", "GET /", SERVER, 1000, 1100),
            ("b1", "a1", "cart", "Get", SERVER, 2020, 2050),
        ],
    );
    let observation = observed(&text);
    assert_eq!(observation.odd.clamped, 1);
    let front = &service(&observation, "front").classes[0];
    assert!((front.own_seconds - 0.070).abs() < 1e-9, "{front:?}");
    assert!((front.calls[0].mean_seconds - 0.030).abs() < 1e-9);
    // A callee that took longer than its caller leaves that nothing.
    let text = otlp(
        1,
        &[
            ("a1", "", "front", "GET /", SERVER, 1000, 1100),
            ("b1", "a1", "cart", "Get", SERVER, 900, 1300),
        ],
    );
    let observation = observed(&text);
    assert!(service(&observation, "front").classes[0].own_seconds.abs() < 1e-12);
}

#[test]
fn requests_whose_callers_are_missing_count_without_them() {
    let observation = observed(&otlp(
        1,
        &[("b1", "ffff", "cart", "Get", SERVER, 10, 30), ("b2", "b1", "cart", "step", 1, 11, 12)],
    ));
    assert_eq!(observation.odd.without_parent, 1);
    assert_eq!((observation.services.len(), observation.services[0].requests), (1, 1));
    assert_eq!(observation.services[0].called, 0);
}

#[test]
fn services_that_ask_each_other_in_a_circle_are_cut_and_named() {
    let text =
        otlp(1, &[("a1", "", "a", "X", SERVER, 0, 100), ("b1", "a1", "b", "Y", SERVER, 10, 90)])
            + &otlp(
                2,
                &[("b1", "", "b", "Y", SERVER, 0, 100), ("a1", "b1", "a", "X", SERVER, 10, 90)],
            );
    let observation = observed(&text);
    assert_eq!(observation.circles, [("b".to_owned(), "a".to_owned())]);
    assert_eq!(in_words(&service(&observation, "a").classes[0]), ["b x1 0.50"]);
    assert_eq!(in_words(&service(&observation, "b").classes[0]), [""; 0]);
}

#[test]
fn broken_lines_are_told_with_their_number_and_the_others_read() {
    let mut lines: Vec<String> = shop(1).lines().map(str::to_owned).collect();
    lines[0].truncate(60);
    lines[4] = "{\"resourceSpans\": [{\"scopeSpans\": 3}]}".into();
    lines[6] = lines[6].replace("startTimeUnixNano", "begin");
    lines.push("{\"resourceMetrics\": []}".into());
    let mut store = SpanStore::default();
    read_spans(lines.join("\n").as_bytes(), &mut store).expect("five are left");
    assert_eq!((store.read.good, store.read.broken), (5, 4));
    let at: Vec<u64> = store.read.first_broken.iter().map(|row| row.line).collect();
    assert_eq!(at, [1, 5, 7, 9]);
    assert!(
        store.read.first_broken[2].message.contains("no start and end time"),
        "{:?}",
        store.read
    );
}

#[test]
fn a_document_over_many_lines_is_read_up_to_where_it_breaks() {
    let one = shop(1).lines().next().expect("a line").replace(",\"", ",\n \"");
    let mut store = SpanStore::default();
    read_spans(one.as_bytes(), &mut store).expect("a span");
    assert_eq!((store.read.good, store.read.broken), (1, 0));
    let two = one.replace("}]}]}]}", "}]}]},\n{\"resource\": nothing");
    let mut store = SpanStore::default();
    read_spans(two.as_bytes(), &mut store).expect("a span");
    assert_eq!((store.read.good, store.read.broken), (1, 1));
    assert!(store.read.first_broken[0].line > 5, "{:?}", store.read);
}

#[test]
fn several_files_are_taken_together() {
    let mut store = SpanStore::default();
    read_spans(shop(1).as_bytes(), &mut store).expect("spans");
    let over_lines = shop(2).lines().next().expect("a line").replace(",\"", ",\n \"");
    read_spans(over_lines.as_bytes(), &mut store).expect("a span");
    assert_eq!((store.read.good, store.spans.len()), (9, 9));
    read_spans("{}".as_bytes(), &mut store).expect_err("there is none in it");
}

#[test]
fn what_has_no_spans_is_refused() {
    for text in ["", "{}", "[1]", "time,x\n1,2", "{\"data\": []}", "{\"resourceLogs\": [{}]}"] {
        let refused = read_spans(text.as_bytes(), &mut SpanStore::default()).expect_err(text);
        assert!(refused.contains("resourceSpans"), "{refused}");
    }
}

/// As the query service answers: microseconds, processes next to spans, the kind as a tag.
fn jaeger() -> &'static str {
    r#"{"data":[{"traceID":"1f","spans":[
 {"traceID":"1f","spanID":"a1","operationName":"GET /","references":[],"startTime":1542666452979000,"duration":100000,
  "tags":[{"key":"span.kind","type":"string","value":"server"},{"key":"error","type":"bool","value":true}],"logs":[],"processID":"p1","warnings":null},
 {"traceID":"1f","spanID":"c1","operationName":"ask","references":[{"refType":"CHILD_OF","traceID":"1f","spanID":"a1"}],
  "startTime":1542666452999000,"duration":40000,"tags":[{"key":"span.kind","type":"string","value":"client"}],"logs":[],"processID":"p1","warnings":null},
 {"traceID":"1f","spanID":"b1","operationName":"Get","references":[{"refType":"CHILD_OF","traceID":"1f","spanID":"c1"}],
  "startTime":1542666453000000,"duration":38000,"tags":[{"key":"span.kind","type":"string","value":"server"}],"logs":[],"processID":"p2","warnings":null},
 {"traceID":"1f","spanID":"d1","operationName":"log","references":[{"refType":"FOLLOWS_FROM","traceID":"1f","spanID":"a1"}],
  "startTime":1542666453000000,"duration":70000,"tags":[],"logs":[],"processID":"p3","warnings":null}],
 "processes":{"p1":{"serviceName":"front","tags":[{"key":"k8s.namespace.name","type":"string","value":"shop"}]},
  "p2":{"serviceName":"cart","tags":[]},"p3":{"serviceName":"audit","tags":[]}},"warnings":null}],
 "total":0,"limit":0,"offset":0,"errors":null}"#
}

#[test]
fn jaegers_traces_are_read_on_one_line_or_many() {
    for text in [jaeger().to_owned(), jaeger().replace('\n', "")] {
        let observation = observed(&text);
        let front = service(&observation, "front");
        assert_eq!(front.namespace, "shop");
        assert_eq!(in_words(&front.classes[0]), ["cart x1 1.00"]);
        assert!((front.classes[0].own_seconds - 0.060).abs() < 1e-9);
        assert_eq!((front.classes[0].errors, observation.odd.messages), (1, 1));
    }
}

#[test]
fn of_too_many_traces_whole_ones_are_left_out() {
    let text: String = (0..400).map(shop).collect();
    let mut store = SpanStore::holding(1000);
    read_spans(text.as_bytes(), &mut store).expect("spans");
    let left = store.spans.len();
    assert!((300..=1000).contains(&left) && left.is_multiple_of(8), "{left}");
    assert_eq!(store.read.good, 3200);
    assert_eq!(store.read.thinned_out, 3200 - left as u64);
    let front = observe(&mut store, Kinds::Apart);
    assert_eq!(in_words(&service(&front, "front").classes[0]).len(), 3);
}

/// The projects' own examples.
#[test]
fn examples_of_both_projects_are_read() {
    let read = |text: &str| {
        let mut store = SpanStore::default();
        read_spans(text.as_bytes(), &mut store).expect("spans");
        assert_eq!(store.read.broken, 0, "{:?}", store.read);
        (store.read.good, observe(&mut store, Kinds::Apart))
    };
    let (spans, otlp) = read(include_str!("../../../tests/golden/span-traces/otlp.json"));
    assert_eq!((spans, otlp.odd.without_parent), (1, 1));
    let server = &otlp.services[0];
    assert_eq!((server.name.as_str(), server.classes[0].own_seconds), ("my.service", 1.0));
    // One trace by itself, with references to another trace and an id that stands there twice.
    let (spans, jaeger) = read(include_str!("../../../tests/golden/span-traces/jaeger.json"));
    assert_eq!((spans, jaeger.odd.repeated), (5, 1));
    assert_eq!(service(&jaeger, "service-y").requests, 2);
}
