//! The chart: installed, upgraded, rolled back, uninstalled, installed again.

use std::path::Path;

use crate::Result;
use crate::cluster::spelled;
use crate::integrations::{checks, partner_address};
use crate::stage::{CRDS, RELEASE, SHOP, SYSTEM, Stage, note, show};

const PODS: &[&str] = &["-n", SYSTEM, "get", "pods"];

/// Two replicas; helm waits until they are ready.
pub async fn install(stage: &mut Stage) -> Result<()> {
    stage.step("helm install --wait=watcher: two replicas");
    let chart = path(&stage.options.chart)?;
    helm(stage, "install", &chart, &[]).await?;
    stage.until_shown(PODS, &["1/1"]).await?;
    let ready = ["-n", SYSTEM, "get", "deployment", RELEASE, "--output=jsonpath={.status.readyReplicas}"];
    match stage.cluster.kubectl(&ready).await?.as_str() {
        "2" => Ok(()),
        other => Err(format!("helm is done, but {other:?} of 2 replicas are ready").into()),
    }
}

/// To the next version of the chart. CRDs and objects stay the same ones, and nobody is asked anew.
pub async fn upgrade(stage: &mut Stage) -> Result<()> {
    stage.step("helm upgrade to the next version of the chart, with other values");
    let folder = tempfile::tempdir()?;
    let chart = path(&stage.options.chart)?;
    let to = path(folder.path())?;
    let package = ["package", &chart, "--version", "99.0.0", "--destination", &to];
    stage.cluster.helm(&package).await?;
    let packed = path(&folder.path().join("partner-integration-operator-99.0.0.tgz"))?;
    let before = Kept::look(stage).await?;
    helm(stage, "upgrade", &packed, &["--set=log.level=debug"]).await?;
    before.compare(stage).await?;
    stage.until_shown(PODS, &["1/1"]).await
}

pub async fn roll_back(stage: &mut Stage) -> Result<()> {
    stage.step("helm rollback");
    let before = Kept::look(stage).await?;
    let arguments = ["rollback", RELEASE, "1", "--namespace", SYSTEM, "--wait=watcher", "--timeout=2m"];
    note(&format!("$ {}", spelled("helm", &arguments)));
    show(&stage.cluster.helm(&arguments).await?);
    before.compare(stage).await?;
    show(&stage.cluster.helm(&["history", RELEASE, "--namespace", SYSTEM]).await?);
    Ok(())
}

/// CRDs and objects stay, as `crds.keep` says.
pub async fn uninstall(stage: &mut Stage) -> Result<()> {
    stage.step("helm uninstall: the CRDs and all objects stay");
    let before = Kept::look(stage).await?;
    let arguments = ["uninstall", RELEASE, "--namespace", SYSTEM, "--wait", "--timeout=2m"];
    note(&format!("$ {}", spelled("helm", &arguments)));
    show(&stage.cluster.helm(&arguments).await?);
    before.compare(stage).await?;
    stage.until_shown(&["-n", SHOP, "get", "pi"], &["Acme Loyalty"]).await?;
    let left = stage.cluster.kubectl(&["-n", SYSTEM, "get", "deployments,leases", "--output=name"]).await?;
    if left.contains("deployment") { Err(format!("it left {left}").into()) } else { Ok(()) }
}

pub async fn install_again(stage: &mut Stage) -> Result<()> {
    stage.step("helm install once more: it takes over what is there");
    let before = Kept::look(stage).await?;
    let chart = path(&stage.options.chart)?;
    helm(stage, "install", &chart, &[]).await?;
    before.compare(stage).await?;
    stage
        .until_shown(
            &["-n", SHOP, "wait", "pi", "--all", "--for=condition=Connected", "--timeout=30s"],
            &["condition met"],
        )
        .await
}

async fn helm(stage: &Stage, verb: &str, chart: &str, further: &[&str]) -> Result<()> {
    let (repository, tag) = stage.options.image.rsplit_once(':').ok_or("--image is NAME:TAG")?;
    let network = format!("--set=allowNetworks={{{}}}", partner_address(stage).await?);
    let (repository, tag) = (format!("--set=image.repository={repository}"), format!("--set-string=image.tag={tag}"));
    let mut arguments = vec![verb, RELEASE, chart, "--namespace", SYSTEM, "--wait=watcher", "--timeout=2m"];
    arguments.extend([network.as_str(), &repository, &tag, "--set=bindings.enabled=true"]);
    arguments.extend(further);
    note(&format!("$ {}", spelled("helm", &arguments)));
    let said = stage.cluster.helm(&arguments).await?;
    show(said.split("NOTES:").next().unwrap_or_default());
    Ok(())
}

fn path(path: &Path) -> Result<String> {
    Ok(path.to_str().ok_or("a path that is not UTF-8")?.to_owned())
}

/// What must survive: the same CRDs and the same objects, by uid, in the same state, and no request to the partner.
struct Kept {
    uids: String,
    checks: u64,
}

impl Kept {
    async fn look(stage: &Stage) -> Result<Self> {
        let crd = format!("crd/{}", CRDS[0]);
        let other_crd = format!("crd/{}", CRDS[1]);
        let format =
            "--output=jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.uid} {.status.phase}{\"\\n\"}{end}";
        let mut uids = stage.cluster.kubectl(&["get", &crd, &other_crd, format]).await?;
        uids += &stage.cluster.kubectl(&["get", "partners", format]).await?;
        uids += &stage.cluster.kubectl(&["-n", SHOP, "get", "pi,secrets", format]).await?;
        Ok(Self { uids, checks: checks(stage).await? })
    }

    async fn compare(self, stage: &Stage) -> Result<()> {
        let now = Self::look(stage).await?;
        if now.uids != self.uids {
            return Err(format!("not the same as before:\n{}\nnow:\n{}", self.uids, now.uids).into());
        }
        note(&format!(
            "the same CRDs and objects as before, in the same state; the partner was asked {} times meanwhile",
            now.checks - self.checks
        ));
        Ok(())
    }
}
