//! Disks of nodes and of claims.

use std::collections::BTreeMap;

use super::{GIB, Tally, nanos};
use crate::figures::counted;
use capacity::charges::Basis;
use capacity::reserved::Provider;
use record::Billed;

/// Largest disks of Azure's Premium SSD tiers [GiB].
const PREMIUM_TIERS: [i128; 14] =
    [4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_767];

impl Tally<'_> {
    pub(super) fn root_disks(&mut self) {
        let settings = self.facts.bill.settings;
        let (kind, gib) = match self.facts.bill.provider {
            Some(Provider::Azure) => ("premium", 128),
            Some(Provider::Gcp) => ("pd-balanced", 100),
            Some(Provider::Aws) => ("gp3", 20),
            None => ("", 0),
        };
        let stated = settings.root_disk.is_some() || settings.root_disk_type.is_some();
        let basis = if stated { Basis::Stated } else { Basis::Assumed };
        let size = settings.root_disk.map_or(gib * GIB, |size| i128::from(size.value()));
        let kind = settings.root_disk_type.as_deref().unwrap_or(kind);
        let (time, nodes) = self.node_time();
        if size > 0 && !kind.is_empty() {
            self.disk(kind, size, time, &format!("{} of nodes", counted(nodes, "disk")), basis);
        }
    }

    /// Bills a disk of a type and size [bytes] for a time [ns].
    fn disk(&mut self, kind: &str, size: i128, time: i128, what: &str, basis: Basis) {
        let gib = (size + GIB - 1) / GIB;
        let tier = PREMIUM_TIERS.into_iter().find(|tier| *tier >= gib).unwrap_or(gib);
        let what = format!("{what}, {gib} GiB {kind}");
        match (self.facts.bill.provider, kind) {
            (Some(Provider::Azure), "premium") => {
                self.add(&format!("disk:premium-{tier}"), what, time, basis);
            }
            // A disk is priced by its tier, regardless of its exact size.
            (Some(Provider::Azure), "standard-ssd") => {
                self.add("disk:standard-ssd", what, tier * GIB * time, basis);
            }
            _ => self.add(&format!("disk:{kind}"), what, size * time, basis),
        }
    }

    pub(super) fn persistent_disks(&mut self) {
        let mut disks: BTreeMap<(&str, String, i128), (i128, u64, Basis)> = BTreeMap::new();
        let end = self.end();
        for track in &self.facts.recorder.billed.tracks {
            let (of, class, kind, size) = match &track.what {
                Billed::Disk { class, kind, size } => ("PersistentVolumeClaim", class, kind, size),
                Billed::Volume { class, kind, size } => ("PersistentVolume", class, kind, size),
                Billed::LoadBalancer | Billed::Ingress { .. } => continue,
            };
            let (kind, basis) = disk_type(self.facts.bill.provider, class, kind);
            let entry = disks.entry((of, kind, i128::from(size.0))).or_insert((0, 0, basis));
            entry.0 += nanos(track.existed(end));
            entry.1 += 1;
        }
        for ((of, kind, size), (time, count, basis)) in disks {
            let what = counted(count, of);
            self.disk(&kind, size, time, &what, basis);
        }
    }
}

/// True if the cloud itself creates a load balancer for each Ingress of a class.
pub(super) fn is_of_cloud(provider: Option<Provider>, class: &str) -> bool {
    match provider {
        Some(Provider::Aws) => class.contains("alb"),
        Some(Provider::Azure) => class.contains("azure"),
        Some(Provider::Gcp) => class.is_empty() || class.contains("gce"),
        None => false,
    }
}

/// The cloud's disk type: as given by the StorageClass, else derived from the class name, else the usual type.
fn disk_type(provider: Option<Provider>, class: &str, kind: &str) -> (String, Basis) {
    let usual = match provider {
        Some(Provider::Aws) => {
            let known = ["gp3", "gp2", "io1", "io2", "st1", "sc1"];
            let named = known.into_iter().find(|one| *one == kind || class.contains(one));
            named.ok_or("gp3")
        }
        Some(Provider::Gcp) => match (kind, class) {
            ("pd-standard" | "pd-balanced" | "pd-ssd", _) => Ok(kind),
            (_, "premium-rwo") => Ok("pd-ssd"),
            (_, "standard") => Ok("pd-standard"),
            (_, "standard-rwo") => Ok("pd-balanced"),
            _ => Err("pd-balanced"),
        },
        Some(Provider::Azure) => match (kind, class) {
            ("Premium_LRS", _) | (_, "managed-csi-premium" | "managed-premium") => Ok("premium"),
            ("StandardSSD_LRS", _) | (_, "default" | "managed-csi") => Ok("standard-ssd"),
            _ => Err("standard-ssd"),
        },
        None if kind.is_empty() => Err(class),
        None => Ok(kind),
    };
    match usual {
        Ok(kind) => (kind.to_owned(), Basis::Measured),
        Err(kind) => (kind.to_owned(), Basis::Assumed),
    }
}
