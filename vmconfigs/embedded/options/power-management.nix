# powerManagement: nixos/modules/config/power-management.nix
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.powerManagement;
  commands = description: mkOption {
    type = types.lines;
    default = "";
    inherit description;
  };
  once = {
    Type = "oneshot";
    RemainAfterExit = true;
  };
in
{
  options.powerManagement = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether these commands run.";
    };
    resumeCommands = commands "Commands after a sleep.";
    powerUpCommands = commands "Commands after a boot and after a sleep.";
    powerDownCommands = commands "Commands before a sleep and before a shutdown.";
    bootCommands = commands "Commands after a boot.";
    powertop.enable = lib.mkEnableOption "powertop's tuning";
  };

  config = lib.mkIf cfg.enable {
    warnings = lib.optional (cfg.powerUpCommands != "") ''
      powerManagement.powerUpCommands is deprecated due to it having unclear ordering semantics.
      It will be removed in NixOS 26.11.
      It is recommended to create an explicit systemd oneshot service instead,
      that is pulled in at the right time during the boot process.
      See https://www.freedesktop.org/software/systemd/man/latest/systemd.special.html
      for more information on possible targets that can be used for this.

      If you also want to run this service upon waking up from resume, the recommended
      method to do so is described here:
      https://www.freedesktop.org/software/systemd/man/latest/systemd.special.html#sleep.target
    '';

    systemd.services.sleep-actions = {
      description = "Sleep Actions";
      wantedBy = [ "sleep.target" ];
      before = [ "sleep.target" ];
      unitConfig.StopWhenUnneeded = true;
      script = ''
        # NixOS pre-sleep script

        # config.powerManagement.powerDownCommands
        ${cfg.powerDownCommands}
      '';
      preStop = ''
        # NixOS pre-resume script

        # config.powerManagement.resumeCommands
        ${cfg.resumeCommands}

        # config.powerManagement.powerUpCommands
        ${cfg.powerUpCommands}
      '';
      serviceConfig = once;
    };

    systemd.services.post-boot = {
      description = "Post-Boot Actions";
      wantedBy = [ "multi-user.target" ];
      restartIfChanged = false;
      script = ''
        # NixOS post-boot script

        # config.powerManagement.bootCommands
        ${cfg.bootCommands}

        # config.powerManagement.powerUpCommands
        ${cfg.powerUpCommands}
      '';
      preStop = ''
        # NixOS pre-shutdown script

        # config.powerManagement.powerDownCommands
        ${cfg.powerDownCommands}
      '';
      serviceConfig = once;
    };
  };
}
