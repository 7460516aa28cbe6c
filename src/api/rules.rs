//! The rules that CEL states, one function each, beside the sentence that a user reads when it fails.
//!
//! CEL and not `pattern`, `minProperties` or `maxProperties`: their messages print a regular expression or a
//! number, and a failure of the schema switches all CEL rules off. Sizes do stand in the schema: the API server
//! estimates the cost of each rule from them and refuses a CRD whose rules could cost too much.
//!
//! There is no minimum length beside a rule that refuses the empty text anyway.
//!
//! A rule that looks at two fields says nothing where one of them is broken by a rule of its own, so that each
//! mistake gives one message.

use kube::core::Rule;

/// RFC 1123 label: names of regions.
const LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// RFC 1123 subdomain: names of objects.
const SUBDOMAIN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// GEP-2257. `duration()` alone also takes `.5m` and `+10s`.
const DURATION: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
/// `isURL()` alone is too loose. The port is spelled out to end at 65535.
const ENDPOINT: &str = concat!(
    "^https://(([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?[.])*[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?|[[][0-9a-f:.]+[]])",
    "(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?",
    "(/[A-Za-z0-9._~-]+)*$"
);
/// RFC 3986 `path-absolute` and `query`.
const PATH: &str = concat!(
    "^/(([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?",
    "([?]([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?$"
);
/// RFC 9110 `token`.
const TOKEN: &str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";
/// Visible ASCII and space.
const VISIBLE: &str = "^[ -~]*$";

/// A regular expression as a raw CEL string; none of ours holds a double quote.
fn matches(value: &str, regex: &str) -> String {
    format!("{value}.matches(r\"{regex}\")")
}

/// `metadata.name` of a Partner, which stands in `spec.partner`, in labels of metrics and in messages.
pub(super) fn partner_object_name() -> Rule {
    Rule::new("self.metadata.name.size() <= 63")
        .message("metadata.name of a Partner must be at most 63 characters long: choose a shorter name")
}

/// `spec.displayName` is printed in a column and ends up in messages.
pub(super) fn one_line() -> Rule {
    Rule::new(matches("self", r"^[^\x00-\x1f\x7f]*$"))
        .message("spec.displayName must be one line of text: take out line breaks and other control characters")
}

/// `spec.partner`: a name that a Partner can have.
pub(super) fn partner_reference() -> Rule {
    Rule::new(matches("self", SUBDOMAIN)).message(
        "spec.partner must be the metadata.name of a Partner: lower-case letters, digits, '-' and '.', beginning and \
         ending with a letter or digit; see kubectl get partners",
    )
}

/// `spec.partner` never changes: another partner is another connection, with a history of its own.
pub(super) fn partner_is_immutable() -> Rule {
    Rule::new("self == oldSelf").message(
        "spec.partner is immutable: delete this PartnerIntegration and create another one that names the other partner",
    )
}

/// A region's name, in the catalogue (`spec.regions[].name`) and in an integration (`spec.region`).
pub(super) fn region_name(field: &str) -> Rule {
    Rule::new(matches("self", LABEL)).message(&*format!(
        "{field} must be lower-case letters, digits and '-', beginning and ending with a letter or digit, e.g. eu1"
    ))
}

/// Region and key make a connection together.
pub(super) fn region_with_key() -> Rule {
    Rule::new("has(self.region) == has(self.apiKeySecretRef)").message(
        "spec.region and spec.apiKeySecretRef belong together: set both to connect, or neither to only add the partner",
    )
}

/// The key is the user's and the binding the operator's: one Secret cannot be both.
pub(super) fn binding_is_no_key() -> Rule {
    Rule::new(
        "!has(self.binding) || !has(self.apiKeySecretRef) || self.binding.secretName != self.apiKeySecretRef.name",
    )
    .message(
        "spec.binding.secretName must be another Secret than spec.apiKeySecretRef.name: the operator writes the one \
         and reads the other",
    )
}

/// A Secret's name, in this `field`.
pub(super) fn secret_name(field: &str) -> Rule {
    Rule::new(matches("self", SUBDOMAIN)).message(&*format!(
        "{field} must be the name of a Secret in this namespace: lower-case letters, digits, '-' and '.', beginning \
         and ending with a letter or digit"
    ))
}

/// A key in a Secret's data, as the API server takes them.
pub(super) fn secret_key(field: &str) -> Rule {
    Rule::new(format!("{} && self != '.' && !self.startsWith('..')", matches("self", "^[-._a-zA-Z0-9]+$"))).message(
        &*format!(
            "{field} must be a key that a Secret can have: letters, digits, '-', '_' and '.', not '.' alone and not \
             beginning with '..'"
        ),
    )
}

/// `spec.documentationURL`: something that can be shown as a link.
pub(super) fn documentation_url() -> Rule {
    Rule::new("isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != ''").message(
        "spec.documentationURL must be an https:// or http:// address with a host, e.g. https://docs.example.com/api",
    )
}

/// The scheme of an endpoint, said apart because `http://` is the likely mistake.
pub(super) fn endpoint_is_https() -> Rule {
    Rule::new("self.startsWith('https://')").message(
        "spec.regions[].endpoint must begin with https:// in lower case: a key is never sent without encryption",
    )
}

/// The shape of an endpoint, so that endpoint + path is an address that every parser reads in the same way.
pub(super) fn endpoint_shape() -> Rule {
    Rule::new(format!("!self.startsWith('https://') || {}", matches("self", ENDPOINT))).message(
        "spec.regions[].endpoint must be https://HOST[:PORT][/BASE] and nothing else: HOST a lower-case DNS name or an \
         IP address (IPv6 in brackets), PORT 1 to 65535, BASE made of letters, digits, '.', '_', '~' and '-'; take out \
         a user name, query, fragment, trailing or double slash",
    )
}

/// No segment that a URL parser would resolve.
pub(super) fn endpoint_without_dot_segments() -> Rule {
    Rule::new(format!("!{}", matches("self", "/[.]{1,2}(/|$)")))
        .message("spec.regions[].endpoint must not have '.' or '..' as a segment: write the address that is meant")
}

/// What stands in brackets is an IPv6 address. The API server's `isIP` refuses IPv4-mapped ones; these pass
/// here, since the address guard judges them by the IPv4 address that they stand for.
pub(super) fn endpoint_ipv6() -> Rule {
    // `https://[` is nine characters long.
    let literal = "self.split(']')[0].substring(9)";
    Rule::new(format!(
        "!self.startsWith('https://[') || !{} || {literal}.matches('^[0:]+ffff:[0-9a-f:.]+$') || \
         (isIP({literal}) && ip({literal}).family() == 6)",
        matches("self", ENDPOINT),
    ))
    .message("spec.regions[].endpoint must have an IPv6 address in the brackets, e.g. https://[2001:db8::1]")
}

/// One form of authentication.
pub(super) fn one_authentication() -> Rule {
    Rule::new("[has(self.headers), has(self.bearer), has(self.basic)].filter(form, form).size() == 1").message(
        "spec.authentication must hold exactly one of headers, bearer and basic: keep the one that the partner asks for",
    )
}

/// One form of a user name.
pub(super) fn one_user_name() -> Rule {
    Rule::new("has(self.username) != has(self.usernameKey)").message(
        "spec.authentication.basic must hold exactly one of username and usernameKey: a fixed name, or the key of the \
         Secret that holds it",
    )
}

/// RFC 7617: a colon would end the user name, and control characters are not allowed.
pub(super) fn user_name() -> Rule {
    Rule::new(matches("self", r"^[^:\x00-\x1f\x7f]*$")).message(
        "spec.authentication.basic.username must not hold a colon or a control character: the colon ends the user name \
         (RFC 7617)",
    )
}

/// A header's name is a token.
pub(super) fn header_name(field: &str) -> Rule {
    Rule::new(matches("self", TOKEN)).message(&*format!(
        "{field} must be the name of a header: letters, digits and !#$%&'*+-.^_`|~, without spaces and without a colon"
    ))
}

/// Headers that the HTTP client or the connection owns.
pub(super) fn header_not_reserved(field: &str) -> Rule {
    Rule::new(
        "!(self.lowerAscii() in ['host', 'content-length', 'transfer-encoding', 'connection', 'te', 'trailer', \
         'upgrade', 'expect', 'cookie', 'user-agent', 'accept-encoding']) && !self.lowerAscii().startsWith('proxy-')",
    )
    .message(&*format!(
        "{field} must not be host, content-length, transfer-encoding, connection, te, trailer, upgrade, expect, cookie, \
         user-agent, accept-encoding or proxy-*: the operator owns these; take the header out"
    ))
}

/// Header names ignore case. The very same name twice is refused by the list's own keys.
pub(super) fn header_names_differ(field: &str) -> Rule {
    Rule::new("self.all(h, self.all(o, o.name == h.name || o.name.lowerAscii() != h.name.lowerAscii()))").message(
        &*format!(
            "{field} must not name a header twice, and upper and lower case make no difference: keep one of them"
        ),
    )
}

/// What a header can carry.
pub(super) fn header_value(field: &str) -> Rule {
    Rule::new(matches("self", VISIBLE)).message(&*format!(
        "{field} must be visible ASCII characters and spaces: take out line breaks and other characters"
    ))
}

/// A header that carries the key is set by the operator alone.
pub(super) fn check_headers_without_key() -> Rule {
    Rule::new(
        "!has(self.authentication.headers) || !has(self.check.headers) || self.check.headers.all(h, \
         !self.authentication.headers.exists(k, k.name.lowerAscii() == h.name.lowerAscii()))",
    )
    .field_path(".check.headers")
    .message(
        "spec.check.headers must not name a header of spec.authentication.headers, in whatever case: that one carries \
         the key; take it out of spec.check.headers",
    )
}

/// With bearer and basic the key is in `Authorization`.
pub(super) fn check_headers_without_authorization() -> Rule {
    Rule::new(
        "!(has(self.authentication.bearer) || has(self.authentication.basic)) || !has(self.check.headers) || \
         self.check.headers.all(h, h.name.lowerAscii() != 'authorization')",
    )
    .field_path(".check.headers")
    .message(
        "spec.check.headers must not name authorization with spec.authentication.bearer or basic: that header carries \
         the key; take it out of spec.check.headers",
    )
}

/// `spec.check.path`: appended to an endpoint as text.
pub(super) fn path_shape() -> Rule {
    Rule::new(matches("self", PATH)).message(
        "spec.check.path must begin with one '/', not two, and hold only characters of a URL path and query (RFC 3986): \
         no space, backslash or fragment; write others as %XX",
    )
}

/// No segment that a URL parser would resolve, whatever its spelling; a query may hold anything.
pub(super) fn path_without_dot_segments() -> Rule {
    Rule::new("!self.split('?')[0].lowerAscii().matches('/([.]|%2e){1,2}(/|$)')").message(
        "spec.check.path must not have '.' or '..' (or %2e for a dot) as a segment: write the path that is meant",
    )
}

/// A body goes with POST only.
pub(super) fn body_with_post() -> Rule {
    Rule::new("!has(self.body) || self.body == '' || self.method == 'POST'")
        .field_path(".body")
        .message("spec.check.body needs spec.check.method POST: set the method to POST, or take the body out")
}

/// A duration and its range: one rule, one message.
pub(super) fn duration(field: &str, least: &str, most: &str, example: &str) -> Rule {
    Rule::new(format!(
        "{} && duration(self) >= duration('{least}') && duration(self) <= duration('{most}')",
        matches("self", DURATION)
    ))
    .message(&*format!(
        "{field} must be a duration from {least} to {most}: whole numbers of at most five digits, each with its unit h, \
         m, s or ms, e.g. {example}"
    ))
}

/// A check that lasts longer than the interval would never end.
pub(super) fn timeout_within_interval() -> Rule {
    Rule::new(format!(
        "!({} && {}) || duration(self.timeout) <= duration(self.interval) || duration(self.timeout) > duration('60s') \
         || duration(self.interval) < duration('30s')",
        matches("self.timeout", DURATION),
        matches("self.interval", DURATION)
    ))
    .field_path(".timeout")
    .message(
        "spec.check.timeout must not be longer than spec.check.interval: shorten the timeout or lengthen the interval",
    )
}

/// Codes that cannot mean: connected.
pub(super) fn success_codes() -> Rule {
    Rule::new("self.all(c, (c < 300 || c > 399) && (c < 500 || c > 599) && !(c in [408, 425, 429]))").message(
        "spec.check.success.statusCodes must not hold 3xx (redirects are refused), 408, 425, 429 or 5xx (these mean: \
         try again later): take them out",
    )
}

/// Codes that cannot mean: this key is refused.
pub(super) fn rejected_codes() -> Rule {
    Rule::new("self.all(c, (c < 300 || c > 399) && c != 429)").message(
        "spec.check.rejected.statusCodes must not hold 3xx (redirects are refused) or 429 (it means: too many \
         requests): take them out",
    )
}

/// A success code is no rejected code, also where the rejected ones are the defaults.
pub(super) fn success_apart_from_rejected() -> Rule {
    Rule::new(
        "!has(self.success) || !has(self.success.statusCodes) || self.success.statusCodes.all(c, \
         !(c in (has(self.rejected) && has(self.rejected.statusCodes) ? self.rejected.statusCodes : [401, 403])))",
    )
    .field_path(".success.statusCodes")
    .message(
        "spec.check.success.statusCodes and spec.check.rejected.statusCodes must not share a code, and rejected means \
         401 and 403 where it has no list: take the code out of one of them, or list the rejected codes",
    )
}

/// A rejected code is no success code where the success ones are the defaults.
pub(super) fn rejected_apart_from_default_success() -> Rule {
    Rule::new(
        "(has(self.success) && has(self.success.statusCodes)) || !has(self.rejected) || \
         !has(self.rejected.statusCodes) || self.rejected.statusCodes.all(c, c < 200 || c > 299)",
    )
    .field_path(".rejected.statusCodes")
    .message(
        "spec.check.rejected.statusCodes must not hold a code from 200 to 299 while spec.check.success.statusCodes has \
         no list, because these then mean success: list the success codes, or take the code out",
    )
}

/// A root certificate is public; a key that is pasted along with it must not be stored in the open.
///
/// It stands at `spec`: at the field itself the API server would repeat the value, key and all, in its answer.
pub(super) fn no_private_key() -> Rule {
    Rule::new("!has(self.trustBundle) || !self.trustBundle.contains('PRIVATE KEY')").field_path(".trustBundle").message(
        "spec.trustBundle must hold certificates only, and here is a PRIVATE KEY: take it out, and replace that key, \
         since it has been shown",
    )
}

/// `status.connected` says nothing of its own.
pub(super) fn connected_is_enabled() -> Rule {
    Rule::new("self.connected == (self.phase == 'Enabled')")
        .message("status.connected must be true exactly while status.phase is Enabled: write both together")
}
