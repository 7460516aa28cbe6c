//! Observe: gathers what a decision depends on. Caches first; absence is concluded only from a live `get`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::api::core::v1::Secret;
use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt};

use super::Context;
use super::bindings::Wanted;
use super::catalogue::{Entry, Listed};
use super::failure::ApiFailure;
use super::key::{Key, can_be_a_name};
use super::publish::entries;
use super::scope::SecretWatch;
use super::secrets::version_of;
use super::tracker::{Check, View};
use crate::api::{Partner, PartnerIntegration};
use crate::core::{
    BindingSeen, CheckSeen, Memory, Observed, PartnerSeen, SecretSeen, SecretVersion, Verdict, needs_secret,
    unchanged_secret,
};
use crate::health::Right;
use crate::telemetry::Cause;

/// Everything that was read for one decision.
pub struct Gathered {
    /// The integration, at least as new as what was written to it last.
    pub integration: Arc<PartnerIntegration>,
    partner: Option<Listed>,
    secret: SecretSeen,
    check: Check,
    /// The span of the check that ended last.
    pub checked_in: Cause,
    memory: Memory,
    binding: BindingSeen,
}

impl Gathered {
    /// Whether a check has ended whose outcome the decision takes up or drops.
    pub fn has_outcome(&self) -> bool {
        matches!(self.check, Check::Ended(_))
    }

    /// What the core decides from, at this moment.
    pub fn observed(&self) -> Observed<'_> {
        Observed {
            now: jiff::Timestamp::now(),
            draw: rand::random(),
            integration: &self.integration,
            partner: seen(self.partner.as_ref(), &self.integration),
            secret: self.secret.clone(),
            check: match &self.check {
                Check::Idle => CheckSeen::Idle,
                Check::Open(tuple) => CheckSeen::Open(tuple),
                Check::Ended(ended) => CheckSeen::Ended(ended),
            },
            memory: &self.memory,
            binding: self.binding.clone(),
        }
    }

    /// The partner, where it can be read.
    pub fn entry(&self) -> Option<&Entry> {
        match self.partner.as_ref()? {
            Listed::Readable(entry) => Some(entry),
            Listed::Unreadable => None,
        }
    }
}

fn seen<'a>(partner: Option<&'a Listed>, integration: &PartnerIntegration) -> PartnerSeen<'a> {
    partner.map_or(PartnerSeen::Absent, |listed| listed.seen(integration.spec.region.as_deref()))
}

impl Context {
    /// Gathers what is known of an integration that was `read` from what the watch has shown (`watched`) or live; `None`
    /// where it has gone.
    ///
    /// # Errors
    /// A live read that neither found the object nor said that it is absent or forbidden concludes nothing.
    pub async fn observe(&self, read: Arc<PartnerIntegration>, watched: bool) -> Result<Option<Gathered>, ApiFailure> {
        let key = Key::of(&*read);
        let integration = self.tracker.newest(&key, read, watched);
        let Some(View { memory, check, refused, checked_in, unsure }) =
            self.tracker.view(&key, &integration.uid().unwrap_or_default())
        else {
            return Ok(None);
        };
        let partner = self.partner(&integration.spec.partner).await?;
        let secret = match needs_secret(&integration, seen(partner.as_ref(), &integration)) {
            Some(name) => {
                let unchanged = self.unchanged(&integration, &check);
                self.secret(&Key { name: name.into(), ..key }, unchanged).await?
            }
            None => SecretSeen::Absent,
        };
        let mut gathered =
            Gathered { integration, partner, secret, check, checked_in, memory, binding: BindingSeen::default() };
        if self.bindings.enabled() {
            gathered.binding = BindingSeen { refused, ..self.binding(&gathered, unsure.as_deref()).await? };
        }
        Ok(Some(gathered))
    }

    /// What is known of the binding Secrets. That one which was published is gone is concluded from a live `get` only.
    /// `unsure`: one whose creation was not answered is looked at live, too, or it would outlive a status that says that
    /// nothing is connected (S2).
    async fn binding(&self, gathered: &Gathered, unsure: Option<&str>) -> Result<BindingSeen, ApiFailure> {
        let integration = &*gathered.integration;
        let key = Key::of(integration);
        let name = integration.spec.binding.as_ref().map(|binding| binding.secret_name.as_str());
        let published = integration.status.as_ref().and_then(|status| Some(status.binding.as_ref()?.name.as_str()));
        let api = Api::<Secret>::namespaced(self.client.clone(), &key.namespace);
        let to_judge: BTreeSet<&str> = published.into_iter().chain(name).chain(unsure).collect();
        for name in to_judge {
            let secret = Key { name: name.into(), ..key.clone() };
            // What is known is kept up to date by the watch, where there is one.
            let unwatched = self.scope.secret_watch == SecretWatch::None;
            let is_unsure = unsure == Some(name);
            let looks = if self.bindings.knows(&secret) { unwatched } else { published == Some(name) };
            if looks || is_unsure {
                match self.look(&api, &secret).await {
                    Ok(()) if is_unsure => {
                        self.tracker.unsure(&key, &integration.uid().unwrap_or_default(), None);
                    }
                    // Without access nothing can be published either; the key's own Secret says so.
                    Ok(()) | Err(ApiFailure::Forbidden) => {}
                    Err(failure) => return Err(failure),
                }
            }
        }
        let key_of = integration.spec.api_key_secret_ref.as_ref();
        let entries = gathered.entry().zip(key_of).map(|(entry, key)| entries(entry, key)).unwrap_or_default();
        let uid = integration.uid().unwrap_or_default();
        let (named, strays) = self.bindings.of(&Wanted { integration: &key, uid: &uid, name, entries });
        Ok(BindingSeen { enabled: true, named, strays, refused: None })
    }

    async fn partner(&self, name: &str) -> Result<Option<Listed>, ApiFailure> {
        if let Some(listed) = self.catalogue.get(name) {
            return Ok(Some(listed));
        }
        if !can_be_a_name(name) {
            return Ok(None);
        }
        let api = Api::<DeserializeGuard<Partner>>::all(self.client.clone());
        match self.call(Right::GET_PARTNERS, "", api.get(name)).await {
            Ok(partner) => {
                self.catalogue.read(&partner);
                Ok(self.catalogue.get(name))
            }
            Err(ApiFailure::NotFound) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// What counts as the Secret's version until it has been read, where Secrets are not watched. Not after a check that
    /// could not read it: then what it is now is looked up.
    fn unchanged(&self, integration: &PartnerIntegration, check: &Check) -> Option<SecretVersion> {
        let unread = matches!(check, Check::Ended(ended) if matches!(ended.verdict, Verdict::NotMade(_)));
        let applies = self.scope.secret_watch == SecretWatch::None && !unread;
        applies.then(|| unchanged_secret(integration)).flatten()
    }

    async fn secret(&self, key: &Key, unchanged: Option<SecretVersion>) -> Result<SecretSeen, ApiFailure> {
        if let Some(version) = self.secrets.get(key).or(unchanged) {
            return Ok(SecretSeen::Present(version));
        }
        if !can_be_a_name(&key.name) {
            return Ok(SecretSeen::Absent);
        }
        let api = Api::<Secret>::namespaced(self.client.clone(), &key.namespace);
        match self.call(Right::GET_SECRETS, &key.namespace, api.get_metadata(&key.name)).await {
            Ok(secret) => {
                self.refusals.answered(key);
                let version = version_of(&secret);
                self.secrets.seen(key, &version);
                Ok(SecretSeen::Present(version))
            }
            Err(ApiFailure::NotFound) => {
                self.refusals.answered(key);
                Ok(SecretSeen::Absent)
            }
            Err(ApiFailure::Forbidden) if self.refusals.refused(key, Instant::now()) => Ok(SecretSeen::Forbidden),
            Err(failure) => Err(failure),
        }
    }
}
