//! ControllerRevisions (apps/v1): past and present templates of a StatefulSet or DaemonSet, kept to recreate pods of
//! an earlier revision and to undo rollouts.

use std::sync::Arc;

use super::meta::Name;
use super::pod_template::PodTemplate;
use super::store::pod_template_hash;

/// Pod label naming the revision of its StatefulSet or DaemonSet.
pub const REVISION_HASH_LABEL: &str = "controller-revision-hash";

/// A current or former template of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// `revision`: grows each time a template becomes the current one.
    pub number: i64,
    /// Hash of the template: the suffix of the ControllerRevision's name.
    pub hash: Name,
    /// The template, without the labels that controllers add.
    pub template: Arc<PodTemplate>,
}

/// The history with `template` as its latest revision; an existing revision is moved to the end under a new number,
/// as in a rollback (`getStatefulSetRevisions` of `pkg/controller/statefulset`, `constructHistory` of
/// `pkg/controller/daemon`). The history is ordered by revision number.
pub fn with_latest(history: &[Revision], template: &PodTemplate) -> Vec<Revision> {
    let mut history = history.to_vec();
    let known = history.iter().position(|revision| *revision.template == *template);
    match known {
        Some(position) if position + 1 == history.len() => {}
        Some(position) => {
            let number = history.last().map_or(1, |latest| latest.number + 1);
            let revision = history.remove(position);
            history.push(Revision { number, ..revision });
        }
        None => {
            let number = history.last().map_or(1, |latest| latest.number + 1);
            let is_free = |hash: &String| !history.iter().any(|revision| *revision.hash == **hash);
            let mut hashes = (0..).map(|collisions| pod_template_hash(template, collisions));
            let hash = hashes.find(is_free).unwrap_or_default().into();
            history.push(Revision { number, hash, template: Arc::new(template.clone()) });
        }
    }
    history
}

/// Drops the oldest unused revisions, keeping at most `limit` of the unused ones (`truncateHistory`,
/// `cleanupHistory`).
pub fn truncate(history: &mut Vec<Revision>, limit: i32, is_live: impl Fn(&Name) -> bool) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let unused = history.iter().filter(|revision| !is_live(&revision.hash)).count();
    let mut surplus = unused.saturating_sub(limit);
    history.retain(|revision| {
        let goes = surplus > 0 && !is_live(&revision.hash);
        surplus -= usize::from(goes);
        !goes
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(image: &str) -> PodTemplate {
        let mut template = PodTemplate::default();
        template.spec.priority_class_name = image.into();
        template
    }

    #[test]
    fn a_template_that_comes_back_gets_a_new_number_and_keeps_its_hash() {
        let one = with_latest(&[], &template("v1"));
        let two = with_latest(&one, &template("v2"));
        let back = with_latest(&two, &template("v1"));
        assert_eq!(back.iter().map(|revision| revision.number).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(back[1].hash, one[0].hash);
        assert_eq!(with_latest(&back, &template("v1")), back);
    }

    #[test]
    fn revisions_in_use_are_kept_whatever_the_limit() {
        let mut history = Vec::new();
        for image in ["v1", "v2", "v3"] {
            history = with_latest(&history, &template(image));
        }
        let live = history[0].hash.clone();
        truncate(&mut history, 0, |hash| *hash == live);
        assert_eq!(history.len(), 1);
        assert_eq!(history[0].number, 1);
    }
}
