//! A pool in place of whose fixed number of nodes an autoscaler makes as many as are needed.

use crate::shop::{MANIFESTS, SCENARIO, Shop};

#[test]
fn one_changed_setting_has_karpenter_make_the_nodes_of_a_pool() {
    let shop = Shop::with(SCENARIO, MANIFESTS);
    let of = |count: &str| format!("cluster.nodePools[0].count={count}");
    let ran = shop.run(&["run", "scenario.yaml", "--set", &of("karpenter")]);
    assert_eq!(ran.err, "");
    assert!(ran.out.contains(" waited: "), "{}", ran.out);
    let pools = shop.run(&["get", "nodepool", "scenario.yaml", "--set", &of("karpenter")]);
    assert!(pools.out.contains("True"), "{}\n{}", pools.out, pools.err);
    let other = "cluster.nodePools[0].instanceType=gcp/n2-standard-4";
    let wrong = shop.run(&["run", "scenario.yaml", "--set", &of("karpenter"), "--set", other]);
    assert!(wrong.err.contains("Karpenter uses EC2 instances"), "{}", wrong.err);
    assert!(wrong.err.contains("such as aws/m5.xlarge"), "{}", wrong.err);
    let neither = shop.run(&["run", "scenario.yaml", "--set", &of("some")]);
    assert!(neither.err.contains("or karpenter"), "{}", neither.err);
}
