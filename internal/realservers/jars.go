package realservers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrMissing says that a program that servers need is not installed.
var ErrMissing = errors.New("not installed")

// artifact is a Maven coordinate.
type artifact struct{ group, name, version string }

// mavenPlugin is pinned: a newer one may lay the jars out otherwise.
const mavenPlugin = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:"

// jars is the folder with the artifacts and all that they need to run, fetched
// on the first call.
func jars(ctx context.Context, name string, artifacts []artifact) (string, error) {
	dir, err := fetched(name, func(work string) error {
		pom := filepath.Join(work, "pom.xml")
		if err := os.WriteFile(pom, []byte(project(artifacts)), 0o644); err != nil {
			return fmt.Errorf("write the list of jars: %w", err)
		}
		return maven(ctx, work, "fetch the jars of "+name, "-f", pom, mavenPlugin+"copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(work, "lib"))
	})
	return filepath.Join(dir, "lib"), err
}

// fetched is a folder of the user's cache, which fetch fills on the first call.
func fetched(name string, fetch func(work string) error) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	dir := filepath.Join(cache, "vitrine", "servers", name)
	if _, err := os.Stat(filepath.Join(dir, "lib")); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	// Fetched beside its place and moved in: two test runs may do it at once.
	work, err := os.MkdirTemp(filepath.Dir(dir), name+".")
	if err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(work) }() // a leftover costs disk only
	if err := fetch(work); err != nil {
		return "", err
	}
	if err := os.Rename(work, dir); err != nil {
		if _, there := os.Stat(filepath.Join(dir, "lib")); there != nil {
			return "", fmt.Errorf("keep the jars of %s: %w", name, err)
		}
	}
	return dir, nil
}

// maven runs it in a folder, quietly: without a project its plugins leave marks where
// they are run.
func maven(ctx context.Context, dir, what string, args ...string) error {
	mvn, err := program("mvn", "maven")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, mvn, append([]string{"-B", "-q"}, args...)...)
	cmd.Dir = dir
	_, err = run(cmd, what)
	return err
}

// project is the Maven project that depends on the artifacts.
func project(artifacts []artifact) string {
	var b strings.Builder
	b.WriteString(`<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>` +
		`<groupId>servers</groupId><artifactId>servers</artifactId><version>1</version><dependencies>`)
	for _, a := range artifacts {
		fmt.Fprintf(&b, "<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>", a.group, a.name, a.version)
	}
	b.WriteString("</dependencies></project>\n")
	return b.String()
}

// program finds a program; pkg is the Debian package that has it.
func program(name, pkg string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is %w: apt-get install %s", name, ErrMissing, pkg)
	}
	return path, nil
}

// run runs a program and returns what it prints. what it is run for, and the end
// of what it prints, are in the error.
func run(cmd *exec.Cmd, what string) (string, error) {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", what, err, tail(out))
	}
	return string(out), nil
}

func tail(out []byte) string {
	const most = 2000
	return string(out[max(0, len(out)-most):])
}
