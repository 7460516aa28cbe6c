//! What the API server itself says of the expressions.

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use kube::Api;

use crate::ground::{LIMIT, shipped};
use crate::support::wait_for;

#[tokio::test]
async fn every_expression_agrees_with_the_schemas_of_the_kinds() {
    let plane = shipped().await;
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(plane.client().unwrap());
    for name in ["region-is-offered", "may-read-secret", "partner-in-use"] {
        // kube-controller-manager checks the types, against the CRDs.
        let checked = wait_for(&format!("{name} to be checked"), LIMIT, async || {
            let status = policies.get(name).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
            status.type_checking.ok_or_else(|| "not checked".to_owned())
        })
        .await
        .unwrap();
        assert_eq!(checked.expression_warnings, None, "{name}");
    }
}
