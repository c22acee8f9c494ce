//! Whether the kubelet restarts a container that has exited (`ContainerShouldRestart` and related functions in
//! `pkg/api/v1/pod/util.go`, 1.36).

use super::pod_template::{Container, PodSpec, RestartPolicy};

/// `restartPolicy` and `restartPolicyRules` of a container, which take precedence over the policy of its pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ContainerRestart {
    /// The policy if no rule matches.
    pub policy: RestartPolicy,
    /// The rules; the first match decides.
    pub rules: Vec<RestartRule>,
}

/// A rule for some exit codes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RestartRule {
    /// `action: RestartAllContainers`, in place of `Restart`.
    pub restarts_all: bool,
    /// `operator: NotIn`, in place of `In`.
    pub is_negated: bool,
    /// `values`.
    pub exit_codes: Vec<i32>,
}

/// Restart decision for an exited container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// The container stays terminated.
    No,
    /// The container is restarted.
    Container,
    /// All containers of its pod are restarted, init containers first.
    All,
}

impl ContainerRestart {
    /// The rule that applies to an exit code.
    fn rule(&self, exit_code: i32) -> Option<&RestartRule> {
        self.rules.iter().find(|rule| rule.exit_codes.contains(&exit_code) != rule.is_negated)
    }
}

fn by_policy(policy: RestartPolicy, exit_code: i32) -> bool {
    match policy {
        RestartPolicy::Always => true,
        RestartPolicy::OnFailure => exit_code != 0,
        RestartPolicy::Never => false,
    }
}

/// The decision for the container at this position, init containers first, that exited with this code in a live pod.
/// A completed init container stays so, and a sidecar is always restarted.
pub fn restart(position: usize, exit_code: i32, spec: &PodSpec) -> Restart {
    let inits = &spec.init_containers;
    let Some(container) = inits.iter().chain(&spec.containers).nth(position) else {
        return Restart::No;
    };
    let rule = container.restart.as_ref().and_then(|own| own.rule(exit_code));
    if rule.is_some_and(|rule| rule.restarts_all) {
        return Restart::All;
    }
    let is_init = position < inits.len() && !container.is_sidecar;
    let is_restarted =
        container.is_sidecar || rule.is_some() || by_policy(policy_of(container, spec), exit_code);
    if is_restarted && !(is_init && exit_code == 0) { Restart::Container } else { Restart::No }
}

/// The policy of a container if none of its rules applies.
pub fn policy_of(container: &Container, spec: &PodSpec) -> RestartPolicy {
    container.restart.as_ref().map_or(spec.restart_policy, |own| own.policy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use RestartPolicy::{Always, Never, OnFailure};

    fn rule(restarts_all: bool, is_negated: bool, exit_codes: &[i32]) -> RestartRule {
        RestartRule { restarts_all, is_negated, exit_codes: exit_codes.to_vec() }
    }

    /// The pod's policy, the container's policy with rules, an exit code, and the decisions for a container and for
    /// an init container.
    #[test]
    fn the_rules_come_before_the_containers_policy_and_that_before_the_pods() {
        let (r#in, not_in) =
            (|codes| vec![rule(false, false, codes)], |codes| vec![rule(false, true, codes)]);
        let (no, one, all) = (Restart::No, Restart::Container, Restart::All);
        for (of_pod, own, rules, code, regular, init) in [
            (Always, None, vec![], 0, one, no),
            (Always, None, vec![], 1, one, one),
            (OnFailure, None, vec![], 0, no, no),
            (OnFailure, None, vec![], 1, one, one),
            (Never, None, vec![], 1, no, no),
            (Never, Some(Always), vec![], 0, one, no),
            (Never, Some(Always), vec![], 1, one, one),
            (Never, Some(OnFailure), vec![], 0, no, no),
            (Never, Some(OnFailure), vec![], 3, one, one),
            (Always, Some(Never), vec![], 0, no, no),
            (Always, Some(Never), vec![], 1, no, no),
            (OnFailure, Some(Never), vec![], 1, no, no),
            (Never, Some(Never), r#in(&[42]), 42, one, one),
            (Never, Some(Never), r#in(&[42]), 1, no, no),
            (Never, Some(Never), r#in(&[0]), 0, one, no),
            (Never, Some(Never), not_in(&[42]), 42, no, no),
            (Never, Some(Never), not_in(&[42]), 1, one, one),
            (Always, Some(OnFailure), r#in(&[42]), 0, no, no),
            (Never, Some(Never), vec![rule(true, false, &[42])], 42, all, all),
            (
                Never,
                Some(Never),
                vec![rule(false, false, &[1]), rule(true, true, &[])],
                1,
                one,
                one,
            ),
            (
                Never,
                Some(Never),
                vec![rule(false, false, &[1]), rule(true, true, &[])],
                2,
                all,
                all,
            ),
            (
                Never,
                Some(Never),
                vec![rule(true, true, &[]), rule(false, false, &[1])],
                1,
                all,
                all,
            ),
        ] {
            let restart_of = own.map(|policy| ContainerRestart { policy, rules: rules.clone() });
            let container = Container { restart: restart_of.map(Box::new), ..Container::default() };
            let spec = PodSpec {
                restart_policy: of_pod,
                init_containers: vec![container.clone()],
                containers: vec![container],
                ..PodSpec::default()
            };
            let label = format!("{of_pod:?} {own:?} {rules:?} {code}");
            assert_eq!(restart(1, code, &spec), regular, "{label}");
            assert_eq!(restart(0, code, &spec), init, "init: {label}");
        }
    }

    #[test]
    fn a_sidecar_is_started_again_whatever_its_pod_says() {
        let sidecar = Container { is_sidecar: true, ..Container::default() };
        let spec =
            PodSpec { restart_policy: Never, init_containers: vec![sidecar], ..PodSpec::default() };
        assert_eq!(restart(0, 0, &spec), Restart::Container);
        assert_eq!(restart(1, 0, &spec), Restart::No);
    }
}
