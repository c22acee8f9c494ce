//! Settings of Knative's PodAutoscaler, and what its webhooks refuse.

use super::*;

fn resolved(annotations: &[(&str, &str)], limit: u32) -> PodAutoscalerSpec {
    let mut meta = ObjectMeta::new("default", "hello-00001");
    meta.annotations = annotations.iter().copied().collect();
    meta.labels = [(SERVICE_LABEL, "hello")].into_iter().collect();
    let mut errors = FieldErrors::default();
    let mut object = PodAutoscaler::default();
    object.spec.container_concurrency = Some(limit);
    let spec = pod_autoscaler_spec(&meta, &object, &mut errors);
    assert!(errors.is_empty());
    spec
}

#[test]
fn a_pod_is_aimed_at_seventy_percent_of_what_it_can_take() {
    let pair = |annotations: &[(&str, &str)], limit| {
        let spec = resolved(annotations, limit);
        (spec.target, spec.total)
    };
    assert_eq!(pair(&[], 0), (70.0, 100.0));
    assert_eq!(pair(&[], 10), (7.0, 10.0));
    assert_eq!(pair(&[("autoscaling.knative.dev/metric", "rps")], 10), (140.0, 200.0));
    // The lower of target and limit, and its own utilization.
    let target = ("autoscaling.knative.dev/target", "50");
    let utilization = ("autoscaling.knative.dev/targetUtilizationPercentage", "90");
    assert_eq!(pair(&[target], 10), (7.0, 10.0));
    assert_eq!(pair(&[target, utilization], 0), (45.0, 50.0));
    let of_cluster = ("config-autoscaler/container-concurrency-target-percentage", "0.5");
    assert_eq!(pair(&[of_cluster], 0), (50.0, 100.0));
}

#[test]
fn an_annotation_precedes_the_setting_of_the_cluster() {
    let window = ("autoscaling.knative.dev/window", "2m");
    let of_cluster = ("config-autoscaler/stable-window", "30s");
    let windows = |annotations: &[(&str, &str)]| {
        let spec = resolved(annotations, 0);
        (spec.stable_window.as_secs(), spec.panic_window.as_secs())
    };
    assert_eq!(windows(&[]), (60, 6));
    assert_eq!(windows(&[of_cluster]), (30, 3));
    assert_eq!(windows(&[window, of_cluster]), (120, 12));
}

#[test]
fn an_initial_scale_of_zero_needs_the_cluster_to_allow_it() {
    let zero = ("autoscaling.knative.dev/initial-scale", "0");
    let allows = ("config-autoscaler/allow-zero-initial-scale", "true");
    assert_eq!(refused(&[zero]), ["autoscaling.knative.dev/initial-scale"]);
    assert_eq!(resolved(&[zero, allows], 0).initial_scale, 0);
}

/// The annotations at which there are errors.
fn refused(annotations: &[(&str, &str)]) -> Vec<String> {
    let mut meta = ObjectMeta::new("default", "hello-00001");
    meta.annotations = annotations.iter().copied().collect();
    let mut errors = FieldErrors::default();
    pod_autoscaler_spec(&meta, &PodAutoscaler::default(), &mut errors);
    let errors = errors.into_vec().into_iter().map(|error| error.to_string());
    let key = |error: String| {
        let rest = error.strip_prefix("metadata.annotations").map(str::to_owned).unwrap_or(error);
        let end = rest.find(": ").unwrap_or(rest.len());
        rest[..end].trim_matches(['.', '[', ']', '\'', '"']).to_owned()
    };
    errors.map(key).collect()
}

#[test]
fn what_knatives_webhook_refuses_is_an_error_at_its_annotation() {
    for (given, at) in [
        (&[("window", "2s")][..], "window"),
        (&[("window", "61m")], "window"),
        (&[("window", "6500ms")], "window"),
        (&[("min-scale", "5"), ("max-scale", "3")], "max-scale"),
        (&[("initial-scale", "-1")], "initial-scale"),
        (&[("metric-aggregation-algorithm", "nonsense")], "metric-aggregation-algorithm"),
        (&[("target-burst-capacity", "-0.5")], "target-burst-capacity"),
        (&[("target-utilization-percentage", "101")], "target-utilization-percentage"),
        (&[("target", "0.001")], "target"),
        (&[("panic-window-percentage", "101")], "panic-window-percentage"),
        (&[("panic-threshold-percentage", "109")], "panic-threshold-percentage"),
        (&[("panic-threshold-percentage", "1001")], "panic-threshold-percentage"),
        (&[("scale-down-delay", "2h")], "scale-down-delay"),
        (&[("scale-down-delay", "1500ms")], "scale-down-delay"),
        (&[(RETENTION, "2h")], RETENTION),
        (&[("activation-scale", "1")], "activation-scale"),
        (&[("min-scale", "4"), ("activation-scale", "3")], "activation-scale"),
        (&[("max-scale", "2"), ("activation-scale", "3")], "activation-scale"),
        (&[("class", "kp.autoscaling.knative.dev")], "class"),
    ] {
        let given = given.iter().map(|(name, text)| (format!("{OWN}{name}"), *text));
        let given: Vec<(String, &str)> = given.collect();
        let given: Vec<(&str, &str)> = given.iter().map(|(name, text)| (&**name, *text)).collect();
        assert_eq!(refused(&given), [format!("{OWN}{at}")], "{given:?}");
    }
    let limited =
        [("config-autoscaler/max-scale-limit", "4"), ("autoscaling.knative.dev/max-scale", "0")];
    assert_eq!(refused(&limited), ["autoscaling.knative.dev/max-scale"]);
}

#[test]
fn the_bounds_of_knatives_webhook_are_allowed() {
    for (name, text) in [
        ("window", "6s"),
        ("window", "1h"),
        ("max-scale", "0"),
        ("initial-scale", "1"),
        ("metric-aggregation-algorithm", "weightedExponential"),
        ("target-burst-capacity", "-1"),
        ("target-burst-capacity", "0"),
        ("panic-threshold-percentage", "110"),
        (RETENTION, "1500ms"),
        ("activation-scale", "2"),
        ("class", "custom.example.com"),
    ] {
        let key = format!("{OWN}{name}");
        assert_eq!(
            refused(&[(&key, text), ("autoscaling.knative.dev/min-scale", "1")]),
            [""; 0],
            "{name}: {text}"
        );
    }
    let of_cluster = ("config-autoscaler/panic-threshold-percentage", "100");
    assert_eq!(refused(&[of_cluster]), [""; 0]);
}

#[test]
fn a_setting_that_cannot_be_read_is_an_error_at_its_annotation() {
    let mut meta = ObjectMeta::new("default", "hello-00001");
    meta.annotations = [("autoscaling.knative.dev/min-scale", "two")].into_iter().collect();
    let mut errors = FieldErrors::default();
    let spec = pod_autoscaler_spec(&meta, &PodAutoscaler::default(), &mut errors);
    assert_eq!(spec.min_scale, 0);
    assert!(!errors.is_empty());
}
