//! Objects generated from the schema of the CRDs: what the API server accepts never makes the operator panic or go quiet.
