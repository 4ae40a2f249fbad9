# powerManagement.cpuFreqGovernor: nixos/modules/tasks/cpu-freq.nix. A guest has no
# frequencies: the module of the governor is loaded, and nothing is set.
{ config, lib, ... }:
let
  cfg = config.powerManagement;
in
{
  options.powerManagement.cpuFreqGovernor = lib.mkOption {
    type = lib.types.nullOr lib.types.str;
    default = null;
    description = "Governor of the processors' frequency.";
  };

  config.boot.kernelModules = lib.mkIf (cfg.cpuFreqGovernor != null) [ "cpufreq_${cfg.cpuFreqGovernor}" ];
}
