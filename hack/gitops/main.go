// Judge says what GitOps tools make of our objects: kstatus as the Kubernetes project has it, the copy of it that Flux and
// Helm use, and Argo CD's health scripts, run as Argo CD runs them.
//
//	judge health FOLDER     objects from standard input, a JSON list; the verdicts to standard output, in the same order;
//	                        FOLDER is deploy/gitops/argocd/resource_customizations
//	judge crds FOLDER       writes the CRDs of Flux and Argo CD into FOLDER, from their pinned Go modules
//
// It decides nothing: what each state of ours should be is said by tests/gitops.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A verdict is a status and the sentence that a tool shows with it.
type verdict struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// verdicts are what the tools say of one object.
type verdicts struct {
	Kstatus verdict `json:"kstatus"`
	Flux    verdict `json:"flux"`
	ArgoCD  verdict `json:"argocd"`
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}

func run(arguments []string, in io.Reader, out io.Writer) error {
	if len(arguments) != 2 {
		return errors.New("usage: judge health FOLDER | judge crds FOLDER")
	}
	switch arguments[0] {
	case "health":
		return health(arguments[1], in, out)
	case "crds":
		return writeCRDs(arguments[1])
	default:
		return fmt.Errorf("no such verb: %s", arguments[0])
	}
}

func health(folder string, in io.Reader, out io.Writer) error {
	text, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	var documents []json.RawMessage
	if err := json.Unmarshal(text, &documents); err != nil {
		return err
	}
	judged := make([]verdicts, 0, len(documents))
	for at, document := range documents {
		object := &unstructured.Unstructured{}
		// As client-go reads an object: a whole number becomes an int64, which kstatus relies on.
		if err := object.UnmarshalJSON(document); err != nil {
			return fmt.Errorf("object %d: %w", at, err)
		}
		said, err := judge(folder, object)
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		judged = append(judged, said)
	}
	return json.NewEncoder(out).Encode(judged)
}

func judge(folder string, object *unstructured.Unstructured) (verdicts, error) {
	plain, flux, err := kstatus(object)
	if err != nil {
		return verdicts{}, err
	}
	script, err := os.ReadFile(scriptOf(folder, object.GroupVersionKind()))
	if err != nil {
		return verdicts{}, err
	}
	argocd, err := runHealth(string(script), object.Object)
	return verdicts{Kstatus: plain, Flux: flux, ArgoCD: argocd}, err
}
