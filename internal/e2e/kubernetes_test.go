package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	yaml "github.com/oasdiff/yaml3"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// object is a Kubernetes object, as JSON has it.
type object map[string]any

// at follows names and indexes, nil where there is nothing.
func at(v any, path ...any) any {
	for _, p := range path {
		switch key := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[key]
		case int:
			l, _ := v.([]any)
			if key >= len(l) {
				return nil
			}
			v = l[key]
		}
	}
	return v
}

// manifests are the objects of a file, by kind and name.
func manifests(t *testing.T, text string) map[string]object {
	t.Helper()
	out := map[string]object{}
	for dec := yaml.NewDecoder(strings.NewReader(text)); ; {
		var doc any
		if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		var o object
		if err := json.Unmarshal(raw, &o); err != nil {
			t.Fatal(err)
		}
		kind, _ := o["kind"].(string)
		name, _ := at(map[string]any(o), "metadata", "name").(string)
		out[kind+"/"+name] = o
	}
}

// published are the strict schemas of one Kubernetes release, by
// "APIVERSION KIND".
func published(t *testing.T, file string) map[string]*jsonschema.Schema {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(zip)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("release.json", doc); err != nil {
		t.Fatal(err)
	}
	out := map[string]*jsonschema.Schema{}
	kinds, _ := at(doc, "kinds").(map[string]any)
	for kind, name := range kinds {
		if out[kind], err = c.Compile("release.json#/$defs/" + name.(string)); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// checkObject lists what a release would refuse of an object.
func checkObject(schemas map[string]*jsonschema.Schema, o object) error {
	version, _ := o["apiVersion"].(string)
	kind, _ := o["kind"].(string)
	schema := schemas[version+" "+kind]
	if schema == nil {
		return errors.New("no schema of " + version + " " + kind)
	}
	return schema.Validate(map[string]any(o))
}

const kubernetesFile = root + "/ops/kubernetes/vitrine.yaml"

// TestKubernetes holds the manifests against the published schemas of an old
// and a new release, as they are and as OpenShift takes them, and against what
// a namespace of the "restricted" level asks of pods.
func TestKubernetes(t *testing.T) {
	text, err := os.ReadFile(kubernetesFile)
	if err != nil {
		t.Fatal(err)
	}
	var openshift []string
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, "fsGroup") {
			openshift = append(openshift, line)
		}
	}
	releases, _ := filepath.Glob("testdata/kubernetes/*.json.gz")
	if len(releases) < 2 {
		t.Fatalf("schemas of %d releases", len(releases))
	}
	for _, release := range releases {
		schemas := published(t, release)
		for variant, text := range map[string]string{"plain": string(text), "OpenShift": strings.Join(openshift, "")} {
			objects := manifests(t, text)
			if got, want := slices.Sorted(maps.Keys(objects)), []string{"ConfigMap/vitrine", "Service/vitrine", "Service/vitrine-admin", "StatefulSet/vitrine"}; !slices.Equal(got, want) {
				t.Fatalf("objects %v, want %v", got, want)
			}
			for name, o := range objects {
				if err := checkObject(schemas, o); err != nil {
					t.Errorf("%s, %s, %s: %v", filepath.Base(release), variant, name, err)
				}
			}
			restricted(t, objects["StatefulSet/vitrine"], variant)
		}
		// The schemas find what is wrong.
		for good, bad := range map[string]string{
			"readOnlyRootFilesystem": "readonlyRootFilesystem", "replicas: 1": "replicas: one", "serviceName: vitrine-admin": "service: x",
			"accessModes: [ReadWriteOnce]": "accessModes: ReadWriteOnce",
		} {
			broken := manifests(t, strings.Replace(string(text), good, bad, 1))["StatefulSet/vitrine"]
			if checkObject(schemas, broken) == nil {
				t.Errorf("%s: %q passes", filepath.Base(release), bad)
			}
		}
	}
}

// restricted is the pod security level of that name, with a read-only root; and
// nothing names a user, which OpenShift would refuse.
func restricted(t *testing.T, set object, variant string) {
	t.Helper()
	pod := at(map[string]any(set), "spec", "template", "spec")
	container := at(pod, "containers", 0)
	for _, c := range []struct {
		what string
		got  any
		want any
	}{
		{"runAsNonRoot", at(pod, "securityContext", "runAsNonRoot"), true},
		{"seccompProfile", at(pod, "securityContext", "seccompProfile", "type"), "RuntimeDefault"},
		{"allowPrivilegeEscalation", at(container, "securityContext", "allowPrivilegeEscalation"), false},
		{"readOnlyRootFilesystem", at(container, "securityContext", "readOnlyRootFilesystem"), true},
		{"capabilities", at(container, "securityContext", "capabilities", "drop", 0), "ALL"},
		{"runAsUser", at(pod, "securityContext", "runAsUser"), nil},
		{"runAsUser", at(container, "securityContext", "runAsUser"), nil},
		{"hostNetwork", at(pod, "hostNetwork"), nil},
		{"automountServiceAccountToken", at(pod, "automountServiceAccountToken"), false},
		{"replicas", at(map[string]any(set), "spec", "replicas"), 1.0},
		{"data", at(map[string]any(set), "spec", "volumeClaimTemplates", 0, "metadata", "name"), "data"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s is %v, want %v", variant, c.what, c.got, c.want)
		}
	}
	for probe, path := range map[string]string{"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"} {
		if got := at(container, probe, "httpGet", "path"); got != path {
			t.Errorf("%s asks %v, want %s", probe, got, path)
		}
	}
}
