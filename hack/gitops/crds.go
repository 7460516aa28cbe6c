package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// A source is a Go module whose CRDs our examples are checked against. Only its archive is read: nothing of it is compiled,
// so it may ask for a newer Go than there is.
type source struct {
	module, version, sum string
	files                []string
}

// The modules and their checksums as `go mod download -json` prints them; Go itself compares them with sum.golang.org too.
var sources = []source{
	{
		"github.com/fluxcd/source-controller", "v1.10.1", "h1:vkYpgpLZu20LQ2UN4lPBdWH7sqTNdQ8FjcZD/HogN2E=",
		[]string{
			"config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml",
			"config/crd/bases/source.toolkit.fluxcd.io_ocirepositories.yaml",
		},
	},
	{
		"github.com/fluxcd/kustomize-controller", "v1.10.1", "h1:IjTnrkIy0ULJoTNC2ZKuMb32vkqj7dJ6zt6UqbTFxKA=",
		[]string{"config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml"},
	},
	{
		"github.com/fluxcd/helm-controller", "v1.6.0", "h1:jlS5X11SG26gspubB5aLrdVSCm0q0tA4ULsY+vwSkL0=",
		[]string{"config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml"},
	},
	{
		"github.com/argoproj/argo-cd/v3", "v3.6.1", "h1:OmhqeKiR3C//awbFrhQqFdtRI+Qiv17j8vqm3UkMj/g=",
		[]string{
			"manifests/crds/application-crd.yaml",
			"manifests/crds/applicationset-crd.yaml",
			"manifests/crds/appproject-crd.yaml",
		},
	},
}

func writeCRDs(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, source := range sources {
		if err := source.write(folder); err != nil {
			return fmt.Errorf("%s %s: %w", source.module, source.version, err)
		}
	}
	return nil
}

// write takes the files out of the module's archive. Those that are there from an earlier run stay.
func (source source) write(folder string) error {
	missing := false
	for _, file := range source.files {
		_, err := os.Stat(source.place(folder, file))
		missing = missing || err != nil
	}
	if !missing {
		return nil
	}
	fmt.Fprintln(os.Stderr, "judge: the CRDs of", source.module, source.version)
	archive, err := source.download()
	if err != nil {
		return err
	}
	reader, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer reader.Close()
	for _, file := range source.files {
		text, err := readFrom(&reader.Reader, source.module+"@"+source.version+"/"+file)
		if err != nil {
			return err
		}
		// Whole or not at all: several may write at the same time.
		place := source.place(folder, file)
		draft := fmt.Sprintf("%s.%d", place, os.Getpid())
		if err := os.WriteFile(draft, text, 0o644); err != nil {
			return err
		}
		if err := os.Rename(draft, place); err != nil {
			return err
		}
	}
	return nil
}

// place has the version in it, so that a new one is fetched.
func (source source) place(folder, file string) string {
	return filepath.Join(folder, source.version+"-"+filepath.Base(file))
}

// download has the go command fetch the archive, and gives its path.
func (source source) download() (string, error) {
	var out, words bytes.Buffer
	command := exec.Command("go", "mod", "download", "-json", source.module+"@"+source.version)
	command.Stdout, command.Stderr = &out, &words
	// Outside of any module; it fails where the module wants a newer Go, and has the archive all the same.
	command.Dir = os.TempDir()
	failed := command.Run()
	var found struct{ Zip, Sum, Error string }
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		return "", fmt.Errorf("go mod download: %w: %v: %s", err, failed, words.String())
	}
	if found.Zip == "" {
		return "", fmt.Errorf("it cannot be downloaded: %s", found.Error)
	}
	if found.Sum != source.sum {
		return "", fmt.Errorf("its checksum is %s and not %s", found.Sum, source.sum)
	}
	return found.Zip, nil
}

func readFrom(archive *zip.Reader, name string) ([]byte, error) {
	file, err := archive.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(file)
}
