package main

import (
	fluxstatus "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// kstatus asks the library of the Kubernetes project, and the copy that Flux maintains, which Helm uses too.
func kstatus(object *unstructured.Unstructured) (plain, flux verdict, err error) {
	said, err := status.Compute(object)
	if err != nil {
		return verdict{}, verdict{}, err
	}
	saidOfFlux, err := fluxstatus.Compute(object)
	if err != nil {
		return verdict{}, verdict{}, err
	}
	return verdict{said.Status.String(), said.Message}, verdict{saidOfFlux.Status.String(), saidOfFlux.Message}, nil
}
