package report

import (
	"cmp"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Artifacts lists the files of a run's folder beside the reports themselves, the
// captures first.
func Artifacts(dir string) ([]Artifact, error) {
	var found []Artifact
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if !isOwnFile(rel) {
			found = append(found, Artifact{File: rel, Kind: artifactKind(rel), Bytes: info.Size()})
		}
		return nil
	})
	slices.SortFunc(found, func(a, b Artifact) int {
		return cmp.Or(cmp.Compare(artifactOrder(a.Kind), artifactOrder(b.Kind)), cmp.Compare(a.File, b.File))
	})
	return found, err
}

// isOwnFile: written by Save, and so no artifact.
func isOwnFile(rel string) bool {
	return slices.Contains(strings.Split(rel, "/"), evidenceDir) || slices.Contains(ownFiles(), rel)
}

var artifactKinds = []string{"capture", "journal", "console", "log", "settings", "other"}

func artifactOrder(kind string) int { return slices.Index(artifactKinds, kind) }

// artifactKind is told by the name, which says the machine and what it is.
func artifactKind(file string) string {
	name := filepath.Base(file)
	switch ext := filepath.Ext(name); {
	case ext == ".pcapng" || ext == ".pcap":
		return "capture"
	case strings.Contains(name, "-journal."):
		return "journal"
	case strings.Contains(name, "-console."):
		return "console"
	case ext == ".log":
		return "log"
	case strings.HasSuffix(name, "-nix.conf"), strings.HasSuffix(name, "-machines"), strings.HasSuffix(name, "-exports"),
		strings.HasSuffix(name, "-mounts"), strings.HasSuffix(name, "-units"):
		return "settings"
	}
	return "other"
}
