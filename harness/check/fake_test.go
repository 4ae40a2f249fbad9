package check

import (
	"os"
	"path/filepath"
	"testing"

	"offload-e2e/harness/internal/machinetest"
	"offload-e2e/harness/provider"
)

// fake is a machine that answers commands by pattern.
type fake struct{ *machinetest.Machine }

func newFake(t *testing.T, name string) *fake { return &fake{machinetest.New(t, name)} }

func (f *fake) on(pattern string, answer provider.Result) { f.On(pattern, answer) }

func (f *fake) does(pattern string, answer func(argv []string) provider.Result) {
	f.Does(pattern, answer)
}

func (f *fake) answer(argv []string) provider.Result { return f.Answer(argv) }

func (f *fake) was(text string) bool { return f.Was(text) }

func out(text string) provider.Result { return machinetest.Out(text) }

func said(status int, stderr string) provider.Result { return machinetest.Said(status, stderr) }

// recorded is what a real program said, from testdata.
func recorded(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
