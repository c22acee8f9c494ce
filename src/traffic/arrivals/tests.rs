//! Arrivals of loads as scenarios have them.

use super::*;
use crate::TrafficSpec;
use engine::Streams;
use serde_json::json;

fn spec(json: serde_json::Value) -> TrafficSpec {
    let mut fields = json;
    fields["service"] = json!("shop/web");
    serde_json::from_value(fields).expect("a traffic specification")
}

fn arrivals(json: serde_json::Value, trace: Option<&str>, until_seconds: i64) -> Vec<Arrival> {
    let trace = trace.map(|text| Trace::read(text.as_bytes()).expect("a trace"));
    let stream = Streams::new(5).stream("arrivals", 0);
    let mut arrivals = spec(json).arrivals("traffic[0]", trace.as_ref(), stream).expect("right");
    let until = SimTime::from_secs(until_seconds);
    std::iter::from_fn(|| arrivals.next_known_by(until).filter(|a| a.at <= until)).collect()
}

fn seconds(arrivals: &[Arrival]) -> Vec<f64> {
    arrivals.iter().map(|arrival| arrival.at.as_secs_f64()).collect()
}

/// Mean and coefficient of variation of the counts in spans of equal length.
fn dispersion(arrivals: &[Arrival], span_seconds: f64, spans: usize) -> (f64, f64) {
    let mut counts = vec![0.0; spans];
    for at in seconds(arrivals) {
        let span = (0..spans).rfind(|span| at >= *span as f64 * span_seconds);
        counts[span.expect("not before the start")] += 1.0;
    }
    let mean = counts.iter().sum::<f64>() / spans as f64;
    let squares: f64 = counts.iter().map(|count| (count - mean) * (count - mean)).sum();
    (mean, squares / spans as f64 / mean)
}

#[test]
fn evenly_spaced_arrivals_are_where_the_rate_has_summed_up_to_each() {
    let even = json!({"load": {"pattern": "constant", "rps": 2}, "arrivals": "even"});
    assert_eq!(seconds(&arrivals(even, None, 2)), [0.25, 0.75, 1.25, 1.75]);
    // The rate t has summed up to t^2 / 2: half a request at 1 s, 1.5 at the root of 3, ...
    let ramp = json!({"arrivals": "even",
        "load": {"pattern": "ramp", "fromRps": 0, "toRps": 10, "over": "10s"}});
    let expected = [1.0, 3f64.sqrt(), 5f64.sqrt(), 7f64.sqrt()];
    for (at, expected) in seconds(&arrivals(ramp, None, 10)).iter().zip(expected) {
        assert!((at - expected).abs() < 1e-8, "{at}");
    }
}

#[test]
fn a_rate_that_is_zero_for_a_while_or_for_ever_is_passed() {
    let steps = json!({"arrivals": "even", "load": {"pattern": "step", "rps": 1,
        "steps": [{"at": "2s", "rps": 0}, {"at": "60s", "rps": 1}, {"at": "61s", "rps": 0}]}});
    assert_eq!(seconds(&arrivals(steps, None, 1_000_000)), [0.5, 1.5, 60.5]);
}

/// Counts of a Poisson process have the variance of their mean; those of gamma gaps with a
/// coefficient of variation c have c^2 times that, in spans that are long against the gaps.
#[test]
fn processes_have_the_rate_and_the_burstiness_that_they_name() {
    for (process, cv, index) in [
        ("poisson", None, 1.0),
        ("gamma", Some(2.0), 4.0),
        ("gamma", Some(0.5), 0.25),
        ("weibull", Some(1.5), 2.25),
    ] {
        let mut json = json!({"load": {"pattern": "constant", "rps": 10}, "arrivals": process});
        if let Some(cv) = cv {
            json["gapCv"] = json!(cv);
        }
        let (mean, dispersion) = dispersion(&arrivals(json, None, 20_000), 10.0, 2000);
        assert!((mean - 100.0).abs() < 1.0, "{process}: {mean}");
        assert!((dispersion / index - 1.0).abs() < 0.12, "{process} {cv:?}: {dispersion}");
    }
}

#[test]
fn a_rate_that_changes_has_its_integral_as_mean_count() {
    let sine = json!({"load": {"pattern": "sine", "meanRps": 100, "amplitudeRps": 100,
        "period": "40s"}});
    let arrivals = arrivals(sine, None, 4_000);
    // Around the peak, from an eighth to three eighths of the period, the mean rate is
    // 100 (1 + 2 sqrt(2) / pi).
    let at_peak =
        seconds(&arrivals).iter().filter(|at| (5.0..15.0).contains(&(*at % 40.0))).count();
    let expected = 100.0 * 1000.0 * (1.0 + 2.0 * 2f64.sqrt() / std::f64::consts::PI);
    assert!((at_peak as f64 / expected - 1.0).abs() < 0.006, "{at_peak} of {expected}");
    assert!((arrivals.len() as f64 / 4e5 - 1.0).abs() < 0.005, "{}", arrivals.len());
}

#[test]
fn the_steps_in_which_one_asks_do_not_matter() {
    let json = json!({"load": {"pattern": "sine", "meanRps": 5, "amplitudeRps": 5, "period": "7s"},
        "arrivals": "gamma", "gapCv": 1.5});
    let straight = arrivals(json.clone(), None, 100);
    let stream = Streams::new(5).stream("arrivals", 0);
    let mut stepwise = spec(json).arrivals("", None, stream).expect("right");
    let mut found = Vec::new();
    let mut pending = None;
    for step in 0..100_000 {
        let until = SimTime::ZERO + SimDuration::from_millis(step);
        pending = pending.or_else(|| stepwise.next_known_by(until));
        while let Some(arrival) = pending.filter(|arrival: &Arrival| arrival.at <= until) {
            found.push(arrival);
            pending = stepwise.next_known_by(until);
        }
    }
    assert_eq!(straight[..found.len()], found);
    assert!(found.len() + 3 > straight.len());
}

const REQUESTS: &str = "t_s,prompt_tokens,output_tokens\n0,1,10\n1,2,20\n1,3,30\n4,4,40\n";

#[test]
fn a_trace_is_played_as_recorded() {
    let plain = arrivals(json!({"load": {"trace": "t.csv"}}), Some(REQUESTS), 100);
    assert_eq!(seconds(&plain), [0.0, 1.0, 1.0, 4.0]);
    assert_eq!(plain[2].tokens, Tokens::of(3, 30));
}

#[test]
fn a_trace_is_cut_sped_up_and_repeated() {
    let cut =
        json!({"load": {"trace": "t.csv", "from": "1s", "to": "4s", "speed": 2, "repeat": true}});
    // A round is the three seconds from 1 s to 4 s, at twice the speed.
    assert_eq!(seconds(&arrivals(cut, Some(REQUESTS), 4)), [0.0, 0.0, 1.5, 1.5, 3.0, 3.0]);
    let whole = json!({"load": {"trace": "t.csv", "repeat": true}});
    // The mean gap follows the last request: 4 s / 3.
    let again = seconds(&arrivals(whole, Some(REQUESTS), 6));
    assert_eq!(again.len(), 5);
    assert!((again[4] - (4.0 + 4.0 / 3.0)).abs() < 1e-8, "{again:?}");
}

#[test]
fn scaling_a_trace_up_keeps_its_requests_and_puts_others_around_them() {
    let scaled = json!({"load": {"trace": "t.csv", "scale": 3}});
    let arrivals = arrivals(scaled, Some(REQUESTS), 100);
    assert_eq!(arrivals.len(), 12);
    assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
    let of_third: Vec<f64> =
        seconds(&arrivals.iter().filter(|a| a.tokens.prompt == 3).copied().collect::<Vec<_>>());
    assert!(of_third.iter().any(|at| (at - 1.0).abs() < 1e-12), "the recorded one stays");
    // The mean gap follows the last request: the trace ends at 4 s + 4 s / 3.
    assert!(
        of_third.len() == 3 && of_third.iter().all(|at| (0.0..5.4).contains(at)),
        "{of_third:?}"
    );
}

/// Instants of independent requests, `rps` in the mean.
fn independent(rps: f64, seconds: f64) -> String {
    let mut stream = Streams::new(11).stream("a recorded trace", 0);
    let mut at = 0.0;
    let mut rows = Vec::new();
    while at < seconds {
        rows.push(format!("{at:.9}"));
        at -= libm::log(engine::random::open_unit(&mut stream)) / rps;
    }
    rows.join("\n")
}

/// The mean time that requests take at one server, 10 ms in the mean and exponential (Lindley's recursion).
fn mean_time_at_one_server(arrivals: &[f64]) -> f64 {
    let mut stream = Streams::new(12).stream("service", 0);
    let (mut free, mut sum) = (0.0_f64, 0.0);
    for at in arrivals {
        free = free.max(*at) - 0.010 * libm::log(engine::random::open_unit(&mut stream));
        sum += free - at;
    }
    sum / arrivals.len() as f64
}

#[test]
fn scaling_a_trace_of_independent_requests_up_gives_independent_requests() {
    for scale in [1, 2, 3, 5] {
        let text = independent(70.0 / f64::from(scale), 6_000.0);
        let json = json!({"load": {"trace": "t.csv", "scale": scale}});
        let all = seconds(&arrivals(json, Some(&text), 6_000));
        // An M/M/1 queue at 70 % takes 10 ms / 0.3.
        let mean = mean_time_at_one_server(&all);
        assert!((mean / 0.0333 - 1.0).abs() < 0.06, "scale {scale}: {mean}");
    }
}

#[test]
fn scaling_a_trace_keeps_its_shape_over_minutes_and_makes_batches_only_where_it_is_asked_to() {
    let busy = independent(10.0, 600.0);
    let text: Vec<String> = busy.lines().map(str::to_owned).chain(["3599".to_owned()]).collect();
    let text = text.join("\n");
    let of = |copies: &str| {
        let json = json!({"load": {"trace": "t.csv", "scale": 10, "copies": copies}});
        seconds(&arrivals(json, Some(&text), 4_000))
    };
    let apart = of("apart");
    assert_eq!(apart.len(), 10 * text.lines().count());
    let within = |all: &[f64], from: f64, to: f64| {
        all.iter().filter(|at| (from..to).contains(*at)).count() as f64
    };
    // The quarter of an hour after the busy ten minutes is as quiet as it was, but for a minute.
    assert!(within(&apart, 0.0, 660.0) > 0.999 * (apart.len() as f64 - 10.0));
    let together = of("together");
    assert_eq!(together.len(), apart.len());
    assert!(together.chunks(10).all(|batch| batch.iter().all(|at| (at - batch[0]).abs() < 1e-9)));
}

#[test]
fn scaling_a_trace_down_takes_a_share_at_random() {
    let rows: Vec<String> = (0..10_000).map(|row| format!("{}", f64::from(row) / 100.0)).collect();
    let text = rows.join("\n");
    for (scale, expected) in [(0.3, 3_000.0), (2.5, 25_000.0)] {
        let json = json!({"load": {"trace": "t.csv", "scale": scale}});
        let count = arrivals(json, Some(&text), 1_000).len() as f64;
        assert!((count / expected - 1.0).abs() < 0.05, "{count} of {expected}");
    }
}

#[test]
fn counts_are_drawn_within_their_intervals() {
    let text = "t_s,requests\n0,6000\n60,0\n120,600\n";
    let json = json!({"load": {"trace": "t.csv", "scale": 2, "speed": 2, "repeat": true}});
    let arrivals = arrivals(json, Some(text), 180);
    // Twice the requests in half the time, and the whole again from 90 s on.
    for (from, to, expected) in
        [(0.0, 30.0, 12_000.0), (60.0, 90.0, 1_200.0), (90.0, 120.0, 12_000.0)]
    {
        let count = seconds(&arrivals).iter().filter(|at| (from..to).contains(*at)).count();
        assert!((count as f64 / expected - 1.0).abs() < 0.08, "{count} from {from}");
    }
    assert_eq!(seconds(&arrivals).iter().filter(|at| (30.0..60.0).contains(*at)).count(), 0);
}

#[test]
fn loads_are_spliced_and_added_up() {
    let spliced = json!({"load": {"splice": [
        {"for": "3s", "load": {"trace": "t.csv"}},
        {"load": {"trace": "t.csv", "from": "1s", "to": "4s"}},
        {"load": {"pattern": "constant", "rps": 1}}]}, "arrivals": "even"});
    // Three seconds of the trace, three more from its first second on, then the pattern.
    let times = seconds(&arrivals(spliced, Some(REQUESTS), 8));
    assert_eq!(times, [0.0, 1.0, 1.0, 3.0, 3.0, 6.5, 7.5]);
    let added = json!({"load": {"add": [
        {"trace": "t.csv"}, {"pattern": "constant", "rps": 1}]}, "arrivals": "even"});
    let times = seconds(&arrivals(added, Some(REQUESTS), 4));
    assert_eq!(times, [0.0, 0.5, 1.0, 1.0, 1.5, 2.5, 3.5, 4.0]);
}

#[test]
fn parts_of_one_load_do_not_draw_the_same_numbers() {
    let part = json!({"pattern": "constant", "rps": 10});
    let both = arrivals(json!({"load": {"add": [part, part]}}), None, 100);
    let mut at: Vec<SimTime> = both.iter().map(|arrival| arrival.at).collect();
    let all = at.len();
    at.dedup();
    assert_eq!(at.len(), all);
    assert!((all as f64 / 2000.0 - 1.0).abs() < 0.1, "{all}");
}

#[test]
fn a_trace_is_cut_by_dates_where_it_tells_its_own() {
    let text = "# start: 2026-01-05T08:00:00Z\nt_s\n0\n1\n1.5\n4\n";
    let cut = json!({"load": {"trace": "t.csv", "from": "2026-01-05T08:00:01Z",
                              "to": "2026-01-05T08:00:04Z"}});
    assert_eq!(seconds(&arrivals(cut.clone(), Some(text), 100)), [0.0, 0.5]);
    let trace = Trace::read(REQUESTS.as_bytes()).expect("a trace");
    let stream = || Streams::new(5).stream("arrivals", 0);
    let problems = spec(cut).arrivals("", Some(&trace), stream()).unwrap_err();
    let expected_message =
        "load.from: 2026-01-05T08:00:01Z is a date, but the trace's start date is unknown";
    assert!(problems[0].to_string().starts_with(expected_message), "{}", problems[0]);
    let trace = Trace::read(text.as_bytes()).expect("a trace");
    let early = json!({"load": {"trace": "t.csv", "from": "2026-01-05T07:00:00Z"}});
    let problems = spec(early).arrivals("", Some(&trace), stream()).unwrap_err();
    assert!(problems[0].to_string().contains("is before the start"), "{}", problems[0]);
}

/// For MMPP(2) the index of dispersion of long counts is 1 + 2 (r1 - r2)^2 p1 p2 T / mean, with T =
/// 1 / (1/t1 + 1/t2) the time in which the chain forgets.
#[test]
fn a_markov_modulated_process_is_as_bursty_as_its_states_make_it() {
    let json = json!({"load": {"pattern": "constant", "rps": 10}, "arrivals": "mmpp",
        "states": [{"weight": 1, "mean": "3s"}, {"weight": 5, "mean": "1s"}]});
    let (mean, dispersion) = dispersion(&arrivals(json, None, 200_000), 100.0, 2000);
    assert!((mean / 1000.0 - 1.0).abs() < 0.01, "{mean}");
    // Rates 5 and 25, three quarters and one quarter of the time.
    let index = 1.0 + 2.0 * 20.0 * 20.0 * 0.75 * 0.25 * 0.75 / 10.0;
    assert!((dispersion / index - 1.0).abs() < 0.1, "{dispersion} {index}");
}

#[test]
fn settings_that_do_not_fit_the_trace_are_refused() {
    let counts = "t_s,requests\n0,6\n60,5\n";
    for (json, trace, expected_message) in [
        (
            json!({"load": {"trace": "t"}, "arrivals": "even"}),
            Some(REQUESTS),
            "arrivals: the trace has the time",
        ),
        (
            json!({"load": {"trace": "t", "from": "3m"}}),
            Some(counts),
            "load.from: 180s is not before the end",
        ),
        (
            json!({"load": {"trace": "t", "to": "3m"}}),
            Some(counts),
            "load.to: 180s is after the end",
        ),
        (
            json!({"load": {"trace": "t", "from": "2s", "to": "3s"}}),
            Some(REQUESTS),
            "load.to: the trace has no request",
        ),
        (
            json!({"load": {"trace": "t", "scale": 0}}),
            Some(counts),
            "load.scale: 0 must be a number above 0",
        ),
        (
            json!({"load": {"trace": "t", "speed": -1}}),
            Some(counts),
            "load.speed: -1 must be a number above 0",
        ),
        (json!({"load": {"trace": "t"}}), None, "load.trace: the file t was not read"),
        (
            json!({"load": {"trace": "t", "repeat": true}}),
            Some("0\n"),
            "load.repeat: the repeated part",
        ),
    ] {
        assert_refused(json, trace, expected_message);
    }
}

#[test]
fn processes_and_parts_of_a_load_that_are_wrong_are_refused() {
    let counts = "t_s,requests\n0,6\n60,5\n";
    for (json, trace, expected_message) in [
        (
            json!({"load": {"trace": "t"}, "arrivals": "gamma"}),
            Some(counts),
            "gapCv: these arrivals need",
        ),
        (
            json!({"load": {"trace": "t"}, "gapCv": 2}),
            Some(counts),
            "gapCv: only `arrivals: gamma`",
        ),
        (
            json!({"load": {"trace": "t"}, "arrivals": "weibull", "gapCv": 100}),
            Some(counts),
            "gapCv: 100 must be a number from 0.05 to 20",
        ),
        (
            json!({"load": {"trace": "t"}, "states": [{"weight": 1, "mean": "1s"}]}),
            Some(counts),
            "states: only `arrivals: mmpp`",
        ),
        (
            json!({"load": {"users": 0, "thinkTime": "1s"}}),
            None,
            "load.users: 0 must be from 1 to 1000000",
        ),
        (
            json!({"load": {"splice": [{"load": {"pattern": "constant", "rps": 1}},
                                       {"load": {"trace": "t"}}]}}),
            Some(counts),
            "load.splice[0].for: set the length",
        ),
        (
            json!({"load": {"add": [{"trace": "t", "to": "5m"}]}}),
            Some(counts),
            "load.add[0].to: 300s is after the end",
        ),
        (json!({"load": {"trace": "t"}, "timeout": 0}), Some(counts), "timeout: 0s must be longer"),
    ] {
        assert_refused(json, trace, expected_message);
    }
}

fn assert_refused(json: serde_json::Value, trace: Option<&str>, expected_message: &str) {
    let trace = trace.map(|text| Trace::read(text.as_bytes()).expect("a trace"));
    let stream = Streams::new(5).stream("arrivals", 0);
    let problems = spec(json).arrivals("", trace.as_ref(), stream).unwrap_err();
    assert!(problems[0].to_string().starts_with(expected_message), "{}", problems[0]);
}

#[test]
fn a_load_is_a_trace_or_a_pattern() {
    for (json, expected_message) in [
        (json!({"trace": "t", "pattern": "constant"}), "not both"),
        (json!({"rps": 5}), "write `trace: FILE`"),
        (json!({"trace": "t", "sped": 2}), "unknown field `sped`"),
        (json!({"pattern": "square"}), "unknown variant `square`"),
    ] {
        let error = serde_json::from_value::<Load>(json).unwrap_err().to_string();
        assert!(error.contains(expected_message), "{error}");
    }
}
