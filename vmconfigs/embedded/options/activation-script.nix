# system.activationScripts: nixos/modules/system/activation/activation-script.nix
# What NixOS's own snippets do, the switch does by itself; their names and
# dependencies are here, so that a user's snippets run where they would.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;

  snippet = types.either types.str (
    types.submodule {
      options = {
        deps = mkOption {
          type = types.listOf types.str;
          default = [ ];
          description = "Snippets that run before this one.";
        };
        text = mkOption {
          type = types.lines;
          description = "Shell commands.";
        };
        supportsDryActivation = mkOption {
          type = types.bool;
          default = false;
          description = "Whether the snippet also runs when nothing may change.";
        };
      };
    }
  );
in
{
  options = {
    system.activationScripts = mkOption {
      type = types.attrsOf snippet;
      default = { };
      description = "Shell commands run at every switch and boot.";
    };
    system.userActivationScripts = mkOption {
      type = types.attrsOf snippet;
      default = { };
      description = "Shell commands run for every user at a switch.";
    };
    system.build = mkOption {
      type = types.submoduleWith {
        modules = [ { freeformType = types.lazyAttrsOf (types.uniq types.unspecified); } ];
      };
      default = { };
      description = "What modules make of the configuration.";
    };
    environment.usrbinenv = mkOption {
      type = types.nullOr types.path;
      default = "${pkgs.coreutils}/bin/env";
      visible = false;
      description = "What /usr/bin/env is.";
    };
    lib = mkOption {
      type = types.attrsOf types.attrs;
      default = { };
      description = "Functions that modules share.";
    };
    meta = mkOption {
      type = types.attrsOf types.anything;
      default = { };
      internal = true;
      description = "About modules.";
    };
  };

  config = {
    system.activationScripts = {
      stdio = "";
      var = "";
      specialfs = "# done by the switch";
      usrbinenv = "# done by the switch";
      modprobe = lib.stringAfter [ "specialfs" ] "# done by the switch";
      udevd = "# done by the switch";
    };

    systemd.tmpfiles.rules = [
      "D /var/empty 0555 root root -"
      "h /var/empty - - - - +i"
    ]
    ++ lib.optionals config.nix.enable [
      "d /nix/var/nix/gcroots -"
      "L+ /nix/var/nix/gcroots/current-system - - - - /run/current-system"
    ];
  };
}
