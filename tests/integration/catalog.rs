//! The catalog against the figures of those who run such nodes.

use wavetank::capacity::catalog;
use wavetank::capacity::reserved::allocatable;

/// Goal: our EKS formulas give what Karpenter documents, to the milli-CPU and the MiB, for each of its
/// 1,345 types.
#[test]
fn eks_allocatable_is_what_karpenter_documents_for_every_type() {
    let mut rows = 0;
    for line in include_str!("../golden/catalog/aws_allocatable.csv").lines().skip(1) {
        let (name, amounts) = line.split_once(',').expect("name, cpu, memory");
        let node_type = catalog::find(name).expect("in the catalog");
        let ours = allocatable(&node_type.machine);
        assert_eq!(format!("{},{}", ours.cpu.0, ours.memory.0 >> 20), amounts, "{name}");
        assert_eq!(ours.memory.0 % (1 << 20), 0, "{name}: whole MiB");
        rows += 1;
    }
    assert_eq!(rows, 1_345);
}
