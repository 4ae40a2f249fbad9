# programs.mtr: nixos/modules/programs/mtr.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.programs.mtr;
in
{
  options.programs.mtr = {
    enable = lib.mkEnableOption "mtr for everybody";
    package = lib.mkPackageOption pkgs "mtr" { };
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];
    security.wrappers.mtr-packet = {
      owner = "root";
      group = "root";
      capabilities = "cap_net_raw+p";
      source = "${cfg.package}/bin/mtr-packet";
    };
  };
}
