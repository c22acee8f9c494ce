//! The control loops of kube-controller-manager, one file each.
