//! ServiceAccounts (core/v1).

use super::meta::ObjectMeta;
use super::object::plain_object;

/// A ServiceAccount. The account `default`, which every namespace has, is not among the objects.
#[derive(Clone, Debug)]
pub struct ServiceAccount {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// Empty: nothing is simulated.
    pub spec: ServiceAccountSpec,
}

/// The fields of a ServiceAccount; none is simulated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceAccountSpec;

plain_object!(ServiceAccount, ServiceAccountSpec);
