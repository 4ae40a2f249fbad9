# The folder that harness/guest calls a bundle, of a root file system for containers:
# what of the system runs in one. It is started by /sbin/init; /bin has what its
# harness does before that.
{
  pkgs,
  lib,
  nixpkgs,
  machine,
}:
let
  inherit (machine) config;
  inherit (config.system.build) toplevel;

  tarball = pkgs.callPackage "${nixpkgs}/nixos/lib/make-system-tarball.nix" {
    fileName = "rootfs";
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
      mkdir -p bin sbin usr/bin proc sys dev run tmp var
      ln -s ${pkgs.bashInteractive}/bin/bash bin/sh
      for program in cp mkdir mv; do
        ln -s ${pkgs.coreutils}/bin/$program bin/$program
      done
      for program in mount umount; do
        ln -s ${pkgs.util-linux}/bin/$program bin/$program
      done
      ln -s /nix/var/nix/profiles/system/init sbin/init
      # What ../../fixtures/guests/container starts.
      for program in awk cat exportfs ganesha.nfsd mkdir true; do
        ln -s /etc/offload-e2e/tools/$program usr/bin/$program
      done
    '';
    compressCommand = "zstd -3 -T0";
    compressionExtension = ".zst";
    extraInputs = [ pkgs.zstd ];
  };
in
import ./manifest.nix {
  inherit pkgs lib machine;
  name = "rootfs";
  files = [ "rootfs.tar.zst" ];
  versions.nfs-ganesha = pkgs.nfs-ganesha.version;
  make = "cp ${tarball}/tarball/rootfs.tar.zst .";
}
