//! What says where requests from outside go: Ingresses and IngressClasses (networking.k8s.io/v1), and HTTPRoutes of the
//! Gateway API. All of it is in their documents, which `scenario::Routing` reads.

use super::meta::ObjectMeta;
use super::object::plain_object;

macro_rules! route_kind {
    ($kind:ident, $spec:ident) => {
        #[doc = concat!("An ", stringify!($kind), ".")]
        #[derive(Clone, Debug)]
        pub struct $kind {
            /// Its metadata, with its document.
            pub meta: ObjectMeta,
            /// Nothing: its document says all.
            pub spec: $spec,
        }

        /// Stands for the fields of the kind, which are in the document.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $spec;

        plain_object!($kind, $spec);
    };
}

route_kind!(Ingress, IngressSpec);
route_kind!(IngressClass, IngressClassSpec);
route_kind!(HTTPRoute, HTTPRouteSpec);
