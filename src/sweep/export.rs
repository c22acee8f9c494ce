//! Exports a plan to engines that run many machines.

use std::fmt::Write as _;

/// A batch engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An Indexed Job of Kubernetes.
    KubernetesJob,
    /// A job array of Slurm.
    Slurm,
    /// A task array of HyperQueue.
    HyperQueue,
    /// Tasks of Ray.
    Ray,
}

/// The inputs of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// File of the plan.
    pub plan: String,
    /// Directory for the results.
    pub results: String,
    /// Number of parts.
    pub shards: usize,
    /// Image that contains `wavetank`, for a Job.
    pub image: String,
    /// PersistentVolumeClaim of the volume that holds plan, scenario and results, for a Job.
    pub claim: String,
}

impl Export {
    /// The file for an engine.
    pub fn text(&self, target: Target) -> String {
        match target {
            Target::KubernetesJob => self.job(),
            Target::Slurm => self.sbatch(),
            Target::HyperQueue => self.hyperqueue(),
            Target::Ray => self.ray(),
        }
    }

    fn job(&self) -> String {
        let Self { plan, results, shards, image, claim } = self;
        // Invalid input is permanent: exit code 2 fails the part at once. Anything else is retried.
        format!(
            "\
apiVersion: batch/v1
kind: Job
metadata:
  name: wavetank-sweep
spec:
  completionMode: Indexed
  completions: {shards}
  parallelism: {shards}
  backoffLimitPerIndex: 3
  maxFailedIndexes: 0
  podFailurePolicy:
    rules:
      - action: FailJob
        onExitCodes:
          containerName: sweep
          operator: In
          values: [2]
      - action: Ignore
        onPodConditions:
          - type: DisruptionTarget
            status: \"True\"
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: sweep
          image: {image}
          workingDir: /work
          # The number of the part is JOB_COMPLETION_INDEX, which the Job sets.
          command: [wavetank, sweep, run, {plan}, --results, {results}, --shards, \"{shards}\"]
          resources:
            requests:
              cpu: \"1\"
              memory: 1Gi
          volumeMounts:
            - name: work
              mountPath: /work
      volumes:
        - name: work
          persistentVolumeClaim:
            claimName: {claim}
"
        )
    }

    fn sbatch(&self) -> String {
        let (plan, results, last) =
            (shell(&self.plan), shell(&self.results), self.shards.saturating_sub(1));
        format!(
            "\
#!/bin/sh
#SBATCH --job-name=wavetank-sweep
#SBATCH --array=0-{last}
#SBATCH --ntasks=1
#SBATCH --requeue
# The number of the part is SLURM_ARRAY_TASK_ID, and SLURM_ARRAY_TASK_COUNT says how many there are.
exec wavetank sweep run {plan} --results {results}
"
        )
    }

    fn hyperqueue(&self) -> String {
        let (plan, results, shards) = (shell(&self.plan), shell(&self.results), self.shards);
        let last = shards.saturating_sub(1);
        format!(
            "hq submit --array 0-{last} --cpus 1 --crash-limit 5 wavetank sweep run {plan} --results {results} --shards {shards}\n"
        )
    }

    fn ray(&self) -> String {
        let mut text = String::new();
        let (plan, results) = (python(&self.plan), python(&self.results));
        let shards = self.shards;
        let _ = write!(
            text,
            "\
# Runs the parts of a sweep as tasks of Ray, on a file system that all machines have: python3 driver.py
import subprocess

import ray

SHARDS = {shards}


@ray.remote(num_cpus=1, max_retries=3, retry_exceptions=True)
def run(shard):
    command = [\"wavetank\", \"sweep\", \"run\", {plan}, \"--results\", {results}, \"--shard\", f\"{{shard}}/{{SHARDS}}\"]
    subprocess.run(command, check=True)
    return shard


ray.init()
ray.get([run.remote(shard) for shard in range(1, SHARDS + 1)])
"
        );
        text
    }
}

/// Quotes a word for a shell.
fn shell(word: &str) -> String {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "/._-".contains(one);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Quotes a string for Python.
fn python(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(shards: usize) -> Export {
        Export {
            plan: "my plan.json".to_owned(),
            results: "results".to_owned(),
            shards,
            image: "wavetank:1".to_owned(),
            claim: "sweep".to_owned(),
        }
    }

    #[test]
    fn parts_are_numbered_as_their_engine_numbers_them() {
        let slurm = export(4).text(Target::Slurm);
        assert!(slurm.contains("--array=0-3\n"), "{slurm}");
        assert!(slurm.contains("sweep run 'my plan.json' --results results\n"), "{slurm}");
        let hq = export(4).text(Target::HyperQueue);
        assert!(hq.contains("--array 0-3 ") && hq.contains("--shards 4"), "{hq}");
        let ray = export(4).text(Target::Ray);
        assert!(ray.contains("SHARDS = 4") && ray.contains("\"my plan.json\""), "{ray}");
    }
}
