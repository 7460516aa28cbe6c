//! What a scrape gives, read by a strict reader, and by promtool where that is installed.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Format, IntegrationSeries, Live, Metrics, PartnerSeries, Reconciled};
use crate::api::Phase;
use crate::core::Reason;

#[path = "../../tests/support/exposition.rs"]
mod exposition;

use exposition::{Exposition, Text, parse};

/// A controller with these integrations and partners.
struct Shown {
    leading: bool,
    integrations: Vec<IntegrationSeries>,
    partners: Vec<PartnerSeries>,
}

#[derive(Clone)]
struct Stage(Arc<Mutex<Shown>>);

impl Live for Mutex<Shown> {
    fn is_leading(&self) -> bool {
        self.lock().unwrap().leading
    }

    fn integrations(&self) -> Vec<IntegrationSeries> {
        self.lock().unwrap().integrations.clone()
    }

    fn partners(&self) -> Vec<PartnerSeries> {
        self.lock().unwrap().partners.clone()
    }
}

impl Stage {
    fn new() -> Self {
        let integrations = vec![
            integration("shop", "datadog", Phase::Enabled, Some(1_764_000_000.25)),
            integration("shop", "added", Phase::Available, None),
            integration("hotel", "datadog", Phase::Failed, None),
        ];
        Self(Arc::new(Mutex::new(Shown { leading: true, integrations, partners: vec![partner(&["eu1", "us1"])] })))
    }

    fn metrics(&self, of_integrations: bool) -> Metrics {
        let metrics = Metrics::new(of_integrations);
        metrics.attach(Arc::downgrade(&self.0) as _);
        metrics
    }

    fn change(&self, change: impl FnOnce(&mut Shown)) {
        change(&mut self.0.lock().unwrap());
    }
}

fn integration(namespace: &str, name: &str, phase: Phase, last_check: Option<f64>) -> IntegrationSeries {
    let (namespace, name, partner) = (namespace.into(), name.into(), "datadog".to_owned());
    let region = if phase == Phase::Available { "" } else { "eu1" }.to_owned();
    IntegrationSeries { namespace, name, partner, region, phase, last_check }
}

fn partner(regions: &[&str]) -> PartnerSeries {
    let regions = regions.iter().map(ToString::to_string).collect();
    PartnerSeries { name: "datadog".to_owned(), regions, in_flight: 3 }
}

/// Something of everything that is recorded.
fn record(metrics: &Metrics) {
    metrics.reconciled(Reconciled::Success, Duration::from_millis(3));
    metrics.reconciled(Reconciled::ApiError, Duration::from_secs(20));
    metrics.writes("PartnerIntegration", "patch");
    metrics.writes("Event", "create");
    metrics.event_dropped();
    metrics.checked("datadog", "eu1", Reason::Connected, Some(Duration::from_millis(120)));
    metrics.checked("datadog", "eu1", Reason::CredentialRejected, Some(Duration::from_millis(80)));
    metrics.checked("datadog", "us1", Reason::InvalidCredential, None);
}

fn read(metrics: &Metrics) -> Exposition {
    let text = metrics.expose(Format::OpenMetrics);
    let read = parse(&text, Text::OpenMetrics).unwrap_or_else(|problem| panic!("{problem}\n{text}"));
    let text = metrics.expose(Format::Prometheus);
    let same = parse(&text, Text::Prometheus).unwrap_or_else(|problem| panic!("{problem}\n{text}"));
    assert_eq!(same.samples, read.samples, "the two formats say the same");
    read
}

#[test]
fn every_metric_has_the_name_and_the_labels_of_the_contract() {
    let stage = Stage::new();
    let metrics = stage.metrics(true);
    record(&metrics);
    let names = read(&metrics).names();
    let names: Vec<String> = names
        .iter()
        .map(|(name, labels)| format!("{name} {}", labels.iter().map(String::as_str).collect::<Vec<_>>().join(",")))
        .collect();
    insta::assert_snapshot!(names.join("\n"));
}

#[test]
fn a_scrape_in_both_formats() {
    let stage = Stage::new();
    let metrics = stage.metrics(true);
    record(&metrics);
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    let text = |format| in_order(&metrics.expose(format)).replace(&version, "version=\"X\"");
    insta::assert_snapshot!("openmetrics", text(Format::OpenMetrics));
    insta::assert_snapshot!("prometheus", text(Format::Prometheus));
}

/// The series of one counter come in any order.
fn in_order(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let counter = |line: &str| line.split_once("_total{").map(|(name, _)| name.to_owned());
    for run in lines.chunk_by_mut(|a, b| counter(a).is_some() && counter(a) == counter(b)) {
        run.sort_unstable();
    }
    lines.join("\n") + "\n"
}

#[test]
fn promtool_has_nothing_to_say() {
    let stage = Stage::new();
    let metrics = stage.metrics(true);
    record(&metrics);
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = promtool.spawn() else { return };
    promtool.stdin.take().unwrap().write_all(metrics.expose(Format::Prometheus).as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let words = [said.stderr, said.stdout].concat();
    let words = String::from_utf8_lossy(&words);
    assert!(said.status.success() && words.is_empty(), "{words}");
}

#[test]
fn series_of_an_integration_end_with_it() {
    let stage = Stage::new();
    let metrics = stage.metrics(true);
    let of = |read: &Exposition| read.samples.iter().filter(|sample| sample.labels.contains_key("name")).count();
    // Each: info, three phases, connected; and one that has been checked.
    assert_eq!(of(&read(&metrics)), 3 * 5 + 1);
    stage.change(|shown| shown.integrations.truncate(1));
    assert_eq!(of(&read(&metrics)), 6);
    stage.change(|shown| shown.integrations.clear());
    assert_eq!(of(&read(&metrics)), 0);
}

#[test]
fn one_phase_of_an_integration_is_1_and_the_others_are_0() {
    let stage = Stage::new();
    let read = read(&stage.metrics(true));
    for (namespace, name, wanted) in
        [("shop", "datadog", "Enabled"), ("shop", "added", "Available"), ("hotel", "datadog", "Failed")]
    {
        let of = [("namespace", namespace), ("name", name)];
        for phase in ["Available", "Enabled", "Failed"] {
            let labels = [of[0], of[1], ("phase", phase)];
            let value = read.value("partner_integration_status_phase", &labels);
            assert_eq!(value, Some(f64::from(u8::from(phase == wanted))), "{namespace}/{name} {phase}");
        }
        let connected = read.value("partner_integration_connected", &of);
        assert_eq!(connected, Some(f64::from(u8::from(wanted == "Enabled"))));
    }
}

#[test]
fn a_standby_gives_no_series_of_integrations_and_neither_does_one_that_is_told_so() {
    let stage = Stage::new();
    let off = read(&stage.metrics(false));
    assert_eq!(off.value("partner_integration_leader", &[]), Some(1.0));
    stage.change(|shown| shown.leading = false);
    let standby = read(&stage.metrics(true));
    assert_eq!(standby.value("partner_integration_leader", &[]), Some(0.0));
    for read in [off, standby] {
        assert!(read.samples.iter().all(|sample| !sample.labels.contains_key("namespace")), "{read:#?}");
        assert_eq!(read.value("partner_integration_checks_in_flight", &[("partner", "datadog")]), Some(3.0));
    }
}

#[test]
fn series_of_a_region_or_a_partner_end_with_it_and_begin_at_zero_again() {
    let stage = Stage::new();
    let metrics = stage.metrics(true);
    let checks = |read: &Exposition, region: &str| {
        let total = read.all("partner_integration_checks_total", &[("region", region)]);
        let count = read.value("partner_integration_check_duration_seconds_count", &[("region", region)]);
        (total.iter().map(|sample| sample.value).sum::<f64>(), count)
    };
    record(&metrics);
    assert_eq!((checks(&read(&metrics), "eu1"), checks(&read(&metrics), "us1")), ((2.0, Some(2.0)), (1.0, Some(0.0))));
    stage.change(|shown| shown.partners = vec![partner(&["eu1"])]);
    assert_eq!((checks(&read(&metrics), "eu1"), checks(&read(&metrics), "us1")), ((2.0, Some(2.0)), (0.0, None)));
    // A check that ends after the partner has left the catalogue.
    stage.change(|shown| shown.partners.clear());
    metrics.checked("datadog", "eu1", Reason::Connected, Some(Duration::from_millis(120)));
    assert!(
        read(&metrics)
            .samples
            .iter()
            .all(|sample| !sample.labels.contains_key("partner") || sample.labels.contains_key("name"))
    );
    stage.change(|shown| shown.partners = vec![partner(&["eu1"])]);
    metrics.checked("datadog", "eu1", Reason::Connected, Some(Duration::from_millis(120)));
    assert_eq!(checks(&read(&metrics), "eu1"), (1.0, Some(1.0)));
}

#[test]
fn what_has_left_the_catalogue_is_not_kept_where_nobody_scrapes() {
    let stage = Stage::new();
    let metrics = stage.metrics(true);
    for number in 0..1000 {
        let name = format!("partner-{number}");
        stage.change(|shown| shown.partners[0].name.clone_from(&name));
        metrics.checked(&name, "eu1", Reason::Connected, None);
    }
    assert_eq!(metrics.0.checks.kept(), 1);
}

#[test]
fn odd_names_are_escaped() {
    let stage = Stage::new();
    let region = "a\"b\\c\nd{e}=,f";
    stage.change(|shown| shown.integrations[0].region = region.to_owned());
    assert_eq!(read(&stage.metrics(true)).value("partner_integration_info", &[("region", region)]), Some(1.0));
}

#[test]
fn the_format_is_what_the_accept_header_asks_for() {
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                      text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    let table = [
        ("", Format::Prometheus),
        ("*/*", Format::Prometheus),
        ("text/plain", Format::Prometheus),
        ("application/openmetrics-text", Format::OpenMetrics),
        ("text/plain, Application/OpenMetrics-Text; version=1.0.0", Format::OpenMetrics),
        ("application/openmetrics-text;q=0", Format::Prometheus),
        ("application/openmetrics-text-not", Format::Prometheus),
        (prometheus, Format::OpenMetrics),
    ];
    for (accept, wanted) in table {
        assert_eq!(Format::wanted(accept), wanted, "{accept}");
    }
}

#[test]
fn the_strict_reader_is_strict() {
    let table = [
        ("# HELP a A.\n# TYPE a counter\na_total 1\n", "it does not end with # EOF"),
        ("# HELP a A.\n# TYPE a counter\na 1\n# EOF\n", "a is no counter of a"),
        ("# HELP a A.\n# TYPE a gauge\na 1\na 2\n# EOF\n", "twice: a {}"),
        ("# HELP a A.\n# TYPE a gauge\n\na 1\n# EOF\n", "not a sample: "),
        ("# HELP a A.\n# TYPE a gauge\na{b=\"c} 1\n# EOF\n", "not a sample: a{b=\"c} 1"),
        ("# HELP a A.\na 1\n# EOF\n", "no type after the help of a"),
        ("a 1\n# EOF\n", "a sample before any description: a 1"),
        ("# HELP a A.\n# TYPE a info\na_info 2\n# EOF\n", "a_info {} is 2"),
        ("# HELP a A.\n# TYPE a gauge\n# UNIT a seconds\na 2\n# EOF\n", "the unit of a: Some(\"seconds\")"),
        ("# HELP a A.\n# TYPE a gauge\na 2\n# HELP a A.\n# TYPE a gauge\n# EOF\n", "a is described twice"),
    ];
    for (text, problem) in table {
        assert_eq!(parse(text, Text::OpenMetrics), Err(problem.to_owned()), "{text}");
    }
    let histogram =
        "# HELP a A.\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n# EOF\n";
    assert!(parse(histogram, Text::OpenMetrics).unwrap_err().starts_with("the histogram a"));
}

#[test]
fn the_page_for_operators_names_every_metric_event_reason_and_flag() {
    use clap::CommandFactory as _;
    let page = include_str!("../../docs/operations.md");
    let stage = Stage::new();
    let metrics = stage.metrics(true);
    record(&metrics);
    let text = metrics.expose(Format::Prometheus);
    let metrics = parse(&text, Text::Prometheus).unwrap().families.into_keys();
    let reasons = Reason::ALL.map(|reason| reason.as_str().to_owned());
    let events = ["Connected", "Disconnected", "ConnectFailed", "KeyRotated"].map(str::to_owned);
    for name in metrics.chain(reasons).chain(events) {
        assert!(page.contains(&format!("`{name}`")), "{name} is missing");
    }
    let cli = crate::cli::Cli::command();
    let run = cli.find_subcommand("run").unwrap();
    for flag in run.get_arguments().filter_map(clap::Arg::get_long) {
        let named = [format!("`--{flag}`"), format!("`--{flag} ")];
        assert!(named.iter().any(|named| page.contains(named)), "--{flag} is missing");
    }
}
