# What a NixOS comes to, as harness/nixos.Configuration reads it: what ../embedded
# renders for its guests, as far as checks look at it. The switch needs none of
# this: it is NixOS's own.
{
  lib,
  nixpkgs,
  machine,
}:
let
  inherit (machine) config options;
  inherit (config) networking nix;

  nixConf = import ../embedded/text/nix-conf.nix { inherit lib; } {
    inherit (nix) settings extraOptions;
  };
  fstab = import ../embedded/text/fstab.nix { inherit lib; };

  # Files of NixOS's own are its store's; values without one are the harness's.
  # A store that is not at /nix has its files elsewhere than their names say.
  nixos = map (root: "${toString root}/") [
    nixpkgs.outPath
    machine.pkgs.path
  ];
  isUsers =
    file:
    lib.hasPrefix "/" (toString file) && !lib.any (root: lib.hasPrefix root (toString file)) nixos;
  definitionsOfUser =
    option: lib.filter (def: isUsers def.file) (option.definitionsWithLocations or [ ]);

  # "a = b" of each line, a setting that stands twice as a list (nix.conf(5)).
  settings = import ../embedded/text/settings.nix { inherit lib; } nixConf;

  # The text of a file below /etc; of one that a derivation makes where that has it.
  file =
    path:
    let
      e = config.environment.etc.${path} or { enable = false; };
    in
    if !e.enable then
      null
    else if e.text != null then
      e.text
    else
      e.source.text or null;
in
builtins.unsafeDiscardStringContext (
  builtins.toJSON (
    import ../embedded/render/declared.nix {
      inherit lib definitionsOfUser;
      options = removeAttrs options [ "_module" ];
      isDeclaredByUser = option: lib.any isUsers (option.declarations or [ ]);
    }
    // import ../embedded/render/people.nix {
      inherit
        config
        options
        lib
        definitionsOfUser
        ;
    }
    // {
      schema = 1;
      inherit (networking) hostName;

      nixConf = if nix.enable then settings else { };
      machines = file "nix/machines";
      exports = file "exports";
      fstab = fstab.mounts {
        fileSystems = config.system.build.fileSystems;
        checkJournals = true;
      };

      firewall = {
        inherit (networking.firewall)
          enable
          allowedTCPPorts
          allowedUDPPorts
          trustedInterfaces
          ;
      };
      unitFiles = lib.mapAttrs (_: unit: {
        text = if unit.text == null then "" else unit.text;
        inherit (unit)
          enable
          wantedBy
          requiredBy
          upheldBy
          aliases
          ;
      }) config.systemd.units;

      assertions = map (a: a.message) (lib.filter (a: !a.assertion) config.assertions);
      inherit (config) warnings;
    }
  )
)
