# services.journald: nixos/modules/system/boot/systemd/journald.nix
{
  config,
  lib,
  utils,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.journald;
  follows = {
    restartTriggers = [ config.environment.etc."systemd/journald.conf".source ];
    stopIfChanged = false;
  };
in
{
  options.services.journald = {
    console = mkOption {
      type = types.str;
      default = "";
      description = "Terminal that gets a copy.";
    };
    rateLimitInterval = mkOption {
      type = types.str;
      default = "30s";
      description = "Time over which messages of a unit are counted.";
    };
    rateLimitBurst = mkOption {
      type = types.int;
      default = 10000;
      description = "How many messages of a unit are kept in that time.";
    };
    storage = mkOption {
      type = types.enum [
        "persistent"
        "volatile"
        "auto"
        "none"
      ];
      default = "persistent";
      description = "Where the journal is kept.";
    };
    audit = mkOption {
      type = types.oneOf [
        types.bool
        (types.enum [ "keep" ])
      ];
      default = "keep";
      description = "Whether the kernel audits.";
    };
    extraConfig = mkOption {
      type = types.lines;
      default = "";
      description = "More lines of journald.conf.";
    };
    forwardToSyslog = mkOption {
      type = types.bool;
      default = false;
      description = "Whether syslog gets a copy.";
    };
  };

  imports = [
    (lib.mkRenamedOptionModule
      [ "services" "journald" "enableHttpGateway" ]
      [ "services" "journald" "gateway" "enable" ]
    )
    {
      options.services.journald.gateway.enable = lib.mkEnableOption "the journal over HTTP" // {
        internal = true;
      };
    }
  ];

  config = {
    environment.etc."systemd/journald.conf".text = ''
      [Journal]
      Storage=${cfg.storage}
      RateLimitInterval=${cfg.rateLimitInterval}
      RateLimitBurst=${toString cfg.rateLimitBurst}
      ${lib.optionalString (cfg.console != "") ''
        ForwardToConsole=yes
        TTYPath=${cfg.console}
      ''}
      ${lib.optionalString cfg.forwardToSyslog ''
        ForwardToSyslog=yes
      ''}
      Audit=${utils.systemdUtils.lib.toOption cfg.audit}
      ${cfg.extraConfig}
    '';
    systemd.services.systemd-journal-flush.restartIfChanged = false;
    systemd.services.systemd-journald = follows;
    systemd.services."systemd-journald@" = follows;
  };
}
