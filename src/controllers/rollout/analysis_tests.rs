//! Measurements, and what a run of several comes to.

use super::*;

fn metric(success: Option<&str>, failure: Option<&str>) -> MetricTemplate {
    MetricTemplate {
        name: "success-rate".into(),
        interval: Some("30s".into()),
        success_condition: success.map(Into::into),
        failure_condition: failure.map(Into::into),
        ..MetricTemplate::default()
    }
}

fn run_of(template: &MetricTemplate) -> AnalysisRun {
    let metric = metric_run(template, &[]).expect("the metric is valid");
    AnalysisRun {
        name: "run".into(),
        metrics: vec![metric],
        phase: AnalysisPhase::Running,
        message: "".into(),
        started: SimTime::ZERO,
        step: None,
    }
}

/// The phases of a run after each of these measurements.
fn phases(template: &MetricTemplate, measured: &[AnalysisPhase]) -> Vec<AnalysisPhase> {
    let mut run = run_of(template);
    let of = |phase: &AnalysisPhase| {
        let at = SimTime::ZERO;
        add(
            &mut run.metrics[0],
            Measurement { at, value: None, phase: *phase, message: "".into() },
        );
        assess_run(&mut run, false);
        run.phase
    };
    measured.iter().map(of).collect()
}

use AnalysisPhase::{Error, Failed, Inconclusive, Running, Successful};

#[test]
fn conditions_decide_alone_or_together() {
    let value = |success, failure, value| judge(&metric(success, failure), value);
    for (success, failure, measured, expected) in [
        (Some("result[0] >= 0.95"), None, 0.95, Successful),
        (Some("result[0] >= 0.95"), None, 0.94, Failed),
        (None, Some("result > 100"), 99.0, Successful),
        (None, Some("result > 100"), 101.0, Failed),
        (Some("result < 10"), Some("result > 100"), 50.0, Inconclusive),
        (Some("result < 200"), Some("result > 100"), 150.0, Failed),
        (None, None, 1.0, Successful),
        (Some("len(result) == 0 || result[0] < 5"), None, 4.0, Successful),
        (Some("isNaN(result) || asFloat(result[0]) < 5"), None, 6.0, Failed),
        (Some("default(result, 0) == 0"), None, 0.0, Successful),
    ] {
        assert_eq!(
            value(success, failure, Some(measured)),
            Ok(expected),
            "{success:?} {failure:?}"
        );
    }
    assert_eq!(value(Some("len(result) == 0"), None, None), Ok(Successful));
    assert_eq!(value(Some("default(result, 0) == 0"), None, None), Ok(Successful));
    assert!(value(Some("result[0] >= 0.95"), None, None).is_err(), "there is nothing to compare");
    assert!(value(Some("result.status == 200"), None, Some(1.0)).is_err());
}

#[test]
fn one_failure_more_than_the_limit_fails_the_run() {
    let none = metric(Some("true"), None);
    assert_eq!(phases(&none, &[Successful, Failed]), [Running, Failed]);
    let one = MetricTemplate { failure_limit: Some("1".into()), ..none.clone() };
    assert_eq!(phases(&one, &[Failed, Successful, Failed]), [Running, Running, Failed]);
    let any = MetricTemplate { failure_limit: Some("-1".into()), ..none.clone() };
    assert_eq!(phases(&any, &[Failed, Failed]), [Running, Running]);
    assert_eq!(phases(&none, &[Inconclusive]), [Inconclusive]);
}

#[test]
fn errors_count_only_in_a_row() {
    let metric = metric(Some("true"), None);
    assert_eq!(phases(&metric, &[Error; 5])[3..], [Running, Error]);
    let broken = [Error, Error, Error, Error, Successful, Error, Error, Error, Error];
    assert_eq!(phases(&metric, &broken).last(), Some(&Running));
}

#[test]
fn a_run_ends_with_its_count_or_enough_successes_in_a_row() {
    let metric = metric(Some("true"), None);
    let counted = MetricTemplate { count: Some("2".into()), ..metric.clone() };
    assert_eq!(phases(&counted, &[Successful, Error, Successful]), [Running, Running, Successful]);
    let enough = MetricTemplate {
        consecutive_success_limit: Some("2".into()),
        failure_limit: Some("9".into()),
        ..metric
    };
    assert_eq!(
        phases(&enough, &[Successful, Failed, Successful, Successful])[2..],
        [Running, Successful]
    );
    let both = MetricTemplate { count: Some("3".into()), ..enough };
    assert_eq!(phases(&both, &[Successful, Failed, Successful]).last(), Some(&Inconclusive));
}

#[test]
fn a_dry_run_fails_nothing_and_the_worst_metric_decides() {
    let mut run = run_of(&metric(Some("true"), None));
    run.metrics.push(run.metrics[0].clone());
    run.metrics[0].is_dry = true;
    let at = SimTime::ZERO;
    let measured = |phase| Measurement { at, value: None, phase, message: "".into() };
    add(&mut run.metrics[0], measured(Failed));
    add(&mut run.metrics[1], measured(Successful));
    assess_run(&mut run, false);
    assert_eq!(run.phase, Running);
    add(&mut run.metrics[1], measured(Failed));
    assess_run(&mut run, false);
    assert_eq!(run.phase, Failed);
    assert_eq!(
        &*run.message,
        "Metric \"success-rate\" assessed Failed due to failed (1) > failureLimit (0)"
    );
}

#[test]
fn measurements_follow_delay_interval_and_the_retry_after_an_error() {
    let template =
        MetricTemplate { initial_delay: Some("1m".into()), ..metric(Some("true"), None) };
    let mut run = metric_run(&template, &[]).expect("the metric is valid");
    let started = SimTime::from_secs(100);
    assert_eq!(next_measurement(&run, started), Some(SimTime::from_secs(160)));
    let mut measure = |at: i64, phase| {
        let at = SimTime::from_secs(at);
        add(&mut run, Measurement { at, value: None, phase, message: "".into() });
        next_measurement(&run, started)
    };
    assert_eq!(measure(160, Successful), Some(SimTime::from_secs(190)));
    assert_eq!(measure(190, Error), Some(SimTime::from_secs(200)));
    let once = MetricTemplate { interval: None, ..template };
    let mut run = metric_run(&once, &[]).expect("the metric is valid");
    let at = SimTime::from_secs(160);
    add(&mut run, Measurement { at, value: None, phase: Successful, message: "".into() });
    assert_eq!(next_measurement(&run, started), None);
}

#[test]
fn arguments_are_filled_in_and_missing_ones_are_an_error() {
    let template = MetricTemplate {
        count: Some("{{args.count}}".into()),
        query: "rate(x{service=\"{{ args.service }}\"}[1m])".into(),
        ..metric(Some("result > {{args.least}}"), None)
    };
    let args: Vec<(Name, Name)> = [("count", "3"), ("service", "web"), ("least", "0.9")]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec();
    let run = metric_run(&template, &args).expect("all arguments are there");
    assert_eq!(run.count, Some(3));
    assert_eq!(&*run.metric.query, "rate(x{service=\"web\"}[1m])");
    assert_eq!(run.metric.success_condition.as_deref(), Some("result > 0.9"));
    let problem = metric_run(&template, &args[..2]).expect_err("one is missing");
    assert_eq!(problem, "failed to resolve {{args.least}}");
    let many = MetricTemplate { count: Some("2".into()), interval: None, ..metric(None, None) };
    assert!(metric_run(&many, &[]).is_err(), "several measurements need an interval");
}

#[test]
fn a_rule_of_a_dry_run_is_an_expression_that_must_match_a_metric() {
    let marked = |rules: &[&str]| {
        let named = |name: &str| MetricRun {
            metric: MetricTemplate { name: name.into(), ..MetricTemplate::default() },
            ..MetricRun::default()
        };
        let mut runs = ["success-rate", "latency-p95", "latency-p99"].map(named);
        let rules: Vec<Name> = rules.iter().map(|rule| Name::from(*rule)).collect();
        let rules: Vec<&Name> = rules.iter().collect();
        mark_dry(&mut runs, &rules).map(|()| runs.map(|run| run.is_dry))
    };
    assert_eq!(marked(&[]), Ok([false; 3]));
    assert_eq!(marked(&["latency"]), Ok([false, true, true]));
    assert_eq!(marked(&["^latency.*9$", "rate"]), Ok([true, false, true]));
    assert_eq!(marked(&[".*"]), Ok([true; 3]));
    for none in ["^rate", "*"] {
        let why = "dryRun[1]: Rule didn't match any metric name(s)".to_owned();
        assert_eq!(marked(&["latency", none]), Err(why), "{none}");
    }
}
