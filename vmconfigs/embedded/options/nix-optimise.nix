# nix.optimise: equal files of the store become hard links, by hand or by timer.
{ config, lib, ... }:

let
  inherit (lib) mkOption types;

  cfg = config.nix.optimise;
in
{
  options.nix.optimise = {
    automatic = mkOption {
      type = types.bool;
      default = false;
      description = "Whether a timer runs it.";
    };
    dates = mkOption {
      type = types.either types.singleLineStr (types.listOf types.str);
      apply = lib.toList;
      default = [ "03:45" ];
      description = "When, as calendar events of {manpage}`systemd.time(7)`.";
    };
    randomizedDelaySec = mkOption {
      type = types.singleLineStr;
      default = "1800";
      description = "Random delay of at most this time span.";
    };
    persistent = mkOption {
      type = types.bool;
      default = true;
      description = "Whether a run that was missed while the machine was off is made up for.";
    };
  };

  config = {
    assertions = [
      {
        assertion = cfg.automatic -> config.nix.enable;
        message = "nix.optimise.automatic requires nix.enable";
      }
    ];

    systemd = lib.mkIf config.nix.enable {
      services.nix-optimise = {
        description = "Nix Store Optimiser";
        unitConfig = {
          ConditionACPower = true;
          # without a daemon of its own, the machine has no store of its own
          ConditionPathIsReadWrite = "/nix/var/nix/daemon-socket";
        };
        serviceConfig = {
          ExecStart = "${lib.getExe' config.nix.package "nix-store"} --optimise";
          Nice = 19;
          CPUSchedulingPolicy = "idle";
          IOSchedulingClass = "idle";
        };
        startAt = lib.optionals cfg.automatic cfg.dates;
        restartIfChanged = false;
      };

      timers.nix-optimise = lib.mkIf cfg.automatic {
        timerConfig = {
          RandomizedDelaySec = cfg.randomizedDelaySec;
          Persistent = cfg.persistent;
        };
      };
    };
  };
}
