# programs.screen: nixos/modules/programs/screen.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.programs.screen;
in
{
  options.programs.screen = {
    enable = lib.mkEnableOption "screen, a basic terminal multiplexer";
    package = lib.mkPackageOption pkgs "screen" { };
    screenrc = lib.mkOption {
      type = lib.types.lines;
      default = "";
      description = "Text of /etc/screenrc.";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.etc.screenrc.text = cfg.screenrc;
    environment.systemPackages = [ cfg.package ];
    security.pam.services.screen = { };
  };
}
