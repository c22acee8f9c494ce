//! The calls of a starter scenario: those found in traces; workloads without traces are assumed to call the Services
//! whose addresses are in their environment.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use super::Models;
use super::endpoints::{ServiceEndpoints, by_workload, shares};
use super::traced::Traced;
use crate::inventory::Inventory;
use cluster::{NamespacedName, ObjectReference};

/// The Services that each workload calls, with the calls per request to it. Contains no cycles.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls<'a> {
    by_caller: BTreeMap<&'a ObjectReference, BTreeMap<NamespacedName, f64>>,
    /// The workloads behind each called Service, with their shares of the calls.
    answers: BTreeMap<NamespacedName, Vec<(&'a ObjectReference, f64)>>,
    /// Number of workloads with clients from which each workload is reached.
    entries: BTreeMap<&'a ObjectReference, u32>,
}

impl<'a> Calls<'a> {
    /// The calls among workloads that serve requests.
    pub(super) fn of(
        inventory: &'a Inventory,
        serving: &BTreeSet<&'a ObjectReference>,
        traced: &Traced,
    ) -> Self {
        let mut calls = Self::default();
        // Measured calls come first, so that a guess that would close a cycle is dropped and not a measurement.
        for caller in serving {
            for call in traced.of(caller).into_iter().flat_map(|one| &one.calls) {
                calls.add(inventory, serving, caller, &call.service, call.per_request());
            }
        }
        for caller in serving.iter().filter(|caller| traced.of(caller).is_none()) {
            for service in inventory.addressed(caller) {
                calls.add(inventory, serving, caller, &service, 1.0);
            }
        }
        calls
    }

    /// Adds calls, unless they would close a cycle.
    fn add(
        &mut self,
        inventory: &'a Inventory,
        serving: &BTreeSet<&'a ObjectReference>,
        caller: &'a ObjectReference,
        service: &NamespacedName,
        times: f64,
    ) {
        let callees = shares(inventory, service);
        if callees.is_empty() || !callees.iter().all(|(callee, _)| serving.contains(callee)) {
            return;
        }
        if !self.visits(&callees).contains_key(caller) {
            self.answers.insert(service.clone(), callees);
            let of_caller = self.by_caller.entry(caller).or_default();
            *of_caller.entry(service.clone()).or_default() += times;
        }
    }

    /// Counts these Services, which have clients, as entries to all that their requests reach.
    pub(super) fn enter<'s>(&mut self, entries: impl Iterator<Item = &'s ServiceEndpoints<'a>>)
    where
        'a: 's,
    {
        for entry in entries {
            for reached in self.visits(&entry.shares).into_keys() {
                *self.entries.entry(reached).or_default() += 1;
            }
        }
    }

    /// Number of entries from which a workload is reached; at least 1.
    pub(super) fn entries_to(&self, workload: &ObjectReference) -> f64 {
        f64::from(self.entries.get(workload).copied().unwrap_or(1).max(1))
    }

    /// The Services that a workload calls.
    pub(super) fn from(&self, caller: &ObjectReference) -> impl Iterator<Item = &NamespacedName> {
        self.by_caller.get(caller).into_iter().flat_map(BTreeMap::keys)
    }

    /// True if a request to these workloads waits for the answer of a language model: of one of them, or of one that they
    /// call, directly or not.
    pub(super) fn wait_for_models<'w>(
        &self,
        firsts: &[(&'w ObjectReference, f64)],
        models: &Models<'_>,
    ) -> bool
    where
        'a: 'w,
    {
        self.visits(firsts).keys().any(|workload| models.contains_key(*workload))
    }

    /// Writes the guessed calls of a request to a workload.
    pub(super) fn write(
        &self,
        out: &mut String,
        caller: &ObjectReference,
        models: &Models<'_>,
    ) -> fmt::Result {
        let mut called = self.from(caller).peekable();
        if called.peek().is_none() {
            return Ok(());
        }
        writeln!(
            out,
            "      # GUESS: a request calls each Service whose address is in the environment, one after another."
        )?;
        writeln!(out, "      calls:")?;
        for service in called {
            let callee = self.answers.get(service);
            let waits = callee.is_some_and(|callees| self.wait_for_models(callees, models));
            let timeout = if waits { "2m" } else { "5s" };
            writeln!(out, "        - {{service: {service}, timeout: {timeout}}}")?;
        }
        Ok(())
    }

    /// Whether other workloads call this one.
    pub(super) fn reaches(&self, workload: &ObjectReference) -> bool {
        self.answers.values().flatten().any(|(one, _)| *one == workload)
    }

    /// Requests to each workload per request to the workloads `firsts`, which get these shares of it.
    pub(super) fn visits<'w>(
        &self,
        firsts: &[(&'w ObjectReference, f64)],
    ) -> BTreeMap<&'w ObjectReference, f64>
    where
        'a: 'w,
    {
        let mut callers_first = Vec::new();
        let mut seen = BTreeSet::new();
        for (first, _) in firsts {
            self.visit(first, &mut seen, &mut callers_first);
        }
        callers_first.reverse();
        let mut visits = by_workload(firsts.iter().copied());
        for caller in callers_first {
            let times = visits.get(caller).copied().unwrap_or_default();
            for (service, calls) in self.by_caller.get(caller).into_iter().flatten() {
                for (callee, share) in self.answers.get(service).into_iter().flatten() {
                    *visits.entry(*callee).or_insert(0.0) += times * calls * share;
                }
            }
        }
        visits
    }

    /// Adds a workload and those that it calls, directly or not, to `order`: callees before callers.
    fn visit<'w>(
        &self,
        workload: &'w ObjectReference,
        seen: &mut BTreeSet<&'w ObjectReference>,
        order: &mut Vec<&'w ObjectReference>,
    ) where
        'a: 'w,
    {
        if seen.insert(workload) {
            let answers = self.from(workload).filter_map(|service| self.answers.get(service));
            for (callee, _) in answers.flatten() {
                self.visit(callee, seen, order);
            }
            order.push(workload);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifest::Source;

    fn deployment(name: &str, calls: &[&str]) -> String {
        let variables: Vec<String> = calls
            .iter()
            .map(|called| format!("{{name: {called}_URL, value: 'http://{called}'}}"))
            .collect();
        format!(
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec: {{template: {{metadata: \
             {{labels: {{app: {name}}}}}, spec: {{containers: [{{name: a, env: [{}]}}]}}}}}}\n---\napiVersion: v1\n\
             kind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{app: {name}}}}}\n",
            variables.join(", ")
        )
    }

    #[test]
    fn calls_form_no_cycle_and_add_up_along_all_paths() {
        let texts = [
            deployment("front", &["cart", "pay"]),
            deployment("cart", &["db", "front"]),
            deployment("pay", &["db", "cart"]),
            deployment("db", &["disk"]),
            deployment("disk", &[]),
        ];
        let inventory = Inventory::of(&[Source::new("all.yaml", texts.concat())]);
        let serving: BTreeSet<_> = inventory.workloads.keys().collect();
        let calls = Calls::of(&inventory, &serving, &Traced::default());
        let by_name = |name: &str| {
            let of_name = serving.iter().find(|one| *one.id.name == *name);
            *of_name.expect("it is there")
        };
        // `cart` comes first by name, so the call from `front` to it would close a cycle.
        let called = |name: &str| -> Vec<String> {
            calls.from(by_name(name)).map(|service| service.name.to_string()).collect()
        };
        assert_eq!(called("cart"), ["db", "front"]);
        assert_eq!(called("front"), ["pay"]);
        assert_eq!(called("pay"), ["db"]);
        assert!(!calls.reaches(by_name("cart")) && calls.reaches(by_name("front")));
        let visits = calls.visits(&[(by_name("cart"), 1.0)]);
        assert!((visits[by_name("db")] - 2.0).abs() < 1e-9);
        assert!((visits[by_name("pay")] - 1.0).abs() < 1e-9);
        assert!((visits[by_name("disk")] - 2.0).abs() < 1e-9, "as often as db");
    }
}
