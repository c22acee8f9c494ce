//! Amounts of resources as kube-scheduler counts them: whole numbers (`framework.Resource`, 1.36).

use cluster::Name;
use cluster::pod_template::ResourceList;

/// CPU in milli-CPU, all else in whole units, each rounded up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// `cpu`, in thousandths of a core.
    pub milli_cpu: i64,
    /// `memory`, in bytes.
    pub memory: i64,
    /// `ephemeral-storage`, in bytes.
    pub ephemeral_storage: i64,
    /// Extended resources and huge pages, sorted by name.
    pub scalars: Vec<(Name, i64)>,
}

impl Resources {
    /// The amounts of a resource list that the scheduler tracks; others, such as `pods` or `storage`, are ignored.
    pub fn from_list(list: &ResourceList) -> Self {
        let mut resources = Self::default();
        for (name, amount) in list.iter() {
            match name.as_ref() {
                "cpu" => resources.milli_cpu = amount.milli_value(),
                "memory" => resources.memory = amount.value(),
                "ephemeral-storage" => resources.ephemeral_storage = amount.value(),
                other if is_scalar_resource(other) => {
                    resources.scalars.push((name.clone(), amount.value()));
                }
                _ => {}
            }
        }
        resources
    }

    /// Adds other amounts to these.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    /// Takes other amounts away from these.
    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
    }

    fn combine(&mut self, other: &Self, with: impl Fn(i64, i64) -> i64) {
        self.milli_cpu = with(self.milli_cpu, other.milli_cpu);
        self.memory = with(self.memory, other.memory);
        self.ephemeral_storage = with(self.ephemeral_storage, other.ephemeral_storage);
        for (name, amount) in &other.scalars {
            match self.scalars.binary_search_by(|(own, _)| own.cmp(name)) {
                Ok(found) => self.scalars[found].1 = with(self.scalars[found].1, *amount),
                Err(place) => self.scalars.insert(place, (name.clone(), with(0, *amount))),
            }
        }
    }

    /// An extended resource or huge pages; absent counts as 0.
    pub fn scalar(&self, resource: &str) -> i64 {
        let found = self.scalars.iter().find(|(name, _)| name.as_ref() == resource);
        found.map_or(0, |(_, amount)| *amount)
    }

    /// Any resource by its name; absent counts as 0.
    pub fn get(&self, resource: &str) -> i64 {
        match resource {
            "cpu" => self.milli_cpu,
            "memory" => self.memory,
            "ephemeral-storage" => self.ephemeral_storage,
            other => self.scalar(other),
        }
    }

    /// Whether every amount is 0 and no extended resource is named.
    pub fn is_empty(&self) -> bool {
        self.milli_cpu == 0
            && self.memory == 0
            && self.ephemeral_storage == 0
            && self.scalars.is_empty()
    }
}

/// Whether the scheduler counts the resource under its name (`schedutil.IsScalarResourceName`).
pub(crate) fn is_scalar_resource(resource: &str) -> bool {
    is_extended_resource(resource)
        || resource.starts_with("hugepages-")
        || resource.starts_with("attachable-volumes-")
        || resource.contains("kubernetes.io/")
}

/// Whether the resource is one outside Kubernetes' own domain (`v1helper.IsExtendedResourceName`).
pub(crate) fn is_extended_resource(resource: &str) -> bool {
    resource.contains('/')
        && !resource.contains("kubernetes.io/")
        && !resource.starts_with("requests.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::Quantity;

    #[test]
    fn amounts_are_rounded_up_and_resources_that_are_not_scheduled_are_left_out() {
        let quantity = |text: &str| text.parse::<Quantity>().unwrap();
        let list: ResourceList = [
            ("cpu", quantity("100500u")),
            ("memory", quantity("1.5")),
            ("nvidia.com/gpu", quantity("2")),
            ("pods", quantity("3")),
        ]
        .into_iter()
        .collect();
        let resources = Resources::from_list(&list);
        assert_eq!((resources.milli_cpu, resources.memory), (101, 2));
        assert_eq!(resources.scalars, [(Name::from("nvidia.com/gpu"), 2)]);
    }

    #[test]
    fn only_qualified_names_outside_kubernetes_io_are_extended() {
        assert!(is_extended_resource("nvidia.com/gpu"));
        assert!(!is_extended_resource("pods"));
        assert!(!is_extended_resource("example.kubernetes.io/thing"));
        assert!(is_scalar_resource("hugepages-2Mi"));
    }
}
