//! What one decision and judging one answer take, without a network: `make bench-core`.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use jiff::Timestamp;
use partner_integration_operator::api::{PartnerIntegration, PartnerSpec};
use partner_integration_operator::check::{CompiledCheck, fuzzing};
use partner_integration_operator::core::{
    BindingSeen, CheckOrder, CheckSeen, Decision, Ended, Fingerprint, Memory, Observed, PartnerFacts, PartnerSeen,
    SecretSeen, SecretVersion, Verdict, decide,
};
use serde_json::{Value, json};

/// The time at which everything happens.
fn now() -> Timestamp {
    "2026-11-24T10:00:00Z".parse().unwrap()
}

/// A partner whose check has this JSON beside its path.
fn partner(check: &Value) -> PartnerSpec {
    let mut wanted = json!({"path": "/v1/validate"});
    wanted.as_object_mut().unwrap().extend(check.as_object().unwrap().clone());
    serde_json::from_value(json!({
        "displayName": "Loyalty Platform",
        "regions": [{"name": "eu1", "endpoint": "https://eu1.loyalty.example"}],
        "authentication": {"headers": [{"name": "X-Api-Key"}]},
        "check": wanted,
    }))
    .unwrap()
}

/// A new integration that has all that it needs.
fn integration() -> PartnerIntegration {
    serde_json::from_value(json!({
        "apiVersion": "integrations.kognitiv.com/v1alpha1",
        "kind": "PartnerIntegration",
        "metadata": {"name": "loyalty", "namespace": "shop", "uid": "uid-1", "resourceVersion": "7", "generation": 1},
        "spec": {"partner": "loyalty", "region": "eu1", "apiKeySecretRef": {"name": "loyalty"}},
    }))
    .unwrap()
}

/// All that is seen of an integration.
fn seen<'a>(
    integration: &'a PartnerIntegration,
    spec: &'a PartnerSpec,
    check: CheckSeen<'a>,
    memory: &'a Memory,
) -> Observed<'a> {
    let version = SecretVersion { uid: "secret-1".to_owned(), resource_version: "100".to_owned() };
    Observed {
        now: now(),
        draw: 0.5,
        integration,
        partner: PartnerSeen::Present(PartnerFacts { spec, fault: None, forbidden: false }),
        secret: SecretSeen::Present(version),
        check,
        memory,
        binding: BindingSeen::default(),
    }
}

/// The check that a decision starts, ended well.
fn ended(decision: &Decision, integration: &PartnerIntegration) -> Ended {
    let CheckOrder::Start(plan) = &decision.check else { panic!("no check was started: {decision:?}") };
    Ended {
        tuple: plan.tuple.clone(),
        request: None,
        began_with: Fingerprint::of(integration.status.as_ref()),
        verdict: Verdict::Connected,
        at: now(),
    }
}

/// The three decisions that a cold start and what follows consist of.
fn decisions(criterion: &mut Criterion) {
    let (spec, new, memory) = (partner(&json!({})), integration(), Memory::default());
    let mut group = criterion.benchmark_group("decide");
    group.bench_function("a new one", |bench| {
        bench.iter(|| decide(black_box(&seen(&new, &spec, CheckSeen::Idle, &memory))));
    });

    let started = decide(&seen(&new, &spec, CheckSeen::Idle, &memory));
    let ended = ended(&started, &new);
    group.bench_function("an outcome taken up", |bench| {
        bench.iter(|| decide(black_box(&seen(&new, &spec, CheckSeen::Ended(&ended), &started.memory))));
    });

    let concluded = decide(&seen(&new, &spec, CheckSeen::Ended(&ended), &started.memory));
    let mut steady = new.clone();
    steady.status = concluded.status.map(|status| *status);
    assert!(steady.status.as_ref().unwrap().connected);
    let again = decide(&seen(&steady, &spec, CheckSeen::Idle, &concluded.memory));
    assert!(again.status.is_none() && !matches!(again.check, CheckOrder::Start(_)), "{again:?}");
    group.bench_function("a steady one", |bench| {
        bench.iter(|| decide(black_box(&seen(&steady, &spec, CheckSeen::Idle, &concluded.memory))));
    });
    group.finish();
}

/// A whole answer, by its code alone and by an expression over its body.
fn judging(criterion: &mut Criterion) {
    let headers = HeaderMap::new();
    let body: &[u8] = br#"{"valid":true,"account":{"id":4711,"plan":"standard","scopes":["read","write"]}}"#;
    let expression = json!({"success": {"expression": "body.valid == true && 'read' in body.account.scopes"}});
    let mut group = criterion.benchmark_group("judge");
    for (name, check, verdict) in
        [("by its code", json!({}), Verdict::Connected), ("by an expression", expression, Verdict::Connected)]
    {
        let check = CompiledCheck::parse(&partner(&check)).unwrap();
        let judged = || fuzzing::judged(black_box(&check), 200, &headers, Some(black_box(body)), now());
        assert_eq!(judged(), Some(verdict));
        group.bench_function(name, |bench| bench.iter(judged));
    }
    group.finish();
}

criterion_group!(benches, decisions, judging);
criterion_main!(benches);
