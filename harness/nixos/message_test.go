package nixos

import (
	"strings"
	"testing"
)

// Errors as Nix prints them, of shapes that no evaluation here gives.
func TestCleanMessage(t *testing.T) {
	for name, tc := range map[string]struct{ stderr, want string }{
		"nothing":     {"", ""},
		"no error":    {"killed\n", "killed"},
		"plain":       {"warning: a\nerror: b\n", "error: b"},
		"older Nix's": {"error: b\n\n       at /u/a.nix:1:2:\n\n            1| x\n", "error: b\n\n       at /u/a.nix:1:2:\n\n            1| x"},
		"frames of ours only": {"error:\n       … while x\n         at /ours/a.nix:1:1:\n            1| x\n\n       error: b\n       at /ours/b.nix:2:2:\n            2| y\n",
			"error: b\nat /ours/b.nix:2:2:\n     2| y"},
		"a folder like ours": {"error:\n       … while x\n         at /oursish/a.nix:1:1:\n            1| x\n\n       error: b\n       at /ours/b.nix:2:2:\n",
			"error: b\nat /oursish/a.nix:1:1:\n   1| x"},
		"the innermost frame counts": {"error:\n       … while x\n         at /u/far.nix:1:1:\n\n       … while y\n         at /u/near.nix:2:2:\n            2| y\n\n       … while z\n         at /ours/z.nix:3:3:\n\n       error: b\n",
			"error: b\nat /u/near.nix:2:2:\n   2| y"},
		"only the module is known": {"error:\n       … while evaluating definitions from `/u/a.nix':\n\n       … while x\n         at /ours/x.nix:1:1:\n\n       error: b\n",
			"error: b\nin /u/a.nix"},
		"an expression of the harness": {"error:\n       … while x\n         at «string»:1:1:\n            1| x\n\n       error: b\n", "error: b"},
		"the module system knows better": {"error:\n       … while x\n         at /u/a.nix:1:1:\n            1| x\n\n       error: The option `a' does not exist. Definition values:\n       - In `/u/b.nix': 1\n",
			"error: The option `a' does not exist. Definition values:\n- In `/u/b.nix': 1"},
		"cut off": {"error:\n       … while x\n", "error:\n       … while x"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := CleanMessage(tc.stderr, "/ours"); got != tc.want {
				t.Errorf("it is\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

// Whatever Nix prints is shortened to less, never to frames, and never to nothing
// where it says an error.
func FuzzCleanMessage(f *testing.F) {
	f.Add("error:\n       … while x\n         at /u/a.nix:1:1:\n            1| x\n\n       error: b\n       at /ours/b.nix:2:2:\n")
	f.Add("warning: w\nerror: a\nerror: b\n … c\n")
	f.Fuzz(func(t *testing.T, stderr string) {
		got := CleanMessage(stderr, "/ours")
		if strings.Contains(got, "\n       … while") {
			t.Errorf("%q has a frame", got)
		}
		if strings.HasPrefix(stderr, "error: x") && !strings.Contains(stderr, "…") && strings.Count(stderr, "error:") == 1 && !strings.Contains(got, "error: x") {
			t.Errorf("%q lost its error", got)
		}
	})
}

// A path in a text is found with nothing before and nothing behind it.
func FuzzStorePaths(f *testing.F) {
	f.Add("see /nix/store/00000000000000000000000000000001-bash-5.3/bin/bash.")
	f.Add("/nix/store/0000000000000000000000000000000e-none /nix/store/")
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range StorePaths(text) {
			if StorePath(p) != p || strings.Count(p, "/") != 3 || !strings.Contains(text, p) {
				t.Errorf("%q is no store path of %q", p, text)
			}
		}
	})
}

// A text quoted for Nix holds no way out of its quotes.
func FuzzQuote(f *testing.F) {
	f.Add("a\"; b ${c} \\")
	f.Fuzz(func(t *testing.T, text string) {
		q := Quote(text)
		inner, escaped := q[1:len(q)-1], false
		for i, c := range inner {
			if !escaped && (c == '"' || c == '$' && strings.HasPrefix(inner[i:], "${")) {
				t.Errorf("%s ends at %d", q, i)
			}
			escaped = !escaped && c == '\\'
		}
		if escaped {
			t.Errorf("%s escapes its end", q)
		}
	})
}
