# What the test harness needs of a NixOS guest, and nothing more: a cable and an
# sshd of its own, which nothing under test can break, a channel for the journal,
# and a disk that boots. The embedded guest has the same by its recipe.
{
  config,
  lib,
  pkgs,
  ...
}:
{
  imports = [
    ./e2e-guest/base.nix
    ./e2e-guest/boot.nix
    ./e2e-guest/cables.nix
    ./e2e-guest/container.nix
    ./e2e-guest/sshd.nix
  ];

  # /bin/sh of test builds has what it has built in; the tiny <nixpkgs> that the
  # harness brings takes the other programs from here.
  environment.etc."offload-e2e/busybox".source = pkgs.busybox;

  # The cache's requests go to its journal: what it served is the proof of a hit.
  services.nix-serve.extraParams = lib.mkIf config.services.nix-serve.enable "-E development";

  # Under software emulation everything is ten times slower.
  systemd.settings.Manager = {
    DefaultTimeoutStartSec = lib.mkDefault "180s";
    DefaultTimeoutStopSec = lib.mkDefault "90s";
  };

  documentation.enable = lib.mkDefault false;
  system.stateVersion = lib.mkDefault lib.trivial.release;
}
