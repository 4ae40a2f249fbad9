# programs.traceroute: nixos/modules/programs/traceroute.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.programs.traceroute;
in
{
  options.programs.traceroute.enable = lib.mkEnableOption "traceroute for everybody";

  config = lib.mkIf cfg.enable {
    security.wrappers.traceroute = {
      owner = "root";
      group = "root";
      capabilities = "cap_net_raw+p";
      source = lib.getExe pkgs.traceroute;
    };
  };
}
