// Package parity boots a guest, switches it to a configuration that says something
// in every section, and looks whether the machine behaves as NixOS would: what runs,
// who may do what, what a port answers. That the texts are NixOS's is tested by
// harness/nixos. `make test` does not run it yet:
//
//	make build && OFFLOAD_E2E_BUNDLE=<image> go test -v ./suites/parity
//
// where <image> is the folder that .bin/offload-e2e nix-bin prints, without nix/bin.
package parity
