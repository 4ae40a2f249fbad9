package nixos

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// positionRE is a line of Nix's that says where: "at /etc/nixos/a.nix:1:2:".
var positionRE = regexp.MustCompile(`^at (.+):\d+:\d+:?$`)

// definitionsRE is the module system's frame that names the file it reads.
var definitionsRE = regexp.MustCompile("^… while evaluating definitions from `(/.*)':$")

// CleanMessage is Nix's error without its traces. Where the error itself names no
// place in a file of the user's, the place in their files that is nearest to it
// follows; ours is the folder of files that are not theirs.
func CleanMessage(stderr, ours string) string {
	lines := strings.Split(strings.TrimRight(stderr, "\n"), "\n")
	// Warnings and traces of the configuration come first.
	for i, line := range slices.Backward(lines) {
		if strings.HasPrefix(line, "error:") {
			lines = lines[i:]
			break
		}
	}
	// The message follows the last frame.
	start := 0
	for i, line := range lines {
		if isFrame(line) {
			start = i + 1
		}
	}
	for i := start; i < len(lines); i++ {
		if strings.HasPrefix(strings.TrimSpace(lines[i]), "error:") {
			start = i
			break
		}
	}
	frames, message := lines[:start], dedent(lines[start:])
	place := userPlace(frames, ours)
	at := slices.IndexFunc(message, func(line string) bool { return positionRE.MatchString(strings.TrimSpace(line)) })
	switch {
	case at >= 0 && isTheirs(positionRE.FindStringSubmatch(strings.TrimSpace(message[at]))[1], ours):
		place = nil
	case slices.ContainsFunc(message, func(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "- In `/") }):
		// The module system has said where.
		place = nil
	case at >= 0 && place != nil:
		message = message[:at]
	}
	text := strings.TrimSpace(strings.Join(append(message, place...), "\n"))
	if text == "" {
		return strings.TrimSpace(stderr)
	}
	if strings.Contains(text, "was not found in the Nix search path") {
		text += "\nA configuration is tested without nixpkgs and channels: use the module's arguments `pkgs`, `lib` and `modulesPath` instead of <…>."
	}
	return text
}

// missingRE is what Nix says of a path literal that leads to nothing: no place.
var missingRE = regexp.MustCompile(`path '(/[^']+)' does not exist$`)

// namedIn finds where the user's modules, and files beside them, name a path that
// is missing: "named in /etc/nixos/a.nix:3", or nothing.
func namedIn(message string, modules []string) string {
	m := missingRE.FindStringSubmatch(message)
	if m == nil {
		return ""
	}
	files := slices.Clone(modules)
	for _, near := range append(slices.Clone(modules), m[1]) {
		beside, _ := filepath.Glob(filepath.Join(filepath.Dir(near), "*.nix"))
		files = append(files, beside...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		n := 0
		for line := range strings.Lines(string(text)) {
			if n++; strings.Contains(line, filepath.Base(m[1])) {
				return fmt.Sprintf("named in %s:%d", file, n)
			}
		}
	}
	return ""
}

func isFrame(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "… ") }

// dedent takes the indentation of the first line from all.
func dedent(lines []string) []string {
	if len(lines) == 0 {
		return nil
	}
	indent := lines[0][:len(lines[0])-len(strings.TrimLeft(lines[0], " "))]
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = strings.TrimRight(strings.TrimPrefix(line, indent), " ")
	}
	return out
}

func isTheirs(file, ours string) bool {
	return strings.HasPrefix(file, "/") && !strings.HasPrefix(file, strings.TrimRight(ours, "/")+"/")
}

// userPlace is the innermost frame's place in a file of the user's, with the lines
// of it that Nix shows; where there is none, the module whose definitions were read.
func userPlace(frames []string, ours string) []string {
	module := ""
	for i, line := range slices.Backward(frames) {
		text := strings.TrimSpace(line)
		if m := definitionsRE.FindStringSubmatch(text); m != nil && module == "" && isTheirs(m[1], ours) {
			module = m[1]
		}
		if m := positionRE.FindStringSubmatch(text); m == nil || !isTheirs(m[1], ours) {
			continue
		}
		end := i + 1
		for end < len(frames) && !isFrame(frames[end]) && strings.TrimSpace(frames[end]) != "" {
			end++
		}
		return dedent(frames[i:end])
	}
	if module != "" {
		return []string{"in " + module}
	}
	return nil
}
