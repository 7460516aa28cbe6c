// The CRDs of the Prometheus operator, pinned here and copied by ../build.sh: what the chart's monitors and alerts are checked
// against. Nothing of it is compiled.
module integrations.kognitiv.com/partner-integration-operator/hack/tools/prometheus-operator

go 1.26.0

require github.com/prometheus-operator/prometheus-operator v0.85.0
