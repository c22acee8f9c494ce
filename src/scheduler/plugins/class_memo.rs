//! Memoizes results per pod class during one cycle.

use super::super::node_info::ClassId;

/// Results by class.
#[derive(Clone, Debug)]
pub struct ClassMemo<T> {
    found: Vec<Option<T>>,
}

impl<T> ClassMemo<T> {
    /// An empty memo for this number of classes.
    pub fn new(classes: usize) -> Self {
        let mut found = Vec::new();
        found.resize_with(classes, || None);
        Self { found }
    }

    /// The result for a class, computed on first use.
    pub fn get(&mut self, class: ClassId, look: impl FnOnce() -> T) -> &T {
        self.found[class.index()].get_or_insert_with(look)
    }
}
