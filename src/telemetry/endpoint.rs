//! Where traces are sent, from the flag and from the variables that OpenTelemetry has for all languages.

use url::Url;

/// The flag, for messages.
const FLAG: &str = "--otlp-endpoint";
/// The standard variables: a whole address for traces, and the base of all signals.
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// The path of traces below a base, as the OTLP specification gives it.
const TRACES: [&str; 2] = ["v1", "traces"];
/// Where a protocol may be asked for, and the one that is spoken.
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const PROTOCOL: &str = "http/protobuf";
/// The standard variables of the sampler.
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const RATIO: &str = "OTEL_TRACES_SAMPLER_ARG";
/// Samplers without an argument, and with one.
const PLAIN: [&str; 4] = ["always_on", "always_off", "parentbased_always_on", "parentbased_always_off"];
const BY_RATIO: [&str; 2] = ["traceidratio", "parentbased_traceidratio"];

/// The address that spans are posted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

/// What is wrong with what was given. The text never holds it: an address may carry a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointFault {
    /// It is no `http` or `https` URL with a host.
    #[error("{0} is no URL of a collector; give one as http://otel-collector.observability:4318")]
    NoUrl(&'static str),
    /// It holds a user or a password.
    #[error("{0} holds a user or a password; put credentials into OTEL_EXPORTER_OTLP_HEADERS")]
    Credentials(&'static str),
    /// It holds a query or a fragment.
    #[error("{0} holds a query or a fragment; give only the address")]
    Query(&'static str),
    /// Another protocol was asked for.
    #[error(
        "{0} asks for another protocol than http/protobuf, which is the only one here; unset it, and give the collector's port for OTLP over HTTP, usually 4318"
    )]
    Protocol(&'static str),
    /// There is no such sampler.
    #[error("{SAMPLER} is none of always_on, always_off, traceidratio and their parentbased_ forms")]
    Sampler,
    /// The sampler's share is missing or none.
    #[error("{RATIO} has to be a number from 0 to 1 for this {SAMPLER}")]
    Ratio,
}

impl Endpoint {
    /// What `flag` says, else the standard variables as `variable` gives them; `None`, no traces, without any of
    /// them, or with an empty flag. The flag and the variable for all signals name a base, below which traces have
    /// their path.
    ///
    /// # Errors
    /// As [`EndpointFault`] says, also about the other standard variables that traces depend on.
    pub fn find(flag: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, EndpointFault> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let found = match flag {
            Some("") => None,
            Some(flag) => Some(Self::base(FLAG, flag)?),
            None => match (variable(TRACES_ENDPOINT), variable(ENDPOINT)) {
                (Some(whole), _) => Some(Self::whole(TRACES_ENDPOINT, &whole)?),
                (None, Some(base)) => Some(Self::base(ENDPOINT, &base)?),
                (None, None) => None,
            },
        };
        if found.is_some() {
            let asked = PROTOCOLS.into_iter().find_map(|name| Some((name, variable(name)?)));
            if let Some((name, _)) = asked.filter(|(_, protocol)| protocol != PROTOCOL) {
                return Err(EndpointFault::Protocol(name));
            }
            check_sampler(variable)?;
        }
        Ok(found)
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    fn whole(source: &'static str, text: &str) -> Result<Self, EndpointFault> {
        let url = Url::parse(text.trim()).map_err(|_| EndpointFault::NoUrl(source))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(EndpointFault::NoUrl(source));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointFault::Credentials(source));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointFault::Query(source));
        }
        Ok(Self(url))
    }

    fn base(source: &'static str, text: &str) -> Result<Self, EndpointFault> {
        let mut endpoint = Self::whole(source, text)?;
        endpoint.0.path_segments_mut().map_err(|()| EndpointFault::NoUrl(source))?.pop_if_empty().extend(TRACES);
        Ok(endpoint)
    }
}

/// The SDK takes the default for what it does not know, and says so where nobody hears it.
fn check_sampler(variable: impl Fn(&str) -> Option<String>) -> Result<(), EndpointFault> {
    match variable(SAMPLER).as_deref() {
        None => Ok(()),
        Some(sampler) if PLAIN.contains(&sampler) => Ok(()),
        Some(sampler) if BY_RATIO.contains(&sampler) => {
            let ratio = variable(RATIO).and_then(|ratio| ratio.parse::<f64>().ok());
            ratio.filter(|ratio| (0.0..=1.0).contains(ratio)).map(drop).ok_or(EndpointFault::Ratio)
        }
        Some(_) => Err(EndpointFault::Sampler),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(flag: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<String>, EndpointFault> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        Ok(Endpoint::find(flag, variable)?.map(|endpoint| endpoint.as_str().to_owned()))
    }

    #[test]
    fn the_flag_goes_before_the_variables_and_an_empty_one_is_off() {
        let all = [(TRACES_ENDPOINT, "https://t.example/spans"), (ENDPOINT, "http://all.example:4318")];
        let at = |url: &str| Ok(Some(url.to_owned()));
        assert_eq!(find(None, &[]), Ok(None));
        assert_eq!(find(None, &[(ENDPOINT, "")]), Ok(None));
        assert_eq!(find(None, &all), at("https://t.example/spans"));
        assert_eq!(find(None, &all[1..]), at("http://all.example:4318/v1/traces"));
        assert_eq!(find(Some(""), &all), Ok(None));
        assert_eq!(find(Some("http://flag.example"), &all), at("http://flag.example/v1/traces"));
        assert_eq!(find(Some("https://flag.example/otlp/"), &all), at("https://flag.example/otlp/v1/traces"));
        assert_eq!(find(Some("http://[::1]:4318"), &all), at("http://[::1]:4318/v1/traces"));
    }

    #[test]
    fn what_is_no_address_of_a_collector_is_refused_and_not_repeated() {
        let no_url =
            ["otel-collector:4317", "collector", "grpc://collector:4317", "http://", "file:///etc", "http://a b"];
        for text in no_url {
            assert_eq!(find(Some(text), &[]), Err(EndpointFault::NoUrl(FLAG)), "{text}");
            assert_eq!(find(None, &[(ENDPOINT, text)]), Err(EndpointFault::NoUrl(ENDPOINT)), "{text}");
        }
        let with_password = find(Some("https://user:hunter2@collector.example"), &[]).unwrap_err();
        assert_eq!(with_password, EndpointFault::Credentials(FLAG));
        assert!(!with_password.to_string().contains("hunter2"));
        assert_eq!(find(Some("https://c.example?token=hunter2"), &[]), Err(EndpointFault::Query(FLAG)));
    }

    #[test]
    fn a_protocol_or_sampler_that_cannot_be_had_is_said_where_traces_are_on() {
        let flag = Some("http://c.example:4318");
        for name in PROTOCOLS {
            assert_eq!(find(flag, &[(name, "grpc")]), Err(EndpointFault::Protocol(name)));
            assert!(find(flag, &[(name, PROTOCOL)]).is_ok() && find(None, &[(name, "grpc")]).is_ok());
        }
        let sampler = |name: &str, ratio: &str| find(flag, &[(SAMPLER, name), (RATIO, ratio)]).map(drop);
        assert_eq!(sampler("parentbased_traceidratio", "0.1"), Ok(()));
        assert_eq!(sampler("always_off", "nonsense"), Ok(()));
        for ratio in ["", "1.5", "-1", "NaN", "ten"] {
            assert_eq!(sampler("traceidratio", ratio), Err(EndpointFault::Ratio), "{ratio}");
        }
        assert_eq!(sampler("xray", "1"), Err(EndpointFault::Sampler));
    }
}
