package nixos

import "regexp"

// storePathRE matches a store path, without what lies below it (nix-store(1)).
var storePathRE = regexp.MustCompile(`/nix/store/[0-9abcdfghijklmnpqrsvwxyz]{32}-[0-9a-zA-Z+\-._?=]+`)

// StorePaths finds the store paths in a text, in order, with repetitions.
func StorePaths(text string) []string { return storePathRE.FindAllString(text, -1) }

// StorePath is the first store path in a text, "" where there is none.
func StorePath(text string) string { return storePathRE.FindString(text) }
