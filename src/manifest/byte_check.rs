//! Finds byte amounts that are valid for the API server but certainly unintended: `memory: 256m` is a
//! quarter of a byte.

use serde_json::{Map, Value};

use super::cross_check::warning;
use super::diagnostic::Diagnostics;
use super::load::Object;
use units::Quantity;

/// Size of a memory page, too little to run anything, in the nano units of quantities.
const PAGE_NANOS: i128 = 4096 * BYTE_NANOS;
const BYTE_NANOS: i128 = 1_000_000_000;
const MIB: i64 = 1 << 20;

/// Names of fields that hold amounts by resource, in any kind.
const AMOUNTS: [&str; 13] = [
    "allocatable",
    "capacity",
    "default",
    "defaultRequest",
    "hard",
    "limits",
    "max",
    "maxAllowed",
    "min",
    "minAllowed",
    "overhead",
    "podFixed",
    "requests",
];

/// A suspicious byte amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspiciousQuantity {
    /// The actual amount.
    pub message: String,
    /// The probable intention.
    pub help: String,
}

/// Warns of memory and storage amounts that are no whole number of bytes, as the API server does
/// (`warningsForPodSpecAndMeta`), and of those too small to run anything.
pub(super) fn check(object: &Object) -> Diagnostics {
    let mut problems = Diagnostics::default();
    let mut warn_if_odd = |holder: &str, field: String, text: &str| {
        let Some(SuspiciousQuantity { message, help }) = suspicious_quantity(text) else { return };
        let consequence = match holder {
            // Storage request of a claim; containers have memory and ephemeral-storage.
            "requests" | "limits" if field.ends_with("[storage]") => "",
            "requests" | "defaultRequest" => ": the scheduler reserves almost nothing for it",
            "limits" | "default" => ": it is OOM-killed as soon as it runs",
            "hard" => ": nothing fits into it",
            _ => "",
        };
        let is_tiny = text.parse::<Quantity>().is_ok_and(|amount| amount.nanos() < PAGE_NANOS);
        let consequence = if is_tiny { consequence } else { "" };
        let message = format!("{message}{consequence}");
        problems.push(warning("doubtful-bytes", message, object, field).help(help));
    };
    each_field(&object.manifest.value, "", &mut |name, path, below| {
        if let Value::Object(amounts) = below
            && AMOUNTS.contains(&name)
        {
            show_amounts(name, path, amounts, &mut warn_if_odd);
        }
    });
    problems
}

/// The doubt about a byte amount that is probably unintended.
pub fn suspicious_quantity(text: &str) -> Option<SuspiciousQuantity> {
    let nanos = text.parse::<Quantity>().ok()?.nanos();
    let (is_whole, is_tiny) = (nanos % BYTE_NANOS == 0, nanos < PAGE_NANOS);
    if nanos <= 0 || (is_whole && !is_tiny) {
        return None;
    }
    let number = text.trim_end_matches(|last: char| last.is_ascii_alphabetic());
    let number = if number.parse::<u32>().is_ok() { number } else { "256" };
    let bytes = nanos as f64 / BYTE_NANOS as f64;
    Some(match (is_tiny, is_whole) {
        (true, false) if text.ends_with('m') => SuspiciousQuantity {
            message: format!("{text} is {bytes} bytes, as m means a thousandth"),
            help: format!("mebibytes are written {number}Mi"),
        },
        (true, _) => SuspiciousQuantity {
            message: format!("{text} is {bytes} bytes, less than a page of memory"),
            help: format!("mebibytes are written {number}Mi"),
        },
        (false, _) => {
            let whole = text.parse::<Quantity>().map_or(0, Quantity::value);
            let help = match whole {
                MIB.. => format!("write {}Mi", (whole - 1) / MIB + 1),
                _ => format!("write {whole}"),
            };
            let message =
                format!("{text} is not a whole number of bytes; the API server warns about it");
            SuspiciousQuantity { message, help }
        }
    })
}

/// Calls `show` for all nested fields, outer ones first, with their name, path and value.
pub fn each_field<'a>(
    value: &'a Value,
    path: &str,
    show: &mut impl FnMut(&'a str, &str, &'a Value),
) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                each_field(item, &format!("{path}[{index}]"), show);
            }
        }
        Value::Object(fields) => {
            for (name, below) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                show(name, &path, below);
                each_field(below, &path, show);
            }
        }
        _ => {}
    }
}

fn show_amounts(
    holder: &str,
    path: &str,
    amounts: &Map<String, Value>,
    show: &mut impl FnMut(&str, String, &str),
) {
    for (resource, amount) in amounts {
        let plain = resource.trim_start_matches("requests.").trim_start_matches("limits.");
        let is_bytes = matches!(plain, "memory" | "ephemeral-storage" | "storage")
            || plain.starts_with("hugepages-");
        let text = match amount {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => continue,
        };
        if is_bytes {
            show(holder, format!("{path}[{resource}]"), &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_bytes_that_nobody_means_are_doubted() {
        let of = |text| {
            suspicious_quantity(text).map(|warn_if_odd| (warn_if_odd.message, warn_if_odd.help))
        };
        for (text, said, help) in [
            ("256m", "256m is 0.256 bytes, as m means a thousandth", "mebibytes are written 256Mi"),
            ("512", "512 is 512 bytes, less than a page of memory", "mebibytes are written 512Mi"),
            (
                "1.1Gi",
                "1.1Gi is not a whole number of bytes; the API server warns about it",
                "write 1127Mi",
            ),
        ] {
            assert_eq!(of(text), Some((said.to_owned(), help.to_owned())));
        }
        for fine in ["0", "256Mi", "0.5Gi", "128974848000m", "1e9", "nonsense"] {
            assert_eq!(of(fine), None, "{fine}");
        }
    }
}
