//! Fields that are a number or a percentage, such as `maxSurge`.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::field::{FieldErrors, FieldPath};
use cluster::deployment::IntOrPercent;

const PERCENT_RULE: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%' or '93%')";

/// Parses a non-negative number or a percentage (`ValidatePositiveIntOrPercent`); 0 if invalid.
pub(super) fn int_or_percent(
    given: Option<&IntOrString>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> IntOrPercent {
    match given {
        None => IntOrPercent::Int(0),
        Some(IntOrString::Int(number)) => {
            errors.not_negative(path, i64::from(*number));
            IntOrPercent::Int(*number)
        }
        Some(IntOrString::String(text)) => {
            let digits = text.strip_suffix('%').unwrap_or_default();
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            match digits.parse() {
                Ok(percent) if is_number => IntOrPercent::Percent(percent),
                _ => {
                    errors.invalid(path, text, PERCENT_RULE);
                    IntOrPercent::Int(0)
                }
            }
        }
    }
}

/// True for 0 and 0 %.
pub(super) const fn is_zero(number: IntOrPercent) -> bool {
    matches!(number, IntOrPercent::Int(0) | IntOrPercent::Percent(0))
}

/// Checks that a percentage is at most 100 % (`IsNotMoreThan100Percent`).
pub(super) fn at_most_100_percent(
    given: IntOrPercent,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if let IntOrPercent::Percent(percent @ 101..) = given {
        errors.invalid(path, format!("{percent}%"), "must not be greater than 100%");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_percentages_are_read_and_nothing_else() {
        for (given, expected, is_valid) in [
            (IntOrString::Int(3), IntOrPercent::Int(3), true),
            (IntOrString::String("25%".into()), IntOrPercent::Percent(25), true),
            (IntOrString::Int(-1), IntOrPercent::Int(-1), false),
            (IntOrString::String("25".into()), IntOrPercent::Int(0), false),
            (IntOrString::String("-25%".into()), IntOrPercent::Int(0), false),
            (IntOrString::String("99999999999%".into()), IntOrPercent::Int(0), false),
        ] {
            let mut errors = FieldErrors::default();
            assert_eq!(int_or_percent(Some(&given), &FieldPath::ROOT, &mut errors), expected);
            assert_eq!(errors.is_empty(), is_valid, "{given:?}");
        }
    }
}
