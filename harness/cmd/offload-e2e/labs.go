package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// labs is the folder that says which state folders were used, for `down --all`.
func (p *paths) labs() string { return filepath.Join(p.Cache, "labs") }

// register remembers the state folder.
func (p *paths) register() error {
	if err := os.MkdirAll(p.labs(), 0o755); err != nil {
		return fmt.Errorf("remember the state folder: %w", err)
	}
	digest := sha256.Sum256([]byte(p.State))
	if err := os.WriteFile(filepath.Join(p.labs(), hex.EncodeToString(digest[:8])), []byte(p.State), 0o644); err != nil {
		return fmt.Errorf("remember the state folder: %w", err)
	}
	return nil
}

// everyState are these folders with each state folder that was used, this one
// first; those that are gone are forgotten.
func (p *paths) everyState() ([]*paths, error) {
	all := []*paths{p}
	files, err := filepath.Glob(filepath.Join(escapeGlob(p.labs()), "*"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("look for labs: %w", err)
		}
		state := string(text)
		if state == p.State || !filepath.IsAbs(state) {
			continue
		}
		if _, err := os.Stat(filepath.Join(state, "lock")); err != nil {
			_ = os.Remove(file)
			continue
		}
		other := *p
		other.State = state
		all = append(all, &other)
	}
	return all, nil
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}
