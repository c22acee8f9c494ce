//! The images on a node and the pulls that bring them there.

use std::collections::BTreeMap;

use super::profile::AppProfile;
use super::settings::KubeletSettings;
use cluster::Name;
use engine::{SimDuration, SimTime};

/// The images of one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Images {
    /// By name with tag: the time from which the image is present.
    there_from: BTreeMap<Name, SimTime>,
    /// Completion times of the pulls in progress, at most as many as may run concurrently.
    pulling_until: Vec<SimTime>,
    /// Tokens taken from the pull burst as of this time.
    spent: Option<(f64, SimTime)>,
}

/// The kubelet's answer to an image request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pull {
    /// The image is present from this time on.
    Done(SimTime),
    /// At this time the pull rate limit is exceeded (`throttledImageService`).
    Throttled(SimTime),
}

impl Images {
    /// A node on which these images are present from the start.
    pub(super) fn new(images: impl Iterator<Item = Name>) -> Self {
        let there_from = images.map(|image| (image, SimTime::ZERO)).collect();
        Self { there_from, pulling_until: Vec::new(), spent: None }
    }

    /// Whether an image is present or being pulled.
    pub(super) fn has(&self, image: &Name) -> bool {
        self.there_from.contains_key(image)
    }

    /// Requests an image now. If it is already being pulled, the request waits for that pull.
    pub(super) fn pull(
        &mut self,
        now: SimTime,
        image: &Name,
        profile: &AppProfile,
        settings: &KubeletSettings,
    ) -> Pull {
        if let Some(from) = self.there_from.get(image) {
            return Pull::Done(now.max(*from));
        }
        let at_a_time = if settings.serialize_image_pulls {
            Some(1)
        } else {
            settings.max_parallel_image_pulls
        };
        let begins = self.next_slot(now, at_a_time);
        if !self.try_accept(begins, settings) {
            return Pull::Throttled(begins);
        }
        let done = begins + duration(profile, settings);
        self.pulling_until.push(done);
        self.there_from.insert(image.clone(), done);
        Pull::Done(done)
    }

    /// Whether the token bucket admits a pull (`flowcontrol.NewTokenBucketRateLimiter`).
    fn try_accept(&mut self, at: SimTime, settings: &KubeletSettings) -> bool {
        if settings.registry_pull_qps == 0 {
            return true;
        }
        let (spent, since) = self.spent.unwrap_or((0.0, at));
        let back = (at - since).as_secs_f64().max(0.0) * f64::from(settings.registry_pull_qps);
        let spent = (spent - back).max(0.0);
        let accepted = spent + 1.0 <= f64::from(settings.registry_burst);
        self.spent = Some((if accepted { spent + 1.0 } else { spent }, since.max(at)));
        accepted
    }

    /// The earliest time at which the next pull can start.
    fn next_slot(&mut self, now: SimTime, at_a_time: Option<u32>) -> SimTime {
        self.pulling_until.retain(|end| *end > now);
        let at_a_time = at_a_time.map_or(usize::MAX, |most| most.max(1) as usize);
        let going_on = self.pulling_until.len();
        if going_on < at_a_time {
            return now;
        }
        // Pulls already waiting go first: this one starts once fewer than the concurrency limit remain.
        self.pulling_until.sort_unstable();
        self.pulling_until[going_on - at_a_time]
    }
}

/// The duration of a pull once it starts.
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
        let done = |image: &&str| match node.pull(
            SimTime::ZERO,
            &Name::from(*image),
            &profile,
            settings,
        ) {
            Pull::Done(at) => at.as_secs_f64(),
            Pull::Throttled(at) => panic!("{image} throttled at {at:?}"),
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

    #[test]
    fn pulls_beyond_the_burst_fail_until_the_rate_allows_the_next() {
        let settings = KubeletSettings { serialize_image_pulls: false, ..Default::default() };
        let profile = AppProfile::default();
        let mut node = Images::default();
        let mut pull = |millis: i64, image: &str| {
            let at = SimTime::ZERO + SimDuration::from_millis(millis);
            matches!(node.pull(at, &Name::from(image), &profile, &settings), Pull::Done(_))
        };
        assert!(["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].iter().all(|one| pull(0, one)));
        assert!(!pull(0, "k"), "the eleventh at once");
        assert!(pull(0, "a"), "one under way is asked for once");
        assert!(!pull(199, "k"));
        assert!(pull(200, "k"), "five a second");
        assert!(!pull(200, "l"));
        assert!((1..=10).all(|count| pull(60_000, &format!("image {count}"))));
        assert!(!pull(60_000, "no more than the burst is saved up"));
    }

    #[test]
    fn a_rate_of_zero_is_no_limit() {
        let settings = KubeletSettings {
            serialize_image_pulls: false,
            registry_pull_qps: 0,
            ..Default::default()
        };
        let images: Vec<String> = (0..100).map(|one| one.to_string()).collect();
        let images: Vec<&str> = images.iter().map(String::as_str).collect();
        assert_eq!(pulls(&settings, &images), [3.0; 100]);
    }
}
