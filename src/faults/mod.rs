//! Failures and scripted changes, as plain data: what happens, to whom, when. Carries nothing out:
//! `sim` turns each entry into actions and into calls of the kubelet.

mod spells;
mod timeline;

pub use spells::{
    ContainerCrash, FaultKind, KubeletRestart, Maintenance, RandomFault, Spell, SpotReclaim,
};
pub use timeline::{
    ImageChange, PatchChange, PodDeletion, ResizeChange, Rollback, ScaleChange, Scraper,
    TimelineAction, TimelineEntry,
};
