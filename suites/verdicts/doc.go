// Package verdicts is about whole runs of the command, as `make build` makes it: what
// each configuration, this machine, or a hand on Ctrl-C lets one end with, and that
// nothing is left behind. Its tests boot real machines where a guest image is at hand.
package verdicts
