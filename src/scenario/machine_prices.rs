//! Applies a user's own price list to the node pools of a scenario.

use super::check::region_of;
use super::cluster::NodePool;
use super::read::ScenarioText;
use capacity::machine_prices::MachinePrices;
use cluster::node::REGION_LABEL;
use manifest::{Diagnostic, Diagnostics, Location, Source};

impl ScenarioText {
    /// Sets the price of each pool without a price of its own, and passes all prices to Karpenter. Returns the mistakes in
    /// the list.
    pub fn take_prices(&mut self, list: &Source) -> Diagnostics {
        let mut problems = Diagnostics::default();
        let prices = match MachinePrices::read(&list.text) {
            Ok(prices) => prices,
            Err(errors) => {
                for error in errors {
                    let place = Location { source: list.name.clone(), line: error.line, column: 0 };
                    problems.push(Diagnostic::error("price-list", error.message).at(place));
                }
                return problems;
            }
        };
        for pool in &mut self.scenario.cluster.node_pools {
            if pool.price_per_hour.is_none()
                && let Some(kind) = &pool.instance_type
                && let Some(price) = prices.find(kind, &region(pool))
            {
                pool.price_per_hour = if pool.spot { price.spot } else { Some(price.on_demand) };
            }
        }
        self.scenario.cluster.own_prices = prices;
        problems
    }
}

/// The region of a pool: from its zones, its labels, or else the region of the catalog's prices.
pub(crate) fn region(pool: &NodePool) -> String {
    let of_zones = pool.zones.iter().find_map(|zone| region_of(zone)).map(|(_, region)| region);
    let labelled = pool.labels.get(REGION_LABEL).map(|region| &**region);
    if let Some(region) = of_zones.or(labelled) {
        return region.to_owned();
    }
    let resolved = pool.resolve().ok();
    let machine = resolved.as_ref().and_then(|pool| pool.node_type());
    machine.map_or_else(String::new, |machine| machine.region().to_owned())
}
