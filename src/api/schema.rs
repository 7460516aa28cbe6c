//! Schemas of types that are not ours.

use schemars::{Schema, SchemaGenerator, json_schema};

/// A list of conditions, one of each type, with the sizes that bound what a status can grow to.
pub(super) fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let mut last_transition_time = time(generator);
    last_transition_time.insert("description".to_owned(), "When `status` last changed to another value.".into());
    json_schema!({
        "type": "array",
        "maxItems": 8,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "description": "One aspect of where the object stands.",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": {
                    "type": "string", "minLength": 1, "maxLength": 316,
                    "description": "Which aspect, e.g. `Ready`.",
                },
                "status": {
                    "type": "string", "enum": ["True", "False", "Unknown"],
                    "description": "True, False or Unknown.",
                },
                "reason": {
                    "type": "string", "minLength": 1, "maxLength": 1024,
                    "description": "Why, in one word, e.g. `CredentialRejected`. Alerts and scripts may rely on it.",
                },
                "message": {
                    "type": "string", "maxLength": 1024,
                    "description": "Why, as a sentence for people. Nothing that a partner answered is in it.",
                },
                "observedGeneration": {
                    "type": "integer", "format": "int64", "minimum": 0,
                    "description": "The generation of the spec that this condition is about.",
                },
                "lastTransitionTime": last_transition_time,
            },
        },
    })
}

/// A point in time, RFC 3339.
pub(super) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "maxLength": 128})
}
