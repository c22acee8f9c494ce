//! Name lists in the compressed form of recordings, with ranges as in `w-[000..003]`.

use serde_json::Value;

/// Maximum number of names in a list.
const MAX_NAMES: u64 = 200_000;

/// The expanded names of a list.
pub(super) fn expanded<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    names.into_iter().flat_map(expand).collect()
}

fn expand(name: &str) -> Vec<String> {
    run(name).unwrap_or_else(|| vec![name.to_owned()])
}

fn run(name: &str) -> Option<Vec<String>> {
    let (prefix, rest) = name.split_once('[')?;
    let (range, suffix) = rest.split_once(']')?;
    let (first, last) = range.split_once("..")?;
    let width = first.len();
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    (last >= first && last - first < MAX_NAMES)
        .then(|| (first..=last).map(|at| format!("{prefix}{at:0width$}{suffix}")).collect())
}

/// The expanded names of a recorded list, sorted.
pub(super) fn sorted(list: &Value) -> Vec<String> {
    let names = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut names = expanded(names);
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_names_are_written_out() {
        let names = expanded(["w-[008..010]", "x", "odd[", "y-[3..2]"]);
        assert_eq!(names, ["w-008", "w-009", "w-010", "x", "odd[", "y-[3..2]"]);
    }
}
