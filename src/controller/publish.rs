//! Writes and deletes binding Secrets, as the core orders it. The one place that does.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Resource, ResourceExt};

use super::Context;
use super::bindings::{MANAGED_BY, REGION, VERIFIED};
use super::catalogue::Entry;
use super::failure::ApiFailure;
use super::key::Key;
use super::secrets::version_of;
use crate::api::{ApiKeySecretRef, FIELD_MANAGER, PartnerIntegration};
use crate::check::{published, published_keys, wipe};
use crate::core::{Held, Publication, Refusal, region_of};
use crate::health::Right;

/// The type of a binding Secret: `servicebinding.io/` and its `type` entry (servicebinding.io 1.1, "Well-known Secret Entries").
const TYPE: &str = "partner";
/// The entries that say what the binding is for.
const DESCRIPTION: [&str; 4] = ["type", "provider", "uri", "region"];

/// The names of all entries of the binding of this integration.
pub fn entries<'a>(entry: &'a Entry, key: &'a ApiKeySecretRef) -> std::collections::BTreeSet<&'a str> {
    let mut names = published_keys(&entry.spec.authentication, &key.key);
    names.extend(DESCRIPTION);
    names
}

/// What came of withdrawing bindings.
pub enum Withdrawn {
    /// None is there any more.
    Gone,
    /// One is another version than the one that was seen: it is decided again.
    Changed,
    /// The API server will not have one deleted.
    Refused(ApiFailure),
}

impl Context {
    /// Writes a binding, and keeps what came of it for the next decision: that it is there, that it is not ours, that the
    /// key has changed meanwhile, or that the API server refuses it.
    ///
    /// # Errors
    /// Nothing is known of what came of it; it is decided again.
    pub async fn publish(
        &self,
        integration: &PartnerIntegration,
        entry: &Entry,
        publication: &Publication,
    ) -> Result<(), ApiFailure> {
        let namespace = integration.namespace().unwrap_or_default();
        let api = Api::<Secret>::namespaced(self.client.clone(), &namespace);
        let Some(mut data) = self.content(&api, integration, entry, publication).await? else {
            return Ok(());
        };
        let secret = Key { namespace: namespace.as_str().into(), name: publication.name.as_str().into() };
        let written = match &publication.over {
            None => {
                let fresh = Secret { data: Some(std::mem::take(&mut data)), ..empty(integration, publication) };
                let (key, uid) = (Key::of(integration), integration.uid().unwrap_or_default());
                // Before it is sent: this may be cut off at any moment.
                self.tracker.unsure(&key, &uid, Some(&publication.name));
                let created = self.create(&api, &namespace, fresh).await;
                if !matches!(created, Err(ApiFailure::Unknown(_))) {
                    self.tracker.unsure(&key, &uid, None);
                }
                created
            }
            Some(over) => self.replace(&api, integration, publication, over, &mut data).await,
        };
        wipe(&mut data);
        match written {
            Ok(meta) => {
                self.bindings.wrote(&secret, &meta);
                self.refusals.answered(&secret);
                tracing::info!(
                    namespace,
                    name = integration.name_any(),
                    partner = integration.spec.partner,
                    secret = publication.name,
                    "the binding has been published"
                );
                Ok(())
            }
            // It exists, or is another version than the one that was seen: it is looked at and decided anew.
            Err(ApiFailure::Conflict | ApiFailure::NotFound) => self.look(&api, &secret).await,
            // Believed once it has lasted: an API server that has just started refuses everything.
            Err(ApiFailure::Forbidden) if !self.refusals.refused(&secret, std::time::Instant::now()) => {
                Err(ApiFailure::Forbidden)
            }
            // Expired credentials and too many requests pass by themselves.
            Err(failure @ (ApiFailure::Refused(401 | 429) | ApiFailure::Unknown(_))) => Err(failure),
            Err(failure @ (ApiFailure::Forbidden | ApiFailure::Refused(_))) => {
                tracing::warn!(
                    namespace,
                    name = integration.name_any(),
                    partner = integration.spec.partner,
                    secret = publication.name,
                    %failure,
                    "the binding cannot be written; grant the operator create and update on secrets, or see what refuses it"
                );
                let generation = integration.metadata.generation.unwrap_or_default();
                let refusal = Refusal { at: jiff::Timestamp::now(), generation, tuple: publication.tuple.clone() };
                self.tracker.refused(&Key::of(integration), &integration.uid().unwrap_or_default(), refusal);
                Ok(())
            }
        }
    }

    /// What a binding holds; `None` where the key is no longer the one that was proved: the next decision sees that.
    async fn content(
        &self,
        api: &Api<Secret>,
        integration: &PartnerIntegration,
        entry: &Entry,
        publication: &Publication,
    ) -> Result<Option<BTreeMap<String, ByteString>>, ApiFailure> {
        let (Some(key), Some(region)) =
            (&integration.spec.api_key_secret_ref, region_of(integration, &entry.spec.regions))
        else {
            return Ok(None);
        };
        let source =
            Key { namespace: integration.namespace().unwrap_or_default().into(), name: key.name.as_str().into() };
        let mut secret = match self.call(Right::GET_SECRETS, &source.namespace, api.get(&key.name)).await {
            Ok(secret) => secret,
            Err(ApiFailure::NotFound) => {
                self.secrets.forget(&source);
                return Ok(None);
            }
            Err(failure) => return Err(failure),
        };
        let version = version_of(&secret);
        self.secrets.seen(&source, &version);
        let mut raw = secret.data.take().unwrap_or_default();
        let proved = version == publication.tuple.secret;
        // A key that was proved can be read; one that cannot is another one.
        let read = if proved { published(&entry.spec.authentication, &key.key, &raw).ok() } else { None };
        wipe(&mut raw);
        let Some(mut data) = read else { return Ok(None) };
        let provider = integration.spec.partner.as_str();
        for (name, value) in DESCRIPTION.into_iter().zip([TYPE, provider, &region.endpoint, &region.name]) {
            // Where a Secret key of several headers has one of these names, the specification's meaning goes before.
            let hidden = data.insert(name.to_owned(), ByteString(value.as_bytes().to_vec()));
            wipe(&mut hidden.map(|value| (name.to_owned(), value)).into_iter().collect());
        }
        Ok(Some(data))
    }

    async fn create(&self, api: &Api<Secret>, namespace: &str, mut secret: Secret) -> Result<ObjectMeta, ApiFailure> {
        self.metrics.writes("Secret", "create");
        let created = self.call(Right::CREATE_SECRETS, namespace, api.create(&parameters(), &secret)).await;
        wipe(secret.data.get_or_insert_default());
        created.map(kept)
    }

    /// Writes over the version that was seen; labels and annotations of others stay.
    async fn replace(
        &self,
        api: &Api<Secret>,
        integration: &PartnerIntegration,
        publication: &Publication,
        over: &crate::core::SecretVersion,
        data: &mut BTreeMap<String, ByteString>,
    ) -> Result<ObjectMeta, ApiFailure> {
        let namespace = integration.namespace().unwrap_or_default();
        let meta = kept(self.call(Right::GET_SECRETS, &namespace, api.get(&publication.name)).await?);
        let mut secret = empty(integration, publication);
        if meta.uid.as_ref() != Some(&over.uid) || meta.resource_version.as_ref() != Some(&over.resource_version) {
            return Err(ApiFailure::Conflict);
        }
        let ours = std::mem::replace(&mut secret.metadata, meta);
        secret.metadata.managed_fields = None;
        secret.metadata.labels.get_or_insert_default().extend(ours.labels.unwrap_or_default());
        secret.metadata.annotations.get_or_insert_default().extend(ours.annotations.unwrap_or_default());
        secret.data = Some(std::mem::take(data));
        self.metrics.writes("Secret", "update");
        let replaced =
            self.call(Right::UPDATE_SECRETS, &namespace, api.replace(&publication.name, &parameters(), &secret)).await;
        wipe(secret.data.get_or_insert_default());
        replaced.map(kept)
    }

    /// Deletes bindings, each in the version that was seen (S4).
    ///
    /// # Errors
    /// Of one nothing is known, or what stands in the way may pass by itself; it is decided again.
    pub async fn withdraw(&self, integration: &PartnerIntegration, held: &[Held]) -> Result<Withdrawn, ApiFailure> {
        let namespace = integration.namespace().unwrap_or_default();
        let api = Api::<Secret>::namespaced(self.client.clone(), &namespace);
        let mut withdrawn = Withdrawn::Gone;
        for Held { name, version } in held {
            let preconditions = Preconditions {
                uid: Some(version.uid.clone()),
                resource_version: Some(version.resource_version.clone()),
            };
            let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
            let secret = Key { namespace: namespace.as_str().into(), name: name.as_str().into() };
            self.metrics.writes("Secret", "delete");
            match self.call(Right::DELETE_SECRETS, &namespace, api.delete(name, &params)).await {
                Ok(_) | Err(ApiFailure::NotFound) => {
                    self.refusals.answered(&secret);
                    self.bindings.gone(&secret);
                }
                Err(ApiFailure::Conflict) => {
                    self.look(&api, &secret).await?;
                    return Ok(Withdrawn::Changed);
                }
                // As where one is published.
                Err(ApiFailure::Forbidden) if !self.refusals.refused(&secret, std::time::Instant::now()) => {
                    return Err(ApiFailure::Forbidden);
                }
                Err(failure @ (ApiFailure::Refused(401 | 429) | ApiFailure::Unknown(_))) => return Err(failure),
                Err(failure @ (ApiFailure::Forbidden | ApiFailure::Refused(_))) => {
                    tracing::warn!(
                        namespace,
                        name = integration.name_any(),
                        partner = integration.spec.partner,
                        secret = name,
                        %failure,
                        "the binding cannot be withdrawn; grant the operator delete on secrets, or see what refuses it"
                    );
                    withdrawn = Withdrawn::Refused(failure);
                }
            }
        }
        Ok(withdrawn)
    }

    /// Reads the metadata of a binding live.
    pub async fn look(&self, api: &Api<Secret>, secret: &Key) -> Result<(), ApiFailure> {
        match self.call(Right::GET_SECRETS, &secret.namespace, api.get_metadata(&secret.name)).await {
            Ok(found) => {
                self.bindings.seen(secret, found.meta(), true);
                Ok(())
            }
            Err(ApiFailure::NotFound) => {
                self.bindings.gone(secret);
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

/// The metadata of a Secret that was answered; its values are wiped.
fn kept(mut secret: Secret) -> ObjectMeta {
    wipe(secret.data.get_or_insert_default());
    secret.metadata
}

/// A binding without its data.
fn empty(integration: &PartnerIntegration, publication: &Publication) -> Secret {
    let owner = OwnerReference {
        api_version: PartnerIntegration::api_version(&()).into_owned(),
        kind: PartnerIntegration::kind(&()).into_owned(),
        name: integration.name_any(),
        uid: integration.uid().unwrap_or_default(),
        controller: Some(true),
        // Deletion of the integration never waits for anything.
        block_owner_deletion: Some(false),
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let region = integration.spec.region.as_deref().unwrap_or_default();
    Secret {
        metadata: ObjectMeta {
            name: Some(publication.name.clone()),
            namespace: integration.namespace(),
            labels: Some([pair(MANAGED_BY.0, MANAGED_BY.1)].into()),
            annotations: Some([pair(VERIFIED, &publication.tuple.stamp()), pair(REGION, region)].into()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        type_: Some(format!("servicebinding.io/{TYPE}")),
        ..Secret::default()
    }
}
