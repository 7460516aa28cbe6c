//! The flags that say what one instance watches and writes.

use clap::{ArgAction, Args};

use crate::controller::{Scope, SecretWatch};

/// See the module.
#[derive(Debug, Args)]
pub struct Watching {
    /// Look after the integrations of this namespace only. May be repeated. Such an instance needs nothing cluster-wide
    /// but the catalogue, and writes no status of partners.
    #[arg(
        long = "namespace",
        env = "PARTNER_INTEGRATION_NAMESPACE",
        value_name = "NAMESPACE",
        value_delimiter = ',',
        value_parser = namespace
    )]
    namespaces: Vec<String>,
    /// Write the status of the partners; without it on, unless there is a --namespace.
    #[arg(
        long,
        env = "PARTNER_INTEGRATION_PARTNER_STATUS",
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    partner_status: Option<bool>,
    /// How a changed key is seen: at once by a watch of metadata, or, with `get` alone, at the next check.
    #[arg(long, env = "PARTNER_INTEGRATION_SECRET_WATCH", value_name = "HOW", default_value = "metadata")]
    secret_watch: SecretWatch,
}

impl Watching {
    /// What the flags say together.
    pub fn scope(self) -> Scope {
        let Self { mut namespaces, partner_status, secret_watch } = self;
        namespaces.sort();
        namespaces.dedup();
        let partner_status = partner_status.unwrap_or(namespaces.is_empty());
        Scope { namespaces, partner_status, secret_watch }
    }
}

/// A label as Kubernetes has it, so that nothing but a name ever gets into the address of a request.
fn namespace(name: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name =
        (1..=63).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-') && !name.ends_with('-');
    if is_name {
        Ok(name.to_owned())
    } else {
        Err("a namespace is 1 to 63 lower case letters, digits and hyphens; leave the flag out to watch all".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        watching: Watching,
    }

    fn scope(flags: &[&str]) -> Option<Scope> {
        let parsed = Flags::try_parse_from(["run"].iter().chain(flags)).ok()?;
        Some(parsed.watching.scope())
    }

    #[test]
    fn partner_status_is_written_by_whoever_sees_all_unless_it_is_said_otherwise() {
        for (flags, namespaces, partner_status) in [
            (&[][..], &[][..], true),
            (&["--partner-status=false"], &[], false),
            (&["--namespace", "shop"], &["shop"], false),
            (&["--namespace", "shop", "--namespace=a,shop", "--partner-status"], &["a", "shop"], true),
        ] {
            let scope = scope(flags).unwrap();
            assert_eq!(
                (&scope.namespaces[..], scope.partner_status),
                (&namespaces.iter().map(ToString::to_string).collect::<Vec<_>>()[..], partner_status),
                "{flags:?}"
            );
            assert_eq!(scope.secret_watch, SecretWatch::Metadata);
        }
        assert_eq!(scope(&["--secret-watch=none"]).unwrap().secret_watch, SecretWatch::None);
    }

    #[test]
    fn what_is_no_namespace_is_refused() {
        for name in ["", "Shop", "a/b", "-a", "a-", "a,,b", "kube system", &"a".repeat(64)] {
            assert!(scope(&[&format!("--namespace={name}")]).is_none(), "{name}");
        }
    }
}
