//! What says where requests from outside go: Ingresses and IngressClasses (networking.k8s.io/v1), and HTTPRoutes of the
//! Gateway API. All of it is in their documents, which `scenario::Routing` reads.

use super::meta::ObjectMeta;
use super::object::written_object;

written_object!(Ingress, IngressSpec);
written_object!(IngressClass, IngressClassSpec);
written_object!(HTTPRoute, HTTPRouteSpec);
