# console.*: nixos/modules/config/console.nix. A guest has a serial line only.
{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.console = {
    enable = lib.mkEnableOption "virtual console" // {
      default = true;
    };
    font = mkOption {
      type = types.nullOr (types.either types.str types.path);
      default = null;
      description = "Accepted; a guest has no such console. Font.";
    };
    keyMap = mkOption {
      type = types.either types.str types.path;
      default = "us";
      description = "Accepted; a guest has no such console. Keyboard.";
    };
    colors = mkOption {
      type = types.listOf (types.strMatching "[[:xdigit:]]{6}");
      default = [ ];
      description = "Accepted; a guest has no such console. Colours.";
    };
    packages = mkOption {
      type = types.listOf types.package;
      default = [ ];
      description = "Packages with fonts and keyboards.";
    };
    useXkbConfig = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the keyboard is that of X.";
    };
    earlySetup = mkOption {
      type = types.bool;
      default = false;
      description = "Whether this is done early.";
    };
  };

  imports = [
    (lib.mkRenamedOptionModule [ "i18n" "consoleFont" ] [ "console" "font" ])
    (lib.mkRenamedOptionModule [ "i18n" "consoleKeyMap" ] [ "console" "keyMap" ])
  ];
}
