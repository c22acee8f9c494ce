//! Failures and scripted changes as plain data, each with its target and time. `sim` executes them: it turns each
//! entry into actions and kubelet calls.

mod outages;
mod timeline;

pub use outages::{
    ContainerCrash, FaultKind, KubeletRestart, Maintenance, Outage, RandomFault, SpotReclaim,
    StockOut, StockOutOf,
};
pub use timeline::{
    ImageChange, PatchChange, PodDeletion, Promotion, ResizeChange, Rollback, ScaleChange, Scraper,
    TimelineAction, TimelineEntry,
};
