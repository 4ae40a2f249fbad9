# programs.mosh: nixos/modules/programs/mosh.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.programs.mosh;
  enabled =
    description:
    lib.mkOption {
      type = lib.types.bool;
      default = true;
      inherit description;
    };
in
{
  options.programs.mosh = {
    enable = lib.mkEnableOption "mosh";
    package = lib.mkPackageOption pkgs "mosh" { };
    openFirewall = enabled "Whether its ports are open.";
    withUtempter = enabled "Whether sessions are told to utmp, utmp(5).";
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];
    networking.firewall.allowedUDPPortRanges = lib.optional cfg.openFirewall {
      from = 60000;
      to = 61000;
    };
    security.wrappers.utempter = lib.mkIf cfg.withUtempter (import ./utempter.nix pkgs);
  };
}
