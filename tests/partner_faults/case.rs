//! One behaviour in one prior phase, from the first check to the last.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use partner_integration_operator::api::PartnerIntegration;

use super::behaviour::{Behaviour, Fault, Step};
use super::dns::ZONE;
use super::server::{Mode, Server};
use super::stage::{LIMIT, Seen, Stage};
use super::world::{assert_row, condition, is_observed, reason};

/// How long each failure is watched: several retries of what is transient, one of what is below the threshold.
const WATCHED: Duration = Duration::from_secs(12);
/// Timers end a moment early or late.
const TOLERANCE: SignedDuration = SignedDuration::from_millis(50);
/// A wait that the test cannot sit out.
const LONG_REST: Duration = Duration::from_secs(10);
/// The threshold of [`Prior::Protected`].
const THRESHOLD: u32 = 3;

/// What the integration was before the partner misbehaved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prior {
    /// Just configured.
    Available,
    /// Connected.
    Enabled,
    /// Failed, for another reason.
    Failed,
    /// Connected, with a threshold of three failures.
    Protected,
}

impl Prior {
    pub const ALL: [Self; 4] = [Self::Available, Self::Enabled, Self::Failed, Self::Protected];

    pub fn name(self) -> &'static str {
        match self {
            Self::Available => "available",
            Self::Enabled => "enabled",
            Self::Failed => "failed",
            Self::Protected => "protected",
        }
    }
}

/// One behaviour in one phase, and the server that does it.
pub struct Case {
    pub behaviour: Behaviour,
    pub prior: Prior,
    pub server: Server,
    host: String,
}

impl Case {
    /// With a server of its own that is well.
    pub fn new(stage: &Stage, behaviour: &Behaviour, label: &str, prior: Prior) -> Self {
        let host = format!("{}-{label}.{ZONE}", behaviour.name);
        let fault = pointed(&behaviour.fault, stage.elsewhere.address);
        let server = Server::start(fault, &host, &stage.certificates).unwrap();
        if let (Fault::Name(bad), Some(dns)) = (&behaviour.fault, &stage.dns) {
            dns.add(&host, server.address, bad);
        }
        Self { behaviour: behaviour.clone(), prior, server, host }
    }

    /// What the region's endpoint is.
    pub fn endpoint(&self) -> String {
        match self.behaviour.fault {
            Fault::Name(_) => format!("https://{}:{}", self.host, self.server.address.port()),
            _ => format!("https://{}", self.server.address),
        }
    }

    /// The integration.
    pub fn name(&self) -> String {
        format!("{}-{}", self.behaviour.name, self.prior.name())
    }

    /// From now on.
    pub async fn set(&mut self, stage: &Stage, mode: Mode) {
        self.server.set(mode).await.unwrap();
        if let Some(dns) = &stage.dns {
            dns.set(&self.host, mode == Mode::Bad);
        }
    }

    /// Runs the case; it panics where something is not as the design says. Gives how often the partner was asked.
    pub async fn run(mut self, stage: Arc<Stage>, partner: String) -> u64 {
        let (name, stage) = (self.name(), &*stage);
        let (begun, before) = self.begin(stage, &name, &partner).await;
        let first = match self.prior {
            Prior::Available => stage.first(&name, "judged", |it| is_observed(it) && reason(it) != "Pending").await,
            _ => handled(stage, &name, "misbehaves").await,
        };
        assert_eq!(count(&first.object), if self.is_well() { 0 } else { before + 1 }, "{name}: failures counted");
        self.judge(&name, &first, begun);

        tokio::time::sleep(if self.behaviour.floods { WATCHED / 3 } else { WATCHED }).await;
        self.is_asked(&name).await;
        let asked = self.server.asked();
        // Every check that was asked for but the last has been seen to end: the watch may lag.
        let told = before + u32::try_from(asked.len()).unwrap().saturating_sub(1);
        stage.first(&name, "told of each check", |it| self.is_well() || count(it) >= told.min(10)).await;
        self.judge_schedule(stage, &name, &first, begun, (before, asked));
        let rests = self.behaviour.asks.is_some_and(|asks| asks > LONG_REST);
        if rests {
            self.rests(stage, &name).await;
        } else {
            let begun = Timestamp::now();
            stage.ask(&name, "again").await;
            let again = handled(stage, &name, "again").await;
            self.judge(&name, &again, begun);
            self.mend(stage, &name).await;
        }
        if let Some(most) = self.behaviour.most_sent {
            let sent = self.server.most_sent();
            assert!(sent <= most, "{name}: one connection could send {sent} bytes, more than {most}");
        }
        self.server.asked().len() as u64
    }

    fn is_well(&self) -> bool {
        self.behaviour.reason == "Connected"
    }

    /// Brings the integration into its prior phase and has the partner misbehave. Gives since when, and how many
    /// failures had been counted.
    async fn begin(&mut self, stage: &Stage, name: &str, partner: &str) -> (Timestamp, u32) {
        let (mode, wanted) = match self.prior {
            Prior::Available => {
                self.set(stage, Mode::Bad).await;
                let begun = Timestamp::now();
                stage.integration(name, partner, self.prior.name()).await;
                return (begun, 0);
            }
            Prior::Enabled | Prior::Protected => (Mode::Good, "Connected"),
            Prior::Failed => (Mode::Teapot, "UnexpectedResponse"),
        };
        self.set(stage, mode).await;
        stage.integration(name, partner, self.prior.name()).await;
        let found = stage.first(name, wanted, |it| reason(it) == wanted && is_observed(it)).await;
        self.set(stage, Mode::Bad).await;
        let begun = Timestamp::now();
        stage.ask(name, "misbehaves").await;
        (begun, count(&found.object))
    }

    /// Section 3: the whole row. Section 5: when the next try is.
    fn judge(&self, name: &str, seen: &Seen, begun: Timestamp) {
        let it = &*seen.object;
        let why = self.behaviour.or.filter(|other| says(it, other)).unwrap_or(self.behaviour.reason);
        if self.is_well() {
            assert_eq!(reason(it), "Connected", "{name}: {:#?}", it.status);
            assert_row(it, "Connected");
            return;
        }
        let counted = count(it);
        let at_once = matches!(why, "CredentialRejected" | "EndpointForbidden");
        let protected = self.prior == Prior::Protected && counted < THRESHOLD && !at_once;
        let expected = if protected { "CheckFailing" } else { why };
        assert_eq!(reason(it), expected, "{name}: {:#?}", it.status);
        assert_row(it, expected);
        if protected {
            let said = &condition(it, "Connected").unwrap().message;
            assert!(said.ends_with(&format!("({why})")), "{name}: {said}");
        }
        let asks = self.behaviour.asks.unwrap_or_default();
        let (soonest, latest) = delays(why, counted, protected);
        let at = not_before(it).unwrap_or_else(|| panic!("{name}: no notBefore"));
        // A date is whole seconds, and so is notBefore, which is rounded up.
        let latest = seen.at + latest.max(asks + Duration::from_secs(1)) + Duration::from_secs(1);
        let soonest = begun + soonest.max(asks);
        assert!(at >= soonest && at <= latest, "{name}: notBefore {at} is not within {soonest} and {latest}");
    }

    /// What was seen while it was watched: every status says the same, and the partner was asked no sooner and no more
    /// often than they say. `asked`: how many failures had been counted before, and when it was asked since.
    fn judge_schedule(&self, stage: &Stage, name: &str, first: &Seen, begun: Timestamp, asked: (u32, Vec<Timestamp>)) {
        let (before, asked) = asked;
        let history: Vec<Seen> = stage.history(name).into_iter().filter(|seen| seen.at >= first.at).collect();
        // Each check comes after the time that the one before it was told to wait for.
        let (mut since, mut counted) = (begun, 0);
        for seen in &history {
            self.judge(name, seen, since);
            if let Some(not_before) = not_before(&seen.object).filter(|_| count(&seen.object) > counted) {
                (since, counted) = (not_before, count(&seen.object));
            }
        }
        let checks = history.iter().map(|seen| count(&seen.object)).max().unwrap_or(0).saturating_sub(before);
        // One is under way, or is not seen yet. After an answer that is good, none is.
        let most = if self.is_well() { 1 } else { checks as usize + 1 };
        assert!(asked.len() <= most, "{name}: asked {} times in {checks} checks", asked.len());
        // The partner may read late what it was asked, when that check has long ended. But what it reads as the nth request is
        // of the nth check or of a later one, none of which may come before the check ahead of it has said.
        for (earlier, at) in (before..).zip(asked).skip(1) {
            let told = history.iter().find(|seen| count(&seen.object) == earlier);
            if let Some(not_before) = told.and_then(|seen| not_before(&seen.object)) {
                assert!(at + TOLERANCE >= not_before, "{name}: asked at {at}, before {not_before}");
            }
        }
    }

    /// Waits until the partner has been asked: on a busy machine a short deadline may pass before a request is there.
    async fn is_asked(&self, name: &str) {
        let began = std::time::Instant::now();
        while self.server.sees() && self.server.asked().is_empty() {
            assert!(began.elapsed() < LIMIT, "{name}: the partner was never asked");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A request to check does not undercut what the partner asked for.
    async fn rests(&self, stage: &Stage, name: &str) {
        let asked = self.server.asked().len();
        stage.ask(name, "during the rest").await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(self.server.asked().len(), asked, "{name}: asked while it rests");
    }

    /// The partner is well again, and so is the integration, at the latest with the third request: the resolver remembers
    /// for five seconds that there is no such name.
    async fn mend(&mut self, stage: &Stage, name: &str) {
        self.set(stage, Mode::Good).await;
        for n in 0..4 {
            let value = format!("mended {n}");
            stage.ask(name, &value).await;
            let found = handled(stage, name, &value).await;
            if reason(&found.object) == "Connected" {
                assert_row(&found.object, "Connected");
                assert_eq!(count(&found.object), 0, "{name}");
                return;
            }
            tokio::time::sleep(Duration::from_secs(6)).await;
        }
        panic!("{name} does not recover: {:#?}", stage.history(name).last().map(|seen| seen.object.status.clone()));
    }
}

/// Waits for the outcome of the check that was asked for.
async fn handled(stage: &Stage, name: &str, value: &str) -> Seen {
    let is = |it: &PartnerIntegration| {
        it.status.as_ref().and_then(|status| status.last_handled_check_request.as_deref()) == Some(value)
    };
    stage.first(name, &format!("checked for {value:?}"), is).await
}

/// Whether this is why it is Failed, or why its checks are failing.
fn says(it: &PartnerIntegration, why: &str) -> bool {
    reason(it) == why || condition(it, "Connected").is_some_and(|said| said.message.ends_with(&format!("({why})")))
}

fn count(it: &PartnerIntegration) -> u32 {
    it.status.as_ref().and_then(|status| status.failing.as_ref()).map_or(0, |failing| failing.count)
}

fn not_before(it: &PartnerIntegration) -> Option<Timestamp> {
    it.status.as_ref()?.failing.as_ref().map(|failing| failing.not_before.0)
}

/// The soonest and the latest that section 5 allows, after so many failures.
fn delays(reason: &str, count: u32, protected: bool) -> (Duration, Duration) {
    let doubled = |first: u64, most: u64| (first << (count.clamp(1, 10) - 1)).min(most);
    match reason {
        _ if protected => {
            let full = Duration::from_secs(doubled(10, 600));
            (full.mul_f64(0.8), full.mul_f64(1.2))
        }
        "DNSFailure" | "ConnectFailed" | "Timeout" | "RateLimited" | "PartnerUnavailable" => {
            (Duration::ZERO, Duration::from_secs(doubled(1, 300)))
        }
        _ => {
            let full = Duration::from_secs(doubled(600, 3600));
            (full, full)
        }
    }
}

/// The fault, with the address of the server that nobody must go to where it says `ELSEWHERE`.
fn pointed(fault: &Fault, elsewhere: std::net::SocketAddr) -> Fault {
    let Fault::Http1(steps) = fault else { return fault.clone() };
    let steps = steps.iter().map(|step| match step {
        Step::Send(bytes) if bytes.windows(9).any(|part| part == b"ELSEWHERE") => {
            let text = String::from_utf8_lossy(bytes);
            Step::Send(text.replace("ELSEWHERE", &format!("https://{elsewhere}/v1/validate")).into_bytes())
        }
        other => other.clone(),
    });
    Fault::Http1(steps.collect())
}
