//! The recommender: computes target and bounds from the statistics of containers
//! (`pkg/recommender/{logic,routines}`).

use std::collections::BTreeMap;

use super::aggregate::{AggregateState, cut};
use super::settings::VpaSettings;
use cluster::meta::Name;
use cluster::vpa::{Amounts, ContainerPolicy, ContainerRecommendation, Resource, VpaSpec};
use cluster::vpa_capping::within_policy;
use engine::SimDuration;
use units::Quantity;

/// Prefix and suffix of the annotation requesting whole CPUs for the container named in between.
const INTEGER_CPU: (&str, &str) = ("vpa-post-processor.kubernetes.io/", "_integerCPU");

/// Recommendations for all containers not excluded by the policy, by name.
pub fn recommend(
    states: &BTreeMap<Name, AggregateState>,
    spec: &VpaSpec,
    annotations: &[(&str, &str)],
    settings: &VpaSettings,
) -> Vec<ContainerRecommendation> {
    let is_on = |name: &Name| spec.policy_of(name).is_none_or(|policy| !policy.is_off);
    let states: Vec<_> = states.iter().filter(|(name, _)| is_on(name)).collect();
    let share = 1.0 / states.len() as f64;
    let least_cpu = cut(cut(settings.pod_min_cpu_millicores * 0.001 * 1000.0) as f64 * share);
    let least_memory = cut(cut(settings.pod_min_memory_mb * 1024.0 * 1024.0) as f64 * share);
    let least = (least_cpu, least_memory);
    let recommend = |(name, state): (&Name, &AggregateState)| {
        let policy = spec.policy_of(name);
        let given = estimate(state, policy, least, settings);
        processed(name, given, policy, annotations, settings)
    };
    states.into_iter().map(recommend).collect()
}

/// Target, lower and upper bound.
type Estimates = [Amounts; 3];

fn estimate(
    state: &AggregateState,
    policy: Option<&ContainerPolicy>,
    (least_cpu, least_memory): (i64, i64),
    settings: &VpaSettings,
) -> Estimates {
    let margin = settings.safety_margin_fraction;
    // The margin is truncated separately: 15 % of 100m are 15m, while 115 % of it are 114.999....
    let with_margin = |base: i64| base + cut(base as f64 * margin);
    let cpu = |percentile: f64, factor: f64| {
        let base = with_margin(cut(state.cpu.percentile(percentile) * 1000.0));
        cut(base as f64 * factor).max(least_cpu)
    };
    let memory = |percentile: f64, factor: f64| {
        let base = with_margin(cut(state.memory.percentile(percentile)));
        cut(base as f64 * factor).max(least_memory)
    };
    let of_cpu = confidence(state, settings.confidence_interval_cpu);
    let of_memory = confidence(state, settings.confidence_interval_memory);
    let lower = |confidence: f64| {
        let base = 1.0 + 0.001 / confidence;
        1.0 / (base * base)
    };
    let upper = |confidence: f64| 1.0 + 1.0 / confidence;
    let VpaSettings {
        target_cpu_percentile,
        target_memory_percentile,
        lower_bound_cpu_percentile,
        lower_bound_memory_percentile,
        upper_bound_cpu_percentile,
        upper_bound_memory_percentile,
        ..
    } = *settings;
    let controls = |given: fn(&ContainerPolicy) -> bool| policy.is_none_or(given);
    let (controls_cpu, controls_memory) =
        (controls(|policy| policy.controls_cpu), controls(|policy| policy.controls_memory));
    let amounts = |cpu: i64, memory: i64| Amounts {
        cpu: controls_cpu.then_some(Quantity::from_milli(cpu)),
        memory: controls_memory.then_some(Quantity::from_bytes(memory)),
    };
    [
        amounts(cpu(target_cpu_percentile, 1.0), memory(target_memory_percentile, 1.0)),
        amounts(
            cpu(lower_bound_cpu_percentile, lower(of_cpu)),
            memory(lower_bound_memory_percentile, lower(of_memory)),
        ),
        amounts(
            cpu(upper_bound_cpu_percentile, upper(of_cpu)),
            memory(upper_bound_memory_percentile, upper(of_memory)),
        ),
    ]
}

/// Confidence in intervals of samples: by the calendar, or by their number at one a minute, whichever is less
/// (`getConfidence`). CPU samples count for memory, too.
fn confidence(state: &AggregateState, interval: SimDuration) -> f64 {
    let nanos = interval.as_nanos() as f64;
    let span = state.span.map_or(SimDuration::ZERO, |(first, last)| last - first);
    let minutes = interval.as_secs_f64() / 60.0;
    (span.as_nanos() as f64 / nanos).min(state.samples as f64 / minutes)
}

/// Rounds up, to whole CPUs if requested, then applies policy and global maximum.
fn processed(
    name: &Name,
    estimates: Estimates,
    policy: Option<&ContainerPolicy>,
    annotations: &[(&str, &str)],
    settings: &VpaSettings,
) -> ContainerRecommendation {
    let (prefix, suffix) = INTEGER_CPU;
    let is_asked = |(key, value): &(&str, &str)| {
        let inner = key.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
        inner == Some(&**name) && *value == "true"
    };
    let is_integer = settings.post_processor_cpu_as_integer && annotations.iter().any(is_asked);
    let round = |given: Amounts| {
        let mut amounts = given;
        for (resource, amount) in given.iter() {
            let rounded = match resource {
                Resource::Cpu => {
                    let milli = up_to(amount.milli_value(), settings.round_cpu_millicores);
                    let milli = if is_integer { up_to(milli, 1000) } else { milli };
                    Quantity::from_milli(milli)
                }
                Resource::Memory => {
                    Quantity::from_bytes(up_to(amount.value(), settings.round_memory_bytes))
                }
            };
            amounts.set(resource, Some(rounded));
        }
        amounts
    };
    let global_max = Amounts {
        cpu: settings.container_recommendation_max_allowed_cpu,
        memory: settings.container_recommendation_max_allowed_memory,
    };
    let [uncapped, lower, upper] = estimates.map(round);
    let [target, lower_bound, upper_bound] =
        [uncapped, lower, upper].map(|amounts| within_policy(amounts, policy, global_max));
    ContainerRecommendation {
        container: name.clone(),
        target,
        lower_bound,
        upper_bound,
        uncapped_target: uncapped,
    }
}

/// Up to a multiple (`RoundUpToScale`).
#[expect(clippy::cast_possible_truncation, reason = "cut as in Go")]
fn up_to(amount: i64, multiple: i64) -> i64 {
    if multiple <= 1 || amount == 0 {
        return amount;
    }
    (libm::ceil(amount as f64 / multiple as f64) as i64).saturating_mul(multiple)
}

#[cfg(test)]
mod tests {
    use super::super::aggregate::ContainerWindow;
    use super::*;
    use cluster::hpa::ObjectReference;
    use cluster::pod_template::ResourceList;
    use cluster::vpa::UpdateMode;
    use engine::SimTime;
    use units::{Bytes, MilliCpu};

    fn at(hours: i64) -> SimTime {
        SimTime::from_secs(hours * 3600)
    }

    fn fed(samples: i64, cpu: i64, memory: i64) -> AggregateState {
        let settings = VpaSettings::default();
        let mut state = AggregateState::new(&settings, at(0));
        let mut window = ContainerWindow::default();
        for minute in 0..samples {
            let now = SimTime::from_secs(minute * 60);
            window.add_cpu(&mut state, MilliCpu(cpu), now);
            window.add_memory(&mut state, Bytes(memory), now, &settings);
        }
        state
    }

    fn spec(policies: Vec<ContainerPolicy>) -> VpaSpec {
        VpaSpec {
            target: ObjectReference {
                api_version: "apps/v1".into(),
                kind: "Deployment".into(),
                name: "web".into(),
            },
            mode: UpdateMode::Off,
            min_replicas: None,
            policies,
            eviction_requirements: None,
            evict_after_oom: None,
        }
    }

    fn recommended(state: AggregateState) -> ContainerRecommendation {
        let states = [("app".into(), state)].into_iter().collect();
        let all = recommend(&states, &spec(Vec::new()), &[], &VpaSettings::default());
        all.into_iter().next().expect("one container")
    }

    fn cpu(amounts: Amounts) -> i64 {
        amounts.cpu.expect("it is controlled").milli_value()
    }

    #[test]
    fn the_target_is_the_percentile_with_its_margin() {
        let target = recommended(fed(24 * 60, 100, 400_000_000)).target;
        // The bucket of 100m ends at 110.3m, cut to 110m; 15 % more is 126m.
        assert_eq!(cpu(target), 126);
        let memory = target.memory.expect("it is controlled").value();
        assert!(memory > 460_000_000 && memory < 500_000_000);
    }

    #[test]
    fn the_margin_is_cut_by_itself() {
        let recommended = recommended(fed(1, 780, 1_000));
        // The bucket ends at 800.6m: 800m and 120m, where 115 % of 800m are 919.9...m in floats.
        assert_eq!(cpu(recommended.target), 920);
        // A single sample gives no confidence: the bounds span the whole range.
        assert_eq!(cpu(recommended.lower_bound), 25);
        assert_eq!(cpu(recommended.upper_bound), 100_000_000_000_000);
    }

    #[test]
    fn bounds_close_in_as_confidence_grows() {
        let upper = |hours: i64| cpu(recommended(fed(hours * 60, 100, 1_000)).upper_bound);
        assert!(upper(1) > 20 * 126, "{}", upper(1));
        assert!((250..260).contains(&upper(24)), "{}", upper(24));
    }

    #[test]
    fn without_samples_everything_is_the_least_of_a_pod_in_equal_parts() {
        let settings = VpaSettings::default();
        let fresh = || AggregateState::new(&settings, at(0));
        let states = ["a", "b", "c"].into_iter().map(|name| (name.into(), fresh())).collect();
        let all = recommend(&states, &spec(Vec::new()), &[], &settings);
        let least = Amounts::new(MilliCpu(8), Bytes(87_381_333));
        assert!(all.iter().all(|one| one.target == least && one.upper_bound == least));
    }

    #[test]
    fn a_policy_has_the_last_word_and_the_uncapped_target_stays() {
        let policy = ContainerPolicy {
            container: "*".into(),
            is_off: false,
            requests_only: false,
            controls_cpu: true,
            controls_memory: false,
            min_allowed: [("cpu", "300m".parse().expect("a quantity"))].into_iter().collect(),
            max_allowed: ResourceList::default(),
        };
        let states = [("app".into(), fed(1, 1, 1_000))].into_iter().collect();
        let settings = VpaSettings::default();
        let all = recommend(&states, &spec(vec![policy]), &[], &settings);
        assert_eq!((cpu(all[0].target), all[0].target.memory), (300, None));
        assert_eq!(cpu(all[0].uncapped_target), 25);
    }

    #[test]
    fn whole_cpus_are_recommended_where_an_annotation_asks_for_them() {
        let states = [("app".into(), fed(1, 1_200, 1_000))].into_iter().collect();
        let asked = [("vpa-post-processor.kubernetes.io/app_integerCPU", "true")];
        let settings =
            VpaSettings { post_processor_cpu_as_integer: true, ..VpaSettings::default() };
        let all = recommend(&states, &spec(Vec::new()), &asked, &settings);
        assert_eq!(cpu(all[0].target), 2_000);
    }
}
