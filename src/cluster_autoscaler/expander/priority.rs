//! The expander `priority` (`cluster-autoscaler/expander/priority`).

use std::fmt;

use regex::Regex;

use super::ExpansionOption;

/// Priorities, each with the patterns of its groups, as in the expander's ConfigMap. The default is a cluster without
/// that ConfigMap.
#[derive(Clone, Default)]
pub struct PriorityList(Option<Vec<(i64, Vec<Regex>)>>);

impl PriorityList {
    /// Parses the patterns of these priorities. An error names the invalid pattern.
    pub fn new<'a>(lists: impl IntoIterator<Item = (i64, Vec<&'a str>)>) -> Result<Self, String> {
        let mut all = Vec::new();
        for (priority, patterns) in lists {
            let patterns: Result<Vec<Regex>, _> = patterns.into_iter().map(Regex::new).collect();
            let patterns = patterns.map_err(|error| format!("priority {priority}: {error}"))?;
            all.push((priority, patterns));
        }
        Ok(Self(Some(all)))
    }

    /// The highest priority of a group.
    fn of(&self, group: &str) -> Option<i64> {
        let lists = self.0.iter().flatten();
        let matching =
            lists.filter(|(_, patterns)| patterns.iter().any(|pattern| pattern.is_match(group)));
        matching.map(|(priority, _)| *priority).max()
    }
}

impl PartialEq for PriorityList {
    fn eq(&self, other: &Self) -> bool {
        let texts = |list: &Self| -> Vec<(i64, Vec<String>)> {
            let one = |(priority, patterns): &(i64, Vec<Regex>)| {
                (*priority, patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect())
            };
            list.0.iter().flatten().map(one).collect()
        };
        self.0.is_some() == other.0.is_some() && texts(self) == texts(other)
    }
}

impl fmt::Debug for PriorityList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().flatten()).finish()
    }
}

/// The options with the highest priority; all options if none has one, and no option without a ConfigMap
/// (`reloadConfigMap` fails). Priorities below -1 never win.
pub(super) fn highest(
    options: &[ExpansionOption],
    left: &[usize],
    priorities: &PriorityList,
) -> Vec<usize> {
    if priorities.0.is_none() {
        return Vec::new();
    }
    let of = |at: &usize| priorities.of(&options[*at].name).filter(|priority| *priority >= -1);
    let highest = left.iter().filter_map(of).max();
    let best: Vec<usize> =
        left.iter().copied().filter(|at| highest.is_some() && of(at) == highest).collect();
    if best.is_empty() { left.to_vec() } else { best }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(name: &str) -> ExpansionOption {
        let (nodes, pods, similar) = (1, Vec::new(), Vec::new());
        ExpansionOption { group: 0, name: name.into(), nodes, pods, similar, price: None }
    }

    #[test]
    fn without_a_config_map_no_option_is_left_and_one_that_names_no_group_leaves_all() {
        let options = [option("a"), option("b")];
        let left = |list: &PriorityList| highest(&options, &[0, 1], list);
        assert!(left(&PriorityList::default()).is_empty());
        assert_eq!(left(&PriorityList::new([]).unwrap()), [0, 1]);
        assert_eq!(left(&PriorityList::new([(1, vec!["c"])]).unwrap()), [0, 1]);
        assert_eq!(left(&PriorityList::new([(1, vec!["b"])]).unwrap()), [1]);
    }

    #[test]
    fn a_pattern_matches_anywhere_in_the_name_and_the_highest_priority_counts() {
        let list = PriorityList::new([(10, vec![".*"]), (50, vec!["spot-.*", "^b$"])]).unwrap();
        assert_eq!(list.of("my-spot-a"), Some(50));
        assert_eq!(list.of("b"), Some(50));
        assert_eq!(list.of("bb"), Some(10));
        assert_eq!(PriorityList::default().of("a"), None);
        assert!(PriorityList::new([(1, vec!["("])]).is_err());
    }
}
