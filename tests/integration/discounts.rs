//! Commitments, percentages and price lists, from the scenario to the invoice.

use crate::in_memory::resolved;
use wavetank::manifest::Source;
use wavetank::report::CostReport;
use wavetank::scenario::resolved::ResolvedScenario;
use wavetank::units::Money;

const MANIFESTS: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web:1, resources: {requests: {cpu: 500m}}}]}
";

/// Two hours of three machines with these settings of the bill.
fn scenario(pool: &str, bill: &str) -> ResolvedScenario {
    let scenario = format!(
        "
apiVersion: wavetank/v1
kind: Scenario
name: discounts
duration: 2h
manifests: [manifests.yaml]
cluster: {{nodePools: [{{name: a, count: 3, {pool}}}]}}
workloads: [{{workload: Deployment/shop/web}}]
bill: {{{bill}}}
"
    );
    resolved(&scenario, MANIFESTS, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn cost(resolved: &ResolvedScenario) -> CostReport {
    wavetank::sweep::run(resolved, 1, |_| {}).expect("a run").cost
}

fn sum(amounts: impl Iterator<Item = Money>) -> Money {
    amounts.sum()
}

const M5: &str = "instanceType: aws/m5.large";

#[test]
fn the_invoice_adds_up_to_the_last_digit_with_all_discounts() {
    let cost = cost(&scenario(
        M5,
        "percentOff: 7, reservations: [{instanceType: m5.large, count: 1, upfront: 500.01, pricePerHour: 0.003}], \
         savingsPlans: [{perHour: 0.05, percentOff: 27}, {perHour: 0.4, family: c5, percentOff: 30}]",
    ));
    let discounts = sum(cost.discounts.iter().map(|line| line.usd));
    let unused = sum(cost.unused_commitments.iter().map(|line| line.usd));
    let charges = sum(cost.charges.iter().map(|line| line.usd));
    assert_eq!(cost.total_usd, cost.nodes_list_usd + discounts + unused + charges);
    assert_eq!(cost.nodes_usd, sum(cost.pools.iter().map(|pool| pool.usd)));
    let workloads = sum(cost.workloads.iter().map(|one| one.usd));
    assert_eq!(cost.nodes_usd, workloads + cost.idle_usd);
    // Nothing is of the family c5: two hours of $0.40 lapse, and nothing else does.
    assert_eq!(cost.unused_commitments.len(), 1);
    assert_eq!(cost.unused_commitments[0].usd.to_string(), "$0.8000");
    // $500.01 over the 8,760 hours of a year, and $0.003.
    let reserved = 2.0 * (500.01 / 8_760.0 + 0.003 - 0.096);
    assert!((cost.discounts[0].usd.as_usd() - reserved).abs() < 1e-12, "{:?}", cost.discounts);
}

#[test]
fn a_machine_of_googles_that_runs_all_the_time_has_its_sustained_use_discount() {
    let n2 = "instanceType: gcp/n2-standard-2";
    let with = cost(&scenario(n2, ""));
    let without = cost(&scenario(n2, "sustainedUse: false"));
    let share = with.nodes_usd.as_usd() / without.nodes_usd.as_usd();
    assert!((share - 0.8002).abs() < 1e-9, "{share} of the list price");
    assert_eq!(with.nodes_list_usd, without.nodes_usd);
}

#[test]
fn a_price_list_tells_the_prices_of_a_pools_region() {
    let list = Source::new("prices.csv", "type,region,price,spot\nm5.large,eu-west-1,0.107,0.04\n");
    let with = |pool: &str| {
        let mut resolved = scenario(&format!("{M5}, {pool}"), "priceList: prices.csv");
        assert!(resolved.text.take_prices(&list).is_empty());
        (cost(&resolved).nodes_usd.as_usd() / 6.0, resolved.check().to_string())
    };
    let (price, notes) = with("zones: [eu-west-1a]");
    assert!((price - 0.107).abs() < 1e-9 && !notes.contains("price"), "{price} {notes}");
    let (price, _) = with("zones: [eu-west-1a], spot: true");
    assert!((price - 0.04).abs() < 1e-9, "{price}");
    let (price, notes) = with("zones: [us-east-1a]");
    assert!((price - 0.096).abs() < 1e-9, "{price}");
    assert!(notes.contains("the price list has no price for aws/m5.large in us-east-1"), "{notes}");
}

#[test]
fn what_is_wrong_with_a_commitment_is_told_at_its_field() {
    let wrong = scenario(
        M5,
        "reservations: [{instanceType: m5.lage, count: 1}], savingsPlans: [{perHour: 1}]",
    );
    let told = wrong.check().to_string();
    for part in [
        "bill.reservations[0].instanceType",
        "the reservation has no price",
        "the plan has no rates",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
