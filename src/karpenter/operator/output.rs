//! What the operator asks for, and what it tells.

use std::sync::Arc;

use crate::disruption::{Command, Invalid, Method};
use crate::scheduling::Results;
use cluster::{Name, NamespacedName};
use engine::SimTime;

/// What the operator asks for, and what it tells.
#[derive(Clone, Debug)]
pub enum Output {
    /// The cloud is to give an instance for this claim.
    Launch(Name),
    /// The taint of nodes that are about to go is to be put on a node, or taken off.
    Taint {
        /// The node.
        node: Name,
        /// Whether it is to have it.
        is_disrupted: bool,
    },
    /// A claim is deleted: its node is drained, and its instance goes.
    Delete {
        /// The claim.
        claim: Name,
        /// Why.
        why: Deletion,
    },
    /// A pass for the pods that wait.
    Scheduled {
        /// How many waited.
        pending: usize,
        /// How many are on nodes that are about to go.
        deleting: usize,
        /// What came of it; absent if there is no pool to make nodes.
        results: Option<Arc<Results>>,
    },
    /// Pods were told where they are to go.
    Nominated(Vec<Nomination>),
    /// A claim was made.
    Created(Name),
    /// A claim is not made, as its pool has more than its limit of a resource already.
    OverLimit {
        /// The pool.
        pool: Name,
        /// The resource.
        resource: String,
    },
    /// A node may be consolidated from now on, or may not.
    Consolidatable {
        /// The node.
        node: Name,
        /// Whether it may.
        holds: bool,
    },
    /// A command begins to be carried out.
    Started {
        /// When the round began in which it was decided.
        round: SimTime,
        /// The command.
        command: Arc<Command>,
    },
    /// A command did not hold on the second look.
    Invalidated {
        /// When the round began.
        round: SimTime,
        /// By which method it was decided.
        method: Method,
        /// Why it does not hold.
        why: Invalid,
    },
    /// A round is over in which commands were decided and none held.
    NothingLeft {
        /// When it began.
        round: SimTime,
    },
    /// A command is done: its nodes are deleted, or stay.
    Done {
        /// The command.
        command: Arc<Command>,
        /// Whether its nodes go.
        has_succeeded: bool,
    },
    /// A method looked at the nodes and left these alone, and why.
    Kept(Vec<(Name, String)>),
}

/// Why a claim is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// A command of this method.
    Disrupted(Method),
    /// It is as old as it may become.
    Expired,
    /// The cloud takes its instance back.
    Interrupted,
    /// The cloud gave no instance in time.
    NotLaunched,
    /// Its node did not join in time.
    NotRegistered,
}

/// A pod was told where it is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nomination {
    /// The pod.
    pub pod: NamespacedName,
    /// The claim, if Karpenter made the node.
    pub claim: Option<Name>,
    /// The node, if it is there.
    pub node: Option<Name>,
}
