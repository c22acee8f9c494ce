//! Converts an InferencePool of the Gateway API Inference Extension to a Service, as gateways do (Istio's
//! `InferencePoolController` creates one for the pods of the pool): its pods are the endpoints of the routes that name it.

use serde_json::{Value, json};

use super::{Expansion, ExpansionInput, Mistake};

/// Annotation with the Service of the pool's endpoint picker, which gateways call and clients do not.
pub const ENDPOINT_PICKER: &str = "inference.networking.k8s.io/endpoint-picker";

/// The name of the Service of a pool.
pub fn pool_service(pool: &str) -> String {
    format!("{pool}-ip")
}

pub(super) fn make(given: &ExpansionInput<'_>) -> Expansion {
    // `v1` has label selectors and up to eight ports, `v1alpha2` a map of labels and one port.
    let selector = given.value("/spec/selector/matchLabels").or(given.value("/spec/selector"));
    let is_map = |one: &&Value| {
        one.as_object().is_some_and(|map| !map.is_empty() && map.values().all(Value::is_string))
    };
    let Some(selector) = selector.filter(is_map) else {
        return Err(Mistake {
            field: "spec.selector",
            message: "Required value: the labels of the pool's pods".to_owned(),
            help: "write `selector: {matchLabels: {app: NAME}}`",
        });
    };
    let numbers = given.list("/spec/targetPorts").iter().filter_map(|port| port["number"].as_i64());
    let ports: Vec<Value> = numbers
        .chain(given.int("/spec/targetPortNumber"))
        .map(|number| json!({"name": format!("http-{number}"), "port": number, "targetPort": number}))
        .collect();
    let name = pool_service(given.name());
    let mut service = given.service(&name, selector, &Value::from(ports), false);
    let picker =
        given.text("/spec/endpointPickerRef/name").or(given.text("/spec/extensionRef/name"));
    if let Some(picker) = picker {
        service["metadata"]["annotations"] = json!({ ENDPOINT_PICKER: picker });
    }
    Ok(vec![service])
}
