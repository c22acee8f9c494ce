//! What is said of workloads: whether they exist, and their images.

use std::collections::BTreeSet;

use super::Checker;
use crate::cluster::Name;
use crate::faults::TimelineAction;
use crate::manifest::FieldPath;
use crate::scenario::workloads::Workload;

impl Checker<'_> {
    /// What the pods do.
    pub(super) fn workloads(&mut self) {
        let root = FieldPath::ROOT;
        let list = root.field("workloads");
        let workloads = &self.text.scenario.workloads;
        for (index, workload) in workloads.iter().enumerate() {
            let path = list.item(index);
            let name = &workload.workload;
            if workloads[..index].iter().any(|other| other.workload == *name) {
                let message = format!("{name} is described twice");
                self.error(&path.field("workload"), message, "put both into one entry");
            }
            self.workload_exists(&path.field("workload"), name);
            self.images(&path.field("images"), workload);
            self.requests(&path.to_string(), workload);
        }
    }

    /// Every image that is described must be used at some time.
    fn images(&mut self, path: &FieldPath, workload: &Workload) {
        let used = self.images_of(workload);
        if used.is_empty() {
            return;
        }
        for image in workload.images.keys() {
            if !used.contains(image) {
                let names: Vec<&str> = used.iter().map(AsRef::as_ref).collect();
                self.warn(
                    &path.key(image),
                    format!("{} never runs the image {image}", workload.workload),
                    format!("its images are {}", names.join(", ")),
                );
            }
        }
    }

    fn requests(&mut self, path: &str, workload: &Workload) {
        if let Some(requests) = &workload.requests {
            self.report(requests.problems(&format!("{path}.requests")));
        }
        for (image, behavior) in &workload.images {
            if let Some(requests) = &behavior.requests
                && behavior.requests != workload.requests
            {
                self.report(requests.problems(&format!("{path}.images[{image}].requests")));
            }
        }
    }

    fn images_of(&self, workload: &Workload) -> BTreeSet<Name> {
        let timeline = self.text.scenario.timeline.iter();
        let later = timeline.filter_map(|entry| match &entry.action {
            TimelineAction::SetImage(change) if change.workload == workload.workload => {
                Some(change.image.clone())
            }
            _ => None,
        });
        [&self.at_start, &self.ever]
            .into_iter()
            .filter_map(|inventory| inventory.workloads.get(&workload.workload))
            .flat_map(|pods| pods.containers.iter().map(|(_, image)| image.as_str().into()))
            .chain(later)
            .collect()
    }
}
