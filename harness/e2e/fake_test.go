package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"offload-e2e/harness/internal/machinetest"
	"offload-e2e/harness/lab"
	"offload-e2e/harness/machine"
	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// stage is a run on two machines that do as they are told.
type stage struct {
	*Run
	desktop, laptop *machinetest.Machine
	shown           *bytes.Buffer
	nix             string // the folder of its programs, once it evaluates
}

func newStage(t *testing.T) stage {
	t.Helper()
	s := stage{desktop: machinetest.New(t, "desktop"), laptop: machinetest.New(t, "laptop"), shown: &bytes.Buffer{}}
	progress := report.NewProgress(s.shown, report.Look{})
	t.Cleanup(progress.Close)
	s.Run = &Run{
		Lab: &lab.Lab{
			Desktop: &lab.Machine{Machine: machine.Wrap(s.desktop), Role: nixos.Desktop, Addr: lab.DesktopAddr},
			Laptop:  &lab.Machine{Machine: machine.Wrap(s.laptop), Role: nixos.Laptop, Addr: lab.LaptopAddr},
		},
		Recorder: report.NewRecorder(report.Run{Imports: map[string][]string{}}), Progress: progress, Slow: 1, Exchange: true,
		Configurations: map[nixos.Role]*nixos.Configuration{nixos.Desktop: {}, nixos.Laptop: {}},
	}
	return s
}

// evaluates gives the run a configuration, evaluated by the Nix of NIX_BIN or PATH:
// the reference, with a module of the laptop's own.
func (s *stage) evaluates(t *testing.T, laptop string) {
	t.Helper()
	bin := os.Getenv("NIX_BIN")
	if bin == "" {
		program, err := exec.LookPath("nix-instantiate")
		if err != nil {
			t.Fatal("no Nix: set NIX_BIN to the folder of its programs, or run this by \"make test\"")
		}
		bin = filepath.Dir(program)
	}
	vmconfigs, err := filepath.Abs("../../vmconfigs")
	must(t, err)
	dir := t.TempDir()
	must(t, os.CopyFS(filepath.Join(dir, "modules"), os.DirFS(filepath.Join(vmconfigs, "modules"))))
	must(t, os.Mkdir(filepath.Join(dir, "e2e"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "e2e", "laptop.nix"), []byte(laptop), 0o644))
	s.Repository, err = nixos.OpenRepository(dir, lab.DesktopAddr.String())
	must(t, err)
	// Nix's stores are read-only, which the test's own folder could not remove.
	store, err := os.MkdirTemp("", "e2e-eval-")
	must(t, err)
	t.Cleanup(func() {
		_ = exec.Command("chmod", "-R", "u+w", store).Run()
		must(t, os.RemoveAll(store))
	})
	s.nix = bin
	s.Evaluator = &nixos.Evaluator{NixBin: bin, Embedded: filepath.Join(vmconfigs, "embedded"), Base: []string{filepath.Join(vmconfigs, "modules/e2e-guest.nix")}, StateDir: store}
	s.Configurations[nixos.Laptop], err = s.Evaluator.Evaluate(t.Context(), s.Repository.Hosts[nixos.Laptop])
	must(t, err)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
