//! How the CPU of a node is shared when its pods want more than it has.

/// A pod's part in the sharing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Claim {
    /// Cores that it may use at most: its limit, and the size of the node.
    pub(super) cap: f64,
    /// Cores that it would use now.
    pub(super) demand: f64,
    /// Its weight: `cpu.shares` follow from the CPU request.
    pub(super) weight: f64,
}

/// The cores that each pod gets. While all demands fit, everyone has its cap; else the CPU is shared
/// by weight, and what one does not want goes to the others, as the kernel's fair scheduler does it.
/// A pod that wants nothing now keeps the share that it could claim.
pub(super) fn share(capacity: f64, claims: &[Claim]) -> Vec<f64> {
    let wanted: f64 = claims.iter().map(|claim| claim.demand).sum();
    if wanted <= capacity {
        return claims.iter().map(|claim| claim.cap).collect();
    }
    let mut shares = vec![None; claims.len()];
    let mut left = capacity;
    loop {
        let open = || claims.iter().zip(&shares).filter(|(_, share)| share.is_none());
        let weights: f64 = open().map(|(claim, _)| claim.weight).sum();
        let level = if weights > 0.0 { left / weights } else { 0.0 };
        let content: Vec<usize> = (0..claims.len())
            .filter(|one| shares[*one].is_none())
            .filter(|one| claims[*one].demand <= level * claims[*one].weight)
            .collect();
        if content.is_empty() {
            let fair = |(claim, share): (&Claim, &Option<f64>)| {
                share.unwrap_or(level * claim.weight).min(claim.cap)
            };
            return claims.iter().zip(&shares).map(fair).collect();
        }
        for one in content {
            left -= claims[one].demand;
            // Its demand is met; should it grow before the next round, its fair share is there.
            shares[one] = Some(claims[one].demand.max(level * claims[one].weight));
        }
    }
}

/// How a pod's cores are shared between what its application burns for itself and its requests, each of
/// which would use so many cores: the share of its own that it gets, and the cores that are left for
/// requests. The kernel gives all threads of a container the same.
pub(super) fn split(cores: f64, own: f64, requests: f64) -> (f64, f64) {
    let wanted = own + requests;
    let granted = if own <= 0.0 || wanted <= cores { 1.0 } else { cores / wanted };
    (granted, (cores - own * granted).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(demand: f64, weight: f64) -> Claim {
        Claim { cap: 4.0, demand, weight }
    }

    #[test]
    fn without_contention_everyone_has_its_cap() {
        assert_eq!(share(4.0, &[claim(1.0, 1.0), claim(2.0, 1.0)]), [4.0, 4.0]);
    }

    #[test]
    fn threads_of_one_container_get_the_same() {
        assert_eq!(split(2.0, 0.5, 1.0), (1.0, 1.5));
        assert_eq!(split(1.0, 1.0, 3.0), (0.25, 0.75));
        assert_eq!(split(1.0, 2.0, 0.0), (0.5, 0.0));
        assert_eq!(split(1.0, 0.0, 5.0), (1.0, 1.0));
    }

    #[test]
    fn a_crowded_node_is_shared_by_weight_and_leftovers_go_on() {
        let shares = share(4.0, &[claim(0.5, 1.0), claim(4.0, 1.0), claim(4.0, 2.0)]);
        assert!((shares[1] - 3.5 / 3.0).abs() < 1e-12, "{shares:?}");
        assert!((shares[2] - 7.0 / 3.0).abs() < 1e-12, "{shares:?}");
        assert!(shares[0] >= 0.5);
    }
}
