package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	customizations = "../../deploy/gitops/argocd/resource_customizations"
	group          = "integrations.kognitiv.com"
)

// healthTests is the format of health_test.yaml in Argo CD's repository.
type healthTests struct {
	Tests []struct {
		InputPath    string  `json:"inputPath"`
		HealthStatus verdict `json:"healthStatus"`
	} `json:"tests"`
}

var kinds = []string{"Partner", "PartnerIntegration"}

func read(t *testing.T, into any, path ...string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		t.Fatalf("%s: %v", filepath.Join(path...), err)
	}
}

func script(t *testing.T, kind string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(customizations, group, kind, "health.lua"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What Argo CD's own test does with health_test.yaml: status and message are equal, for each input.
func TestHealthIsAsItsTestFileSays(t *testing.T) {
	for _, kind := range kinds {
		folder := filepath.Join(customizations, group, kind)
		var tests healthTests
		read(t, &tests, folder, "health_test.yaml")
		for _, test := range tests.Tests {
			t.Run(kind+"/"+test.InputPath, func(t *testing.T) {
				var object map[string]any
				read(t, &object, folder, test.InputPath)
				said, err := runHealth(script(t, kind), object)
				if err != nil {
					t.Fatal(err)
				}
				if said != test.HealthStatus {
					t.Errorf("says %+v\nwanted %+v", said, test.HealthStatus)
				}
			})
		}
	}
}

func TestEveryInputIsUsedOnce(t *testing.T) {
	for _, kind := range kinds {
		folder := filepath.Join(customizations, group, kind)
		var tests healthTests
		read(t, &tests, folder, "health_test.yaml")
		used := map[string]int{}
		for _, test := range tests.Tests {
			used[test.InputPath]++
		}
		files, err := filepath.Glob(filepath.Join(folder, "testdata", "*.yaml"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no testdata: %v", kind, err)
		}
		for _, file := range files {
			if used["testdata/"+filepath.Base(file)] != 1 {
				t.Errorf("%s is used %d times", file, used["testdata/"+filepath.Base(file)])
			}
		}
		if len(used) != len(files) {
			t.Errorf("%s: %d inputs, %d files", kind, len(used), len(files))
		}
	}
}

// Whichever tool looks, it is told the same.
func TestHealthAndKstatusAgree(t *testing.T) {
	same := map[string]string{
		"Healthy": "Current", "Suspended": "Current", "Progressing": "InProgress", "Degraded": "Failed",
	}
	for _, kind := range kinds {
		files, _ := filepath.Glob(filepath.Join(customizations, group, kind, "testdata", "*.yaml"))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			json, err := yaml.YAMLToJSON(text)
			if err != nil {
				t.Fatal(err)
			}
			object := &unstructured.Unstructured{}
			if err := object.UnmarshalJSON(json); err != nil {
				t.Fatal(err)
			}
			said, err := judge(customizations, object)
			if err != nil {
				t.Fatal(err)
			}
			if wanted := same[said.ArgoCD.Status]; said.Kstatus.Status != wanted || said.Flux.Status != wanted {
				t.Errorf("%s: Argo CD says %s, kstatus %s, that of Flux %s", filepath.Base(file), said.ArgoCD.Status,
					said.Kstatus.Status, said.Flux.Status)
			}
		}
	}
}

// An object that is half there must neither end the script, which Argo CD would show as Unknown, nor count as healthy.
func TestWhatIsHalfThereIsInProgress(t *testing.T) {
	halves := []string{
		`{}`,
		`{metadata: {generation: 1}}`,
		`{metadata: {generation: 1}, status: {}}`,
		`{metadata: {generation: 1}, status: {observedGeneration: 1}}`,
		`{metadata: {generation: 1}, status: {observedGeneration: 1, conditions: []}}`,
		`{metadata: {generation: 1}, status: {observedGeneration: 1, conditions: [{type: Connected, status: "True"}]}}`,
		`{metadata: {generation: 1}, status: {observedGeneration: 1, conditions: [{type: Ready, status: "False"}]}}`,
		`{metadata: {generation: 1}, status: {observedGeneration: 1, conditions: [{type: Ready, status: Unknown}]}}`,
		`{metadata: {generation: 2}, status: {observedGeneration: 1, conditions: [{type: Ready, status: "True"}]}}`,
		`{metadata: {generation: 2}, status: {observedGeneration: 1, conditions: [{type: Stalled, status: "True"}]}}`,
		`{metadata: {generation: 1}, status: {observedGeneration: -1, conditions: [{type: Ready, status: "True"}]}}`,
		`{metadata: {generation: 1}, status: {conditions: [{type: Ready, status: "True"}]}}`,
	}
	for _, kind := range kinds {
		for _, half := range halves {
			var object map[string]any
			if err := yaml.Unmarshal([]byte(half), &object); err != nil {
				t.Fatal(err)
			}
			said, err := runHealth(script(t, kind), object)
			if err != nil || said.Status != "Progressing" || said.Message == "" {
				t.Errorf("%s %s: %+v, %v", kind, half, said, err)
			}
		}
	}
}

// The interpreter must be able to refuse, or the tests above would prove little.
func TestAScriptThatArgoCDWouldRefuseIsRefused(t *testing.T) {
	refused := map[string]string{
		"a syntax error":      `return {`,
		"no table":            `return "Healthy"`,
		"a status of its own": `return {status = "Fine"}`,
		"another library":     `return {status = string.upper("healthy")}`,
		"an endless loop":     `while true do end`,
	}
	for what, script := range refused {
		if said, err := runHealth(script, map[string]any{}); err == nil {
			t.Errorf("%s: %+v", what, said)
		}
	}
	said, err := runHealth(`return {status = "Healthy", message = "n " .. obj.n}`, map[string]any{"n": int64(3)})
	if err != nil || !strings.HasSuffix(said.Message, "n 3") {
		t.Errorf("%+v, %v", said, err)
	}
}
