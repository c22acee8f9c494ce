//! Nodes from a CSV text, a row each.

use super::list::{ListError, Row, csv_error, number_in};
use cluster::node::{HOSTNAME_LABEL, Node};
use cluster::pod_template::ResourceList;
use cluster::{Labels, ObjectMeta};
use scheduler::gpu::{GPU_COUNT, GPU_MODEL};
use units::Quantity;

/// Pods that a node takes where the list does not say.
const DEFAULT_PODS: i64 = 110;

/// The nodes of a CSV text, in its order. Columns by their names: `name` (or `sn`), `cpu_milli` and
/// `memory_mib` are needed; `gpu` (devices that pods can share), `model` (of the GPUs) and `pods` are
/// read where they are there, and others are left alone.
pub fn nodes_from_csv(bytes: &[u8]) -> Result<Vec<Node>, ListError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let header = reader.headers().map_err(|error| csv_error(&error))?.clone();
    let find = |name: &str| header.iter().position(|column| column == name);
    let (Some(name), Some(cpu), Some(memory)) =
        (find("name").or_else(|| find("sn")), find("cpu_milli"), find("memory_mib"))
    else {
        let problem = "the columns name, cpu_milli and memory_mib are required".to_owned();
        return Err(ListError { line: Some(1), problem });
    };
    let mut nodes = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| csv_error(&error))?;
        let row = Row { record: &record };
        let gpus = number_in(&row, find("gpu"))?;
        let pods = find("pods").map_or(Ok(DEFAULT_PODS), |at| row.number(at))?;
        let model = find("model").and_then(|at| record.get(at)).filter(|model| !model.is_empty());
        let mut allocatable: ResourceList = [
            ("cpu", Quantity::from_milli(row.number(cpu)?)),
            ("memory", Quantity::from_bytes(row.number(memory)?.saturating_mul(1024 * 1024))),
            ("pods", Quantity::from_units(pods)),
        ]
        .into_iter()
        .collect();
        if gpus > 0 {
            allocatable.set(GPU_COUNT, Quantity::from_units(gpus));
        }
        nodes.push(node(record.get(name).unwrap_or_default(), allocatable, model));
    }
    Ok(nodes)
}

fn node(name: &str, allocatable: ResourceList, model: Option<&str>) -> Node {
    let labels: Labels =
        [(HOSTNAME_LABEL, name)].into_iter().chain(model.map(|model| (GPU_MODEL, model))).collect();
    Node::new(ObjectMeta { labels, ..ObjectMeta::new("", name) }, allocatable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_offers_its_gpus_for_sharing() {
        let text = "sn,cpu_milli,memory_mib,gpu,model\na,64000,262144,2,P100\nb,32000,1024,0,\n";
        let nodes = nodes_from_csv(text.as_bytes()).expect("well-formed");
        assert_eq!(nodes[0].allocatable.get(GPU_COUNT), Some(Quantity::from_units(2)));
        assert_eq!(nodes[0].meta.labels.get(GPU_MODEL).map(AsRef::as_ref), Some("P100"));
        assert_eq!(nodes[1].allocatable.get(GPU_COUNT), None);
        assert!(nodes_from_csv(b"sn,cpu\n").is_err());
    }
}
