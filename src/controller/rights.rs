//! Rights that were found to be missing, and whether they still are.
//!
//! Some are used seldom: an Event tells of a transition, an integration is read after a conflict. That such a right has been
//! granted would show with its next use, which may be tomorrow, and until then the operator would not be ready.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;

use super::Context;
use super::failure::call;
use crate::health::Right;

/// How often the API server is asked while a right is missing, up to as much again at random.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// So many at most in one round.
const ROUND: usize = 20;

/// While rights are missing, asks the API server whether they still are. Everybody may ask that about himself
/// (`system:basic-user`); where that is not so, a refusal counts until it is old.
pub async fn look_again(context: Arc<Context>) {
    let api = Api::<SelfSubjectAccessReview>::all(context.client.clone());
    loop {
        tokio::time::sleep(LOOK_AGAIN.mul_f64(1.0 + rand::random::<f64>())).await;
        for (right, namespace) in context.health.missing().into_iter().take(ROUND) {
            let review = call(api.create(&PostParams::default(), &question(right, &namespace))).await;
            if review.is_ok_and(|review| review.status.is_some_and(|status| status.allowed)) {
                context.health.granted(right, &namespace);
            }
        }
    }
}

fn question(right: Right, namespace: &str) -> SelfSubjectAccessReview {
    let (resource, subresource) = right.resource.split_once('/').unwrap_or((right.resource, ""));
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let attributes = ResourceAttributes {
        group: text(right.group),
        namespace: text(namespace),
        resource: text(resource),
        subresource: text(subresource),
        verb: text(right.verb),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_about_the_subresource_and_the_namespace() {
        let asked = question(Right::PATCH_INTEGRATIONS, "shop").spec.resource_attributes.unwrap();
        let words = [asked.group, asked.resource, asked.subresource, asked.verb, asked.namespace];
        let expected = ["integrations.kognitiv.com", "partnerintegrations", "status", "patch", "shop"];
        assert_eq!(words.map(Option::unwrap), expected);
        let asked = question(Right::GET_SECRETS, "").spec.resource_attributes.unwrap();
        assert_eq!((asked.group, asked.subresource, asked.namespace), (None, None, None), "the core group, everywhere");
    }
}
