# services.logind: nixos/modules/system/boot/systemd/logind.nix
{
  config,
  lib,
  utils,
  ...
}:
let
  cfg = config.services.logind;
  login = [
    "services"
    "logind"
  ];
  renamed =
    old: new: lib.mkRenamedOptionModule (login ++ [ old ]) (login ++ [ "settings" "Login" new ]);
in
{
  options.services.logind = {
    enable = lib.mkEnableOption "the `systemd-logind` login service" // {
      default = true;
    };
    settings.Login = lib.mkOption {
      type = lib.types.submodule {
        freeformType = lib.types.attrsOf utils.systemdUtils.unitOptions.unitOption;
        options.KillUserProcesses = lib.mkOption {
          type = lib.types.bool;
          default = false;
          description = "Whether what a user runs ends with the last login.";
        };
      };
      default = { };
      description = "Settings, logind.conf(5).";
    };
  };

  imports = [
    (lib.mkRemovedOptionModule (login ++ [ "extraConfig" ]) "Use services.logind.settings.Login instead.")
    (renamed "killUserProcesses" "KillUserProcesses")
    (renamed "powerKey" "HandlePowerKey")
    (renamed "powerKeyLongPress" "HandlePowerKeyLongPress")
    (renamed "rebootKey" "HandleRebootKey")
    (renamed "rebootKeyLongPress" "HandleRebootKeyLongPress")
    (renamed "suspendKey" "HandleSuspendKey")
    (renamed "suspendKeyLongPress" "HandleSuspendKeyLongPress")
    (renamed "hibernateKey" "HandleHibernateKey")
    (renamed "hibernateKeyLongPress" "HandleHibernateKeyLongPress")
    (renamed "lidSwitch" "HandleLidSwitch")
    (renamed "lidSwitchExternalPower" "HandleLidSwitchExternalPower")
    (renamed "lidSwitchDocked" "HandleLidSwitchDocked")
  ];

  config = lib.mkIf cfg.enable {
    environment.etc."systemd/logind.conf".text =
      utils.systemdUtils.lib.settingsToSections cfg.settings;
    # A restart would end sessions; a reload reads the file too.
    systemd.services.systemd-logind.reloadIfChanged = true;
    systemd.services."user-runtime-dir@".stopIfChanged = false;
    systemd.services."user-runtime-dir@".restartIfChanged = false;
  };
}
