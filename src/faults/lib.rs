//! Failures and scripted changes, as plain data: each with its target and its time. Carries nothing out: `sim` turns
//! each entry into actions and into calls of the kubelet.

mod outages;
mod timeline;

pub use outages::{
    ContainerCrash, FaultKind, KubeletRestart, Maintenance, Outage, RandomFault, SpotReclaim,
    StockOut, StockOutOf,
};
pub use timeline::{
    ImageChange, PatchChange, PodDeletion, ResizeChange, Rollback, ScaleChange, Scraper,
    TimelineAction, TimelineEntry,
};
