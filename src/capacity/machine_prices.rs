//! A user's own machine prices, as a table of type, region and price.

use std::collections::BTreeMap;

use units::HourlyPrice;

/// Prices by type and region. A row without a region applies to every region that has no row of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachinePrices {
    rows: BTreeMap<(String, String), MachinePrice>,
}

/// Price of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachinePrice {
    /// On demand.
    pub on_demand: HourlyPrice,
    /// Spot price, if the table has one.
    pub spot: Option<HourlyPrice>,
}

/// A mistake in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceTableError {
    /// The line, counted from 1.
    pub line: u32,
    /// The mistake and its correction.
    pub message: String,
}

const COLUMNS: &str = "type,region,price";

impl MachinePrices {
    /// Reads a table with the columns `type,region,price` and optionally `spot`; prices are US dollars an hour. Blank lines
    /// and lines that begin with # are skipped. Returns all mistakes at once.
    ///
    /// ```
    /// # use wavetank::capacity::machine_prices::MachinePrices;
    /// let table = "type,region,price,spot\nm5.large,eu-west-1,0.107,0.041\nm5.large,,0.09,\n";
    /// let prices = MachinePrices::read(table).unwrap();
    /// assert_eq!(prices.find("aws/m5.large", "eu-west-1").unwrap().on_demand.as_usd(), 0.107);
    /// assert_eq!(prices.find("m5.large", "us-east-1").unwrap().on_demand.as_usd(), 0.09);
    /// assert_eq!(prices.find("m5.xlarge", "us-east-1"), None);
    /// ```
    pub fn read(text: &str) -> Result<Self, Vec<PriceTableError>> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = (1u32..).zip(text.lines()).map(|(line, text)| (line, text.trim()));
        let mut lines = lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#'));
        let head = lines.next();
        let has_spot = match head.map(|(_, text)| columns(text)).as_deref() {
            Some([kind, region, price])
                if [*kind, *region, *price] == ["type", "region", "price"] =>
            {
                false
            }
            Some([kind, region, price, "spot"])
                if [*kind, *region, *price] == ["type", "region", "price"] =>
            {
                true
            }
            _ => {
                let line = head.map_or(1, |(line, _)| line);
                let message = format!("the first line must be {COLUMNS} or {COLUMNS},spot");
                return Err(vec![PriceTableError { line, message }]);
            }
        };
        let mut prices = Self::default();
        let mut errors = Vec::new();
        for (line, text) in lines {
            let added = row(text, has_spot).and_then(|(kind, price)| prices.add(kind, price));
            errors.extend(added.err().map(|message| PriceTableError { line, message }));
        }
        if errors.is_empty() { Ok(prices) } else { Err(errors) }
    }

    /// The price of a type, with or without its cloud before it, in a region.
    pub fn find(&self, kind: &str, region: &str) -> Option<MachinePrice> {
        let kind = without_cloud(kind).to_owned();
        let of_region = self.rows.get(&(kind.clone(), region.to_owned()));
        of_region.or_else(|| self.rows.get(&(kind, String::new()))).copied()
    }

    /// All types, with their regions.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, MachinePrice)> {
        self.rows.iter().map(|((kind, region), price)| (kind.as_str(), region.as_str(), *price))
    }

    fn add(&mut self, key: (String, String), price: MachinePrice) -> Result<(), String> {
        let known = self.rows.get(&key).filter(|known| **known != price);
        if known.is_some() {
            return Err(format!(
                "{} in {} has a different price in a row above",
                key.0,
                shown(&key.1)
            ));
        }
        self.rows.insert(key, price);
        Ok(())
    }
}

/// A type without its cloud prefix.
pub fn without_cloud(kind: &str) -> &str {
    kind.split_once('/').map_or(kind, |(_, kind)| kind)
}

fn shown(region: &str) -> &str {
    if region.is_empty() { "all regions" } else { region }
}

fn columns(line: &str) -> Vec<&str> {
    line.split(',').map(|cell| cell.trim().trim_matches('"')).collect()
}

fn row(line: &str, has_spot: bool) -> Result<((String, String), MachinePrice), String> {
    let cells = columns(line);
    let expected = if has_spot { 4 } else { 3 };
    if cells.len() != expected {
        return Err(format!("{} columns, but the first line has {expected}", cells.len()));
    }
    if cells[0].is_empty() {
        return Err("no type: write one such as m5.large".to_owned());
    }
    let on_demand = price(cells[2])?;
    let spot = cells.get(3).filter(|cell| !cell.is_empty()).map(|cell| price(cell)).transpose()?;
    let key = (without_cloud(cells[0]).to_owned(), cells[1].to_owned());
    Ok((key, MachinePrice { on_demand, spot }))
}

fn price(cell: &str) -> Result<HourlyPrice, String> {
    let usd = cell.trim_start_matches('$').parse::<f64>().ok();
    let usd = usd.filter(|usd| (0.0..1e6).contains(usd));
    usd.map(HourlyPrice::from_usd)
        .ok_or_else(|| format!("{cell:?} is not a price: write US dollars an hour, such as 0.096"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_mistakes_of_a_table_are_told_with_their_lines() {
        let table = "# ours\ntype,region,price\nm5.large,us-east-1,cheap\n\nm5.large,us-east-1\n,x,1\nm5.large,,-1\n";
        let errors = MachinePrices::read(table).unwrap_err();
        assert_eq!(errors.iter().map(|error| error.line).collect::<Vec<_>>(), [3, 5, 6, 7]);
        let errors = MachinePrices::read("kind,price\n").unwrap_err();
        assert!(errors[0].message.contains("type,region,price"));
    }

    #[test]
    fn two_prices_of_one_machine_in_one_region_are_a_mistake() {
        let table =
            |second: &str| format!("type,region,price\nm5.large,,0.1\naws/m5.large,,{second}\n");
        assert!(MachinePrices::read(&table("0.1")).is_ok());
        assert_eq!(MachinePrices::read(&table("0.2")).unwrap_err()[0].line, 3);
    }
}
