//! From the containers' samples of the resource metrics API to one value per pod: the part of the
//! metrics client (`pkg/controller/podautoscaler/metrics/client.go`) that the decision rests on.

/// Thousandths of a core of a CPU sample: rounded up, container by container.
pub const fn cpu_milli(nano_cores: i64) -> i64 {
    nano_cores.div_euclid(1_000_000) + (nano_cores.rem_euclid(1_000_000) > 0) as i64
}

/// Thousandths of a byte of a memory sample.
pub const fn memory_milli(bytes: i64) -> i64 {
    bytes.saturating_mul(1000)
}

/// The usage of a pod: the sum over the containers of its sample. Without a value where the sample
/// has no container, or one that lacks the resource (`getPodMetrics`).
pub fn pod_usage_milli(containers: impl Iterator<Item = Option<i64>>) -> Option<i64> {
    let mut total = None;
    for usage in containers {
        total = Some(usage?.wrapping_add(total.unwrap_or(0)));
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_container_is_rounded_up_before_the_sum() {
        assert_eq!([1, 1_000_000, 1_000_001].map(cpu_milli), [1, 1, 2]);
        assert_eq!(pod_usage_milli([Some(1), Some(2)].into_iter()), Some(3));
    }

    #[test]
    fn a_pod_with_a_gap_in_its_sample_has_no_usage() {
        assert_eq!(pod_usage_milli([Some(1), None].into_iter()), None);
        assert_eq!(pod_usage_milli(std::iter::empty()), None);
    }
}
