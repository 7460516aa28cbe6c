//! A strict reader of metrics as text: it refuses what a lenient one would let pass.

use std::collections::{BTreeMap, BTreeSet};

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// The text format of Prometheus, 0.0.4.
    Prometheus,
}

/// The labels of a series.
pub type Labels = BTreeMap<String, String>;

/// Upper bounds with their counts, the sum and the count.
type Buckets = (Vec<(f64, f64)>, Option<f64>, Option<f64>);

/// One series at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// With the suffix.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposition {
    /// Each family's name and type.
    pub families: BTreeMap<String, String>,
    /// Every sample.
    pub samples: Vec<Sample>,
}

impl Exposition {
    /// The samples of this name that have these labels, and maybe more.
    pub fn all(&self, name: &str, labels: &[(&str, &str)]) -> Vec<&Sample> {
        let has = |sample: &&Sample| {
            let mut wanted = labels.iter();
            sample.name == name
                && wanted.all(|(key, value)| sample.labels.get(*key).is_some_and(|found| found == value))
        };
        self.samples.iter().filter(has).collect()
    }

    /// The value of the one sample of this name that has these labels, and maybe more.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        match self.all(name, labels)[..] {
            [sample] => Some(sample.value),
            _ => None,
        }
    }

    /// The names of the labels of each sample, for comparison with what is documented.
    pub fn names(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for sample in &self.samples {
            names.entry(sample.name.clone()).or_default().extend(sample.labels.keys().cloned());
        }
        names
    }
}

struct Family<'a> {
    name: &'a str,
    kind: &'a str,
    samples: Vec<Sample>,
}

/// Reads a text.
///
/// # Errors
/// The first thing that is not as the format has it.
pub fn parse(text: &str, format: Text) -> Result<Exposition, String> {
    let body = match format {
        Text::OpenMetrics => text.strip_suffix("# EOF\n").ok_or("it does not end with # EOF")?,
        Text::Prometheus => text,
    };
    if !body.is_empty() && !body.ends_with('\n') {
        return Err("the last line has no end".to_owned());
    }
    let mut families: Vec<Family<'_>> = Vec::new();
    let mut lines = body.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or(format!("no help: {line}"))?;
            if help.is_empty() || !is_name(name) {
                return Err(format!("not a description: {line}"));
            }
            let kind =
                lines.next().and_then(|line| line.strip_prefix("# TYPE ")?.strip_prefix(name)?.strip_prefix(' '));
            let kind = kind.ok_or(format!("no type after the help of {name}"))?;
            let unit = lines.next_if(|line| line.starts_with("# UNIT "));
            if let Some(unit) = unit {
                let unit = unit["# UNIT ".len()..].strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
                let ends = unit.is_some_and(|unit| !unit.is_empty() && name.ends_with(&format!("_{unit}")));
                if format == Text::Prometheus || !ends {
                    return Err(format!("the unit of {name}: {unit:?}"));
                }
            }
            families.push(Family { name, kind, samples: Vec::new() });
        } else {
            let family = families.last_mut().ok_or(format!("a sample before any description: {line}"))?;
            let sample = sample(line).ok_or(format!("not a sample: {line}"))?;
            family.samples.push(sample);
        }
    }
    let mut read = Exposition::default();
    let mut sample_names = BTreeMap::new();
    for family in families {
        family.judge(format)?;
        for sample in &family.samples {
            let owner = sample_names.insert(sample.name.clone(), family.name);
            if owner.is_some_and(|owner| owner != family.name) {
                return Err(format!("two families have {}", sample.name));
            }
        }
        if read.families.insert(family.name.to_owned(), family.kind.to_owned()).is_some() {
            return Err(format!("{} is described twice", family.name));
        }
        read.samples.extend(family.samples);
    }
    Ok(read)
}

impl Family<'_> {
    fn judge(&self, format: Text) -> Result<(), String> {
        let suffixes: &[&str] = match (self.kind, format) {
            ("counter", Text::OpenMetrics) => &["_total"],
            ("info", Text::OpenMetrics) => &["_info"],
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            ("gauge", _) | ("counter", Text::Prometheus) => &[""],
            (kind, _) => return Err(format!("{} is a {kind}", self.name)),
        };
        if self.kind == "counter" && self.name.ends_with("_total") != (format == Text::Prometheus) {
            return Err(format!("the name of the counter {}", self.name));
        }
        let mut series = BTreeSet::new();
        for Sample { name, labels, value } in &self.samples {
            if !suffixes.iter().any(|suffix| *name == format!("{}{suffix}", self.name)) {
                return Err(format!("{name} is no {} of {}", self.kind, self.name));
            }
            if !series.insert((name, labels)) {
                return Err(format!("twice: {name} {labels:?}"));
            }
            let bad = match self.kind {
                "counter" | "histogram" => *value < 0.0 || value.is_nan(),
                "info" => (*value - 1.0).abs() > f64::EPSILON,
                _ => false,
            };
            if bad {
                return Err(format!("{name} {labels:?} is {value}"));
            }
        }
        if self.kind == "histogram" { self.judge_buckets() } else { Ok(()) }
    }

    /// Of each series: buckets that only grow, the last one `+Inf` and equal to the count, and a sum.
    fn judge_buckets(&self) -> Result<(), String> {
        let mut series: BTreeMap<Labels, Buckets> = BTreeMap::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            let le = labels.remove("le");
            let of = series.entry(labels).or_default();
            match (le, sample.name.rsplit_once('_').map(|(_, suffix)| suffix)) {
                (Some(le), Some("bucket")) => of.0.push((number(&le).ok_or(format!("le {le}"))?, sample.value)),
                (None, Some("sum")) => of.1 = Some(sample.value),
                (None, Some("count")) => of.2 = Some(sample.value),
                _ => return Err(format!("{sample:?}")),
            }
        }
        for (labels, (buckets, sum, count)) in series {
            let grows = buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
            let whole = buckets.last().is_some_and(|(le, value)| le.is_infinite() && Some(*value) == count);
            if !grows || !whole || sum.is_none() {
                return Err(format!("the histogram {} {labels:?}: {buckets:?} {sum:?} {count:?}", self.name));
            }
        }
        Ok(())
    }
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Labels::new(), rest),
    };
    let value = number(rest.strip_prefix(' ')?)?;
    is_name(name).then(|| Sample { name: name.to_owned(), labels, value })
}

/// From behind the opening brace to behind the closing one.
fn labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    loop {
        let (key, after) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = after.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at + 1,
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    same @ ('\\' | '"') => same,
                    _ => return None,
                }),
                (_, other) => value.push(other),
            }
        };
        if !is_name(key) || key.contains(':') || labels.insert(key.to_owned(), value).is_some() {
            return None;
        }
        rest = &after[end..];
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        rest = rest.strip_prefix(',')?;
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'))
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        _ if text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) => text.parse().ok(),
        _ => None,
    }
}
