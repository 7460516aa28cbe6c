//! Several instances, of which one works: real processes, each with a token of its own, by which the audit log tells them
//! apart. The access is that of `deploy/base`.

use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use partner_integration_operator::api::Partner;
use serde_json::json;

use crate::support::controlplane::{Audited, ControlPlane, Options, install_crds};
use crate::support::operator::{self, NAME, NAMESPACE, Operator, USER};
use crate::support::partner::Behaviour;
use crate::support::wait_for;
use crate::world::{BINARY, LIMIT, World, reason};

/// The lease duration of these tests; the renew deadline is a second shorter. On a machine that is busy with all the other
/// tests it must be renewed in time.
const LEASE: Duration = Duration::from_secs(6);
const SHORT: [&str; 6] = ["--lease-duration", "6s", "--renew-deadline", "5s", "--retry-period", "500ms"];
/// What a takeover may take after a clean end, and beyond the lease duration after a crash.
const TAKEOVER: Duration = Duration::from_secs(3);

/// One instance, with election.
struct Instance {
    operator: Operator,
    credential: String,
}

/// A control plane of its own, for instances that compete.
struct Stage {
    plane: ControlPlane,
}

impl Stage {
    async fn new() -> Self {
        let plane = ControlPlane::start(Options::default()).await.unwrap();
        install_crds(&plane.client().unwrap()).await.unwrap();
        Self { plane }
    }

    async fn kubeconfig(&self, name: &str) -> (PathBuf, String) {
        operator::kubeconfig_of(&self.plane, name).await.unwrap()
    }

    /// Starts an instance, and waits until it is ready, as a standby or as the leader.
    async fn start(&self, name: &str, times: &[&str]) -> Instance {
        let (kubeconfig, credential) = self.kubeconfig(name).await;
        let arguments = [&["--allow-network", "127.0.0.0/8", "--lease-namespace", NAMESPACE], times].concat();
        let operator = Operator::start(BINARY, &self.plane, name, &kubeconfig, &arguments).await.unwrap();
        operator.ready(LIMIT).await.unwrap();
        Instance { operator, credential }
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.plane.client().unwrap(), NAMESPACE)
    }

    async fn lease(&self) -> LeaseSpec {
        self.leases().get(NAME).await.unwrap().spec.unwrap()
    }

    /// Who holds the Lease; nobody is "".
    async fn holder(&self) -> String {
        self.lease().await.holder_identity.unwrap_or_default()
    }

    /// Has this holder in the Lease, as somebody with kubectl would.
    async fn hand_to(&self, holder: &str) {
        let patch = Patch::Merge(json!({"spec": {"holderIdentity": holder, "leaseDurationSeconds": 3600}}));
        self.leases().patch(NAME, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Waits until another than this one holds the Lease, and gives its name.
    async fn taken_from(&self, before: &str, limit: Duration) -> String {
        wait_for("another holder of the Lease", limit, async || {
            Some(self.holder().await).filter(|holder| !holder.is_empty() && holder != before)
        })
        .await
        .unwrap()
    }

    /// What an instance has asked for so far.
    fn asked(&self, instance: &Instance) -> Vec<Audited> {
        let mut asked = self.plane.audit().unwrap();
        asked.retain(|seen| seen.user == USER && seen.credential == instance.credential);
        assert!(!asked.is_empty(), "the audit log tells instances apart");
        asked
    }

    /// Its writes besides those of the Lease, refused ones too.
    fn writes(&self, instance: &Instance) -> Vec<Audited> {
        let mut writes = self.asked(instance);
        writes.retain(|seen| seen.is_write() && seen.resource != "leases");
        writes
    }

    /// The integrations whose status it has written, sorted.
    fn written(&self, instance: &Instance) -> Vec<String> {
        let statuses = self.writes(instance).into_iter().filter(|seen| seen.subresource == "status");
        let mut names: Vec<_> =
            statuses.filter(|seen| seen.resource == "partnerintegrations").map(|s| s.name).collect();
        names.sort();
        names
    }
}

/// What its metrics say.
async fn leads(instance: &Instance) -> Option<bool> {
    let metrics = instance.operator.admin("/metrics").await.ok()?.1;
    let line = metrics.lines().find_map(|line| line.strip_prefix("partner_integration_leader "))?;
    Some(line == "1")
}

/// Integrations that stay as they are: 50 connected, 3 refused, and 2 that somebody else will mend.
async fn settle(world: &World<'_>) {
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    world.put_secret("good", b"good").await;
    world.put_secret("wrong", b"wrong").await;
    let connected: Vec<_> = (0..50).map(|number| format!("connected-{number}")).collect();
    let refused: Vec<_> = (0..3).map(|number| format!("refused-{number}")).collect();
    join_all(connected.iter().map(|name| world.configure(name, "eu1", "good"))).await;
    join_all(refused.iter().map(|name| world.configure(name, "eu1", "wrong"))).await;
    for name in ["mended-1", "mended-2"] {
        world.connect(name, "eu1", "wrong").await;
    }
    for name in &connected {
        world.reaches(name, "Connected").await;
    }
    for name in refused.iter().map(String::as_str).chain(["mended-1", "mended-2"]) {
        world.reaches(name, "CredentialRejected").await;
    }
    let counted = |partner: &Partner| {
        partner.status.as_ref().is_some_and(|status| (status.integrations, status.connected) == (Some(55), Some(50)))
    };
    world.partner_until("counted", counted).await;
}

#[tokio::test]
async fn one_of_several_works_and_the_others_are_ready_to_take_over_at_no_cost() {
    let stage = Stage::new().await;
    let first = stage.start("first", &SHORT).await;
    let first_name = stage.taken_from("", LIMIT).await;
    let second = stage.start("second", &SHORT).await;
    let world = World::on(&stage.plane, "election", &["eu1"]).await;
    settle(&world).await;
    assert_eq!(world.checks(), 55, "each is checked once, by one of them");
    // The audit log is a moment behind the watch.
    wait_for("the writes to be logged", LIMIT, async || stage.written(&first).len() == 55).await.unwrap();
    assert!(stage.writes(&second).is_empty(), "{:#?}", stage.writes(&second));
    assert_eq!(second.operator.admin("/readyz").await.unwrap(), (200, "ok\n".to_owned()));
    assert_eq!((leads(&first).await, leads(&second).await), (Some(true), Some(false)));

    // A crash. A key is mended while nobody leads.
    let began = Instant::now();
    first.operator.kill().await.unwrap();
    world.sim.accept("eu1", "mended");
    world.put_secret("mended-1", b"mended").await;
    let second_name = stage.taken_from(&first_name, LEASE + TAKEOVER).await;
    let taken = began.elapsed();
    world.reaches("mended-1", "Connected").await;
    println!(
        "after SIGKILL, with a lease of {LEASE:?}: taken after {taken:.1?}, at work after {:.1?}",
        began.elapsed()
    );
    assert!(began.elapsed() <= LEASE + TAKEOVER, "{:?}", began.elapsed());
    stage.costs(&world, &second, 56, &["mended-1"]).await;

    // A clean end, under a standby that has just come, and that looks as seldom as by default.
    let third = stage.start("third", &SHORT[..4]).await;
    let credential = second.credential.clone();
    let began = Instant::now();
    let mending = async {
        let third_name = stage.taken_from(&second_name, TAKEOVER).await;
        (third_name, began.elapsed())
    };
    let (code, (third_name, taken)) = tokio::join!(second.operator.terminate(), mending);
    assert_eq!(code.unwrap(), 0);
    world.put_secret("mended-2", b"mended").await;
    world.reaches("mended-2", "Connected").await;
    println!("after SIGTERM: taken after {taken:.1?}, at work after {:.1?}", began.elapsed());
    assert!(taken <= TAKEOVER, "{taken:?}");
    let audit = stage.plane.audit().unwrap();
    let last = audit.iter().rfind(|seen| seen.credential == credential && seen.code == 200).unwrap();
    assert_eq!((last.resource.as_str(), last.verb.as_str()), ("leases", "update"), "the release is its last word");
    stage.costs(&world, &third, 57, &["mended-2"]).await;
    assert_eq!(third_name, stage.holder().await);
    assert_eq!(third.operator.terminate().await.unwrap(), 0);
    assert_eq!(stage.holder().await, "", "released, though nobody waits for it");
    assert_eq!(stage.lease().await.lease_transitions, Some(2));
}

impl Stage {
    /// For a few seconds: so many checks since the partner was started, and of this instance no writes but these, and one
    /// for what they change in the Partner's counts.
    async fn costs(&self, world: &World<'_>, instance: &Instance, checks: usize, names: &[&str]) {
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(world.checks(), checks);
        let writes = self.writes(instance);
        assert_eq!(self.written(instance), names, "{writes:#?}");
        let counts = writes.iter().filter(|seen| seen.resource == "partners").count();
        assert!(counts <= names.len(), "{writes:#?}");
    }
}

#[tokio::test]
async fn a_leader_stopped_past_its_lease_and_resumed_writes_nothing_and_sends_nothing() {
    let stage = Stage::new().await;
    let mut leader = stage.start("one", &SHORT).await;
    let mut holder = stage.taken_from("", LIMIT).await;
    let mut standby = stage.start("two", &SHORT).await;
    let world = World::on(&stage.plane, "stopped", &["slow", "eu1"]).await;
    world.sim.accept("slow", "good");
    world.sim.accept("eu1", "good");
    // One a second: most of the checks wait for their turn.
    let patient = json!({"spec": {"check": {"maxPerSecond": 1, "timeout": "30s"}}});
    world.create_partner(patient).await;
    world.put_secret("good", b"good").await;
    for round in ["a", "b"] {
        // Answered while the leader is stopped, so that it finds the answer when it goes on.
        world.sim.set_region_behaviour("slow", Some(Behaviour::Slow(Duration::from_secs(4)))).unwrap();
        let names: Vec<_> = (0..3).map(|number| format!("waits-{round}-{number}")).collect();
        let hangs = format!("hangs-{round}");
        world.configure(&hangs, "slow", "good").await;
        wait_for("its check to hang", LIMIT, async || world.sim.counters().in_flight == 1).await.unwrap();
        join_all(names.iter().map(|name| world.configure(name, "eu1", "good"))).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        leader.operator.send("STOP").await.unwrap();
        let began = Instant::now();
        world.sim.set_region_behaviour("slow", None).unwrap();
        holder = stage.taken_from(&holder, LEASE + TAKEOVER).await;
        println!("round {round}: taken {:.1?} after SIGSTOP", began.elapsed());
        for name in names.iter().chain([&hangs]) {
            world.reaches(name, "Connected").await;
        }
        let (checks, writes) = (world.checks(), stage.writes(&leader).len());
        let written = stage.written(&leader);
        assert!(!written.contains(&hangs), "the answer came too late: {written:?}");
        leader.operator.send("CONT").await.unwrap();
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(world.checks(), checks, "it sends nothing");
        let later = stage.writes(&leader);
        assert_eq!(later.len(), writes, "it writes nothing: {:#?}", &later[writes..]);
        assert_eq!(stage.holder().await, holder);
        // It goes on, as a standby.
        leader.operator.ready(LIMIT).await.unwrap();
        std::mem::swap(&mut leader, &mut standby);
    }
    assert_eq!(leader.operator.terminate().await.unwrap(), 0);
    assert_eq!(standby.operator.terminate().await.unwrap(), 0);
}

#[tokio::test]
async fn a_leader_that_loses_the_lease_cancels_its_checks_and_leads_again_when_it_may() {
    let stage = Stage::new().await;
    let instance = stage.start("only", &SHORT).await;
    let world = &World::on(&stage.plane, "lost", &["eu1", "hangs"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({"spec": {"check": {"timeout": "60s"}}})).await;
    world.sim.set_region_behaviour("hangs", Some(Behaviour::HangForever)).unwrap();
    world.connect("hangs", "hangs", "good").await;
    world.connect("connected", "eu1", "good").await;
    world.reaches("connected", "Connected").await;
    wait_for("the check to hang", LIMIT, async || world.sim.counters().in_flight == 1).await.unwrap();

    let began = Instant::now();
    stage.hand_to("somebody").await;
    wait_for("the check to be cancelled", TAKEOVER, async || world.sim.counters().in_flight == 0).await.unwrap();
    println!("the check was cancelled {:.1?} after the Lease had been lost", began.elapsed());
    let (checks, writes) = (world.checks(), stage.writes(&instance).len());
    world.connect("late", "eu1", "good").await;
    world.put_secret("hangs", b"rotated").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((world.checks(), stage.writes(&instance).len()), (checks, writes), "it stands by");
    assert_eq!(instance.operator.admin("/readyz").await.unwrap().0, 200);

    let began = Instant::now();
    stage.hand_to("").await;
    world.reaches("late", "Connected").await;
    println!("at work {:.1?} after the Lease had been let go", began.elapsed());
    assert!(began.elapsed() <= TAKEOVER, "{:?}", began.elapsed());
    wait_for("the check that was cancelled", LIMIT, async || world.checks_with("rotated") == 1).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.checks(), checks + 2, "what is connected was not checked again");

    without_access(&stage, world, &instance).await;
    a_second_signal_ends_it_at_once(&stage, instance).await;
}

/// What `/readyz` says with its access to Leases taken away, and how it works without any when it is told to.
async fn without_access(stage: &Stage, world: &World<'_>, instance: &Instance) {
    let (kubeconfig, credential) = stage.kubeconfig("alone").await;
    let bindings: Api<RoleBinding> = Api::namespaced(stage.plane.client().unwrap(), NAMESPACE);
    let name = format!("{NAME}-lease");
    let binding = bindings.get(&name).await.unwrap();
    bindings.delete(&name, &DeleteParams::default()).await.unwrap();
    let says = |code: u16, begins: &'static str| async move {
        wait_for("what /readyz says", LIMIT, async || {
            let answer = instance.operator.admin("/readyz").await.map_err(|error| error.to_string())?;
            if answer.0 == code && answer.1.starts_with(begins) { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await
        .unwrap();
    };
    says(503, "lease: get: forbidden (403); grant the operator get, create and update on leases").await;
    assert_eq!(instance.operator.admin("/livez").await.unwrap().0, 200);
    // It leads until its deadline; then one that needs no Lease does the work.
    wait_for("it to stand by", LIMIT, async || leads(instance).await == Some(false)).await.unwrap();
    world.connect("alone", "eu1", "good").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(reason(&world.get("alone").await), "Pending");
    let arguments = ["--allow-network", "127.0.0.0/8", "--no-leader-elect"];
    let alone = Operator::start(BINARY, &stage.plane, "alone", &kubeconfig, &arguments).await.unwrap();
    alone.ready(LIMIT).await.unwrap();
    world.reaches("alone", "Connected").await;
    let alone = Instance { operator: alone, credential };
    let asked = stage.asked(&alone);
    assert!(asked.iter().all(|seen| seen.resource != "leases"), "{asked:#?}");
    assert_eq!(alone.operator.terminate().await.unwrap(), 0);

    let mut binding = binding;
    binding.metadata = kube::api::ObjectMeta { name: Some(name), ..kube::api::ObjectMeta::default() };
    bindings.create(&PostParams::default(), &binding).await.unwrap();
    says(200, "ok").await;
    world.connect("again", "eu1", "good").await;
    world.reaches("again", "Connected").await;
}

/// While the first one waits for an API server that hangs.
async fn a_second_signal_ends_it_at_once(stage: &Stage, instance: Instance) {
    assert_eq!(instance.operator.terminate().await.unwrap(), 0);
    // With the default times its release is given five seconds.
    let mut instance = stage.start("patient", &[]).await;
    stage.taken_from("", LIMIT).await;
    let pid = std::fs::read_to_string(stage.plane.folder().join("kube-apiserver.pid")).unwrap();
    let signal = |name: &str| std::process::Command::new("kill").args([name, pid.trim()]).status().unwrap();
    assert!(signal("-STOP").success());
    instance.operator.send("TERM").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    instance.operator.send("TERM").await.unwrap();
    let code = instance.operator.ended().await.unwrap();
    println!("ended {:.0?} after the second SIGTERM, with {code}", began.elapsed());
    assert!(signal("-CONT").success());
    assert_eq!(code, 1);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

/// Runs the binary to its end, within a limit.
async fn run(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(BINARY);
    command.args(["run", "--admin-address", "127.0.0.1:0", "--kubeconfig", "/no/such/file"]);
    command.args(arguments).env_clear().kill_on_drop(true);
    tokio::time::timeout(Duration::from_secs(20), command.output()).await.unwrap().unwrap()
}

#[tokio::test]
async fn flags_that_do_not_go_together_are_refused_at_the_start_with_what_to_do() {
    let table: [(&[&str], &str); 9] = [
        (&["--lease-duration", "10s"], "make --lease-duration longer or --renew-deadline shorter"),
        (&["--retry-period", "10s"], "make --renew-deadline longer or --retry-period shorter"),
        (&["--retry-period", "0s"], "--retry-period must be longer than zero; 2s is the default"),
        (&["--lease-name", ""], "--lease-name must not be empty; leave it out to have the default"),
        (&["--lease-namespace", ""], "--lease-namespace must not be empty"),
        (&["--lease-duration", "soon"], "--lease-duration"),
        (&["--shutdown-grace-period", "long"], "--shutdown-grace-period"),
        (&["--leader-elect=perhaps"], "--leader-elect"),
        // These go together: the next thing that is missing is named.
        (&["--no-leader-elect", "--lease-duration", "10s"], "the kubeconfig cannot be used"),
    ];
    for (arguments, says) in table {
        let output = run(arguments).await;
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && words.contains(says), "{arguments:?}: {} {words}", output.status);
    }
    for arguments in [&["--leader-elect=false", "--lease-duration", "10s"][..], &["--leader-elect"]] {
        let words = String::from_utf8_lossy(&run(arguments).await.stderr).into_owned();
        assert!(words.contains("the kubeconfig cannot be used"), "{arguments:?}: {words}");
    }
}
