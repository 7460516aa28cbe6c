//! What the steps share: the cluster, and showing what is done and how long it took.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, spelled};
use crate::{Options, Result};

/// Where the operator is installed, and its release.
pub const SYSTEM: &str = "partner-integration-system";
pub const RELEASE: &str = "partner-integration-operator";
/// Where integrations live.
pub const SHOP: &str = "shop";
/// Where the simulated partner runs.
pub const ACME: &str = "acme";
/// On namespaces that this program made: only those are ever removed.
const OURS: &str = "integrations.kognitiv.com/e2e";
pub const CRDS: [&str; 2] = ["partners.integrations.kognitiv.com", "partnerintegrations.integrations.kognitiv.com"];

/// How long a step may take to come true; most take a second or two.
const LIMIT: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(200);

pub struct Stage {
    pub cluster: Cluster,
    pub options: Options,
    /// When it all began, by the wall clock: what the audit log says of earlier runs is not ours.
    pub began_at: jiff::Timestamp,
    began: Instant,
    steps: Vec<(String, Instant, Option<Duration>)>,
}

impl Stage {
    /// Connects, and sees that nothing is in the way. What a killed run has left is removed.
    pub async fn set_up(options: Options) -> Result<Self> {
        let cluster = Cluster::connect().await.map_err(|error| format!("no cluster: {error}; set KUBECONFIG"))?;
        let (began_at, began) = (jiff::Timestamp::now(), Instant::now());
        let stage = Self { cluster, options, began_at, began, steps: Vec::new() };
        let ours = stage.labelled_namespaces().await?;
        if ours.contains(SYSTEM) {
            println!("An earlier run has left something; removing it.");
            stage.clean_up().await?;
        }
        let mut wanted = vec!["get", "--ignore-not-found", "--output=name", "crd"];
        wanted.extend(CRDS);
        let crds = stage.cluster.kubectl(&wanted).await?;
        let namespaces = ["get", "--ignore-not-found", "--output=name", "namespace", SYSTEM, SHOP, ACME];
        let found = crds + &stage.cluster.kubectl(&namespaces).await?;
        if !found.is_empty() {
            return Err(
                format!("this cluster has what the run would make and remove, so nothing was done:\n{found}").into()
            );
        }
        Ok(stage)
    }

    async fn labelled_namespaces(&self) -> Result<String> {
        self.cluster.kubectl(&["get", "namespaces", "--output=name", "--selector", OURS]).await
    }

    /// One line that says what comes next.
    pub fn step(&mut self, what: &str) {
        self.finish_step(true);
        println!("\n[{:5.1} s] {}. {what}", self.began.elapsed().as_secs_f64(), self.steps.len() + 1);
        self.steps.push((what.to_owned(), Instant::now(), None));
    }

    /// The step that runs has come true, or the whole has failed in it.
    pub fn finish_step(&mut self, came_true: bool) {
        if let Some((_, since, took)) = self.steps.last_mut()
            && took.is_none()
            && came_true
        {
            *took = Some(since.elapsed());
        }
    }

    /// Runs kubectl and shows it.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        note(&format!("$ {}", spelled("kubectl", arguments)));
        let output = self.cluster.kubectl(arguments).await?;
        show(&output);
        Ok(output)
    }

    /// Applies what a manifest says, without showing it.
    pub async fn apply(&self, manifest: &str) -> Result<()> {
        let output = self.cluster.kubectl_with(&["apply", "-f", "-"], manifest).await?;
        show(&output);
        Ok(())
    }

    /// Runs kubectl until its output has all the words, and shows it once.
    pub async fn until_shown(&self, arguments: &[&str], words: &[&str]) -> Result<()> {
        let what = format!("{words:?} in the output of {}", spelled("kubectl", arguments));
        let output = until(&what, || async {
            let output = self.cluster.kubectl(arguments).await.map_err(|error| error.to_string())?;
            if words.iter().all(|word| output.contains(word)) { Ok(output) } else { Err(output) }
        })
        .await?;
        note(&format!("$ {}", spelled("kubectl", arguments)));
        show(&output);
        Ok(())
    }

    /// The namespaces, with restricted Pod Security enforced, and the proof that it is.
    pub async fn namespaces(&mut self) -> Result<()> {
        self.step("Namespaces in which restricted Pod Security is enforced");
        for name in [SYSTEM, SHOP, ACME] {
            self.apply(&format!(
                "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{{OURS}: 'true', \
                 pod-security.kubernetes.io/enforce: restricted}}}}}}"
            ))
            .await?;
        }
        let image = self.options.partner_image.clone();
        let arguments = ["-n", SYSTEM, "run", "careless", "--image", &image, "--dry-run=server"];
        match self.cluster.kubectl(&arguments).await {
            Err(error) if error.to_string().contains("violates PodSecurity") => {
                note("a pod that asks for no restrictions is refused there");
                Ok(())
            }
            other => Err(format!("restricted Pod Security is not enforced: {other:?}").into()),
        }
    }

    /// Removes what this program makes: the release, the CRDs with every object, the namespaces.
    pub async fn clean_up(&self) -> Result<()> {
        let began = Instant::now();
        let uninstall = ["uninstall", RELEASE, "--namespace", SYSTEM, "--ignore-not-found", "--wait", "--timeout=1m"];
        self.cluster.helm(&uninstall).await?;
        let mut crds = vec!["delete", "--ignore-not-found", "--timeout=1m", "crd"];
        crds.extend(CRDS);
        self.cluster.kubectl(&crds).await?;
        self.cluster.kubectl(&["delete", "namespaces", "--selector", OURS, "--timeout=2m"]).await?;
        println!("\nEverything is removed again, in {:.1} s.", began.elapsed().as_secs_f64());
        Ok(())
    }

    /// What took how long.
    pub fn summary(&self) {
        println!("\n   seconds  step");
        for (what, _, took) in &self.steps {
            match took {
                Some(took) => println!("   {:7.1}  {what}", took.as_secs_f64()),
                None => println!("    FAILED  {what}"),
            }
        }
        println!("   {:7.1}  in all", self.began.elapsed().as_secs_f64());
    }
}

/// Looks until it is so, at most two minutes; the error names what was waited for and the last thing seen instead.
pub async fn until<T, F: Future<Output = std::result::Result<T, String>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> Result<T> {
    let began = Instant::now();
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(instead) if began.elapsed() > LIMIT => {
                return Err(format!("waited {LIMIT:?} for {what}; last seen:\n{instead}").into());
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// A line about what was done or measured.
pub fn note(what: &str) {
    println!("   {what}");
}

/// What a program said.
pub fn show(output: &str) {
    output.trim_end().lines().for_each(note);
}
