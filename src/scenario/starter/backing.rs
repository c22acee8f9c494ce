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
