package report

import (
	"math"
	"strings"
)

// A path is a way from the laptop to something the desktop offers. A fault on
// one explains nothing on another.
type path string

const (
	builderPath path = "builder" // port 22
	cachePath   path = "cache"   // port 5000
	nfsPath     path = "nfs"     // ports 2049, 111
	everyPath   path = "*"       // cable, address, power: all of them
)

// pathOf is the path a finding is about: its diagnosis tells by its area
// ("cache" in "cache.key-name"), else its family does. Areas that are no path
// stand for themselves: nothing on a path explains them, nor they it.
func pathOf(code, family string) path {
	switch code {
	case "nix.daemon-dead", "builder.store-full", "builder.no-inodes", "builder.slower-than-local":
		return everyPath
	}
	area, _, _ := strings.Cut(code, ".")
	switch area {
	case "builder", "ssh":
		return builderPath
	case "cache":
		return cachePath
	case "nfs":
		return nfsPath
	case "network", "power", "config":
		return everyPath
	}
	if area != "nix" && area != "command" {
		switch family {
		case "SR", "RB":
			return builderPath
		case "CH":
			return cachePath
		case "NF":
			return nfsPath
		}
	}
	if area == "keys" {
		return builderPath
	}
	if area == "" {
		return path(family)
	}
	return path(area)
}

// depth orders causes finer than layers do: what is deeper explains what is
// above it. A layer's depth is a multiple of ten.
type depth int

const (
	atEvaluation     depth = 0
	atReachability   depth = 10
	atPort           depth = 20
	atAuthentication depth = 30
	atTrust          depth = 40
	atProtocol       depth = 50
	atContent        depth = 60
	undiagnosed      depth = 99
	nothing          depth = math.MaxInt // explains nothing
)

func layerDepth(l Layer) depth {
	switch l {
	case Evaluation:
		return atEvaluation
	case Reachability:
		return atReachability
	case Port:
		return atPort
	case Authentication:
		return atAuthentication
	case Trust:
		return atTrust
	case Protocol:
		return atProtocol
	}
	return atContent
}

// standing is how a diagnosis stands among the others of its path.
type standing struct {
	// at is its depth; 0 with layer evaluation is the deepest.
	at depth
	// from is the depth of the first thing it explains.
	from depth
	// alone: seen without any machine talking to another, in a setting or a
	// file. A cable or a port explains it never.
	alone bool
}

// standingOf is what follows from the layer, but for the codes in this table.
func standingOf(d Diagnosis) standing {
	s := standing{at: layerDepth(d.Layer)}
	s.from = s.at + 1
	area, _, _ := strings.Cut(d.Code, ".")
	switch {
	case d.Layer == Evaluation:
		s.alone = true
	case d.Layer == Trust:
		// A key nobody trusts makes no server answer with an error.
		s.from = atContent
	case area == "keys":
		// What is wrong with the key itself is why a login by it fails.
		s = standing{at: atAuthentication - 1, from: atAuthentication, alone: true}
	}
	switch d.Code {
	// Settings, by the first thing they spoil: a login is tried with the key
	// whatever `builders` says, a narinfo is served whoever trusts it.
	case "network.wrong-desktop-address":
		s.from = atReachability
	case "config.switch-failed", "config.not-enabled", "nfs.not-enabled", "nfs.not-exported", "cache.wrong-port":
		s.from = atPort
	case "builder.user-unknown":
		s.from = atAuthentication
	case "cache.key-malformed":
		s.from = atTrust
	case "nfs.no-mount":
		s.from = atProtocol
	case "network.mtu-blackhole":
		// A connection is made with small packets.
		s.from = atAuthentication
	case "builder.waits-for-internet", "builder.not-configured", "builder.list-swallowed", "builder.machines-shadowed", "builder.system-mismatch",
		"builder.feature-missing", "builder.no-slots", "cache.not-configured", "cache.order":
		s.from = atContent
	// Faults that keep nothing else from working.
	case "builder.few-slots", "builder.lost", "nix.sandbox-off", "command.missing", "power.sleep-once",
		"nfs.hard-mount", "network.icmp-blocked", "nfs.write-denied", "nfs.not-read-only",
		"cache.key-unused", "cache.no-internet", "ssh.key-too-early":
		s.from = nothing
	// How long things take while the desktop is away is no fault of the desktop's.
	case "ssh.no-timeout", "ssh.stale-master", "ssh.few-sessions", "nfs.waits-forever":
		s.from, s.alone = nothing, true
	case "ssh.no-keepalive":
		s.from, s.alone = atContent, true
	// Causes below what their layer says.
	case "cache.bind-address":
		s.at, s.from = atPort-1, atPort
	case "nfs.no-directory":
		// An export of what is not there is no export.
		s.at, s.from, s.alone = atProtocol-5, atProtocol, true
	// Files on one machine.
	case "ssh.strict-modes", "ssh.no-authorized-keys", "ssh.line-differs", "ssh.no-shell",
		"cache.key-file", "cache.key-permissions":
		s.alone = true
	// What is seen of a fault, when nothing is known of it.
	case "ssh.key-unauthorized":
		s.at = atAuthentication + 2
	case "ssh.login-failed":
		s.at = atAuthentication + 5
	case "cache.http-error", "nfs.not-mounted":
		s.at = atProtocol + 5
	case "nfs.mount-timeout":
		s.at = atContent + 7
	case "builder.slower-than-local":
		// A poor way gives mounts no time to come about; all else it makes late only.
		s.from = atContent + 7
	case "builder.built-locally", "builder.build-failed", "builder.hangs", "cache.not-used", "nfs.content", "nfs.full", "nfs.slow", "nix.offline-build-failed", "nix.fallback-slow":
		s.at = atContent + 5
	case "command.failed":
		s.at, s.from = atContent+9, nothing
	case "command.hangs", "command.disagrees":
		s.at, s.from, s.alone = atContent+8, nothing, true
	}
	return s
}
