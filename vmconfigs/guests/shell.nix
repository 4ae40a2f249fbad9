# Everything for working on this project.
{ pkgs }:
let
  inherit (pkgs) lib;
in
pkgs.mkShellNoCC {
  packages = [
    # make build, test, lint
    pkgs.gnumake
    pkgs.git
    pkgs.go
    pkgs.golangci-lint
    pkgs.nixfmt
    pkgs.shellcheck
    pkgs.openssh
    pkgs.wireshark-cli
    pkgs.jq
    # the machines, and their images
    pkgs.qemu
    pkgs.e2fsprogs
    pkgs.gnupg
    pkgs.util-linux
    pkgs.zstd
  ]
  # The embedded guest is built from Debian packages.
  ++ lib.optional (pkgs ? mmdebstrap) pkgs.mmdebstrap;

  # The Go that go.mod asks for is fetched where this one is older.
  env.GOTOOLCHAIN = "auto";
}
