//! Every state that a status can say, and what each tool should make of it. The one table that code, scripts, test data and
//! documentation are compared with.

/// One row of section 3 of the design, and how it is judged.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// The name of the object, and of the file in `testdata`.
    pub name: &'static str,
    /// `status.phase`; empty for a Partner.
    pub phase: &'static str,
    /// The reason of the condition Ready, which is what tools show.
    pub reason: &'static str,
    /// What kstatus says: Flux, Helm's `--wait=watcher`, kapp-like tools.
    pub kstatus: &'static str,
    /// What Argo CD says.
    pub argocd: &'static str,
}

const fn state(
    name: &'static str,
    phase: &'static str,
    reason: &'static str,
    kstatus: &'static str,
    argocd: &'static str,
) -> State {
    State { name, phase, reason, kstatus, argocd }
}

/// Of an integration.
pub const INTEGRATIONS: &[State] = &[
    // Nobody has looked yet: the default of the CRD.
    state("pending", "Available", "Pending", "InProgress", "Progressing"),
    // Connected, and the spec has changed since: the status is about the old one.
    state("changed", "Enabled", "Connected", "InProgress", "Progressing"),
    state("suspended", "Available", "Suspended", "Current", "Suspended"),
    state("added", "Available", "Added", "Current", "Healthy"),
    state("connected", "Enabled", "Connected", "Current", "Healthy"),
    // Below the failure threshold it is connected, and applications go on using it.
    state("check-failing", "Enabled", "CheckFailing", "Current", "Healthy"),
    // Connected, and applications cannot have it: started without --bindings, this integration wants a binding; or the
    // Secret of that name is somebody else's.
    state("bindings-disabled", "Enabled", "BindingsDisabled", "Failed", "Degraded"),
    state("binding-not-owned", "Enabled", "BindingNotOwned", "Failed", "Degraded"),
    // An earlier one has not been collected yet, or the write is refused: tried again by itself.
    state("binding-failed", "Enabled", "BindingFailed", "InProgress", "Progressing"),
    // What waits for an object in the cluster, which a sync may well bring in a moment.
    state("added-partner-not-found", "Available", "PartnerNotFound", "InProgress", "Progressing"),
    state("partner-not-found", "Failed", "PartnerNotFound", "InProgress", "Progressing"),
    state("secret-not-found", "Failed", "SecretNotFound", "InProgress", "Progressing"),
    state("secret-key-not-found", "Failed", "SecretKeyNotFound", "InProgress", "Progressing"),
    state("secret-forbidden", "Failed", "SecretForbidden", "InProgress", "Progressing"),
    // What may pass by itself: no commit would mend it, and none should be rolled back for it.
    state("dns-failure", "Failed", "DNSFailure", "InProgress", "Progressing"),
    state("connect-failed", "Failed", "ConnectFailed", "InProgress", "Progressing"),
    state("timeout", "Failed", "Timeout", "InProgress", "Progressing"),
    state("rate-limited", "Failed", "RateLimited", "InProgress", "Progressing"),
    state("partner-unavailable", "Failed", "PartnerUnavailable", "InProgress", "Progressing"),
    // What somebody has to mend.
    state("partner-invalid", "Failed", "PartnerInvalid", "Failed", "Degraded"),
    state("region-not-found", "Failed", "RegionNotFound", "Failed", "Degraded"),
    state("endpoint-forbidden", "Failed", "EndpointForbidden", "Failed", "Degraded"),
    state("invalid-credential", "Failed", "InvalidCredential", "Failed", "Degraded"),
    state("credential-rejected", "Failed", "CredentialRejected", "Failed", "Degraded"),
    state("redirect-refused", "Failed", "RedirectRefused", "Failed", "Degraded"),
    state("tls-failed", "Failed", "TLSFailed", "Failed", "Degraded"),
    state("unexpected-response", "Failed", "UnexpectedResponse", "Failed", "Degraded"),
];

/// Of a Partner.
pub const PARTNERS: &[State] = &[
    state("pending", "", "", "InProgress", "Progressing"),
    state("changed", "", "Valid", "InProgress", "Progressing"),
    state("valid", "", "Valid", "Current", "Healthy"),
    state("invalid-expression", "", "InvalidExpression", "Failed", "Degraded"),
    state("invalid-trust-bundle", "", "InvalidTrustBundle", "Failed", "Degraded"),
];
