//! The lines of `kubectl get` for workloads other than Deployments, and for what they refer to.

use super::age::human;
use super::columns::NONE;
use super::get::{Table, template_cells};
use cluster::claim::{AccessMode, Claim};
use cluster::job::{COMPLETE, FAILED, Job};
use cluster::node::ConditionStatus;
use cluster::pod_template::{PodTemplate, ReferenceKind};

/// What kubectl prints for a time that nobody knows.
pub(super) const UNKNOWN: &str = "<unknown>";

impl Table<'_> {
    pub(super) fn stateful_sets(&mut self) {
        self.titles(&["NAME", "READY", "AGE"], &["CONTAINERS", "IMAGES"]);
        for set in self.view.store().stateful_sets().values() {
            let always = vec![
                set.meta.name().to_string(),
                format!("{}/{}", set.status.ready_replicas, set.spec.replicas),
                self.age(set.meta.created),
            ];
            self.row(&set.meta.id, always, container_cells(&set.spec.template));
        }
    }

    pub(super) fn daemon_sets(&mut self) {
        self.titles(
            &[
                "NAME",
                "DESIRED",
                "CURRENT",
                "READY",
                "UP-TO-DATE",
                "AVAILABLE",
                "NODE SELECTOR",
                "AGE",
            ],
            &["CONTAINERS", "IMAGES", "SELECTOR"],
        );
        for set in self.view.store().daemon_sets().values() {
            let status = &set.status;
            let selector = &set.spec.template.spec.node_selector;
            let pairs: Vec<String> =
                selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let always = vec![
                set.meta.name().to_string(),
                status.desired_number_scheduled.to_string(),
                status.current_number_scheduled.to_string(),
                status.number_ready.to_string(),
                status.updated_number_scheduled.to_string(),
                status.number_available.to_string(),
                if pairs.is_empty() { NONE.to_owned() } else { pairs.join(",") },
                self.age(set.meta.created),
            ];
            let if_wide = template_cells(&set.spec.template, &set.spec.selector);
            self.row(&set.meta.id, always, if_wide);
        }
    }

    pub(super) fn jobs(&mut self) {
        self.titles(
            &["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"],
            &["CONTAINERS", "IMAGES"],
        );
        for job in self.view.store().jobs().values() {
            let ended = job.status.completion_time.unwrap_or(self.view.now);
            let duration = job.status.start_time.map(|start| human(ended - start));
            let always = vec![
                job.meta.name().to_string(),
                job_status(job).to_owned(),
                completions(job),
                duration.unwrap_or_default(),
                self.age(job.meta.created),
            ];
            self.row(&job.meta.id, always, container_cells(&job.spec.template));
        }
    }

    pub(super) fn cron_jobs(&mut self) {
        self.titles(
            &["NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST SCHEDULE", "AGE"],
            &["CONTAINERS", "IMAGES"],
        );
        for cron_job in self.view.store().cron_jobs().values() {
            let (spec, status) = (&cron_job.spec, &cron_job.status);
            let none = || NONE.to_owned();
            let always = vec![
                cron_job.meta.name().to_string(),
                spec.schedule.to_string(),
                spec.time_zone.as_ref().map_or_else(none, ToString::to_string),
                if spec.suspend { "True" } else { "False" }.to_owned(),
                status.active.len().to_string(),
                status.last_schedule_time.map_or_else(none, |at| self.age(at)),
                self.age(cron_job.meta.created),
            ];
            self.row(&cron_job.meta.id, always, container_cells(&spec.job_template.spec.template));
        }
    }

    pub(super) fn config_maps(&mut self) {
        self.titles(&["NAME", "DATA", "AGE"], &[]);
        for (kind, id, config) in self.view.store().configs() {
            if kind == ReferenceKind::ConfigMap {
                let keys = config.content.keys.len().to_string();
                let always = vec![id.name.to_string(), keys, self.age(config.created)];
                self.row(id, always, Vec::new());
            }
        }
    }

    pub(super) fn secrets(&mut self) {
        self.titles(&["NAME", "TYPE", "DATA", "AGE"], &[]);
        for (kind, id, config) in self.view.store().configs() {
            if kind == ReferenceKind::Secret {
                let (name, keys) = (id.name.to_string(), config.content.keys.len().to_string());
                let secret_type = config.content.secret_type.to_string();
                let always = vec![name, secret_type, keys, self.age(config.created)];
                self.row(id, always, Vec::new());
            }
        }
    }

    /// Claims; their volumes have no names, and classes are not defaulted.
    pub(super) fn claims(&mut self) {
        self.titles(
            &["NAME", "STATUS", "VOLUME", "CAPACITY", "ACCESS MODES", "STORAGECLASS", "AGE"],
            &["VOLUMEMODE"],
        );
        for (id, claim) in self.view.store().claims() {
            let storage = claim.spec.storage().filter(|_| claim.volume.is_some());
            let always = vec![
                id.name.to_string(),
                claim.status().to_owned(),
                UNKNOWN.to_owned(),
                storage.map_or_else(String::new, |storage| storage.to_string()),
                access_modes(claim),
                claim.spec.storage_class.as_deref().unwrap_or(UNKNOWN).to_owned(),
                self.age(claim.created),
            ];
            self.row(id, always, vec!["Filesystem".to_owned()]);
        }
    }

    pub(super) fn namespaces(&mut self) {
        self.titles(&["NAME", "STATUS"], &[]);
        for namespace in self.view.store().namespaces().values() {
            let id = cluster::NamespacedName::new("", namespace.name.clone());
            self.row(&id, vec![namespace.name.to_string(), "Active".to_owned()], Vec::new());
        }
    }

    pub(super) fn quotas(&mut self) {
        self.titles(&["NAME", "REQUEST", "LIMIT"], &[]);
        for (id, quota) in self.view.store().quotas() {
            let used = self.view.store().quota_used(quota);
            let cell = |of_limits: bool| {
                let own = used.iter().filter(|one| one.resource.starts_with("limits") == of_limits);
                let pairs = own.map(|one| format!("{}: {}/{}", one.resource, one.used, one.hard));
                pairs.collect::<Vec<_>>().join(", ")
            };
            let always = vec![id.name.to_string(), cell(false), cell(true)];
            self.row(id, always, Vec::new());
        }
    }
}

/// Containers and images; the selector of a set of ordered pods is not shown.
fn container_cells(template: &PodTemplate) -> Vec<String> {
    let containers = &template.spec.containers;
    let joined = |texts: Vec<&str>| texts.join(",");
    vec![
        joined(containers.iter().map(|one| &*one.name).collect()),
        joined(containers.iter().map(|one| &*one.image).collect()),
    ]
}

/// `printJob`: what has come of it.
pub(super) fn job_status(job: &Job) -> &'static str {
    let has = |kind: &str| {
        let mut conditions = job.status.conditions.iter();
        conditions.any(|one| one.kind == kind && one.status == ConditionStatus::True)
    };
    [COMPLETE, FAILED, "Suspended", "FailureTarget", "SuccessCriteriaMet"]
        .into_iter()
        .find(|kind| has(kind))
        .unwrap_or("Running")
}

/// `3/5`, and for a work queue `1/1 of 3`.
pub(super) fn completions(job: &Job) -> String {
    let succeeded = job.status.succeeded;
    match job.spec.completions {
        Some(wanted) => format!("{succeeded}/{wanted}"),
        None if job.spec.parallelism > 1 => format!("{succeeded}/1 of {}", job.spec.parallelism),
        None => format!("{succeeded}/1"),
    }
}

/// A claim's access modes as kubectl abbreviates them, in its order.
pub(super) fn access_modes(claim: &Claim) -> String {
    let own = AccessMode::NAMED.iter().filter(|(_, mode)| claim.spec.access_modes.contains(mode));
    own.map(|(_, mode)| mode.to_string()).collect::<Vec<_>>().join(",")
}
