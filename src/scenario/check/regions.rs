//! Checks clouds and regions: prices are regional, and a machine type is sold by one cloud only.

use super::Checker;
use crate::cluster::NodePool;
use capacity::node_type::NodeType;
use capacity::reserved::Provider;
use cluster::node::REGION_LABEL;
use manifest::FieldPath;

/// Suffixes of Azure region names, before any number.
const AZURE_ENDS: [&str; 9] =
    ["us", "europe", "asia", "india", "east", "west", "north", "south", "central"];

/// The cloud and the region of a zone whose name is like those of a cloud: `us-east-1a`, `us-central1-a`,
/// `eastus-1`.
pub(crate) fn region_of(zone: &str) -> Option<(Provider, &str)> {
    let (region, last) = zone.rsplit_once('-')?;
    let is_letter =
        |text: &str| text.len() == 1 && text.bytes().all(|one| one.is_ascii_lowercase());
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|one| one.is_ascii_digit());
    let number = last.trim_end_matches(|one: char| one.is_ascii_lowercase());
    let begins = zone.split('-').next().unwrap_or_default();
    if region.contains('-')
        && begins.len() == 2
        && is_number(number)
        && is_letter(&last[number.len()..])
    {
        return Some((Provider::Aws, &zone[..zone.len() - 1]));
    }
    let area = region.rsplit_once('-').map_or("", |(_, area)| area);
    let is_numbered = area.starts_with(|one: char| one.is_ascii_lowercase())
        && area.ends_with(|one: char| one.is_ascii_digit());
    if is_letter(last) && is_numbered {
        return Some((Provider::Gcp, region));
    }
    let words = region.trim_end_matches(|one: char| one.is_ascii_digit());
    let is_azure = !region.contains('-')
        && words.len() >= 6
        && is_number(last)
        && AZURE_ENDS.iter().any(|end| words.ends_with(end));
    is_azure.then_some((Provider::Azure, region))
}

impl Checker<'_> {
    /// Checks the zones and region of a pool against the machine and price that the catalog has for it.
    pub(super) fn region(&mut self, path: &FieldPath, pool: &NodePool) {
        let resolved = pool.resolve().ok();
        let Some(machine) = resolved.as_ref().and_then(|pool| pool.node_type()) else { return };
        let zones = path.field("zones");
        let mut is_told = false;
        for (index, zone) in pool.zones.iter().enumerate() {
            let path = zones.item(index);
            match region_of(zone) {
                Some((cloud, _)) if cloud != machine.machine.provider => {
                    let (cloud, own) = (cloud.as_str(), machine.machine.provider.as_str());
                    let message =
                        format!("{zone} is a zone of {cloud}, but {machine} is a machine of {own}");
                    let help = format!(
                        "write zones such as those of {}, or an instance type of {cloud}",
                        machine.region()
                    );
                    self.error(&path, message, help);
                }
                Some((_, region)) if !is_told => {
                    is_told = self.price_elsewhere(&path, pool, machine, region);
                }
                _ => {}
            }
        }
        if let Some(region) = pool.labels.get(REGION_LABEL).filter(|_| !is_told) {
            self.price_elsewhere(&path.field("labels"), pool, machine, region);
        }
    }

    /// True if the pool uses the catalog's price of another region.
    fn price_elsewhere(
        &mut self,
        path: &FieldPath,
        pool: &NodePool,
        machine: &NodeType,
        region: &str,
    ) -> bool {
        let is_doubtful = region != machine.region() && pool.price_per_hour.is_none();
        if is_doubtful {
            let message = format!(
                "the price of {machine} is that of {}, but the pool is in {region} with a different price",
                machine.region()
            );
            self.warn(path, message, "set the region's price as `pricePerHour`");
        }
        is_doubtful
    }

    /// Checks that all pools of a cluster are in one cloud.
    pub(super) fn one_cloud(&mut self, path: &FieldPath) {
        let mut first: Option<(&NodePool, Provider)> = None;
        for (index, pool) in self.text.scenario.cluster.node_pools.iter().enumerate() {
            let resolved = pool.resolve().ok();
            let Some(machine) = resolved.as_ref().and_then(|pool| pool.node_type()) else {
                continue;
            };
            let cloud = machine.machine.provider;
            match first {
                None => first = Some((pool, cloud)),
                Some((other, before)) if before != cloud => {
                    let message = format!(
                        "{machine} belongs to a different cloud than the nodes of {}, which belong to {}",
                        other.name,
                        before.as_str()
                    );
                    let pool = path.item(index);
                    let path = pool.field("instanceType");
                    self.warn(
                        &path,
                        message,
                        "the nodes of a cluster are in one cloud; compare two scenarios",
                    );
                }
                Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_known_by_the_form_of_their_names() {
        for (zone, known) in [
            ("us-east-1a", Some((Provider::Aws, "us-east-1"))),
            ("us-gov-west-1b", Some((Provider::Aws, "us-gov-west-1"))),
            ("eu-west-3c", Some((Provider::Aws, "eu-west-3"))),
            ("us-central1-a", Some((Provider::Gcp, "us-central1"))),
            ("europe-west12-c", Some((Provider::Gcp, "europe-west12"))),
            ("eastus-1", Some((Provider::Azure, "eastus"))),
            ("westeurope-3", Some((Provider::Azure, "westeurope"))),
            ("eastus2-1", Some((Provider::Azure, "eastus2"))),
            ("a", None),
            ("zone-1", None),
            ("zone-a", None),
            ("rack-1-a", None),
            ("north-1", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(region_of(zone), known, "{zone}");
        }
    }
}
