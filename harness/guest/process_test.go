package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestMain lets the test's own program be another process that wants an image.
func TestMain(m *testing.M) {
	if dir := os.Getenv("GUEST_TEST_STORE"); dir != "" {
		r, err := LoadRecipe(os.Getenv("GUEST_TEST_RECIPE"))
		var img *Image
		if err == nil {
			s := &Store{Dir: dir, Say: func(format string, args ...any) { fmt.Printf(format+"\n", args...) }}
			img, err = s.Get(context.Background(), r)
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("got", img.Built.UnixNano())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Two processes that want the same image build it once; the other one says that it
// waits, and can stop waiting.
func TestTwoProcesses(t *testing.T) {
	bin := fakes(t, "while test ! -e \"$here/go\"; do sleep 0.02; done")
	s, said := store(t)
	r := recipe(t)
	ctx := deadline(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.CommandContext(ctx, program)
	other.Env = append(os.Environ(), "GUEST_TEST_STORE="+s.Dir, "GUEST_TEST_RECIPE="+r.dir)
	var out bytes.Buffer
	other.Stdout, other.Stderr = &out, &out
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, "build", func() bool { return exists(filepath.Join(bin, "runs")) })

	impatient, cancel := context.WithCancelCause(ctx)
	cancel(errors.New("no patience"))
	if _, err := s.Get(impatient, r); err == nil || !strings.Contains(err.Error(), "wait for the guest image of another process: no patience") {
		t.Errorf("error %v", err)
	}

	type result struct {
		img *Image
		err error
	}
	done := make(chan result, 1)
	go func() {
		img, err := s.Get(ctx, r)
		done <- result{img, err}
	}()
	until(t, ctx, "word that it waits", func() bool {
		return strings.Count(said.text(), "another process builds or checks this guest image") >= 2
	})
	write(t, filepath.Join(bin, "go"), "", 0o644)
	got := <-done
	if err := other.Wait(); err != nil {
		t.Fatalf("the other process: %v\n%s", err, &out)
	}
	if got.err != nil {
		t.Fatal(got.err)
	}
	if want := fmt.Sprintln("got", got.img.Built.UnixNano()); !strings.HasSuffix(out.String(), want) {
		t.Errorf("the other process said\n%swant %s", &out, want)
	}
	if runs := read(t, filepath.Join(bin, "runs")); runs != "run\n" {
		t.Errorf("it was built %q", runs)
	}
}

// A process that was killed in its build holds no lock.
func TestBuilderIsKilled(t *testing.T) {
	bin := fakes(t, "test -e \"$here/go\" || { touch \"$here/at-work\"; exec sleep 1000; }")
	s, _ := store(t)
	r := recipe(t)
	ctx := deadline(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.CommandContext(ctx, program)
	other.Env = append(os.Environ(), "GUEST_TEST_STORE="+s.Dir, "GUEST_TEST_RECIPE="+r.dir)
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, "build", func() bool { return exists(filepath.Join(bin, "at-work")) })
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // killed
	write(t, filepath.Join(bin, "go"), "", 0o644)
	img, err := s.Get(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	if got := entries(t, s.Dir); !slices.Equal(got, []string{img.ID}) {
		t.Errorf("the store holds %v", got)
	}
}
