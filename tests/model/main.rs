//! The model: every interleaving within named bounds, checked with stateright.
