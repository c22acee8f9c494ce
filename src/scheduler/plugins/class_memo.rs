//! Remembers during one cycle what was found of each pod class.

use super::super::node_info::ClassId;

/// What was found, by class.
#[derive(Clone, Debug)]
pub struct ClassMemo<T> {
    found: Vec<Option<T>>,
}

impl<T> ClassMemo<T> {
    /// Nothing found yet of so many classes.
    pub fn new(classes: usize) -> Self {
        let mut found = Vec::new();
        found.resize_with(classes, || None);
        Self { found }
    }

    /// What was found of a class; looked for at its first use.
    pub fn get(&mut self, class: ClassId, look: impl FnOnce() -> T) -> &T {
        self.found[class.index()].get_or_insert_with(look)
    }
}
