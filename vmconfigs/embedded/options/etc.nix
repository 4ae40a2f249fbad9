# environment.etc: nixos/modules/system/etc/etc.nix
{ lib, pkgs, ... }:
let
  inherit (lib) mkOption types;

  file =
    {
      name,
      config,
      options,
      ...
    }:
    {
      options = {
        enable = mkOption {
          type = types.bool;
          default = true;
          description = "Whether the file is there.";
        };
        target = mkOption {
          type = types.str;
          description = "Its path under /etc.";
        };
        text = mkOption {
          type = types.nullOr types.lines;
          default = null;
          description = "Its text.";
        };
        source = mkOption {
          type = types.path;
          description = "The file it is a link to or a copy of.";
        };
        mode = mkOption {
          type = types.str;
          default = "symlink";
          description = "`symlink`, `direct-symlink`, or the mode of a copy.";
        };
        uid = mkOption {
          type = types.int;
          default = 0;
          description = "Owner of a copy.";
        };
        gid = mkOption {
          type = types.int;
          default = 0;
          description = "Group of a copy.";
        };
        user = mkOption {
          type = types.str;
          default = "+${toString config.uid}";
          description = "Owner of a copy, by name.";
        };
        group = mkOption {
          type = types.str;
          default = "+${toString config.gid}";
          description = "Group of a copy, by name.";
        };
      };
      config = {
        target = lib.mkDefault name;
        # As strong as the definition of the text it comes from.
        source = lib.mkIf (config.text != null) (
          lib.mkDerivedConfig options.text (
            pkgs.writeText "etc-${lib.replaceStrings [ "/" ] [ "-" ] name}"
          )
        );
      };
    };
in
{
  options = {
    environment.etc = mkOption {
      type = types.attrsOf (types.submodule file);
      default = { };
      description = "Files under /etc.";
    };
    system.etc.overlay = {
      enable = lib.mkEnableOption "/etc as an overlay";
      mutable = mkOption {
        type = types.bool;
        default = true;
        description = "Whether the overlay can be written.";
      };
    };
  };

  config.system.activationScripts.etc = lib.stringAfter [ "users" "specialfs" ] "# done by the switch";
}
