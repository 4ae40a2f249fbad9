# powerManagement.cpuFreqGovernor, .cpufreq: nixos/modules/tasks/cpu-freq.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption optional types;
  cfg = config.powerManagement;
  inherit (config.boot.kernelPackages) cpupower;

  perhaps =
    type: description:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit description;
    };
  flags = lib.concatStrings (
    lib.mapAttrsToList (flag: value: lib.optionalString (value != null) "--${flag} ${toString value} ") {
      governor = cfg.cpuFreqGovernor;
      inherit (cfg.cpufreq) max min;
    }
  );
in
{
  options.powerManagement = {
    cpuFreqGovernor = perhaps types.str "Governor of the processors' frequency.";
    cpufreq.max = perhaps types.ints.unsigned "Highest frequency, in kHz.";
    cpufreq.min = perhaps types.ints.unsigned "Lowest frequency, in kHz.";
  };

  config = lib.mkIf (!config.boot.isContainer && flags != "") {
    boot.kernelModules = optional (cfg.cpuFreqGovernor != null) "cpufreq_${cfg.cpuFreqGovernor}";
    environment.systemPackages = [ cpupower ];
    systemd.services.cpufreq = {
      description = "CPU Frequency Setup";
      after = [ "systemd-modules-load.service" ];
      wantedBy = [ "multi-user.target" ];
      path = [
        cpupower
        pkgs.kmod
      ];
      # A virtual machine has no frequencies.
      unitConfig.ConditionVirtualization = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = "yes";
        ExecStart = "${cpupower}/bin/cpupower frequency-set ${flags}";
        SuccessExitStatus = "0 237";
      };
    };
  };
}
