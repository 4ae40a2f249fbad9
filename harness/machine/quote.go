package machine

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"offload-e2e/harness/provider"
)

// Quote writes one word so that a POSIX shell reads back exactly its bytes
// (XCU 2.2.2, single quotes). A NUL cannot be part of a word.
func Quote(word string) string {
	plain := func(r rune) bool {
		return r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("_-./:,@%+", r))
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// QuoteAll is argv as one line a POSIX shell splits into the same words.
func QuoteAll(argv []string) string {
	words := make([]string, len(argv))
	for i, w := range argv {
		words[i] = Quote(w)
	}
	return strings.Join(words, " ")
}

// pidMark frames the first thing a remote shell prints: its process id. Whatever
// a shell's start-up files print before it is dropped.
const pidMark = '\x1e'

// commandLine is the one string sshd hands to the login shell (RFC 4254 6.5).
//
// The shell prints its process id, takes the environment, and becomes the
// command: so the id is the command's, and, as sshd starts every session with
// setsid(2), also that of its process group.
func commandLine(cmd provider.Command, profile string) (string, error) {
	switch {
	case len(cmd.Argv) == 0 || cmd.Argv[0] == "":
		return "", errors.New("command is empty")
	case strings.HasPrefix(cmd.Argv[0], "-"):
		// Shells' exec would read it as an option, and dash has no "exec --".
		return "", fmt.Errorf("command name %q begins with a dash", cmd.Argv[0])
	}
	for _, w := range cmd.Argv {
		if strings.ContainsRune(w, 0) {
			return "", fmt.Errorf("argument %q contains a NUL byte", w)
		}
	}
	var sh strings.Builder
	fmt.Fprintf(&sh, `printf '\%03o%%d\%03o' "$$"; `, pidMark, pidMark)
	if profile != "" {
		// "." is a special builtin: a missing file would end the shell.
		fmt.Fprintf(&sh, `[ ! -r %[1]s ] || . %[1]s >/dev/null 2>&1; `, Quote(profile))
	}
	names := make([]string, 0, len(cmd.Env))
	for name := range cmd.Env {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !isName(name) {
			return "", fmt.Errorf("environment variable %q is no name a shell can set", name)
		}
		if strings.ContainsRune(cmd.Env[name], 0) {
			return "", fmt.Errorf("environment variable %s contains a NUL byte", name)
		}
		fmt.Fprintf(&sh, "export %s=%s; ", name, Quote(cmd.Env[name]))
	}
	sh.WriteString(`exec "$@"`)
	return "exec /bin/sh -c " + Quote(sh.String()) + " sh " + QuoteAll(cmd.Argv), nil
}

// killLine is a command line that ends the process group of pid: SIGTERM, so
// that sudo and nix can end what they started outside the group, and SIGKILL a
// second later. It exits 0 when no process of the group is left but those that
// only wait for their parent to notice.
func killLine(pid int) string {
	// kill -0 counts such zombies, and ps is not on every machine.
	const script = `
runs() {
  for stat in /proc/[0-9]*/stat; do
    { read -r line <"$stat"; } 2>/dev/null || continue
    set -- "$1" ${line##*) }
    [ "$4" != "$1" ] || [ "$2" = Z ] || return 0
  done
  return 1
}
kill -s TERM -- "-$1" 2>/dev/null || exit 0
n=0
while runs "$1"; do
  n=$((n + 1))
  [ "$n" -ne 10 ] || kill -s KILL -- "-$1"
  [ "$n" -lt 20 ] || exit 1
  sleep 0.1
done`
	return "exec /bin/sh -c " + Quote(script) + " sh " + strconv.Itoa(pid)
}

// isName reports whether s is a name as XBD 3.216 defines it.
func isName(s string) bool {
	for i, r := range s {
		switch {
		case r == '_', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z':
		case i > 0 && r >= '0' && r <= '9':
		default:
			return false
		}
	}
	return s != ""
}
