# A root file system as a tarball, for `docker import`: what of the system runs in
# a container. It is started by /sbin/init; /bin/sh and mount are there before.
{
  pkgs,
  nixpkgs,
  machine,
}:
let
  inherit (machine.config.system.build) toplevel;
in
pkgs.callPackage "${nixpkgs}/nixos/lib/make-system-tarball.nix" {
  fileName = "offload-e2e-rootfs";
  contents = [ ];
  storeContents = [
    {
      object = toplevel;
      symlink = "none";
    }
  ];
  extraCommands = pkgs.writeShellScript "rootfs-commands" ''
    set -eu
    ${import ./store.nix {
      inherit pkgs toplevel;
      systems = [ toplevel ];
    }}
    cp -a files/. .
    rm -r files nix-path-registration
    mkdir -p bin sbin proc sys dev run tmp var
    ln -s ${pkgs.bashInteractive}/bin/bash bin/sh
    ln -s ${pkgs.util-linux}/bin/mount bin/mount
    ln -s /nix/var/nix/profiles/system/init sbin/init
  '';
  compressCommand = "gzip -1";
  compressionExtension = ".gz";
  extraInputs = [ pkgs.gzip ];
}
