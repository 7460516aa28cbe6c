//! The two text formats. `OpenMetrics` is what Prometheus asks for; the older one is for whoever does not.

use std::fmt::Write as _;

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// The text format of Prometheus, 0.0.4: what `curl` gets and `promtool check metrics` reads.
    Prometheus,
}

impl Format {
    /// The format that a request's Accept header wants, as client libraries of Prometheus choose it: `OpenMetrics` for
    /// whoever names it, else the older one.
    #[must_use]
    pub fn wanted(accept: &str) -> Self {
        let named = accept.split(',').any(|media| {
            let mut parts = media.split(';').map(str::trim);
            let is_it = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
            is_it && !parts.any(|part| matches!(part.strip_prefix("q="), Some("0" | "0.0" | "0.00" | "0.000")))
        });
        if named { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Its Content-Type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// `OpenMetrics` text as the older format has it. The samples are the same. There a counter is described under the name
/// of its sample, an info is a gauge, and neither units nor the end are said.
pub fn to_prometheus(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) else {
            out.push_str(line);
            out.push('\n');
            continue;
        };
        // The type always follows the help.
        let kind = lines.next().and_then(|line| line.rsplit_once(' ')).map_or("untyped", |(_, kind)| kind);
        let (suffix, kind) = match kind {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            kind => ("", kind),
        };
        // Writing to a String cannot fail.
        let _ = write!(out, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n");
    }
    out
}
