//! Backing services (databases, caches, message brokers), recognized by their image: services call them, clients do not.

use std::fmt::{self, Write as _};

use super::yaml::joined;
use crate::inventory::PodShape;
use cluster::NamespacedName;

/// Image names of backing services, without registry, repository and tag.
const IMAGES: [&str; 50] = [
    "activemq",
    "activemq-artemis",
    "all-in-one", // Jaeger
    "arangodb",
    "cassandra",
    "clickhouse",
    "clickhouse-server",
    "cockroach",
    "cockroachdb",
    "consul",
    "couchbase",
    "couchdb",
    "cp-kafka",
    "elasticsearch",
    "emqx",
    "etcd",
    "foundationdb",
    "influxdb",
    "jaeger",
    "kafka",
    "keydb",
    "mariadb",
    "memcached",
    "minio",
    "mongo",
    "mongodb",
    "mysql",
    "mysql-server",
    "nacos-server",
    "nats",
    "neo4j",
    "opensearch",
    "opentelemetry-collector",
    "opentelemetry-collector-contrib",
    "percona",
    "postgis",
    "postgres",
    "postgresql",
    "prometheus",
    "pulsar",
    "rabbitmq",
    "redis",
    "redis-stack",
    "scylla",
    "tidb",
    "timescaledb",
    "valkey",
    "vault",
    "zipkin",
    "zookeeper",
];

/// True if the first container of these pods runs a backing service.
pub(super) fn is_backing(shape: &PodShape) -> bool {
    shape.containers.first().is_some_and(|(_, image)| IMAGES.contains(&name_of(image)))
}

/// Endings of the names of images that export metrics or operate a cluster, and the names of others.
const OPERATIONAL: [&str; 10] = [
    "-exporter",
    "_exporter",
    "-operator",
    "kube-state-metrics",
    "metrics-server",
    "prometheus-adapter",
    "prometheus-config-reloader",
    "kube-rbac-proxy",
    "k8s-device-plugin",
    "cluster-autoscaler",
];

/// True if the first container of these pods exports metrics or operates a cluster: nobody waits for its answers.
pub(super) fn is_operational(shape: &PodShape) -> bool {
    let image = shape.containers.first().map(|(_, image)| name_of(image));
    image.is_some_and(|image| OPERATIONAL.iter().any(|end| image.ends_with(end)))
}

/// Lists the backing services, which get no clients, in a comment.
pub(super) fn write_backing(out: &mut String, services: &[&NamespacedName]) -> fmt::Result {
    if services.is_empty() {
        return Ok(());
    }
    out.write_str(
        "
# GUESS: databases, caches and the like, recognized by their images, have no clients of their own. The manifests name
# no callers of these: add `calls` to the workloads that use them.
",
    )?;
    for some in services.chunks(4) {
        writeln!(out, "#   {}", joined(some, ", "))?;
    }
    Ok(())
}

/// `docker.io/library/mongo:4.4@sha256:...` is `mongo`.
fn name_of(image: &str) -> &str {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split([':', '@']).next().unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exporters_and_operators_are_recognized_and_applications_are_not() {
        let runs = |image: &str| {
            let containers = vec![("app".to_owned(), image.to_owned())];
            is_operational(&PodShape { containers, ..PodShape::default() })
        };
        for image in [
            "quay.io/prometheus/node-exporter:v1.9.1",
            "oliver006/redis_exporter",
            "quay.io/prometheus-operator/prometheus-operator:v0.85.0",
            "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.17.0",
        ] {
            assert!(runs(image), "{image}");
        }
        for image in ["grafana/grafana:12", "acme/exporter-ui", "shop/operators"] {
            assert!(!runs(image), "{image}");
        }
    }

    #[test]
    fn images_are_recognized_whatever_their_registry_and_version() {
        let runs = |image: &str| {
            let containers = vec![("app".to_owned(), image.to_owned())];
            is_backing(&PodShape { containers, ..PodShape::default() })
        };
        for image in ["mongo", "docker.io/library/redis:7.2", "reg:5000/bitnami/mysql@sha256:ab"] {
            assert!(runs(image), "{image}");
        }
        for image in ["acme/mongo-express:1", "shop/redis-cart:2", "mysql/web"] {
            assert!(!runs(image), "{image}");
        }
    }
}
