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

  manifest = {
    kind = "nixos";
    append = lib.concatStringsSep " " (
      [ "init=/nix/var/nix/profiles/system/init" ] ++ config.boot.kernelParams
    );
    inherit toplevel;
    versions = {
      nixos = config.system.nixos.version;
      nix = config.nix.package.version;
      systemd = config.systemd.package.version;
      linux = config.boot.kernelPackages.kernel.version;
      openssh = config.programs.ssh.package.version;
      nfs-utils = pkgs.nfs-utils.version;
    };
    # When the sources are from: a build must not tell the time.
    built = "1970-01-01T00:00:01Z";
  };
in
pkgs.runCommand "offload-e2e-${lib.toLower config.networking.hostName}"
  {
    nativeBuildInputs = [
      pkgs.qemu-utils or pkgs.qemu
      pkgs.jq
    ];
    manifest = builtins.toJSON manifest;
    passAsFile = [ "manifest" ];
    passthru = { inherit toplevel disk; };
  }
  ''
    mkdir $out
    cd $out
    cp ${toplevel}/kernel vmlinuz
    cp ${toplevel}/initrd initrd.img
    qemu-img convert -f raw -O qcow2 ${disk} disk.qcow2
    # Room for builds; the file grows as it is written, and so does the file system.
    qemu-img resize disk.qcow2 20G
    chmod 444 *
    # Last: a folder without it is no bundle. It is kept under its own store path.
    sha256sum vmlinuz initrd.img disk.qcow2 |
      jq --raw-input --slurp --slurpfile manifest $manifestPath --arg id "$(basename $out)" \
        'split("\n") | map(select(. != "") | split("  ") | { (.[1]): .[0] }) | add
          | $manifest[0] + { id: $id, files: . }' >manifest.json
  ''
