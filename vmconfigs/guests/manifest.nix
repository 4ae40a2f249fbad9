# A folder with the manifest by which harness/guest knows what is in it, and that all
# of it is whole.
{
  pkgs,
  lib,
  machine,
  # The end of its name; shell commands that make its files, and their names.
  name ? "",
  make,
  files,
  append ? "",
  nativeBuildInputs ? [ ],
  versions ? { },
  passthru ? { },
}:
let
  inherit (machine) config;
  inherit (config.system.build) toplevel;

  manifest = {
    kind = "nixos";
    inherit append toplevel;
    versions = {
      nixos = config.system.nixos.version;
      nix = config.nix.package.version;
      systemd = config.systemd.package.version;
      openssh = config.programs.ssh.package.version;
      nfs-utils = pkgs.nfs-utils.version;
    }
    // versions;
    # When the sources are from: a build must not tell the time.
    built = "1970-01-01T00:00:01Z";
  };
in
pkgs.runCommand
  (lib.concatStringsSep "-" (
    lib.filter (part: part != "") [
      "offload-e2e"
      (lib.toLower config.networking.hostName)
      name
    ]
  ))
  {
    nativeBuildInputs = [ pkgs.jq ] ++ nativeBuildInputs;
    manifest = builtins.toJSON manifest;
    passAsFile = [ "manifest" ];
    passthru = passthru // {
      inherit toplevel;
    };
  }
  ''
    mkdir $out
    cd $out
    ${make}
    chmod 444 *
    # Last: a folder without it is no bundle. It is kept under its own store path.
    sha256sum ${toString files} |
      jq --raw-input --slurp --slurpfile manifest $manifestPath --arg id "$(basename $out)" \
        'split("\n") | map(select(. != "") | split("  ") | { (.[1]): .[0] }) | add
          | $manifest[0] + { id: $id, files: . }' >manifest.json
  ''
