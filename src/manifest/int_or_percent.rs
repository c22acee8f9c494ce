//! `IntOrString` fields that hold a number or a percentage, such as `maxSurge`.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::field::{FieldErrors, FieldPath};
use crate::cluster::deployment::IntOrPercent;

/// The number or percentage as written; what is neither is an error and counts as `instead`
/// (`ValidatePositiveIntOrPercent` of `pkg/apis/apps/validation`).
pub(super) fn int_or_percent(
    given: &IntOrString,
    instead: IntOrPercent,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> IntOrPercent {
    match given {
        IntOrString::Int(number) => IntOrPercent::Int(errors.count(Some(*number), 0, path)),
        IntOrString::String(text) => percent(text).unwrap_or_else(|| {
            errors.push(path, format!("{text:?} must be an integer or percentage (e.g. '5%')"));
            instead
        }),
    }
}

fn percent(text: &str) -> Option<IntOrPercent> {
    let digits = text.strip_suffix('%')?;
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { digits.parse().ok().map(IntOrPercent::Percent) } else { None }
}

/// Makes a percentage above 100 an error (`IsNotMoreThan100Percent`).
pub(super) fn check_at_most_all(
    value: IntOrPercent,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    if let IntOrPercent::Percent(percent @ 101..) = value {
        errors.push(path, format!("{percent}% must not be greater than 100%"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_percentages_are_taken_and_all_else_is_an_error() {
        let lower = |given: IntOrString| {
            let mut errors = FieldErrors::default();
            let value =
                int_or_percent(&given, IntOrPercent::Int(-9), &FieldPath::ROOT, &mut errors);
            errors.is_empty().then_some(value)
        };
        assert_eq!(lower(IntOrString::Int(0)), Some(IntOrPercent::Int(0)));
        assert_eq!(lower(IntOrString::Int(-1)), None);
        assert_eq!(lower(IntOrString::String("25%".into())), Some(IntOrPercent::Percent(25)));
        for text in ["", "25", "%", "-5%", "+5%", "2.5%", " 5%", "99999999999%"] {
            assert_eq!(lower(IntOrString::String(text.into())), None, "{text:?}");
        }
    }
}
