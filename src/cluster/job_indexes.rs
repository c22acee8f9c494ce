//! Sets of completion indexes of Indexed Jobs, written as `0,2-4,7`
//! (`pkg/controller/job/indexed_job_utils.go`, 1.36).

use std::fmt;

/// A set of completion indexes, as ascending intervals that are not adjacent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexSet(Vec<(i32, i32)>);

impl IndexSet {
    /// The union of two sets.
    pub fn union(&self, other: &Self) -> Self {
        let mut all: Vec<(i32, i32)> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_unstable();
        let mut merged: Vec<(i32, i32)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last);
                }
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    /// Its indexes below `completions`, for Jobs whose completions were lowered.
    pub fn below(&self, completions: i32) -> Self {
        let cut = |(first, last): &(i32, i32)| {
            (*first < completions).then(|| (*first, (*last).min(completions - 1)))
        };
        Self(self.0.iter().filter_map(cut).collect())
    }

    /// Number of indexes in the set.
    pub fn total(&self) -> i32 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Whether it contains an index.
    pub fn contains(&self, index: i32) -> bool {
        let after = self.0.partition_point(|(_, last)| *last < index);
        self.0.get(after).is_some_and(|(first, _)| *first <= index)
    }

    /// Size of the intersection with another set.
    pub fn count_in(&self, other: &Self) -> i32 {
        let indexes = self.0.iter().flat_map(|(first, last)| *first..=*last);
        let common = indexes.filter(|index| other.contains(*index)).count();
        i32::try_from(common).unwrap_or(i32::MAX)
    }

    /// The lowest `count` indexes below `completions` that are not in the set.
    pub fn missing(&self, count: usize, completions: i32) -> Vec<i32> {
        (0..completions).filter(|index| !self.contains(*index)).take(count).collect()
    }

    /// Parses `0,2-4,7`; indexes at or above `completions` and unparsable parts are skipped
    /// (`parseIndexesFromString`).
    pub fn parse(text: &str, completions: i32) -> Self {
        let interval = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (i32, i32) = (first.parse().ok()?, last.parse().ok()?);
            (first < completions && first <= last).then_some((first, last.min(completions - 1)))
        };
        Self(text.split(',').filter_map(interval).collect()).union(&Self::default())
    }
}

impl FromIterator<i32> for IndexSet {
    fn from_iter<I: IntoIterator<Item = i32>>(indexes: I) -> Self {
        let single: Vec<(i32, i32)> = indexes.into_iter().map(|index| (index, index)).collect();
        Self(single).union(&Self::default())
    }
}

impl fmt::Display for IndexSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (first, last)) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_neighbours_are_listed_and_three_are_a_range() {
        let set: IndexSet = [4, 0, 1, 7, 5, 6].into_iter().collect();
        assert_eq!(set.to_string(), "0,1,4-7");
        assert_eq!(IndexSet::parse("0,1,4-7", 6).to_string(), "0,1,4,5");
        assert_eq!(set.total(), 6);
    }

    #[test]
    fn indexes_from_the_number_of_completions_on_are_cut_off() {
        let set: IndexSet = [0, 2, 3, 4, 7].into_iter().collect();
        assert_eq!(set.below(4).to_string(), "0,2,3");
        assert_eq!(set.below(8), set);
        assert_eq!(set.below(0), IndexSet::default());
    }

    #[test]
    fn the_lowest_missing_indexes_come_first() {
        let set: IndexSet = [0, 2, 3].into_iter().collect();
        assert_eq!(set.missing(3, 6), [1, 4, 5]);
        assert_eq!(set.missing(3, 5), [1, 4]);
        assert!(set.contains(2) && !set.contains(1));
    }
}
