//! The time after a change in which no node is removed.

use crate::options::Options;
use engine::SimTime;

/// True if it is too early to remove nodes after the last scale-up, removal or failure (`isScaleDownInCooldown`);
/// the cooldown does not include its last instant.
pub(crate) fn is_in_cooldown(
    is_forbidden: bool,
    (scale_up, delete, failure): (SimTime, SimTime, SimTime),
    options: &Options,
    now: SimTime,
) -> bool {
    if options.scale_down_delay_type_local {
        return is_forbidden;
    }
    is_forbidden
        || scale_up + options.scale_down_delay_after_add > now
        || failure + options.scale_down_delay_after_failure > now
        || delete + options.scale_down_delay_after_delete > now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removals_may_start_when_the_delay_is_over_to_the_second() {
        let at = SimTime::from_secs;
        let options = Options::default();
        let long_ago = at(-3600);
        let cooldown = |up, down, failed, now| {
            is_in_cooldown(false, (at(up), at(down), at(failed)), &options, at(now))
        };
        assert!(cooldown(0, -3600, -3600, 599));
        assert!(!cooldown(0, -3600, -3600, 600));
        assert!(!cooldown(-3600, 0, -3600, 0));
        assert!(cooldown(-3600, -3600, 0, 179));
        assert!(!cooldown(-3600, -3600, 0, 180));
        assert!(is_in_cooldown(true, (long_ago, long_ago, long_ago), &options, at(0)));
    }
}
