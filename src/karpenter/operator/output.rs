//! Requests and reports of the operator.

use std::sync::Arc;

use crate::disruption::{Command, Invalid, Method, Obstacle};
use crate::scheduling::Results;
use cluster::{Name, NamespacedName};
use engine::SimTime;

/// A request or a report of the operator.
#[derive(Clone, Debug)]
pub enum Output {
    /// Launch an instance for this claim.
    Launch(Name),
    /// Add the disruption taint to a node, or remove it.
    Taint {
        /// The node.
        node: Name,
        /// True to add it.
        is_disrupted: bool,
    },
    /// Delete a claim: drain its node, then terminate its instance.
    Delete {
        /// The claim.
        claim: Name,
        /// The reason.
        why: Deletion,
    },
    /// A scheduling pass took place.
    Scheduled {
        /// Number of pending pods.
        pending: usize,
        /// Number of pods on nodes to be removed.
        deleting: usize,
        /// Its results; absent if no pool can create nodes.
        results: Option<Arc<Results>>,
    },
    /// Pods were nominated to nodes.
    Nominated(Vec<Nomination>),
    /// A claim was created.
    Created(Name),
    /// A claim was not created, because its pool already exceeds its limit of a resource.
    OverLimit {
        /// The pool.
        pool: Name,
        /// The resource.
        resource: String,
    },
    /// The Consolidatable condition of a node changed.
    Consolidatable {
        /// The node.
        node: Name,
        /// Its new status.
        holds: bool,
    },
    /// The execution of a command began.
    Started {
        /// Start of the round in which it was decided.
        round: SimTime,
        /// The command.
        command: Arc<Command>,
    },
    /// A command failed validation.
    Invalidated {
        /// Start of the round.
        round: SimTime,
        /// The method that decided it.
        method: Method,
        /// The reason.
        why: Invalid,
    },
    /// A round ended in which all commands failed validation.
    NothingLeft {
        /// Start of the round.
        round: SimTime,
    },
    /// A command finished: its nodes are deleted or kept.
    Done {
        /// The command.
        command: Arc<Command>,
        /// True if its nodes are deleted.
        has_succeeded: bool,
    },
    /// A method considered these nodes and kept them, with the reasons.
    Kept(Vec<Obstacle>),
}

/// Reason of a claim's deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// A command of this method.
    Disrupted(Method),
    /// It has expired.
    Expired,
    /// The cloud reclaims its instance.
    Interrupted,
    /// Its instance was not launched in time.
    NotLaunched,
    /// Its node did not join in time.
    NotRegistered,
}

/// Nomination of a pod to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nomination {
    /// The pod.
    pub pod: NamespacedName,
    /// The claim, if the node is one of Karpenter's.
    pub claim: Option<Name>,
    /// The node, if it exists already.
    pub node: Option<Name>,
}
