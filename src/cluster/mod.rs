//! What etcd and the API server hold: objects, the store, actions and the one function that applies them.
