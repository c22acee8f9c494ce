//! Natural order of names: numbers in them compare as numbers.

use std::cmp::Ordering;

/// Compares two names; runs of digits compare as numbers, everything else byte by byte. So `a-9` comes before
/// `a-10`. This order replaces the iteration order of the autoscaler's hash maps.
pub(crate) fn natural_cmp(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.as_bytes(), other.as_bytes());
    loop {
        let (Some(left), Some(right)) = (one.first(), other.first()) else {
            return one.len().cmp(&other.len());
        };
        if left.is_ascii_digit() && right.is_ascii_digit() {
            let (number, rest) = split_number(one);
            let (other_number, other_rest) = split_number(other);
            let by_value =
                number.len().cmp(&other_number.len()).then_with(|| number.cmp(other_number));
            if by_value != Ordering::Equal {
                return by_value;
            }
            (one, other) = (rest, other_rest);
        } else if left == right {
            (one, other) = (&one[1..], &other[1..]);
        } else {
            return left.cmp(right);
        }
    }
}

/// The number at the beginning, without leading zeros, and the rest.
fn split_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let zeros = number.iter().take_while(|digit| **digit == b'0').count();
    (&number[zeros..], rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_compare_as_numbers() {
        let mut names = ["a-10", "a-9", "b-1", "a-009x", "a", "a-100000000000000000000000"];
        names.sort_by(|one, other| natural_cmp(one, other));
        assert_eq!(names, ["a", "a-9", "a-009x", "a-10", "a-100000000000000000000000", "b-1"]);
    }
}
