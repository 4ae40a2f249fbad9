package nixos

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// evaluator is one with a store of its own; NIX_BIN is the folder of its Nix.
func evaluator(t *testing.T) *Evaluator {
	t.Helper()
	n := newNix(t)
	return &Evaluator{NixBin: filepath.Dir(n.program), Embedded: n.embedded, StateDir: n.store}
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// tree writes files below a new folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// What a configuration is to blame for is said in Nix's own words, with the place
// in the user's files, and without Nix's way there.
func TestEvaluationErrors(t *testing.T) {
	e := evaluator(t)
	for name, tc := range map[string]struct {
		text string
		want []string // DIR is the folder of the module
	}{
		"syntax error": {"{ lib, ... }:\n{ a = ; }\n", []string{"error: syntax error, unexpected ';'\nat DIR/a.nix:2:7:", "{ a = ; }"}},
		"empty file":   {"", []string{"error: syntax error, unexpected end of file\nat DIR/a.nix:1:1:"}},
		"unknown option": {"{ services.offload-sever.enable = true; }\n",
			[]string{"error: The option `services.offload-sever' does not exist. Definition values:\n- In `DIR/a.nix':"}},
		"wrong type": {"{ networking.hostName = 5; }\n",
			[]string{"error: A definition for option `networking.hostName' is not of type `string matching the pattern", "\n- In `DIR/a.nix': 5"}},
		"conflict": {"{ imports = [ ./b.nix { time.timeZone = \"Europe/Oslo\"; } ]; }\n",
			[]string{"error: The option `time.timeZone' has conflicting definition values:", "- In `DIR/b.nix': \"UTC\"", "lib.mkForce"}},
		"infinite recursion": {"{ config, ... }:\n{ networking.hostName = config.networking.hostName; }\n",
			[]string{"error: infinite recursion encountered\nat DIR/a.nix:2:25:"}},
		"recursion without end": {"let f = n: f (n + 1) + 1; in { networking.hostName = toString (f 0); }\n",
			[]string{"error: stack overflow; max-call-depth exceeded\nat DIR/a.nix:1:"}},
		"missing source":        {"{\n environment.etc.x.source = ./none;\n}\n", []string{"error: path 'DIR/none' does not exist\nnamed in DIR/a.nix:2"}},
		"missing import":        {"{ imports = [ ./sub/none.nix ]; }\n", []string{"error: path 'DIR/sub/none.nix' does not exist\nnamed in DIR/a.nix:1"}},
		"missing file, read":    {"{ environment.etc.x.text = builtins.readFile ./none; }\n", []string{"error: opening file 'DIR/none': No such file or directory\nat DIR/a.nix:1:28:"}},
		"undefined variable":    {"{ networking.hostName = nmae; }\n", []string{"error: undefined variable 'nmae'\nat DIR/a.nix:1:25:"}},
		"name not in a `with`":  {"{ pkgs, lib, ... }: {\n environment.systemPackages = with pkgs; [ git htpo ];\n}\n", []string{"error: undefined variable 'htpo'\nat DIR/a.nix:2:", "\nDid you mean htop"}},
		"attribute of lib":      {"{ lib, ... }: {\n networking.hostName = lib.toLowr \"X\";\n}\n", []string{"error: attribute 'toLowr' missing\nat DIR/a.nix:2:", "Did you mean toLower?"}},
		"attribute of pkgs":     {"{ pkgs, ... }: {\n environment.systemPackages = [ pkgs.nfs-util ];\n}\n", []string{"error: attribute 'nfs-util' missing\nat DIR/a.nix:2:", "Did you mean nfs-utils?"}},
		"set of packages":       {"{ pkgs, ... }: {\n environment.systemPackages = [ pkgs.python3Packages.requests ];\n}\n", []string{"error: attribute 'python3Packages' missing\nat DIR/a.nix:2:"}},
		"missing package":       {"{ pkgs, ... }: { environment.systemPackages = [ pkgs.nosuchpackage ]; }\n", []string{"error: attribute 'nosuchpackage' missing\nat DIR/a.nix:1:49:"}},
		"throw":                 {"{ networking.hostName = throw \"first\\nerror: second\"; }\n", []string{"error: first\nerror: second\nat DIR/a.nix:1:25:"}},
		"abort":                 {"{ networking.hostName = abort \"enough\"; }\n", []string{"error: evaluation aborted with the following error message: 'enough'\nat DIR/a.nix:1:25:"}},
		"no module":             {"[ ]\n", []string{"DIR/a.nix", "does not look like a module"}},
		"nixpkgs as a package":  {"{ environment.systemPackages = [ (import <nixpkgs> { }).hello ]; }\n", []string{"error: file 'nixpkgs' was not found in the Nix search path", "at DIR/a.nix:1:42:", "tested without nixpkgs and channels", "`pkgs`"}},
		"nixpkgs as a module":   {"{ imports = [ <nixpkgs/nixos/modules/profiles/minimal.nix> ]; }\n", []string{"at DIR/a.nix:1:15:", "tested without nixpkgs and channels", "`modulesPath`"}},
		"import from a build":   {"{ environment.etc.x.text = builtins.readFile (derivation { name = \"x\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; }); }\n", []string{"during evaluation", "\nat DIR/a.nix:1:28:"}},
		"after warnings of its": {"builtins.trace \"error: of no concern\\nerror: at all\" { networking.hostName = nmae; }\n", []string{"error: undefined variable 'nmae'\nat DIR/a.nix:1:"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tree(t, map[string]string{"a.nix": tc.text, "b.nix": "{ time.timeZone = \"UTC\"; }"})
			_, err := e.Evaluate(deadline(t), Host{Role: Laptop, Modules: []string{filepath.Join(dir, "a.nix")}})
			var failed *EvaluationError
			if !errors.As(err, &failed) || failed.Role != Laptop {
				t.Fatalf("error %v (%T), want an *EvaluationError of the laptop's", err, err)
			}
			for _, want := range tc.want {
				if want = strings.ReplaceAll(want, "DIR", dir); !strings.Contains(failed.Message, want) {
					t.Errorf("it says\n%s\nwithout %q", failed.Message, want)
				}
			}
			if !strings.HasPrefix(failed.Message, "error: ") || strings.Contains(failed.Message, "… while") || strings.Contains(failed.Message, "… from") ||
				strings.Contains(failed.Message, e.Embedded) || strings.Contains(failed.Message, "\nerror: at all") {
				t.Errorf("it says more than Nix's error:\n%s", failed.Message)
			}
		})
	}
}

func TestFailedAssertions(t *testing.T) {
	e := evaluator(t)
	_, err := e.Evaluate(deadline(t), Host{Role: Desktop, Settings: []string{
		`{ assertions = [ { assertion = false; message = "first"; } { assertion = true; message = "holds"; } { assertion = false; message = "second"; } ]; }`}})
	var failed *AssertionError
	if !errors.As(err, &failed) || failed.Role != Desktop || !slices.Equal(failed.Messages, []string{"first", "second"}) {
		t.Fatalf("error %v (%T)", err, err)
	}
	if want := "the desktop's configuration has failed assertions:\n- first\n- second"; err.Error() != want {
		t.Errorf("it says %q, want %q", err, want)
	}
}

func TestErrorInSettings(t *testing.T) {
	e := evaluator(t)
	_, err := e.Evaluate(deadline(t), Host{Role: Desktop, Settings: []string{`{ }`, `{ networking.hostNmae = "x"; }`}})
	var failed *EvaluationError
	if !errors.As(err, &failed) || !strings.Contains(failed.Message, "In `offload-e2e, settings of the desktop (2)'") {
		t.Errorf("error %v", err)
	}
}

// A module of NixOS's is disabled by its name in nixpkgs, and one of the user's takes
// its place; a part of it that is a file of its own here goes with it.
func TestDisabledModules(t *testing.T) {
	dir := tree(t, map[string]string{
		"own.nix": `{ lib, ... }: {
			disabledModules = [ "services/networking/nix-serve.nix" "not/there.nix" ];
			options.services.nix-serve.enable = lib.mkEnableOption "mine";
			config.services.nix-serve.enable = true;
			config.systemd.services.mine.script = "true";
		}`,
		"none.nix": `{ disabledModules = [ "services/networking/ssh/sshd.nix" ]; services.openssh.settings.UseDns = true; }`,
	})
	c, err := evaluator(t).Evaluate(deadline(t), Host{Role: Desktop, Modules: []string{filepath.Join(dir, "own.nix")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, theirs := c.UnitFiles["nix-serve.service"]; theirs {
		t.Error("NixOS's nix-serve is there, which was disabled")
	}
	if _, mine := c.UnitFiles["mine.service"]; !mine {
		t.Error("the module that takes its place has no effect")
	}
	_, err = evaluator(t).Evaluate(deadline(t), Host{Role: Desktop, Modules: []string{filepath.Join(dir, "none.nix")}})
	if err == nil || !strings.Contains(err.Error(), "The option `services.openssh' does not exist") {
		t.Errorf("sshd without its module: %v", err)
	}
}

func TestWarnings(t *testing.T) {
	c, err := evaluator(t).Evaluate(deadline(t), Host{Role: Desktop, Settings: []string{
		`{ warnings = [ "mind the gap" ]; }`, `{ boot.loader.systemd-boot.enable = true; }`}})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.WithoutEffect) == 0 {
		t.Fatal("no option is without effect")
	}
	want := []string{"mind the gap"}
	for _, o := range c.WithoutEffect {
		want = append(want, "The option `"+o+"' is set, and has no effect on an embedded guest.")
	}
	if !slices.Equal(c.Warnings, want) {
		t.Errorf("warnings %q, want %q", c.Warnings, want)
	}
}

// Files of the user's that a configuration speaks of come along: texts, programs,
// what is no text, links, whole folders.
func TestAdopt(t *testing.T) {
	dir := tree(t, map[string]string{
		"a.nix":          "{ lib, ... }: {\n  environment.etc.note.source = ./note.txt;\n  systemd.services.run.serviceConfig.ExecStart = \"${./run.sh} ${./folder}/sub\";\n}\n",
		"note.txt":       "a note\n",
		"run.sh":         "#!/bin/sh\n",
		"folder/picture": "\xff\xfe\x00",
		"folder/sub/ü":   "text\n",
	})
	if err := errors.Join(os.Chmod(filepath.Join(dir, "run.sh"), 0o755), os.Symlink("sub/ü", filepath.Join(dir, "folder", "link"))); err != nil {
		t.Fatal(err)
	}
	c, err := evaluator(t).Evaluate(deadline(t), Host{Role: Desktop, Modules: []string{filepath.Join(dir, "a.nix")}})
	if err != nil {
		t.Fatal(err)
	}
	text := c.UnitFiles["run.service"].Text
	paths := StorePaths(text[strings.Index(text, "ExecStart="):])
	if len(paths) < 2 {
		t.Fatalf("the unit is %q", text)
	}
	run, folder := paths[0], paths[1]
	if got := c.StoreFiles[run]; got.Text != "#!/bin/sh\n" || !got.Executable {
		t.Errorf("the program is %+v", got)
	}
	if got := c.StoreFiles[folder+"/picture"]; string(got.Content()) != "\xff\xfe\x00" || got.Text != "" {
		t.Errorf("the picture is %+v", got)
	}
	if got := c.StoreFiles[folder+"/sub/ü"]; got.Text != "text\n" || got.Executable {
		t.Errorf("the text is %+v", got)
	}
	if got := c.StoreLinks[folder+"/link"]; got != "sub/ü" {
		t.Errorf("the link leads to %q", got)
	}
	note := c.Etc["note"]
	switch {
	case note.Text != nil && *note.Text == "a note\n":
	case note.Source != nil && c.StoreFiles[*note.Source].Text == "a note\n":
	default:
		t.Errorf("the note is %+v", note)
	}
}

func TestExplain(t *testing.T) {
	dir := tree(t, map[string]string{"a.nix": "{ lib, ... }:\n{\n  networking.hostName = lib.mkForce \"forced\";\n  environment.etc.\"nix/own.conf\".text = \"x\";\n}\n"})
	file := filepath.Join(dir, "a.nix")
	const own = `environment.etc."nix/own.conf".text`
	found, err := evaluator(t).Explain(deadline(t), Host{Role: Desktop, Modules: []string{file}, Settings: []string{`{ networking.hostName = "mine"; }`}}, "networking.hostName", own)
	if err != nil {
		t.Fatal(err)
	}
	o := found["networking.hostName"]
	if string(o.Value) != `"forced"` || o.Priority != 50 {
		t.Errorf("value %s, priority %d", o.Value, o.Priority)
	}
	positions := map[string]bool{}
	for _, d := range o.Definitions {
		positions[d.Position()] = d.Wins
	}
	if wins, ok := positions[file+":3"]; !ok || !wins {
		t.Errorf("definitions %v, want %s:3 to win", positions, file)
	}
	if string(found[own].Value) != `"x"` {
		t.Errorf("%s is %s", own, found[own].Value)
	}
}

func TestExplainUnknown(t *testing.T) {
	_, err := evaluator(t).Explain(deadline(t), Host{Role: Desktop}, "networking.hostNmae")
	var failed *EvaluationError
	if !errors.As(err, &failed) || !strings.Contains(failed.Message, "networking.hostNmae") {
		t.Errorf("error %v", err)
	}
}

func TestSplitOption(t *testing.T) {
	for option, want := range map[string][]string{
		"a":                {"a"},
		"a.b.c":            {"a", "b", "c"},
		`a."b.c".d`:        {"a", "b.c", "d"},
		`a."b/c.conf"`:     {"a", "b/c.conf"},
		"":                 {""},
		`a."unterminated.`: {"a", "unterminated."},
	} {
		if got := splitOption(option); !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", option, got, want)
		}
	}
}

func TestNoNix(t *testing.T) {
	e := &Evaluator{NixBin: t.TempDir(), Embedded: "/none", StateDir: t.TempDir()}
	_, err := e.Evaluate(deadline(t), Host{Role: Desktop})
	if err == nil || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "run "+e.NixBin+"/nix-instantiate") {
		t.Errorf("error %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	e.NixBin = ""
	if _, err := e.Evaluate(deadline(t), Host{Role: Desktop}); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("error %v", err)
	}
}

// A Nix that is killed, for want of memory say, is not the configuration's fault.
// A cache folder that is a symbolic link elsewhere is one all the same.
func TestStoreBehindALink(t *testing.T) {
	e := evaluator(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := errors.Join(os.MkdirAll(e.StateDir, 0o755), os.Symlink(e.StateDir, link)); err != nil {
		t.Fatal(err)
	}
	e.StateDir = link
	c, err := e.Evaluate(deadline(t), Host{Role: Laptop, Settings: []string{`{ networking.hostName = "linked"; }`}})
	if err != nil || c.HostName != "linked" {
		t.Fatalf("%v: %+v", err, c)
	}
}

func TestNixIsKilled(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "nix-instantiate"), []byte("#!/bin/sh\necho 'warning: low' >&2\nkill -9 $$\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	e := &Evaluator{NixBin: bin, Embedded: "/none", StateDir: t.TempDir()}
	_, err := e.Evaluate(deadline(t), Host{Role: Laptop})
	var blame *EvaluationError
	if err == nil || errors.As(err, &blame) || !strings.Contains(err.Error(), "signal: killed: warning: low") {
		t.Errorf("error %v", err)
	}
}

// A Nix that never ends, ends with its context, and the context's cause is said.
func TestEvaluationIsCancelled(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "nix-instantiate"), []byte("#!/bin/sh\necho up >\"$0.started\"\nexec sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	e := &Evaluator{NixBin: bin, Embedded: "/none", StateDir: t.TempDir()}
	ctx, cancel := context.WithCancelCause(deadline(t))
	enough := errors.New("enough")
	go func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if ctx.Err() != nil {
				return
			}
			if _, err := os.Stat(filepath.Join(bin, "nix-instantiate.started")); err == nil {
				cancel(enough)
			}
		}
	}()
	if _, err := e.Evaluate(ctx, Host{Role: Desktop}); !errors.Is(err, enough) {
		t.Errorf("error %v, want the cause", err)
	}
}

// A store that cannot be used is not the configuration's fault.
func TestStoreIsBusy(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "nix-instantiate"), []byte("#!/bin/sh\necho \"error: SQLite database '/x/db.sqlite' is busy\" >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	e := &Evaluator{NixBin: bin, Embedded: "/none", StateDir: t.TempDir()}
	_, err := e.Evaluate(deadline(t), Host{Role: Laptop})
	var blame *EvaluationError
	if err == nil || errors.As(err, &blame) || !strings.Contains(err.Error(), "is busy") {
		t.Errorf("error %v", err)
	}
}

// One makes the store; who waits for that can stop waiting, and one that was killed
// in it leaves the making to the next.
func TestPrepareStore(t *testing.T) {
	store := filepath.Join(t.TempDir(), "store")
	if err := os.Mkdir(store, 0o755); err != nil {
		t.Fatal(err)
	}
	first, err := prepareStore(deadline(t), store)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(deadline(t))
	enough := errors.New("enough")
	cancel(enough)
	if _, err := prepareStore(ctx, store); !errors.Is(err, enough) {
		t.Errorf("error %v", err)
	}
	first(false)
	second, err := prepareStore(deadline(t), store)
	if err != nil {
		t.Fatal(err)
	}
	third := make(chan error, 1)
	go func() {
		release, err := prepareStore(deadline(t), store)
		if err == nil {
			release(true)
		}
		third <- err
	}()
	select {
	case err := <-third:
		t.Errorf("the third did not wait (%v)", err)
	default:
	}
	second(true)
	if err := <-third; err != nil {
		t.Error(err)
	}
}

// Hosts are evaluated side by side, also where there is no store yet.
func TestSideBySide(t *testing.T) {
	e := evaluator(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := e.Evaluate(deadline(t), Host{Role: Desktop}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// What Nix prints is not always an error: what it rendered may be no Configuration.
func TestRenderedSomethingElse(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "nix-instantiate"), []byte("#!/bin/sh\necho '[1]'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	e := &Evaluator{NixBin: bin, Embedded: "/none", StateDir: t.TempDir()}
	if _, err := e.Evaluate(deadline(t), Host{Role: Desktop}); err == nil || !strings.Contains(err.Error(), "rendered something else") {
		t.Errorf("error %v", err)
	}
}

// A host is evaluated in well under a second where nothing else runs.
func BenchmarkEvaluate(b *testing.B) {
	n := newNix(b)
	vmconfigs := filepath.Dir(n.embedded)
	repo, err := OpenRepository(vmconfigs, "192.168.15.7")
	if err != nil {
		b.Fatal(err)
	}
	e := &Evaluator{NixBin: filepath.Dir(n.program), Embedded: n.embedded, StateDir: n.store,
		Base: []string{filepath.Join(vmconfigs, "modules", "e2e-guest", "base.nix")}}
	for _, role := range []Role{Desktop, Laptop} {
		b.Run(string(role), func(b *testing.B) {
			for b.Loop() {
				if _, err := e.Evaluate(b.Context(), repo.Hosts[role]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
