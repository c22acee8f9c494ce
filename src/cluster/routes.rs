//! Routing of external requests: Ingresses and IngressClasses (networking.k8s.io/v1), and HTTPRoutes of the Gateway
//! API. All their fields are in their documents, which `scenario::Routing` reads.

use super::meta::ObjectMeta;
use super::object::written_object;

written_object!(Ingress, IngressSpec);
written_object!(IngressClass, IngressClassSpec);
written_object!(HTTPRoute, HTTPRouteSpec);
