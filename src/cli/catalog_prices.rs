//! `wavetank catalog --prices`: cloud prices other than those of machines, with source and date of each.

use std::io::Write;

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use serde::Serialize;

use super::exit::Failure;
use capacity::price_list::{Price, PriceList};
use capacity::reserved::Provider;
use units::Money;

/// A price in the output, one row per tier.
#[derive(Serialize)]
pub struct Row {
    cloud: &'static str,
    item: String,
    unit: &'static str,
    /// Units per month from which the price applies.
    from: u64,
    usd: Money,
    source: String,
    date: String,
}

/// The prices of items whose name contains one of the names.
pub fn rows(provider: Option<Provider>, names: &[String]) -> Vec<Row> {
    let providers = Provider::ALL.into_iter().filter(|one| provider.is_none_or(|own| own == *one));
    let all = providers.flat_map(|one| PriceList::of(one).iter().map(move |price| (one, price)));
    let is_asked = |price: &Price| {
        names.is_empty() || names.iter().any(|name| price.item.contains(&name.to_lowercase()))
    };
    all.filter(|(_, price)| is_asked(price)).flat_map(|(one, price)| of_price(one, price)).collect()
}

fn of_price(provider: Provider, price: &Price) -> impl Iterator<Item = Row> {
    price.tiers.iter().map(move |(from, usd)| Row {
        cloud: provider.as_str(),
        item: price.item.clone(),
        unit: price.unit.as_str(),
        from: *from,
        usd: *usd,
        source: price.source.clone(),
        date: price.date.clone(),
    })
}

/// Writes the prices as a table.
pub(crate) fn write_table(rows: &[Row], out: &mut impl Write) -> Result<(), Failure> {
    if rows.is_empty() {
        writeln!(out, "No such item.")?;
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["CLOUD", "ITEM", "USD", "UNIT", "FROM", "SOURCE", "DATE"]);
    for row in rows {
        let usd = format!("{:.9}", row.usd.as_usd());
        let usd = usd.trim_end_matches('0').trim_end_matches('.').to_owned();
        let from = if row.from == 0 { String::new() } else { row.from.to_string() };
        let cells = [row.cloud, &row.item, &usd, row.unit, &from, &row.source, &row.date];
        table.add_row(cells.map(Cell::new));
    }
    for index in 0..7 {
        if let Some(cells) = table.column_mut(index) {
            let is_number = index == 2 || index == 4;
            let alignment = if is_number { CellAlignment::Right } else { CellAlignment::Left };
            cells.set_padding((0, 2)).set_cell_alignment(alignment);
        }
    }
    writeln!(out, "{}", table.trim_fmt())?;
    Ok(())
}
