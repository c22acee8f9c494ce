//! Which node a pod goes to, as kube-scheduler decides it.
