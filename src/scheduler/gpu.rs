//! GPU sharing: requests of pods, and free capacity on each device of a node.
//!
//! The annotations, labels and resources are those of Open-Gpu-Share, the plugin of Alibaba's open-simulator on which
//! the GPU-sharing policies of Weng et al. (USENIX ATC 2023) were built. The unit is a thousandth of a GPU. Whole
//! GPUs of a device plugin (`nvidia.com/gpu`) are ordinary extended resources and are not handled here.

use std::fmt;

use cluster::node::Node;
use cluster::pod_template::PodTemplate;
use cluster::{Labels, Name};
use units::Quantity;

/// A whole GPU, in the unit used for sharing.
pub const WHOLE_GPU_MILLI: i64 = 1000;
/// Annotation of a pod: the share of each of its GPUs, in thousandths.
const GPU_MILLI: &str = "alibabacloud.com/gpu-milli";
/// Annotation of a pod: the number of GPUs it uses; resource of a node: the number it has.
pub const GPU_COUNT: &str = "alibabacloud.com/gpu-count";
/// Annotation of a pod: acceptable models, joined by `|`; label of a node: its model.
pub const GPU_MODEL: &str = "alibabacloud.com/gpu-card-model";
/// Maximum number of devices per node that are tracked individually.
const MAX_DEVICES: usize = 32;

/// GPU request of a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GpuRequest {
    /// Number of devices, at least 1.
    pub count: usize,
    /// Share of each device, in thousandths, 1 to 1000.
    pub milli_each: i64,
    /// Acceptable models, joined by `|`; empty = all.
    pub models: Name,
}

impl GpuRequest {
    /// The request in a template's annotations; `None` without a valid one.
    pub fn of(template: &PodTemplate) -> Option<Self> {
        let number = |key| {
            let text = template.annotations.get(key)?;
            text.trim().parse::<i64>().ok().filter(|number| *number > 0)
        };
        let milli_each = number(GPU_MILLI)?.min(WHOLE_GPU_MILLI);
        let count = usize::try_from(number(GPU_COUNT).unwrap_or(1)).ok()?;
        let models = template.annotations.get(GPU_MODEL).cloned().unwrap_or_default();
        Some(Self { count, milli_each, models })
    }

    /// The request as annotations, as a manifest has them.
    pub fn annotations(&self) -> Labels {
        let mut annotations = vec![
            (GPU_COUNT, Name::from(self.count.to_string())),
            (GPU_MILLI, Name::from(self.milli_each.to_string())),
        ];
        if !self.models.is_empty() {
            annotations.push((GPU_MODEL, self.models.clone()));
        }
        annotations.into_iter().collect()
    }

    /// Total over all devices, in thousandths.
    pub fn total_milli(&self) -> i64 {
        i64::try_from(self.count).unwrap_or(i64::MAX).saturating_mul(self.milli_each)
    }

    /// Whether it shares its one device.
    pub const fn is_shared(&self) -> bool {
        self.count == 1 && self.milli_each < WHOLE_GPU_MILLI
    }

    /// Whether a model is acceptable.
    pub fn accepts(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.split('|').any(|one| one == model)
    }

    /// Group of pods that GpuClustering packs together: pods sharing a device (0), and the others by number of
    /// devices.
    pub const fn kind(&self) -> usize {
        if self.is_shared() { 0 } else { self.count }
    }
}

/// A set of a node's devices, by their index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceSet(u32);

impl DeviceSet {
    /// No device.
    pub const NONE: Self = Self(0);

    /// The devices of these indexes.
    pub fn of(indexes: impl IntoIterator<Item = usize>) -> Self {
        Self(
            indexes
                .into_iter()
                .filter(|index| *index < MAX_DEVICES)
                .fold(0, |set, index| set | 1 << index),
        )
    }

    /// True if it is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The indexes, ascending.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..MAX_DEVICES).filter(move |index| self.0 & (1 << index) != 0)
    }
}

impl fmt::Display for DeviceSet {
    /// In the form of the annotation `alibabacloud.com/gpu-index`: `0-1-2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, index) in self.iter().enumerate() {
            let dash = if position == 0 { "" } else { "-" };
            write!(f, "{dash}{index}")?;
        }
        Ok(())
    }
}

/// The devices of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuDevices {
    /// Their model, empty if the node has no such label.
    pub model: Name,
    /// Free capacity of each device, in thousandths.
    pub free: Vec<i64>,
    /// Number of pods of each [`GpuRequest::kind`] on the node.
    kinds: Vec<u32>,
}

impl GpuDevices {
    /// The devices that a node offers for sharing, all of them free; `None` if it offers none.
    pub fn of(node: &Node) -> Option<Self> {
        let count = node.allocatable.get(GPU_COUNT).map_or(0, Quantity::value);
        let count = usize::try_from(count).unwrap_or(0).min(MAX_DEVICES);
        let model = node.meta.labels.get(GPU_MODEL).cloned().unwrap_or_default();
        (count > 0).then(|| Self { model, free: vec![WHOLE_GPU_MILLI; count], kinds: Vec::new() })
    }

    /// Free capacity of all devices together, in thousandths.
    pub fn free_milli(&self) -> i64 {
        self.free.iter().sum()
    }

    /// Number of unused devices.
    pub fn idle(&self) -> usize {
        self.free.iter().filter(|free| **free == WHOLE_GPU_MILLI).count()
    }

    /// Whether enough devices have sufficient free capacity for the request.
    pub fn fits(&self, request: &GpuRequest) -> bool {
        self.fitting(request).nth(request.count - 1).is_some()
    }

    /// The devices with sufficient free capacity, ascending.
    pub fn fitting(&self, request: &GpuRequest) -> impl Iterator<Item = usize> {
        let each = request.milli_each;
        self.free.iter().enumerate().filter(move |(_, free)| **free >= each).map(|(index, _)| index)
    }

    /// The devices with the least sufficient free capacity; the first on a tie. For whole GPUs these are the first
    /// idle ones.
    pub(crate) fn tightest(&self, request: &GpuRequest) -> DeviceSet {
        let mut fitting: Vec<usize> = self.fitting(request).collect();
        fitting.sort_by_key(|index| self.free[*index]);
        DeviceSet::of(fitting.into_iter().take(request.count))
    }

    /// Number of different kinds of pods present, and whether this one is among them.
    pub(crate) fn kinds_with(&self, kind: usize) -> (usize, bool) {
        let present = self.kinds.iter().filter(|pods| **pods > 0).count();
        (present, self.kinds.get(kind).is_some_and(|pods| *pods > 0))
    }

    /// Allocates these devices to a pod.
    pub fn take(&mut self, request: &GpuRequest, devices: DeviceSet) {
        self.change(devices, -request.milli_each);
        let kind = request.kind().min(MAX_DEVICES);
        if self.kinds.len() <= kind {
            self.kinds.resize(kind + 1, 0);
        }
        self.kinds[kind] += 1;
    }

    /// Takes them back.
    pub fn give_back(&mut self, request: &GpuRequest, devices: DeviceSet) {
        self.change(devices, request.milli_each);
        if let Some(pods) = self.kinds.get_mut(request.kind().min(MAX_DEVICES)) {
            *pods = pods.saturating_sub(1);
        }
    }

    /// The devices as they would be without any pod.
    #[must_use]
    pub(crate) fn all_idle(&self) -> Self {
        let free = vec![WHOLE_GPU_MILLI; self.free.len()];
        Self { model: self.model.clone(), free, kinds: Vec::new() }
    }

    /// Applies an updated Node object, whose number of devices may have changed.
    pub fn update(&mut self, node: &Node) {
        let offered = Self::of(node);
        self.free.resize(offered.as_ref().map_or(0, |one| one.free.len()), WHOLE_GPU_MILLI);
        self.model = offered.map_or_else(Name::default, |one| one.model);
    }

    fn change(&mut self, devices: DeviceSet, milli: i64) {
        for device in devices.iter() {
            if let Some(free) = self.free.get_mut(device) {
                *free += milli;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(count: usize, milli_each: i64) -> GpuRequest {
        GpuRequest { count, milli_each, models: Name::default() }
    }

    fn devices(free: &[i64]) -> GpuDevices {
        GpuDevices { model: "T4".into(), free: free.to_vec(), kinds: Vec::new() }
    }

    #[test]
    fn a_request_is_read_from_the_annotations_that_it_writes() {
        let asked = GpuRequest { models: "T4|P100".into(), ..request(1, 460) };
        let template = PodTemplate { annotations: asked.annotations(), ..PodTemplate::default() };
        assert_eq!(GpuRequest::of(&template), Some(asked.clone()));
        assert!(asked.accepts("P100") && !asked.accepts("P10") && asked.is_shared());
        let broken = [(GPU_MILLI, "half")].into_iter().collect();
        let template = PodTemplate { annotations: broken, ..PodTemplate::default() };
        assert_eq!(GpuRequest::of(&template), None);
    }

    #[test]
    fn the_tightest_device_that_fits_is_taken_and_given_back() {
        let mut node = devices(&[1000, 500, 460, 100]);
        let taken = node.tightest(&request(1, 460));
        assert_eq!(taken.to_string(), "2");
        node.take(&request(1, 460), taken);
        assert_eq!((node.free[2], node.kinds_with(0)), (0, (1, true)));
        node.give_back(&request(1, 460), taken);
        assert_eq!((node.free[2], node.kinds_with(0)), (460, (0, false)));
    }

    #[test]
    fn whole_gpus_must_be_idle() {
        let node = devices(&[1000, 500, 1000]);
        assert!(node.fits(&request(2, 1000)) && !node.fits(&request(3, 1000)));
        assert_eq!(node.tightest(&request(2, 1000)).to_string(), "0-2");
    }
}
