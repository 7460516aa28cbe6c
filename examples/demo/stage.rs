//! What the demo plays on: a control plane, a partner, the operator; and how it shows what it does.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::operator::Operator;
use crate::support::controlplane::{ControlPlane, Options, install_crds};
use crate::support::partner::SimPartner;
use crate::support::{Result, wait_for};

/// How long a step may take to come true; on an idle machine most take less than a second.
const LIMIT: Duration = Duration::from_secs(30);
/// Where the samples expect the partner.
const PORT: u16 = 9443;

pub struct Stage {
    pub plane: ControlPlane,
    pub partner: SimPartner,
    operator: Operator,
    began: Instant,
    step: usize,
}

impl Stage {
    pub async fn set_up(binary: &Path) -> Result<Self> {
        let began = Instant::now();
        println!("Starting a control plane (etcd, kube-apiserver), a simulated partner and the operator …");
        let plane = ControlPlane::start(Options::default()).await?;
        let partner = partner().await?;
        partner.accept("eu1", "good-key");
        partner.accept("us1", "good-key");
        let client = plane.client()?;
        install_crds(&client).await?;
        plane.kubectl(&["create", "namespace", "shop"]).await?;
        let operator = Operator::start(binary, &plane.kubeconfig()).await?;
        let stage = Self { plane, partner, operator, began, step: 0 };
        println!(
            "Ready after {:.1} s; the operator's log is {}.",
            began.elapsed().as_secs_f64(),
            stage.operator.log.display()
        );
        Ok(stage)
    }

    /// One line that explains the next step.
    pub fn say(&mut self, what: &str) {
        self.step += 1;
        println!("\n{}. {what}", self.step);
    }

    /// Applies a sample, with the address and the authority of the partner that runs here filled in.
    pub async fn apply(&self, sample: &str) -> Result<()> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/samples").join(sample);
        let mut manifest = std::fs::read_to_string(&path)?;
        let mut note = "";
        if manifest.contains("kind: Partner\n") {
            manifest =
                manifest.replace(&format!("localhost:{PORT}"), &format!("localhost:{}", self.partner.address().port()));
            let indented = self.partner.ca_pem().lines().collect::<Vec<_>>().join("\n    ");
            manifest = format!("{}\n  trustBundle: |\n    {indented}\n", manifest.trim_end());
            note = "   # with the simulated partner's CA as trustBundle";
        }
        println!("   $ kubectl apply -f deploy/samples/{sample}{note}");
        print_indented(&self.plane.kubectl_with(&["apply", "-f", "-"], &manifest).await?);
        Ok(())
    }

    pub async fn set_key(&self, key: &str) -> Result<()> {
        let patch = format!(r#"{{"stringData":{{"api-key":"{key}"}}}}"#);
        self.show(&["-n", "shop", "patch", "secret", "acme-loyalty", "-p", &patch]).await
    }

    pub async fn ask_for_a_check(&self, value: &str) -> Result<()> {
        let annotation = format!("integrations.kognitiv.com/check-requested-at={value}");
        self.show(&["-n", "shop", "annotate", "--overwrite", "pi", "acme-loyalty", &annotation]).await
    }

    async fn show(&self, arguments: &[&str]) -> Result<()> {
        println!("   $ {}", spelled(arguments));
        print_indented(&self.plane.kubectl(arguments).await?);
        Ok(())
    }

    /// Runs kubectl until its output has all the words, shows it once, and says how long that took.
    pub async fn until_shown(&self, arguments: &[&str], words: &[&str]) -> Result<()> {
        let began = Instant::now();
        let output =
            wait_for(&format!("{words:?} in the output of kubectl {}", arguments.join(" ")), LIMIT, async || {
                let output = self.plane.kubectl(arguments).await.map_err(|error| error.to_string())?;
                if words.iter().all(|word| output.contains(word)) { Ok(output) } else { Err(output) }
            })
            .await?;
        println!("   $ {}", spelled(arguments));
        print_indented(&output);
        if began.elapsed() > Duration::from_secs(1) {
            println!("   (after {:.1} s)", began.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// What the partner saw.
    pub fn count(&self) {
        println!(
            "\nAll came true in {:.1} s; the partner saw {} checks.",
            self.began.elapsed().as_secs_f64(),
            self.partner.requests().len()
        );
    }

    /// Ends the operator as Kubernetes would, by SIGTERM; the rest goes with this program.
    pub async fn take_down(self) -> Result<()> {
        self.operator.terminate().await
    }
}

async fn partner() -> Result<SimPartner> {
    let regions = ["eu1", "us1"];
    match SimPartner::start_at(([127, 0, 0, 1], PORT).into(), &regions, &[]).await {
        Ok(partner) => Ok(partner),
        // The port is taken: any other does as well.
        Err(_) => SimPartner::start(&regions).await,
    }
}

fn spelled(arguments: &[&str]) -> String {
    let quoted = arguments.iter().map(|argument| {
        if argument.contains([' ', '{', '"']) { format!("'{argument}'") } else { (*argument).to_owned() }
    });
    format!("kubectl {}", quoted.collect::<Vec<_>>().join(" "))
}

fn print_indented(text: &str) {
    for line in text.lines() {
        println!("   {line}");
    }
}
