//! The part of the API server that concerns Jobs and CronJobs.

use super::action::{JobDraft, Refused};
use super::apply::{next_sequence, remove_pod};
use super::change::{Change, PodChanges, push_pod_update};
use super::cron_job::{CronJob, CronJobId, CronJobSpec, CronJobStatus};
use super::job::{Job, JobId, JobSpec, JobStatus};
use super::job_update::{self, JOB_LABELS};
use super::meta::{Labels, ObjectMeta};
use super::pod::{Finalizer, Owner, PodId};
use super::set_apply::delete_pods_of;
use super::store::Store;
use engine::SimTime;
use engine::digest::mix;

pub(super) fn create_job(
    store: &mut Store,
    now: SimTime,
    draft: JobDraft,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let JobDraft { mut meta, owner, mut spec } = draft;
    if store.index.jobs_by_name.contains_key(&meta.id) {
        return Err(Refused::AlreadyExists(meta.id));
    }
    meta.created = now.floor_to_second();
    meta.sequence = next_sequence(store);
    let uid = mix(store.uid_seed ^ mix(meta.sequence));
    spec.template.labels = job_labels(&spec.template.labels, &meta, uid);
    let template = store.intern(spec.template.clone());
    let name = meta.id.clone();
    let status = JobStatus::default();
    let id = store.jobs.insert(Job { meta, owner, spec, template, generation: 1, status });
    store.index.jobs_by_name.insert(name, id);
    if let Some(owner) = owner {
        store.index.jobs_by_cron_job.entry(owner).or_default().insert(id);
    }
    changes.push(Change::JobSpec(id));
    Ok(())
}

/// The labels by which a Job finds its pods (`generateSelector` of the Job strategy).
fn job_labels(labels: &Labels, meta: &ObjectMeta, uid: u64) -> Labels {
    let uid = format!("{uid:016x}");
    let [new_uid, new_name, old_uid, old_name] = JOB_LABELS;
    labels
        .with(new_uid, uid.as_str())
        .with(new_name, meta.name().clone())
        .with(old_uid, uid.as_str())
        .with(old_name, meta.name().clone())
}

/// A write of spec and metadata, as far as a Job's can change.
pub(super) fn apply_job(
    store: &mut Store,
    id: JobId,
    meta: ObjectMeta,
    spec: JobSpec,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let job = store.jobs.get(id).ok_or(Refused::NotFound)?;
    job_update::validate(job, &spec)?;
    let template = job_update::with_own_labels(job, &spec.template);
    let spec = JobSpec { template, ..spec };
    let is_new = job.spec != spec;
    let template = store.intern(spec.template.clone());
    let job = store.jobs.get_mut(id).ok_or(Refused::NotFound)?;
    job.meta.labels = meta.labels;
    job.meta.annotations = meta.annotations;
    if is_new {
        job.spec = spec;
        job.template = template;
        job.generation += 1;
        changes.push(Change::JobSpec(id));
    }
    Ok(())
}

pub(super) fn set_job_status(
    store: &mut Store,
    id: JobId,
    status: JobStatus,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let job = store.jobs.get_mut(id).ok_or(Refused::NotFound)?;
    if job.status != status {
        job.status = status;
        changes.push(Change::JobStatus(id));
    }
    Ok(())
}

/// The Job goes; nobody counts its pods any more, so their finalizers go too.
pub(super) fn delete_job(
    store: &mut Store,
    now: SimTime,
    id: JobId,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let job = store.jobs.remove(id).ok_or(Refused::NotFound)?;
    store.index.jobs_by_name.remove(&job.meta.id);
    if let Some(owner) = job.owner
        && let Some(siblings) = store.index.jobs_by_cron_job.get_mut(&owner)
    {
        siblings.remove(&id);
    }
    changes.push(Change::JobRemoved { job: id, owner: job.owner });
    let pods: Vec<PodId> = store.pods_of(Owner::Job(id)).map(|(pod, _)| pod).collect();
    for pod in pods {
        remove_pod_finalizer(store, pod, changes)?;
    }
    delete_pods_of(store, now, Owner::Job(id), changes)
}

pub(super) fn remove_pod_finalizer(
    store: &mut Store,
    id: PodId,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let pod = store.pods.get_mut(id).ok_or(Refused::NotFound)?;
    match std::mem::take(&mut pod.finalizer) {
        Finalizer::Absent => Ok(()),
        Finalizer::Holds => {
            push_pod_update(changes, id, PodChanges::FINALIZER);
            Ok(())
        }
        Finalizer::HoldsRemoval => remove_pod(store, id, changes),
    }
}

pub(super) fn create_cron_job(
    store: &mut Store,
    now: SimTime,
    mut meta: ObjectMeta,
    spec: CronJobSpec,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    if store.index.cron_jobs_by_name.contains_key(&meta.id) {
        return Err(Refused::AlreadyExists(meta.id));
    }
    meta.created = now.floor_to_second();
    meta.sequence = next_sequence(store);
    let name = meta.id.clone();
    let status = CronJobStatus::default();
    let id = store.cron_jobs.insert(CronJob { meta, spec, generation: 1, status });
    store.index.cron_jobs_by_name.insert(name, id);
    changes.push(Change::CronJobSpec(id));
    Ok(())
}

pub(super) fn apply_cron_job(
    store: &mut Store,
    id: CronJobId,
    meta: ObjectMeta,
    spec: CronJobSpec,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let cron_job = store.cron_jobs.get_mut(id).ok_or(Refused::NotFound)?;
    cron_job.meta.labels = meta.labels;
    cron_job.meta.annotations = meta.annotations;
    if cron_job.spec != spec {
        cron_job.spec = spec;
        cron_job.generation += 1;
        changes.push(Change::CronJobSpec(id));
    }
    Ok(())
}

pub(super) fn set_cron_job_status(
    store: &mut Store,
    id: CronJobId,
    status: CronJobStatus,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let cron_job = store.cron_jobs.get_mut(id).ok_or(Refused::NotFound)?;
    if cron_job.status != status {
        cron_job.status = status;
        changes.push(Change::CronJobStatus(id));
    }
    Ok(())
}

pub(super) fn delete_cron_job(
    store: &mut Store,
    now: SimTime,
    id: CronJobId,
    changes: &mut Vec<Change>,
) -> Result<(), Refused> {
    let cron_job = store.cron_jobs.remove(id).ok_or(Refused::NotFound)?;
    store.index.cron_jobs_by_name.remove(&cron_job.meta.id);
    let jobs = store.index.jobs_by_cron_job.remove(&id).unwrap_or_default();
    changes.push(Change::CronJobRemoved(id));
    for job in jobs {
        delete_job(store, now, job, changes)?;
    }
    Ok(())
}
