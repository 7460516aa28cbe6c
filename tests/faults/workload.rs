//! What happens to an integration while something goes wrong: a beginning without faults, and then the work.

use serde_json::json;

use crate::objects::{condition, configured};
use crate::stage::Stage;
use crate::support::{Result, wait_for};

/// A piece of work. Faults are counted from the end of its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Workload {
    /// The operator starts; an integration is added that names a partner only.
    Add,
    /// One that was added gets a region, a key and a binding.
    Connect,
    /// The operator starts where everything is there already.
    Start,
    /// The operator is stopped in good order and started anew while all is connected.
    Restart,
    /// The key is changed to another good one.
    Rotate,
    /// The key is changed to a bad one, and then to a good one.
    Refuse,
    /// Another region.
    Region,
    /// Suspended, and resumed.
    Suspend,
    /// The address of the region changes in the catalogue.
    Partner,
    /// Deleted, and made again under the same name with another key.
    Recreate,
    /// The partner is down and comes back.
    Down,
    /// The same with a threshold of three.
    Threshold,
    /// The key's Secret is deleted, and made again.
    Secret,
    /// The catalogue loses the partner, and gets it back.
    Catalogue,
    /// The binding gets another name, and is then wanted no more.
    Binding,
    /// The binding's name belongs to somebody else, who then gives it up.
    Taken,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Add,
        Self::Connect,
        Self::Start,
        Self::Restart,
        Self::Rotate,
        Self::Refuse,
        Self::Region,
        Self::Suspend,
        Self::Partner,
        Self::Recreate,
        Self::Down,
        Self::Threshold,
        Self::Secret,
        Self::Catalogue,
        Self::Binding,
        Self::Taken,
    ];

    /// Its name in the name of a plan.
    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|workload| workload.name() == name)
    }

    /// What is there before anything goes wrong.
    pub async fn begin(self, stage: &Stage<'_>) -> Result<()> {
        let threshold = if self == Self::Threshold { 3 } else { 1 };
        stage.create_partner(threshold).await?;
        match self {
            Self::Add => return Ok(()),
            Self::Start => {
                stage.key("good-1").await?;
                return stage.connect().await;
            }
            Self::Connect => {
                stage.start().await?;
                stage.integrate(json!({})).await?;
                stage.reaches("NotConfigured").await?;
            }
            Self::Taken => {
                stage.foreign("bound").await?;
                stage.start().await?;
                stage.key("good-1").await?;
                stage.integrate(json!({})).await?;
                stage.reaches("NotConfigured").await?;
            }
            _ => {
                stage.key("good-1").await?;
                stage.connect().await?;
                stage.start().await?;
                stage.bound().await?;
            }
        }
        stage.quiet_for(std::time::Duration::from_millis(300)).await
    }

    /// The work. Each step but the last waits for what comes of it.
    pub async fn work(self, stage: &Stage<'_>) -> Result<()> {
        match self {
            Self::Add => add(stage).await,
            Self::Start => {
                stage.start().await?;
                stage.bound().await
            }
            Self::Restart => restart(stage).await,
            Self::Connect => {
                stage.key("good-1").await?;
                stage.edit(json!({"spec": configured()})).await?;
                stage.bound().await
            }
            Self::Rotate => {
                stage.key("good-2").await?;
                stage.bound().await
            }
            Self::Refuse => {
                stage.key("bad").await?;
                stage.reaches("CredentialRejected").await?;
                stage.key("good-2").await?;
                stage.bound().await
            }
            Self::Region => {
                stage.edit(json!({"spec": {"region": "us1"}})).await?;
                stage.until("in us1", |status| is_at(status, "/us1")).await
            }
            Self::Suspend => {
                stage.edit(json!({"spec": {"suspend": true}})).await?;
                stage.reaches("Suspended").await?;
                stage.edit(json!({"spec": {"suspend": false}})).await?;
                stage.bound().await
            }
            Self::Partner => {
                stage.move_partner().await?;
                stage.until("in eu2", |status| is_at(status, "/eu2")).await
            }
            Self::Recreate => recreate(stage).await,
            Self::Down => {
                stage.down().await?;
                ask(stage, "1").await?;
                stage.reaches("PartnerUnavailable").await?;
                stage.up().await?;
                stage.bound().await
            }
            Self::Threshold => {
                stage.down().await?;
                for value in ["1", "2", "3"] {
                    ask(stage, value).await?;
                    stage.until("handled", |status| status["lastHandledCheckRequest"] == value).await?;
                }
                stage.reaches("PartnerUnavailable").await?;
                stage.up().await?;
                stage.bound().await
            }
            Self::Secret => {
                stage.delete_key().await?;
                stage.reaches("SecretNotFound").await?;
                stage.key("good-2").await?;
                stage.bound().await
            }
            Self::Catalogue => {
                stage.delete_partner().await?;
                stage.reaches("PartnerNotFound").await?;
                stage.create_partner(1).await?;
                stage.bound().await
            }
            Self::Binding => {
                stage.edit(json!({"spec": {"binding": {"secretName": "bound-2"}}})).await?;
                stage.bound_to("bound-2").await?;
                stage.edit(json!({"spec": {"binding": null}})).await?;
                stage.until("unbound", |status| status["binding"].is_null()).await
            }
            Self::Taken => {
                stage.edit(json!({"spec": configured()})).await?;
                stage.until("taken", |status| condition(status, "Ready") == "BindingNotOwned").await?;
                stage.delete_foreign("bound").await?;
                stage.bound().await
            }
        }
    }
}

fn is_at(status: &serde_json::Value, end: &str) -> bool {
    status["connected"] == true && status["endpoint"].as_str().is_some_and(|endpoint| endpoint.ends_with(end))
}

async fn ask(stage: &Stage<'_>, value: &str) -> Result<()> {
    stage.edit(json!({"metadata": {"annotations": {"integrations.kognitiv.com/check-requested-at": value}}})).await
}

async fn add(stage: &Stage<'_>) -> Result<()> {
    stage.start().await?;
    // By an event of the watch, and not by the list before it: what is recorded is so each time.
    wait_for("the integrations to be watched", crate::stage::PATIENCE, async || {
        let watches = |it: &crate::support::proxy::Exchange| {
            it.asked.path.ends_with("/partnerintegrations") && it.asked.is_watch() && it.is_committed()
        };
        stage.proxy.journal(|journal| journal.exchanges().iter().any(watches))
    })
    .await?;
    stage.integrate(json!({})).await?;
    stage.reaches("NotConfigured").await
}

async fn restart(stage: &Stage<'_>) -> Result<()> {
    let before = stage.proxy.journal(|journal| journal.exchanges().len());
    stage.terminate().await?;
    stage.start().await?;
    // The list of partners is what a term begins with; the first one is the watch's.
    wait_for("the new process to lead", crate::stage::PATIENCE, async || {
        let lists = |it: &&crate::support::proxy::Exchange| {
            it.asked.path.ends_with("/partners") && !it.asked.is_watch() && it.is_committed()
        };
        stage.proxy.journal(|journal| journal.exchanges()[before..].iter().filter(lists).count() >= 2)
    })
    .await
}

async fn recreate(stage: &Stage<'_>) -> Result<()> {
    stage.delete().await?;
    stage.collect().await?;
    stage.key("good-2").await?;
    stage.connect().await?;
    wait_for("the new one to be bound", crate::stage::PATIENCE, async || {
        stage.collect().await.map_err(|error| error.to_string())?;
        match tokio::time::timeout(std::time::Duration::from_millis(200), stage.bound()).await {
            Ok(bound) => bound.map_err(|error| error.to_string()),
            Err(_) => Err("not yet".to_owned()),
        }
    })
    .await
}
