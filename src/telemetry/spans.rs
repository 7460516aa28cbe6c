//! The spans, all of them: their names, and what they may say. `docs/operations.md` lists them.
//!
//! A span holds what the log holds too: names, words of this crate, and the status code of an answer. Where nobody
//! exports spans, none is begun: the functions here give disabled ones, which hold nothing.
//!
//! Names follow the semantic conventions of OpenTelemetry where these have one; `partner_integration.` begins our own.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::check::host_of;
use crate::core::{Reason, Verdict};
use crate::metrics::Reconciled;

/// The target of the spans. It does not begin with the crate's name, so that no log level asks for them.
pub const TARGET: &str = "partner_integration_spans";

/// One reconcile of an integration.
#[must_use]
pub fn reconcile(integration: &ObjectMeta, partner: Option<&str>) -> Span {
    tracing::info_span!(
        target: TARGET,
        parent: None,
        "reconcile",
        k8s.namespace.name = integration.namespace,
        partner_integration.name = integration.name,
        partner_integration.uid = integration.uid,
        partner_integration.partner = partner,
        partner_integration.result = Empty,
        error.r#type = Empty,
        otel.status_code = Empty,
    )
}

/// How that reconcile ended.
pub fn reconciled(span: &Span, how: Reconciled) {
    span.record("partner_integration.result", how.as_str());
    if how != Reconciled::Success {
        failed(span, how.as_str());
    }
}

/// One check, from its start, through its wait for a place, to its outcome. It belongs to the trace of the reconcile that
/// started it, and goes on after that has ended.
#[must_use]
pub fn check(started_by: &Cause, namespace: &str, name: &str, uid: &str) -> Span {
    // No child of the current span, which would not be exported before this one has ended.
    let span = tracing::info_span!(
        target: TARGET,
        parent: None,
        "check",
        k8s.namespace.name = namespace,
        partner_integration.name = name,
        partner_integration.uid = uid,
        partner_integration.partner = Empty,
        partner_integration.region = Empty,
        partner_integration.result = Empty,
        http.response.status_code = Empty,
        error.r#type = Empty,
        otel.status_code = Empty,
    );
    started_by.is_parent_of(&span);
    span
}

/// The check that runs now has its place and goes to this region.
pub fn check_has_place(partner: &str, region: &str) {
    let span = Span::current();
    span.record("partner_integration.partner", partner);
    span.record("partner_integration.region", region);
}

/// What came of the check that runs now; `None` where something had changed while it waited.
pub fn checked(verdict: Option<&Verdict>) {
    let span = Span::current();
    let (reason, code) = match verdict {
        None => (None, None),
        Some(Verdict::Connected) => (Some(Reason::Connected), None),
        Some(Verdict::NotMade(reason)) => (Some(*reason), None),
        Some(Verdict::Failed(failure)) => (Some(failure.reason), failure.code),
    };
    span.record("partner_integration.result", reason.map_or("changed", Reason::as_str));
    if let Some(code) = code {
        span.record("http.response.status_code", code);
    }
    if let Some(reason) = reason.filter(|reason| *reason != Reason::Connected) {
        failed(&span, reason.as_str());
    }
}

/// The request to the partner within a check: what the partner itself takes of it. Its address is that of the catalogue.
#[must_use]
pub fn request(method: &str, endpoint: &str) -> Span {
    tracing::info_span!(
        target: TARGET,
        "request",
        otel.kind = "client",
        otel.name = method,
        http.request.method = method,
        server.address = host_of(endpoint),
    )
}

/// One write to the API server, `resource` with its subresource. The object has a name in the span around it.
#[must_use]
pub fn api_write(verb: &'static str, resource: &'static str, namespace: Option<&str>) -> Span {
    tracing::info_span!(
        target: TARGET,
        "api write",
        otel.kind = "client",
        k8s.namespace.name = namespace,
        partner_integration.api.verb = verb,
        partner_integration.api.resource = resource,
        partner_integration.result = Empty,
        error.r#type = Empty,
        otel.status_code = Empty,
    )
}

/// Makes a write within a span of its own, which says in the words of `outcome` what came of it.
///
/// # Errors
/// Those of the write.
pub async fn writing<T, E>(
    span: Span,
    write: impl Future<Output = Result<T, E>>,
    outcome: impl FnOnce(&E) -> &'static str,
) -> Result<T, E> {
    let written = write.instrument(span.clone()).await;
    match &written {
        Ok(_) => {
            span.record("partner_integration.result", "success");
        }
        Err(error) => {
            let word = outcome(error);
            span.record("partner_integration.result", word);
            failed(&span, word);
        }
    }
    written
}

fn failed(span: &Span, kind: &str) {
    span.record("error.type", kind);
    span.record("otel.status_code", "ERROR");
}

/// A span that something else is because of: what is left of it when it has ended. Nothing at all while spans are off.
#[derive(Clone, Default)]
pub struct Cause(#[cfg(feature = "otlp")] Option<std::sync::Arc<opentelemetry::trace::SpanContext>>);

#[cfg(feature = "otlp")]
mod causes {
    use std::sync::Arc;

    use opentelemetry::context::FutureExt;
    use opentelemetry::trace::TraceContextExt;
    use opentelemetry::{Context, ContextGuard};
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    use super::{Cause, Span};

    impl Cause {
        /// The span that is entered now, if there is one.
        #[must_use]
        pub fn current() -> Self {
            Self(Context::map_current(|context| {
                context.has_active_span().then(|| Arc::new(context.span().span_context().clone()))
            }))
        }

        /// Puts `span`, which has not been entered yet, below this one.
        pub fn is_parent_of(&self, span: &Span) {
            if self.0.is_some() {
                // It fails for a span that is disabled or has been entered: there is nothing to be told of then.
                let _ = span.set_parent(self.context());
            }
        }

        /// Links `span` to this one, which is in another trace or has ended.
        pub fn is_linked_from(&self, span: &Span) {
            if let Some(cause) = &self.0 {
                span.add_link((**cause).clone());
            }
        }

        /// Has the log lines until the guard is dropped name this span.
        #[must_use]
        pub fn enter(&self) -> Option<ContextGuard> {
            self.0.is_some().then(|| self.context().attach())
        }

        /// Does `work` below this span: the spans that it begins are children of it.
        pub fn of<W: Future>(&self, work: W) -> impl Future<Output = W::Output> + use<W> {
            work.with_context(self.context())
        }

        fn context(&self) -> Context {
            let cause = self.0.as_ref();
            cause.map_or_else(Context::new, |cause| Context::new().with_remote_span_context((**cause).clone()))
        }
    }
}

#[cfg(not(feature = "otlp"))]
impl Cause {
    /// Built without spans: nothing.
    #[must_use]
    pub fn current() -> Self {
        Self()
    }

    /// Built without spans: does nothing.
    pub fn is_parent_of(&self, _: &Span) {}

    /// Built without spans: does nothing.
    pub fn is_linked_from(&self, _: &Span) {}

    /// Built without spans: does `work`.
    pub fn of<W: Future>(&self, work: W) -> W {
        work
    }

    /// Built without spans: does nothing.
    #[must_use]
    pub fn enter(&self) -> Option<()> {
        None
    }
}

impl std::fmt::Debug for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cause")
    }
}
