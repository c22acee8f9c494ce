//! The initial call graph: an edge for the clients of each service, for each call that requests make, and for each
//! route.

use super::{Edge, Errors, Network, Route, mesh};
use crate::path::ServiceTraffic;
use crate::request_class::Classes;
use crate::request_model::RequestModel;
use engine::Streams;

/// Builds the call graph. Unknown called services are added, so that calls to them fail.
pub(crate) fn graph(
    services: &mut Vec<ServiceTraffic>,
    models: &[RequestModel],
    classes: &mut Classes,
    streams: Streams,
) -> Network {
    classes.number_arrivals(services);
    for call in models.iter().flat_map(|model| &model.calls) {
        let name = call.service.to_string();
        if !services.iter().any(|service| service.name == name) {
            services.push(ServiceTraffic::without_clients(name));
        }
    }
    let mut edges: Vec<Edge> = (0..)
        .zip(&*services)
        .map(|(index, service)| {
            let stream = streams.stream(&format!("retries of clients of {}", service.name), 0);
            Edge::of_clients(index, service.timeout, service.retries, stream)
        })
        .collect();
    let mut edges_of_model = Vec::with_capacity(models.len());
    for (number, model) in (0..).zip(models) {
        let count = |edges: &[Edge]| u32::try_from(edges.len()).expect("fewer than 2^32 calls");
        let first = count(&edges);
        for (place, call) in (0..).zip(&model.calls) {
            let name = call.service.to_string();
            let positions = services.iter().map(|service| &service.name);
            let service = (0..).zip(positions).find(|(_, other)| **other == name);
            let (caller, number) = classes.model_in_words(number);
            let stream = streams.stream(&format!("calls {place} of {caller} to {name}"), number);
            let class = call.class.as_ref().map_or(0, |class| classes.number(class));
            let service = service.map_or(0, |(index, _)| index);
            edges.push(Edge { class, ..Edge::of_model(call, service, stream) });
        }
        edges_of_model.push(first..count(&edges));
    }
    for (range, _) in edges_of_model.clone().iter().zip(models).filter(|(_, one)| one.has_proxy()) {
        for position in range.clone() {
            let called = &services[edges[position as usize].service as usize];
            if let Some(route) = called.policy.mesh.clone() {
                mesh::follow(&route, position, services, &mut edges, streams);
            }
        }
    }
    let names: Vec<String> = services.iter().map(|service| service.name.clone()).collect();
    let mut routes = Vec::new();
    for (index, service) in (0..).zip(&mut *services) {
        for route in service.routes.drain(..) {
            routes.push(Route::new(route, index, &names, &mut edges, streams));
        }
    }
    // All recorded classes of requests are known by now.
    let own = services.iter().map(|service| {
        // A flow is served by the mean over its classes.
        let is_flow = service.arrivals.as_flow().is_some();
        let mix = classes.mix(service, models, streams).filter(|_| !is_flow);
        (service.policy.clone(), mix)
    });
    let errors = (0..).zip(models).map(|(number, model)| {
        let (name, number) = classes.model_in_words(number);
        let stream = streams.stream(&format!("application errors of {name}"), number);
        (model.error_rate() > 0.0).then(|| Errors { rate: model.error_rate(), stream })
    });
    Network { errors: errors.collect(), ..Network::new(own, edges, edges_of_model, routes, names) }
}
