# nix.registry: the system's flake registry, /etc/nix/registry.json (nix3-registry(1)).
{ config, lib, ... }:

let
  inherit (lib) mkDefault mkOption types;

  cfg = config.nix;

  reference =
    description:
    mkOption {
      type = types.attrsOf (
        types.oneOf [
          types.str
          types.int
          types.bool
          types.path
          types.package
        ]
      );
      inherit description;
    };

  entry =
    { config, name, ... }:
    {
      options = {
        from = reference "The flake reference that is looked up.";
        to = reference "The flake reference it stands for.";
        flake = mkOption {
          type = types.nullOr types.attrs;
          default = null;
          description = "A flake input to take `to` from.";
        };
        exact = mkOption {
          type = types.bool;
          default = true;
          description = "Whether `nixpkgs/some-branch` is left alone by an entry for `nixpkgs`.";
        };
      };

      config = {
        from = mkDefault {
          type = "indirect";
          id = name;
        };
        to = lib.mkIf (config.flake != null) (
          mkDefault (
            {
              type = "path";
              path = config.flake.outPath;
            }
            // lib.getAttrs (lib.filter (n: config.flake ? ${n}) [
              "lastModified"
              "rev"
              "narHash"
            ]) config.flake
          )
        );
      };
    };
in
{
  options.nix.registry = mkOption {
    type = types.attrsOf (types.submodule entry);
    default = { };
    description = "Names of flakes for the whole system.";
  };

  config = lib.mkIf cfg.enable {
    environment.etc."nix/registry.json".text = builtins.toJSON {
      version = 2;
      flakes = lib.mapAttrsToList (_: v: { inherit (v) from to exact; }) cfg.registry;
    };
  };
}
