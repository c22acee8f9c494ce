//! Failures and scripted changes, as plain data: what happens, to whom, when. Carries nothing out:
//! `sim` turns each entry into actions and into calls of the kubelet.

mod timeline;

pub use timeline::{
    ImageChange, PodDeletion, Rollback, ScaleChange, TimelineAction, TimelineEntry,
};
