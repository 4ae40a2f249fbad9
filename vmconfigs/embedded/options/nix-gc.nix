# nix.gc: the garbage collector, by hand or by timer.
{ config, lib, ... }:

let
  inherit (lib) mkOption types;

  cfg = config.nix.gc;
in
{
  options.nix.gc = {
    automatic = mkOption {
      type = types.bool;
      default = false;
      description = "Whether a timer runs it.";
    };
    dates = mkOption {
      type = types.either types.singleLineStr (types.listOf types.str);
      apply = lib.toList;
      default = [ "03:15" ];
      description = "When, as calendar events of {manpage}`systemd.time(7)`.";
    };
    randomizedDelaySec = mkOption {
      type = types.singleLineStr;
      default = "0";
      description = "Random delay of at most this time span.";
    };
    persistent = mkOption {
      type = types.bool;
      default = true;
      description = "Whether a run that was missed while the machine was off is made up for.";
    };
    options = mkOption {
      type = types.singleLineStr;
      default = "";
      description = "Arguments of `nix-collect-garbage`.";
    };
  };

  config = {
    assertions = [
      {
        assertion = cfg.automatic -> config.nix.enable;
        message = "nix.gc.automatic requires nix.enable";
      }
    ];

    systemd.services.nix-gc = lib.mkIf config.nix.enable {
      description = "Nix Garbage Collector";
      script = "exec ${config.nix.package.out}/bin/nix-collect-garbage ${cfg.options}";
      serviceConfig.Type = "oneshot";
      startAt = lib.optionals cfg.automatic cfg.dates;
      # a switch neither starts it nor waits for it
      restartIfChanged = false;
    };

    systemd.timers.nix-gc = lib.mkIf cfg.automatic {
      timerConfig = {
        RandomizedDelaySec = cfg.randomizedDelaySec;
        Persistent = cfg.persistent;
      };
    };
  };
}
