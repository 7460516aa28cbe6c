//! How many integrations name each partner, and how many of them are connected: kept as the watch shows them, one by
//! one, since a count of all after each event would cost the more the more there are.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::core::{Counted, Counts};

/// See the module. A partner that nobody names is not in it.
#[derive(Default)]
pub struct Tally {
    counts: HashMap<Arc<str>, Counts>,
    changed: HashSet<Arc<str>>,
    listed: bool,
}

impl Tally {
    /// The integrations have been listed: from now on the counts are whole.
    pub fn listed(&mut self) {
        self.listed = true;
    }

    /// The counts of one partner.
    pub fn of(&self, partner: &str) -> Counted {
        if self.listed { Counted::Yes(self.counts.get(partner).copied().unwrap_or_default()) } else { Counted::NotYet }
    }

    /// The partners whose counts have changed since this was asked last.
    pub fn take_changed(&mut self) -> HashSet<Arc<str>> {
        std::mem::take(&mut self.changed)
    }

    /// An integration is there that was not.
    pub fn added(&mut self, partner: &Arc<str>, connected: bool) {
        let counts = self.counts.entry(partner.clone()).or_default();
        counts.integrations += 1;
        counts.connected += u32::from(connected);
        self.changed.insert(partner.clone());
    }

    /// One is gone; `connected` says what it was.
    pub fn removed(&mut self, partner: &Arc<str>, connected: bool) {
        if let Some(counts) = self.counts.get_mut(partner) {
            counts.integrations = counts.integrations.saturating_sub(1);
            counts.connected = counts.connected.saturating_sub(u32::from(connected));
            if counts.integrations == 0 {
                self.counts.remove(partner);
            }
        }
        self.changed.insert(partner.clone());
    }

    /// One is connected now that was not, or the other way round.
    pub fn turned(&mut self, partner: &Arc<str>, connected: bool) {
        if let Some(counts) = self.counts.get_mut(partner) {
            counts.connected =
                if connected { counts.connected.saturating_add(1) } else { counts.connected.saturating_sub(1) };
        }
        self.changed.insert(partner.clone());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controller::key::Key;
    use crate::controller::tracker::Tracker;

    fn seen(tracker: &Tracker, name: &str, uid: &str, partner: &str, connected: bool) {
        let phase = if connected { "Enabled" } else { "Failed" };
        let integration = json!({
            "apiVersion": "integrations.kognitiv.com/v1alpha1",
            "kind": "PartnerIntegration",
            "metadata": {"namespace": "shop", "name": name, "uid": uid},
            "spec": {"partner": partner},
            "status": {"observedGeneration": 1, "phase": phase, "connected": connected},
        });
        tracker.seen(&serde_json::from_value(integration).unwrap());
    }

    fn counts(tracker: &Tracker, partner: &str) -> (u32, u32) {
        match tracker.counts_of(partner) {
            Counted::Yes(counts) => (counts.integrations, counts.connected),
            other => panic!("{other:?}"),
        }
    }

    fn changed(tracker: &Tracker) -> Vec<String> {
        let mut names: Vec<String> = tracker.take_recounted().iter().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_counted_before_the_integrations_have_been_listed() {
        let tracker = Tracker::default();
        seen(&tracker, "a", "1", "datadog", true);
        assert_eq!(tracker.counts_of("datadog"), Counted::NotYet);
        assert_eq!(tracker.counts_of("mailgun"), Counted::NotYet);
        tracker.retain(None, &[Key::new("shop", "a")].into());
        assert_eq!((counts(&tracker, "datadog"), counts(&tracker, "mailgun")), ((1, 1), (0, 0)));
    }

    #[test]
    fn every_way_in_which_a_count_changes_is_counted_and_told_once() {
        let tracker = Tracker::default();
        tracker.retain(None, &HashSet::new());
        seen(&tracker, "a", "1", "datadog", false);
        seen(&tracker, "b", "2", "mailgun", true);
        assert_eq!((changed(&tracker), changed(&tracker)), (vec!["datadog".into(), "mailgun".into()], vec![]));
        assert_eq!((counts(&tracker, "datadog"), counts(&tracker, "mailgun")), ((1, 0), (1, 1)));
        seen(&tracker, "a", "1", "datadog", false);
        assert!(changed(&tracker).is_empty(), "nothing has changed");
        seen(&tracker, "a", "1", "datadog", true);
        assert_eq!((changed(&tracker), counts(&tracker, "datadog")), (vec!["datadog".into()], (1, 1)));
        seen(&tracker, "a", "1", "datadog", false);
        assert_eq!((changed(&tracker), counts(&tracker, "datadog")), (vec!["datadog".into()], (1, 0)));
        // Another object of that name.
        seen(&tracker, "b", "3", "datadog", true);
        assert_eq!(changed(&tracker), ["datadog", "mailgun"]);
        assert_eq!((counts(&tracker, "datadog"), counts(&tracker, "mailgun")), ((2, 1), (0, 0)));
        tracker.forget(&Key::new("shop", "b"));
        tracker.forget(&Key::new("shop", "b"));
        assert_eq!((changed(&tracker), counts(&tracker, "datadog")), (vec!["datadog".into()], (1, 0)));
        // Gone while nobody watched.
        tracker.retain(None, &HashSet::new());
        assert_eq!((changed(&tracker), counts(&tracker, "datadog")), (vec!["datadog".into()], (0, 0)));
    }

    #[test]
    fn one_that_is_being_deleted_counts_as_deleted() {
        let tracker = Tracker::default();
        tracker.retain(None, &HashSet::new());
        seen(&tracker, "a", "1", "datadog", true);
        let deleted = json!({
            "apiVersion": "integrations.kognitiv.com/v1alpha1",
            "kind": "PartnerIntegration",
            "metadata": {"namespace": "shop", "name": "a", "uid": "1", "deletionTimestamp": "2026-11-24T10:00:00Z"},
            "spec": {"partner": "datadog"},
        });
        tracker.seen(&serde_json::from_value(deleted).unwrap());
        assert_eq!(counts(&tracker, "datadog"), (0, 0));
    }
}
