//! The settings of the mesh for a Service in words, as `wavetank explain call` prints them.

use super::{MeshRouting, Policy, Route, Target};
use cluster::NamespacedName;
use engine::format_duration;

impl MeshRouting {
    /// The rules for calls to a Service, each with its object and field.
    pub fn rules_of(&self, service: &NamespacedName) -> Vec<String> {
        let mut rules = Vec::new();
        if let Some(route) = self.routes.get(service) {
            rules.push(format!("{}{}", place(route), route.in_words(service)));
        }
        if let Some(policies) = self.policies.get(service) {
            let object = &policies.object;
            let policy = policies.policy.in_words();
            rules.push(format!("{object}, spec.trafficPolicy: {policy}"));
            for (name, (labels, own)) in &policies.subsets {
                let labels = labels.iter().map(|(key, value)| format!("{key}={value}"));
                let labels = labels.collect::<Vec<_>>().join(",");
                let policy = own.over(policies.policy).in_words();
                rules.push(format!("{object}, subset {name}: pods with {labels}; {policy}"));
            }
        }
        rules
    }
}

fn place(route: &Route) -> String {
    match route.entry {
        Some(number) => format!("{}, spec.http[{number}]: ", route.object),
        None => format!("{}: no entry applies; ", route.object),
    }
}

impl Route {
    fn in_words(&self, service: &NamespacedName) -> String {
        let all: f64 = self.destinations.iter().map(|(_, weight)| weight).sum();
        let to = |target: &Target| match &target.subset {
            Some(subset) => format!("subset {subset} of {}", target.service),
            None => target.service.to_string(),
        };
        let mut parts: Vec<String> = self
            .destinations
            .iter()
            .map(|(target, weight)| format!("{} % to {}", round(100.0 * weight / all), to(target)))
            .collect();
        if parts.is_empty() {
            parts.push(format!("to {service}"));
        }
        if let Some((target, share)) = &self.mirror {
            parts.push(format!("{} % mirrored to {}", round(100.0 * share), to(target)));
        }
        if let Some(timeout) = self.timeout {
            parts.push(format!("timeout {}", format_duration(timeout)));
        }
        match self.retries {
            None => parts.push("the mesh's 2 retries of failed connections".to_owned()),
            Some(retries) => match retries.retries {
                None => parts.push("no retries".to_owned()),
                Some(own) => parts.push(format!("up to {} retries", own.spec.attempts)),
            },
        }
        if let Some((delay, share)) = self.delay {
            let delay = format_duration(delay);
            parts.push(format!("{} % delayed by {delay}", round(100.0 * share)));
        }
        if self.abort_share > 0.0 {
            parts.push(format!("{} % answered with an error", round(100.0 * self.abort_share)));
        }
        parts.join(", ")
    }
}

impl Policy {
    fn in_words(&self) -> String {
        let mut parts = vec![match self.balancer {
            Some(balancer) => balancer.label().to_owned(),
            None => "the less busy of two random pods".to_owned(),
        }];
        if let Some(outliers) = self.outlier_detection {
            parts.push(format!(
                "ejected for {} after {} failures in a row, at most {} % of the pods",
                format_duration(outliers.base_ejection_time),
                outliers.consecutive_failures,
                round(100.0 * outliers.max_ejected_share),
            ));
        }
        if let Some(pool) = self.pool {
            for (limit, name) in [
                (pool.max_connections, "connections"),
                (pool.max_pending, "calls that wait for one"),
                (pool.max_requests, "calls in progress"),
                (pool.max_requests_per_connection, "calls on a connection"),
            ] {
                parts.extend(limit.map(|most| format!("at most {most} {name} of each caller")));
            }
        }
        parts.join(", ")
    }
}

/// A percentage with at most two decimals.
fn round(percent: f64) -> f64 {
    (percent * 100.0).round() / 100.0
}
