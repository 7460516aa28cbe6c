//! Everything that decides how one integration ends up, as one value: the spec, the key, the catalogue entry. An edit sets one
//! part of it, in the cluster too.

use kube::core::Status;
use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::cases::Bases;
use crate::ground::{Ground, KEY};
use crate::schema::Kind;

/// The regions of every Partner here; the simulated partner behaves accordingly (see [`behave`]).
pub const REGIONS: [&str; 11] =
    ["eu1", "us1", "down", "throttled", "hangs", "cut", "moved", "lost", "nowhere", "private", "foreign"];
/// Another key that the partner takes in every region.
pub const OTHER: &str = "the-other-good-key";

/// What is in the Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Good,
    Other,
    /// One that the partner refuses.
    Refused,
    /// One that no header can carry.
    Broken,
    /// The Secret has another key only.
    Missing,
    /// There is no Secret.
    Absent,
}

/// How requests carry the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    Header,
    Bearer,
    Basic,
}

/// The expression of the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expression {
    None,
    True,
    False,
    Broken,
}

/// One part of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Whether region and key are given at all.
    Configured(bool),
    Region(&'static str),
    Key(Key),
    Suspended(bool),
    Binding(Option<&'static str>),
    Listed(bool),
    Path(&'static str),
    /// Where the region eu1 is: that of this name of the simulated partner.
    Endpoint(&'static str),
    Authentication(Authentication),
    Expression(Expression),
    DisplayName(&'static str),
}

/// The whole of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub configured: bool,
    pub region: &'static str,
    pub key: Key,
    pub suspended: bool,
    pub binding: Option<&'static str>,
    pub listed: bool,
    pub path: &'static str,
    pub endpoint: &'static str,
    pub authentication: Authentication,
    pub expression: Expression,
    pub display_name: &'static str,
}

impl Default for State {
    /// One that connects and publishes.
    fn default() -> Self {
        Self {
            configured: true,
            region: "eu1",
            key: Key::Good,
            suspended: false,
            binding: Some("a"),
            listed: true,
            path: "/v1/validate",
            endpoint: "eu1",
            authentication: Authentication::Header,
            expression: Expression::None,
            display_name: "Loyalty Platform",
        }
    }
}

fn one<T: Copy>(random: &mut StdRng, of: &[T]) -> T {
    of[random.random_range(0..of.len())]
}

impl Edit {
    /// Any edit.
    pub fn any(random: &mut StdRng) -> Self {
        match random.random_range(0..11) {
            0 => Self::Configured(one(random, &[true, false])),
            1 => Self::Region(one(random, &["eu1", "us1", "mars", "lost", "moved", "private"])),
            2 => Self::Key(one(random, &[Key::Good, Key::Other, Key::Refused, Key::Broken, Key::Missing, Key::Absent])),
            3 => Self::Suspended(one(random, &[true, false])),
            4 => Self::Binding(one(random, &[None, Some("a"), Some("b")])),
            5 => Self::Listed(one(random, &[true, false])),
            6 => Self::Path(one(random, &["/v1/validate", "/v2/validate?all=1"])),
            7 => Self::Endpoint(one(random, &["eu1", "us1", "lost", "private"])),
            8 => Self::Authentication(one(
                random,
                &[Authentication::Header, Authentication::Bearer, Authentication::Basic],
            )),
            9 => Self::Expression(one(
                random,
                &[Expression::None, Expression::True, Expression::False, Expression::Broken],
            )),
            _ => Self::DisplayName(one(random, &["Loyalty Platform", "Other Name"])),
        }
    }

    /// Whether it may cost a check at once; an integration has a budget of ten.
    pub fn costs(self) -> bool {
        !matches!(self, Self::Binding(_) | Self::DisplayName(_))
    }

    fn is_of_partner(self) -> bool {
        matches!(
            self,
            Self::Listed(_)
                | Self::Path(_)
                | Self::Endpoint(_)
                | Self::Authentication(_)
                | Self::Expression(_)
                | Self::DisplayName(_)
        )
    }
}

impl State {
    /// The state after an edit.
    #[must_use]
    pub fn after(&self, edit: Edit) -> Self {
        let mut state = self.clone();
        match edit {
            Edit::Configured(value) => state.configured = value,
            Edit::Region(value) => state.region = value,
            Edit::Key(value) => state.key = value,
            Edit::Suspended(value) => state.suspended = value,
            Edit::Binding(value) => state.binding = value,
            Edit::Listed(value) => state.listed = value,
            Edit::Path(value) => state.path = value,
            Edit::Endpoint(value) => state.endpoint = value,
            Edit::Authentication(value) => state.authentication = value,
            Edit::Expression(value) => state.expression = value,
            Edit::DisplayName(value) => state.display_name = value,
        }
        state
    }

    /// The edits that lead from here to another state, one for each part that differs.
    pub fn towards(&self, other: &Self) -> Vec<Edit> {
        let Self {
            configured,
            region,
            key,
            suspended,
            binding,
            listed,
            path,
            endpoint,
            authentication,
            expression,
            display_name,
        } = other.clone();
        [
            Edit::Configured(configured),
            Edit::Region(region),
            Edit::Key(key),
            Edit::Suspended(suspended),
            Edit::Binding(binding),
            Edit::Listed(listed),
            Edit::Path(path),
            Edit::Endpoint(endpoint),
            Edit::Authentication(authentication),
            Edit::Expression(expression),
            Edit::DisplayName(display_name),
        ]
        .into_iter()
        .filter(|edit| self.after(*edit) != *self)
        .collect()
    }
}

/// One integration in a namespace and with a Partner of its own, and how it is edited.
pub struct Subject<'a> {
    pub ground: &'a Ground,
    pub bases: &'a Bases,
    /// Where the regions are that the simulated partner does not have.
    pub elsewhere: &'a Elsewhere,
    pub namespace: String,
}

/// Addresses at which no good partner answers.
pub struct Elsewhere {
    /// A partner whose certificate nobody trusts.
    pub foreign: String,
}

/// The name of the integration that is edited.
pub const NAME: &str = "way";

impl Subject<'_> {
    fn endpoint(&self, region: &str) -> String {
        match region {
            "nowhere" => "https://nowhere.invalid".to_owned(),
            "private" => "https://10.0.0.1".to_owned(),
            "foreign" => self.elsewhere.foreign.clone(),
            region => self.ground.sim.endpoint_by_address(region),
        }
    }

    fn partner(&self, state: &State) -> Value {
        let mut partner = self.bases.partner.clone();
        let spec = &mut partner["spec"];
        spec["displayName"] = json!(state.display_name);
        let at = |name: &&str| self.endpoint(if *name == "eu1" { state.endpoint } else { name });
        spec["regions"] = REGIONS.iter().map(|name| json!({"name": name, "endpoint": at(name)})).collect();
        spec["authentication"] = match state.authentication {
            Authentication::Header => json!({"headers": [{"name": "X-Api-Key"}]}),
            Authentication::Bearer => json!({"bearer": {}}),
            Authentication::Basic => json!({"basic": {"username": "api"}}),
        };
        spec["check"]["path"] = json!(state.path);
        match state.expression {
            Expression::None => {}
            Expression::True => spec["check"]["success"] = json!({"expression": "body.valid == true"}),
            Expression::False => spec["check"]["success"] = json!({"expression": "body.valid == false"}),
            Expression::Broken => spec["check"]["success"] = json!({"expression": "body.valid =="}),
        }
        partner
    }

    /// An integration of this state; `name` is also the beginning of the name of its binding.
    pub fn integration(&self, state: &State, name: &str) -> Value {
        let mut integration = self.bases.integration.clone();
        let mut spec = json!({"partner": self.namespace, "suspend": state.suspended});
        if state.configured {
            spec["region"] = json!(state.region);
            spec["apiKeySecretRef"] = json!({"name": "secret"});
        }
        if let Some(binding) = state.binding {
            spec["binding"] = json!({"secretName": format!("{name}-{binding}")});
        }
        integration["spec"] = spec;
        integration
    }

    /// Makes everything that a state holds but the integration.
    pub async fn prepare(&self, state: &State) -> Result<(), Box<Status>> {
        self.put_key(state.key).await;
        if state.listed {
            self.ground.create(Kind::Partner, "", &self.namespace, self.partner(state)).await?;
        }
        Ok(())
    }

    /// Makes the integration.
    pub async fn create(&self, state: &State, name: &str) -> Result<Value, Box<Status>> {
        self.ground.create(Kind::Integration, &self.namespace, name, self.integration(state, name)).await
    }

    async fn put_key(&self, key: Key) {
        let data = match key {
            Key::Good => json!({"api-key": KEY}),
            Key::Other => json!({"api-key": OTHER}),
            Key::Refused => json!({"api-key": "nobody-takes-this"}),
            Key::Broken => json!({"api-key": "two\nlines"}),
            // What was there stays there otherwise: data is merged.
            Key::Missing => {
                self.ground.delete_secret(&self.namespace, "secret").await;
                json!({"another": KEY})
            }
            Key::Absent => return self.ground.delete_secret(&self.namespace, "secret").await,
        };
        self.ground.secret(&self.namespace, "secret", data).await;
    }

    /// Makes an edit in the cluster; gives the state after it.
    pub async fn edit(&self, state: &State, edit: Edit) -> Result<State, Box<Status>> {
        let after = state.after(edit);
        let replace = |spec: &Value| json!([{"op": "replace", "path": "/spec", "value": spec}]);
        match edit {
            Edit::Key(key) => self.put_key(key).await,
            Edit::Listed(false) => self.ground.delete(Kind::Partner, "", &self.namespace).await,
            Edit::Listed(true) if !state.listed => {
                self.ground.create(Kind::Partner, "", &self.namespace, self.partner(&after)).await?;
            }
            edit if edit.is_of_partner() => {
                if after.listed {
                    let spec = replace(&self.partner(&after)["spec"]);
                    self.ground.patch(Kind::Partner, "", &self.namespace, &spec).await?;
                }
            }
            _ => {
                let spec = replace(&self.integration(&after, NAME)["spec"]);
                self.ground.patch(Kind::Integration, &self.namespace, NAME, &spec).await?;
            }
        }
        Ok(after)
    }
}

/// Has the simulated partner behave in each region as its name says.
pub fn behave(ground: &Ground) {
    use crate::support::partner::Behaviour;
    let behaviours = [
        ("down", Behaviour::Down503(None)),
        ("throttled", Behaviour::Throttle429(Some("3600".to_owned()))),
        ("hangs", Behaviour::HangForever),
        ("cut", Behaviour::CloseMidHead),
        ("moved", Behaviour::Redirect(302, "https://localhost/".to_owned())),
        ("lost", Behaviour::Status(404, Vec::new(), Vec::new())),
    ];
    for (region, behaviour) in behaviours {
        ground.sim.set_region_behaviour(region, Some(behaviour)).unwrap();
    }
    for region in REGIONS {
        ground.sim.accept(region, OTHER);
    }
}
