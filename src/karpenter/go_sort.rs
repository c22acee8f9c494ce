//! Go's `sort.Slice`: insertion sort up to 12 elements, pattern-defeating quicksort above. It is not stable, and
//! Karpenter's decisions depend on the resulting order of equal elements, so that the sequence of comparisons and
//! swaps must be the same.

/// Longest slice for insertion sort.
const MAX_INSERTION: usize = 12;
/// Shortest slice whose pivot is the median of three medians.
const SHORTEST_NINTHER: usize = 50;
/// Most swaps when choosing a pivot; a slice that reaches it is likely descending.
const MAX_SWAPS: usize = 12;

/// Sorts as `sort.Slice` does.
pub(crate) fn sort_slice<T>(items: &mut [T], less: impl Fn(&T, &T) -> bool) {
    let length = items.len();
    let limit = usize::BITS - length.leading_zeros();
    Sorter { items, less: &less }.quick(0, length, limit);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hint {
    Unknown,
    Increasing,
    Decreasing,
}

struct Sorter<'a, T> {
    items: &'a mut [T],
    less: &'a dyn Fn(&T, &T) -> bool,
}

impl<T> Sorter<'_, T> {
    fn less(&self, one: usize, other: usize) -> bool {
        (self.less)(&self.items[one], &self.items[other])
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.items.swap(one, other);
    }

    fn quick(&mut self, mut start: usize, mut end: usize, mut limit: u32) {
        let (mut was_balanced, mut was_partitioned) = (true, true);
        loop {
            let length = end - start;
            if length <= MAX_INSERTION {
                return self.insertion(start, end);
            }
            if limit == 0 {
                return self.heap(start, end);
            }
            if !was_balanced {
                self.break_patterns(start, end);
                limit -= 1;
            }
            let (mut pivot, mut hint) = self.choose_pivot(start, end);
            if hint == Hint::Decreasing {
                self.items[start..end].reverse();
                pivot = (end - 1) - (pivot - start);
                hint = Hint::Increasing;
            }
            let looks_sorted = was_balanced && was_partitioned && hint == Hint::Increasing;
            if looks_sorted && self.partial_insertion(start, end) {
                return;
            }
            if start > 0 && !self.less(start - 1, pivot) {
                start = self.partition_equal(start, end, pivot);
                continue;
            }
            let (middle, already) = self.partition(start, end, pivot);
            was_partitioned = already;
            let (left, right) = (middle - start, end - middle);
            let balance = length / 8;
            if left < right {
                was_balanced = left >= balance;
                self.quick(start, middle, limit);
                start = middle + 1;
            } else {
                was_balanced = right >= balance;
                self.quick(middle + 1, end, limit);
                end = middle;
            }
        }
    }

    fn insertion(&mut self, start: usize, end: usize) {
        for first in start + 1..end {
            let mut place = first;
            while place > start && self.less(place, place - 1) {
                self.swap(place, place - 1);
                place -= 1;
            }
        }
    }

    fn heap(&mut self, start: usize, end: usize) {
        let length = end - start;
        for root in (0..=(length - 1) / 2).rev() {
            self.sift_down(root, length, start);
        }
        for last in (0..length).rev() {
            self.swap(start, start + last);
            self.sift_down(0, last, start);
        }
    }

    fn sift_down(&mut self, mut root: usize, end: usize, first: usize) {
        loop {
            let mut child = 2 * root + 1;
            if child >= end {
                return;
            }
            if child + 1 < end && self.less(first + child, first + child + 1) {
                child += 1;
            }
            if !self.less(first + root, first + child) {
                return;
            }
            self.swap(first + root, first + child);
            root = child;
        }
    }

    /// Moves elements below the pivot before it, those above behind it.
    fn partition(&mut self, start: usize, end: usize, pivot: usize) -> (usize, bool) {
        self.swap(start, pivot);
        let (mut low, mut high) = (start + 1, end - 1);
        let mut is_first = true;
        loop {
            while low <= high && self.less(low, start) {
                low += 1;
            }
            while low <= high && !self.less(high, start) {
                high -= 1;
            }
            if low > high {
                self.swap(high, start);
                return (high, is_first);
            }
            self.swap(low, high);
            low += 1;
            high -= 1;
            is_first = false;
        }
    }

    /// Moves elements equal to the pivot before those that are above.
    fn partition_equal(&mut self, start: usize, end: usize, pivot: usize) -> usize {
        self.swap(start, pivot);
        let (mut low, mut high) = (start + 1, end - 1);
        loop {
            while low <= high && !self.less(start, low) {
                low += 1;
            }
            while low <= high && self.less(start, high) {
                high -= 1;
            }
            if low > high {
                return low;
            }
            self.swap(low, high);
            low += 1;
            high -= 1;
        }
    }

    /// Sorts a slice that needs few moves; true if it is sorted afterwards.
    fn partial_insertion(&mut self, start: usize, end: usize) -> bool {
        const MAX_STEPS: usize = 5;
        const SHORTEST_SHIFTING: usize = 50;
        let mut place = start + 1;
        for _ in 0..MAX_STEPS {
            while place < end && !self.less(place, place - 1) {
                place += 1;
            }
            if place == end {
                return true;
            }
            if end - start < SHORTEST_SHIFTING {
                return false;
            }
            self.swap(place, place - 1);
            if place - start >= 2 {
                let mut one = place - 1;
                while one >= 1 && self.less(one, one - 1) {
                    self.swap(one, one - 1);
                    one -= 1;
                }
            }
            if end - place >= 2 {
                let mut one = place + 1;
                while one < end && self.less(one, one - 1) {
                    self.swap(one, one - 1);
                    one += 1;
                }
            }
        }
        false
    }

    /// Scatters elements to break patterns that cause imbalanced partitions.
    fn break_patterns(&mut self, start: usize, end: usize) {
        let length = end - start;
        if length < 8 {
            return;
        }
        let mut random = length as u64;
        let mask = (1_usize << (usize::BITS - length.leading_zeros())) - 1;
        let place = start + (length / 4) * 2 - 1;
        for step in 0..3 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let low = usize::try_from(random & mask as u64).expect("the mask is a usize");
            let other = if low >= length { low - length } else { low };
            self.swap(place + step, start + other);
        }
    }

    fn choose_pivot(&self, start: usize, end: usize) -> (usize, Hint) {
        let length = end - start;
        let mut swaps = 0;
        let (mut low, mut middle, mut high) =
            (start + length / 4, start + length / 4 * 2, start + length / 4 * 3);
        if length >= 8 {
            if length >= SHORTEST_NINTHER {
                low = self.median(low - 1, low, low + 1, &mut swaps);
                middle = self.median(middle - 1, middle, middle + 1, &mut swaps);
                high = self.median(high - 1, high, high + 1, &mut swaps);
            }
            middle = self.median(low, middle, high, &mut swaps);
        }
        let hint = match swaps {
            0 => Hint::Increasing,
            MAX_SWAPS => Hint::Decreasing,
            _ => Hint::Unknown,
        };
        (middle, hint)
    }

    fn median(&self, one: usize, other: usize, third: usize, swaps: &mut usize) -> usize {
        let mut order = |one, other| {
            if self.less(other, one) {
                *swaps += 1;
                return (other, one);
            }
            (one, other)
        };
        let (one, other) = order(one, other);
        let (other, _) = order(other, third);
        order(one, other).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_sorted_whatever_its_order_was() {
        for length in [0, 1, 2, 12, 13, 49, 50, 200, 1000] {
            for step in [1, 7, 31] {
                let mut items: Vec<usize> = (0..length).map(|one| one * step % 97).collect();
                sort_slice(&mut items, |one, other| one < other);
                assert!(items.is_sorted(), "{length} {step}");
            }
            let mut falling: Vec<usize> = (0..length).rev().collect();
            sort_slice(&mut falling, |one, other| one < other);
            assert!(falling.is_sorted());
        }
    }

    #[test]
    fn a_short_slice_keeps_what_is_equal_in_its_order_and_a_long_one_does_not() {
        let sorted = |length: usize| {
            let mut items: Vec<(usize, usize)> = (0..length).map(|one| (one % 2, one)).collect();
            sort_slice(&mut items, |one, other| one.0 < other.0);
            items.is_sorted()
        };
        assert!(sorted(12));
        assert!(!sorted(13));
    }
}
