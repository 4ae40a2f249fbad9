# services.timesyncd: nixos/modules/system/boot/timesyncd.nix
{
  config,
  lib,
  utils,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.timesyncd;
  servers = default: description: mkOption {
    type = types.nullOr (types.listOf types.str);
    inherit default description;
  };
in
{
  imports = [
    (lib.mkRemovedOptionModule [
      "services"
      "timesyncd"
      "extraConfig"
    ] "Use services.timesyncd.settings.Time instead.")
  ];

  options.services.timesyncd = {
    enable = mkOption {
      type = types.bool;
      default = !config.boot.isContainer;
      description = "Whether systemd-timesyncd sets the clock.";
    };
    servers = servers null "Servers; null takes those of the network.";
    fallbackServers = servers config.networking.timeServers "Servers where there are no others.";
    settings.Time = mkOption {
      type = types.submodule {
        freeformType = types.attrsOf utils.systemdUtils.unitOptions.unitOption;
      };
      default = { };
      description = "Settings, timesyncd.conf(5).";
    };
  };

  config = lib.mkIf cfg.enable {
    services.timesyncd.settings.Time = lib.mkMerge [
      (lib.mkIf (cfg.servers != null) { NTP = lib.mkDefault (toString cfg.servers); })
      (lib.mkIf (cfg.fallbackServers != null) {
        FallbackNTP = lib.mkDefault (toString cfg.fallbackServers);
      })
    ];
    environment.etc."systemd/timesyncd.conf".text =
      utils.systemdUtils.lib.settingsToSections cfg.settings;
    systemd.services.systemd-timesyncd = {
      wantedBy = [ "sysinit.target" ];
      aliases = [ "dbus-org.freedesktop.timesync1.service" ];
      restartTriggers = [ config.environment.etc."systemd/timesyncd.conf".source ];
      environment.LD_LIBRARY_PATH = config.system.nssModules.path;
    };
  };
}
