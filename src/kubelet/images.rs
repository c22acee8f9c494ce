//! The images on a node, and how they get there.

use std::collections::BTreeMap;

use super::profile::AppProfile;
use super::settings::KubeletSettings;
use cluster::Name;
use engine::{SimDuration, SimTime};

/// The images of one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Images {
    /// By name with tag: from when on the image is there.
    there_from: BTreeMap<Name, SimTime>,
    /// When each pull that goes on is over; at most as many as may go on at a time.
    pulling_until: Vec<SimTime>,
}

impl Images {
    /// The images that a node has from the beginning.
    pub(super) fn new(images: impl Iterator<Item = Name>) -> Self {
        let there_from = images.map(|image| (image, SimTime::ZERO)).collect();
        Self { there_from, pulling_until: Vec::new() }
    }

    /// Whether an image is there, or on its way.
    pub(super) fn has(&self, image: &Name) -> bool {
        self.there_from.contains_key(image)
    }

    /// When an image will be there if it is asked for now. Who asks for one that is being pulled
    /// waits for that pull.
    pub(super) fn pull(
        &mut self,
        now: SimTime,
        image: &Name,
        profile: &AppProfile,
        settings: &KubeletSettings,
    ) -> SimTime {
        if let Some(from) = self.there_from.get(image) {
            return now.max(*from);
        }
        let at_a_time = if settings.serialize_image_pulls {
            Some(1)
        } else {
            settings.max_parallel_image_pulls
        };
        let begins = self.next_slot(now, at_a_time);
        let done = begins + duration(profile, settings);
        self.pulling_until.push(done);
        self.there_from.insert(image.clone(), done);
        done
    }

    /// When the next pull may begin.
    fn next_slot(&mut self, now: SimTime, at_a_time: Option<u32>) -> SimTime {
        self.pulling_until.retain(|end| *end > now);
        let at_a_time = at_a_time.map_or(usize::MAX, |most| most.max(1) as usize);
        let going_on = self.pulling_until.len();
        if going_on < at_a_time {
            return now;
        }
        // Those that wait already go first: the pull begins when all but the last few are over.
        self.pulling_until.sort_unstable();
        self.pulling_until[going_on - at_a_time]
    }
}

/// How long a pull takes, once it begins.
fn duration(profile: &AppProfile, settings: &KubeletSettings) -> SimDuration {
    let bandwidth = settings.image_pull_bandwidth.value();
    let transfer = match profile.image_size {
        Some(size) if bandwidth > 0 => {
            SimDuration::from_secs_f64(size.value() as f64 / bandwidth as f64)
        }
        _ => SimDuration::ZERO,
    };
    profile.image_pull + transfer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulls(settings: &KubeletSettings, images: &[&str]) -> Vec<f64> {
        let profile = AppProfile {
            image_pull: SimDuration::from_secs(1),
            image_size: "200Mi".parse().ok(),
            ..AppProfile::default()
        };
        let mut node = Images::new(["old".into()].into_iter());
        let done = |image: &&str| {
            node.pull(SimTime::ZERO, &Name::from(*image), &profile, settings).as_secs_f64()
        };
        images.iter().map(done).collect()
    }

    #[test]
    fn images_are_pulled_in_turn_each_once() {
        let settings = KubeletSettings::default();
        let done = pulls(&settings, &["old", "a", "b", "a"]);
        assert_eq!(done, [0.0, 3.0, 6.0, 3.0], "200 MiB at 100 MiB/s, and a second each");
    }

    #[test]
    fn pulls_side_by_side_wait_only_beyond_their_number() {
        let parallel = KubeletSettings { serialize_image_pulls: false, ..Default::default() };
        assert_eq!(pulls(&parallel, &["a", "b", "c"]), [3.0, 3.0, 3.0]);
        let two = KubeletSettings { max_parallel_image_pulls: Some(2), ..parallel };
        assert_eq!(pulls(&two, &["a", "b", "c", "d", "e"]), [3.0, 3.0, 6.0, 6.0, 9.0]);
    }
}
