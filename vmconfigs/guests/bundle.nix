# The folder that harness/guest calls a bundle, with the same names as the embedded
# guest's, but for keys: those come with each boot.
{
  pkgs,
  lib,
  nixpkgs,
  machine,
  also,
  populate,
}:
let
  inherit (machine) config;
  inherit (config.system.build) toplevel;
  systems = [ toplevel ] ++ also;

  disk = pkgs.callPackage "${nixpkgs}/nixos/lib/make-ext4-fs.nix" {
    storePaths = systems;
    volumeLabel = "nixos";
    populateImageCommands = import ./store.nix { inherit pkgs systems toplevel; } + ''
      (cd files
      ${populate})
    '';
  };
in
import ./manifest.nix {
  inherit pkgs lib machine;
  append = lib.concatStringsSep " " (
    [ "init=/nix/var/nix/profiles/system/init" ] ++ config.boot.kernelParams
  );
  files = [
    "vmlinuz"
    "initrd.img"
    "disk.qcow2"
  ];
  versions.linux = config.boot.kernelPackages.kernel.version;
  nativeBuildInputs = [ (pkgs.qemu-utils or pkgs.qemu) ];
  passthru = { inherit disk; };
  make = ''
    cp ${toplevel}/kernel vmlinuz
    cp ${toplevel}/initrd initrd.img
    qemu-img convert -f raw -O qcow2 ${disk} disk.qcow2
    # Room for builds; the file grows as it is written, and so does the file system.
    qemu-img resize disk.qcow2 20G
  '';
}
