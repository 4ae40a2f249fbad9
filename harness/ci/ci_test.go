package ci

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	k8syaml "sigs.k8s.io/yaml"

	"offload-e2e/harness/internal/nixtest"
	"offload-e2e/harness/known"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../fixtures/ci", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestKubernetesTakesTheManifest decodes it strictly into the API's own types.
func TestKubernetesTakesTheManifest(t *testing.T) {
	jobs := map[string]int32{}
	for _, document := range bytes.Split(read(t, "kubernetes.yaml"), []byte("\n---\n")) {
		var head struct{ Kind string }
		if err := k8syaml.Unmarshal(document, &head); err != nil {
			t.Fatal(err)
		}
		if head.Kind != "Job" {
			var claim corev1.PersistentVolumeClaim
			if err := k8syaml.UnmarshalStrict(document, &claim); err != nil || claim.Name == "" {
				t.Errorf("%s: %v", head.Kind, err)
			}
			continue
		}
		var job batchv1.Job
		if err := k8syaml.UnmarshalStrict(document, &job); err != nil {
			t.Fatal(err)
		}
		// What the API server would refuse of an Indexed Job.
		spec, pod := job.Spec, job.Spec.Template.Spec
		if spec.CompletionMode == nil || *spec.CompletionMode != batchv1.IndexedCompletion || spec.Completions == nil || spec.BackoffLimitPerIndex == nil || pod.RestartPolicy != corev1.RestartPolicyNever {
			t.Errorf("%s is no Indexed Job with retries of its own for each index", job.Name)
			continue
		}
		volumes := map[string]bool{}
		for _, v := range pod.Volumes {
			volumes[v.Name] = true
		}
		container := pod.Containers[0]
		for _, m := range container.VolumeMounts {
			if !volumes[m.Name] {
				t.Errorf("%s mounts the volume %s, which it has not", job.Name, m.Name)
			}
		}
		for _, r := range spec.PodFailurePolicy.Rules {
			if *r.OnExitCodes.ContainerName != container.Name {
				t.Errorf("%s: a rule is for container %s", job.Name, *r.OnExitCodes.ContainerName)
			}
		}
		shards := "/" + strconv.Itoa(int(*spec.Completions)) + `"`
		if script := strings.Join(container.Args, " "); !strings.Contains(script, `"$((JOB_COMPLETION_INDEX + 1))`+shards) {
			t.Errorf("%s has %d parts, and runs %s", job.Name, *spec.Completions, script)
		}
		jobs[job.Name] = *spec.Completions
	}
	if len(jobs) != 2 || jobs["offload-gate"] != 8 {
		t.Errorf("there are %v", jobs)
	}
}

// gitlabJob are the keywords that our file uses, as GitLab's reference has them.
type gitlabJob struct {
	Extends, Image, Stage, Timeout string
	Variables                      map[string]string
	Cache                          struct {
		Key   string
		Paths []string
	}
	BeforeScript []string `yaml:"before_script"`
	Script       []string
	Artifacts    struct {
		When    string
		Expire  string `yaml:"expire_in"`
		Paths   []string
		Reports struct{ Junit string }
	}
	Rules    []struct{ If, When string }
	Needs    []string
	Parallel int
}

func TestGitLabReadsTheFile(t *testing.T) {
	var file map[string]yaml.Node
	if err := yaml.Unmarshal(read(t, "gitlab.yml"), &file); err != nil {
		t.Fatal(err)
	}
	var stages []string
	node := file["stages"]
	if err := node.Decode(&stages); err != nil {
		t.Fatal(err)
	}
	delete(file, "stages")
	for name, node := range file {
		text, err := yaml.Marshal(&node)
		if err != nil {
			t.Fatal(err)
		}
		var job gitlabJob
		d := yaml.NewDecoder(bytes.NewReader(text))
		d.KnownFields(true)
		if err := d.Decode(&job); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, there := file[job.Extends]; job.Extends != "" && !there {
			t.Errorf("%s extends %s", name, job.Extends)
		}
		if hidden := strings.HasPrefix(name, "."); !hidden && (len(job.Script) == 0 || !strings.Contains(strings.Join(stages, " "), job.Stage)) {
			t.Errorf("%s has stage %q and script %q", name, job.Stage, job.Script)
		}
		for _, need := range job.Needs {
			if _, there := file[need]; !there {
				t.Errorf("%s needs %s", name, need)
			}
		}
	}
}

func TestTheExampleOfKnownDefectsIsOne(t *testing.T) {
	l, err := known.Load("../../fixtures/ci/known.yaml")
	if err != nil || len(l.Defects) != 1 {
		t.Errorf("%v", err)
	}
}

func TestNixParsesTheCheck(t *testing.T) {
	file, err := filepath.Abs("../../fixtures/ci/checks.nix")
	if err != nil {
		t.Fatal(err)
	}
	nixtest.New(t).Run(t, "nix-instantiate", "--parse", file)
}

// TestPrePush pushes to a repository beside, with a stand-in of the command.
func TestPrePush(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = filepath.Join(dir, "config")
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=n", "GIT_AUTHOR_EMAIL=e@example.org", "GIT_COMMITTER_NAME=n", "GIT_COMMITTER_EMAIL=e@example.org", "LOG="+filepath.Join(dir, "log"))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(args ...string) {
		t.Helper()
		if out, err := run(args...); err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
	}
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), mode)); err != nil {
			t.Fatal(err)
		}
	}
	write("config/a.nix", "good", 0o644)
	write("clone/.bin/offload-e2e", "#!/bin/sh\necho \"$1 $2 $(cat \"$4/a.nix\")\" >>\"$LOG\"\ngrep -q good \"$4/a.nix\"\n", 0o755)
	must("git", "init", "-q", "-b", "main")
	must("git", "init", "-q", "--bare", "../remote")
	must("git", "remote", "add", "origin", "../remote")
	must("git", "add", ".")
	must("git", "commit", "-qm", "one")
	write("config/.git/hooks/pre-push", string(read(t, "pre-push")), 0o755)
	if out, err := run("git", "push", "-q", "origin", "main"); err == nil || !strings.Contains(out, "git config offload.e2e") {
		t.Errorf("with no clone named: %v %s", err, out)
	}
	must("git", "config", "offload.e2e", filepath.Join(dir, "clone"))
	// What lies in the folder, and is not committed, does not count.
	write("config/a.nix", "bad", 0o644)
	must("git", "push", "-q", "origin", "main")
	must("git", "commit", "-qam", "two")
	if out, err := run("git", "push", "-q", "origin", "main"); err == nil {
		t.Errorf("what does not evaluate was pushed: %s", out)
	}
	must("git", "push", "-q", "origin", "main~1:refs/heads/other")
	must("git", "push", "-q", "origin", ":other")
	log, err := os.Open(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	text, err := io.ReadAll(log)
	if want := "eval desktop good\neval laptop good\neval desktop bad\neval desktop good\neval laptop good\n"; err != nil || string(text) != want {
		t.Errorf("it called:\n%s", text)
	}
}
