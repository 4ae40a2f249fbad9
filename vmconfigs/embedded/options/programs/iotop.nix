# programs.iotop: nixos/modules/programs/iotop.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.programs.iotop;
in
{
  options.programs.iotop = {
    enable = lib.mkEnableOption "iotop for everybody";
    package = lib.mkPackageOption pkgs "iotop" { };
    enableDelayacct = lib.mkEnableOption "the kernel's accounts of tasks' delays";
  };

  config = lib.mkIf cfg.enable {
    security.wrappers.iotop = {
      owner = "root";
      group = "root";
      capabilities = "cap_net_admin+p";
      source = lib.getExe cfg.package;
    };
    boot.kernel.sysctl = lib.mkIf cfg.enableDelayacct { "kernel.task_delayacct" = 1; };
  };
}
