//! DynamicResources: resource claims are not simulated, so that it filters nothing and scores 0, as
//! the real one does for pods without claims. It still shows in messages of failed preemption.

use super::super::framework::{CycleContext, PreScore, ScorePlugin, score_by};

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct DynamicResources;

/// Its PostFilter message for a pod without claims.
pub(crate) const NOTHING_TO_DEALLOCATE: &str = "no new claims to deallocate";
/// Its PostFilter message if PreFilter ended before reaching it, so that its cycle state is missing.
pub(crate) const NO_CYCLE_STATE: &str = "not found";

impl ScorePlugin for DynamicResources {
    fn is_uniform(&self, _: &CycleContext<'_>) -> bool {
        true
    }

    fn pre_score<'c>(&'c self, _: &CycleContext<'c>, _: &[usize]) -> PreScore<'c> {
        score_by(|_| 0)
    }
}
