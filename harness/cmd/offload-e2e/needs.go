package main

// purpose is what a program is needed for.
type purpose int

const (
	forRun   purpose = iota // every run of a lab's machines
	forHosts                // looking at machines that run
	forImage                // building the guest image, once
	forTest                 // `make test` and `make lint`
	forPages                // tests of the report's page, which are skipped without
)

// need is something this machine must have, with the Debian package that brings it.
type need struct {
	name, pkg string
	purpose   purpose
	there     func(system) bool
}

func needsProgram(name, pkg string, p purpose) need {
	return need{name, pkg, p, func(s system) bool { return s.program(name) != "" }}
}

func needsFile(path, pkg string, p purpose) need {
	return need{path, pkg, p, func(s system) bool { return s.hasFile(path) }}
}

// Files by which a package is known to be there.
const (
	debianKeys  = "/usr/share/keyrings/debian-archive-keyring.gpg"
	authorities = "/etc/ssl/certs/ca-certificates.crt"
)

// needs are all needs, those of every run first.
func needs() []need {
	uidmap := needsProgram("newuidmap", "uidmap", forImage)
	return []need{
		needsProgram("qemu-system-x86_64", "qemu-system-x86", forRun),
		needsProgram("qemu-img", "qemu-utils", forRun),
		needsProgram("ssh", "openssh-client", forHosts),
		needsProgram("mmdebstrap", "mmdebstrap", forImage),
		needsProgram("mount", "mount", forImage),
		needsProgram("mke2fs", "e2fsprogs", forImage),
		// mmdebstrap finds out with gpg which keys the host's apt trusts already.
		needsProgram("gpg", "gpg", forImage),
		needsFile(debianKeys, "debian-archive-keyring", forImage),
		{uidmap.name, uidmap.pkg, forImage, func(s system) bool { return s.uid == 0 || uidmap.there(s) }},
		needsFile(authorities, "ca-certificates", forTest),
		needsProgram("ssh-keygen", "openssh-client", forTest),
		needsProgram("tshark", "tshark", forTest),
		needsProgram("shellcheck", "shellcheck", forTest),
		needsProgram("chromium", "chromium", forPages),
	}
}

// missing are the needs for some purposes that this machine does not meet.
func missing(s system, purposes ...purpose) []need {
	var out []need
	for _, n := range needs() {
		for _, p := range purposes {
			if n.purpose == p && !n.there(s) {
				out = append(out, n)
			}
		}
	}
	return out
}

func packagesOf(list []need) []string {
	var out []string
	for _, n := range list {
		out = append(out, n.pkg)
	}
	return out
}

func namesOf(list []need) []string {
	var out []string
	for _, n := range list {
		out = append(out, n.name)
	}
	return out
}
