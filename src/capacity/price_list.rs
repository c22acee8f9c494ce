//! Cloud prices other than machines: control planes, disks, load balancers, traffic. Each price has its source and
//! date; `data/README.md` lists the caveats.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::reserved::Provider;
use engine::SimDuration;
use units::Money;

/// Prices as published: `data/bill.csv`.
const TEXT: &str = include_str!("data/bill.csv");

/// A billing month.
pub(crate) const MONTH: SimDuration = SimDuration::from_secs(730 * 3_600);

const HOUR_NANOS: i128 = 3_600 * 1_000_000_000;
const GIB: i128 = 1 << 30;

/// The unit of a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// An hour of existence of a resource.
    Hour,
    /// A month of 730 hours of a disk of a fixed size.
    DiskMonth,
    /// A GiB of disk for a month of 730 hours.
    GibMonth,
    /// A GiB of memory or disk for an hour.
    GibHour,
    /// A virtual CPU for an hour.
    VcpuHour,
    /// A GiB of traffic.
    Gib,
    /// Throughput of a capacity unit of Azure's Application Gateway in an hour, at 2.22 Mbit/s.
    CapacityUnitHour,
}

impl Unit {
    /// All units with their names in tables.
    pub const NAMED: [(&'static str, Self); 7] = [
        ("hour", Self::Hour),
        ("disk-month", Self::DiskMonth),
        ("GiB-month", Self::GibMonth),
        ("GiB-hour", Self::GibHour),
        ("vCPU-hour", Self::VcpuHour),
        ("GiB", Self::Gib),
        ("capacity-unit-hour", Self::CapacityUnitHour),
    ];

    /// Name of the unit, as in reports.
    pub fn as_str(self) -> &'static str {
        Self::NAMED.iter().find(|(_, unit)| *unit == self).map_or("", |(name, _)| name)
    }

    /// The unit in its smallest subdivision: nanoseconds, bytes, bytes times nanoseconds, or thousandths of a CPU times
    /// nanoseconds.
    pub fn smallest(self) -> i128 {
        match self {
            Self::Hour => HOUR_NANOS,
            Self::DiskMonth => 730 * HOUR_NANOS,
            Self::GibMonth => GIB * 730 * HOUR_NANOS,
            Self::GibHour => GIB * HOUR_NANOS,
            Self::VcpuHour => 1_000 * HOUR_NANOS,
            Self::Gib => GIB,
            Self::CapacityUnitHour => 2_220_000 / 8 * 3_600,
        }
    }
}

/// The price of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// The item: `control-plane`, `disk:gp3`, `internet-egress`, ...
    pub item: String,
    /// The unit of the price.
    pub unit: Unit,
    /// Lower bound of each tier in units per month, and the price within the tier; the first bound is 0.
    pub tiers: Vec<(u64, Money)>,
    /// Source of the price, such as the name of a page, or `the scenario`.
    pub source: String,
    /// Date of the source, `undated` if it has none.
    pub date: String,
}

impl Price {
    /// The charge for an amount, in the unit's smallest subdivision, consumed in `span`: tiers are applied as if every
    /// month continued at this rate. Returned for `span` and for a month.
    pub fn charge(&self, amount: i128, span: SimDuration) -> Charge {
        let (month, span) = (i128::from(MONTH.as_nanos()), i128::from(span.as_nanos()).max(1));
        let smallest = self.unit.smallest();
        if let [(_, price)] = self.tiers[..] {
            let usd = price.share(amount, smallest);
            return Charge { usd, month_usd: usd.share(month, span) };
        }
        let monthly = scaled(amount, month, span);
        let ends = self.tiers.iter().skip(1).map(|(from, _)| Some(*from)).chain([None]);
        let month_usd: Money = self
            .tiers
            .iter()
            .zip(ends)
            .map(|((from, price), end)| {
                let from = i128::from(*from) * smallest;
                let upto = end.map_or(monthly, |end| monthly.min(i128::from(end) * smallest));
                price.share((upto - from).max(0), smallest)
            })
            .sum();
        Charge { usd: month_usd.share(span, month), month_usd }
    }

    /// Price of the first unit.
    pub fn first(&self) -> Money {
        self.tiers.first().map_or(Money::ZERO, |(_, price)| *price)
    }
}

/// `amount x numerator / denominator` without overflowing 128 bits.
fn scaled(amount: i128, numerator: i128, denominator: i128) -> i128 {
    let (whole, rest) = (amount / denominator, amount % denominator);
    whole.saturating_mul(numerator).saturating_add(rest.saturating_mul(numerator) / denominator)
}

/// A cost in a time span, and extrapolated to a month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Cost in the span.
    pub usd: Money,
    /// Cost in a month.
    pub month_usd: Money,
}

/// Prices by item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceList {
    prices: BTreeMap<String, Price>,
}

impl PriceList {
    /// The list prices of a cloud.
    pub fn of(provider: Provider) -> &'static Self {
        static LISTS: LazyLock<BTreeMap<Provider, PriceList>> = LazyLock::new(read);
        static EMPTY: PriceList = PriceList { prices: BTreeMap::new() };
        LISTS.get(&provider).unwrap_or(&EMPTY)
    }

    /// The price of an item; `None` if there is none.
    pub fn find(&self, item: &str) -> Option<&Price> {
        self.prices.get(item)
    }

    /// All prices, by item.
    pub fn iter(&self) -> impl Iterator<Item = &Price> {
        self.prices.values()
    }

    /// Sets the price of an item, replacing an existing one.
    pub fn set(&mut self, price: Price) {
        self.prices.insert(price.item.clone(), price);
    }
}

fn read() -> BTreeMap<Provider, PriceList> {
    let mut lists = BTreeMap::<Provider, PriceList>::new();
    for line in TEXT.lines().skip(1) {
        let mut cells = line.split(',');
        let mut cell = || cells.next().unwrap_or_default();
        let (cloud, item, unit) = (cell(), cell(), cell());
        let (from, usd, source, date) = (cell(), cell(), cell(), cell());
        let provider = Provider::ALL.into_iter().find(|one| one.as_str() == cloud);
        let unit = Unit::NAMED.into_iter().find(|(name, _)| *name == unit);
        let usd = Money::from_decimal(usd);
        let (Some(provider), Some((_, unit)), Some(usd)) = (provider, unit, usd) else { continue };
        let prices = &mut lists.entry(provider).or_default().prices;
        let price = prices.entry(item.to_owned()).or_insert_with(|| Price {
            item: item.to_owned(),
            unit,
            tiers: Vec::new(),
            source: source.to_owned(),
            date: date.to_owned(),
        });
        price.tiers.push((from.parse().unwrap_or_default(), usd));
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_data_is_read_with_a_source_and_a_date() {
        let tiers: usize = Provider::ALL
            .into_iter()
            .flat_map(|provider| PriceList::of(provider).iter())
            .map(|price| {
                assert!(!price.source.is_empty() && !price.date.is_empty(), "{}", price.item);
                assert_eq!(price.tiers[0].0, 0, "{}", price.item);
                assert!(price.tiers.is_sorted_by_key(|(from, _)| *from), "{}", price.item);
                price.tiers.len()
            })
            .sum();
        assert_eq!(tiers, TEXT.lines().count() - 1);
    }

    #[test]
    fn what_is_beyond_a_tier_costs_the_next_price() {
        // Infracost's golden file: 10,240 GB at $921.60, 40,960 GB at $3,481.60, 5,800 GB at $406.00.
        let egress = PriceList::of(Provider::Aws).find("internet-egress").unwrap();
        let month = egress.charge((10_240 + 40_960 + 5_800) * GIB, MONTH);
        assert_eq!(month.usd.cents(), 92_160 + 348_160 + 40_600);
        assert_eq!(month.usd, month.month_usd);
        // A day representing each month: the same tiers, a fraction of the cost.
        let day = SimDuration::from_secs(73 * 3_600);
        let tenth = egress.charge(5_700 * GIB, day);
        assert_eq!(tenth.month_usd.cents(), month.usd.cents());
        assert_eq!(tenth.usd.cents(), 48_092);
    }

    #[test]
    fn an_hour_of_a_month_is_scaled_to_the_month() {
        let plane = PriceList::of(Provider::Gcp).find("control-plane").unwrap();
        let charge = plane.charge(HOUR_NANOS, SimDuration::from_secs(3_600));
        assert_eq!((charge.usd.cents(), charge.month_usd.cents()), (10, 7_300));
    }
}
