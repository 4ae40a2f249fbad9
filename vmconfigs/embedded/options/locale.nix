# time.*, i18n.*, location.*: nixos/modules/config/locale.nix and i18n.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.i18n;
  tzdir = "${pkgs.tzdata}/share/zoneinfo";

  zone = types.nullOr (types.addCheck types.str (s: !lib.hasInfix " " s)) // {
    description = "null or string without spaces";
  };

  # Locales that the other options name, as /etc/locale.gen would.
  asUTF8 = lib.replaceStrings [ "utf8" "utf-8" "UTF8" ] [ "UTF-8" "UTF-8" "UTF-8" ];
  named =
    lib.optional (cfg.defaultLocale != "C") "${cfg.defaultLocale}/${cfg.defaultCharset}"
    ++ lib.mapAttrsToList (category: locale: "${locale}/${cfg.localeCharsets.${category} or "UTF-8"}") (
      lib.filterAttrs (_: locale: locale != "C") (
        lib.mapAttrs (_: asUTF8) (removeAttrs cfg.extraLocaleSettings [ "LANGUAGE" ])
      )
    )
    ++ (if lib.isList cfg.extraLocales then map asUTF8 cfg.extraLocales else [ cfg.extraLocales ]);

  strings = description: mkOption {
    type = types.attrsOf types.str;
    default = { };
    inherit description;
  };
in
{
  options = {
    time = {
      timeZone = mkOption {
        type = zone;
        default = null;
        description = "Time zone; null leaves it to the machine.";
      };
      hardwareClockInLocalTime = mkOption {
        type = types.bool;
        default = false;
        description = "Whether the hardware's clock is not in UTC.";
      };
    };
    location = {
      latitude = mkOption {
        type = types.float;
        description = "Latitude.";
      };
      longitude = mkOption {
        type = types.float;
        description = "Longitude.";
      };
      provider = mkOption {
        type = types.enum [
          "manual"
          "geoclue2"
        ];
        default = "manual";
        description = "Who says where the machine is.";
      };
    };
    i18n = {
      glibcLocales = mkOption {
        type = types.nullOr types.path;
        default = pkgs.glibcLocales;
        description = "The locales.";
      };
      defaultLocale = mkOption {
        type = types.str;
        default = "en_US.UTF-8";
        description = "Locale of the system.";
      };
      defaultCharset = mkOption {
        type = types.str;
        default = "UTF-8";
        description = "Characters of the default locale.";
      };
      extraLocales = mkOption {
        type = types.either (types.listOf types.str) (types.enum [ "all" ]);
        default = [ ];
        description = "More locales.";
      };
      extraLocaleSettings = strings "Locale of single categories.";
      localeCharsets = strings "Characters of single categories.";
      supportedLocales = mkOption {
        type = types.listOf types.str;
        visible = false;
        default = lib.unique (
          [
            "C.UTF-8/UTF-8"
            "en_US.UTF-8/UTF-8"
          ]
          ++ named
        );
        description = "Locales, in the old way.";
      };
      imperativeLocale = lib.mkEnableOption "locales changed by localectl";
      inputMethod = mkOption {
        type = types.attrsOf types.anything;
        default = { };
        internal = true;
        description = "Input methods; a guest has no desktop.";
      };
    };
  };

  config = {
    warnings =
      lib.optional
        (lib.subtractLists cfg.supportedLocales named != [ ] && !lib.elem "all" cfg.supportedLocales)
        ''
          `i18n.supportedLocales` is deprecated in favor of `i18n.extraLocales`,
          and it seems you are using `i18n.supportedLocales` and forgot to
          include some locales specified in `i18n.defaultLocale`,
          `i18n.extraLocales` or `i18n.extraLocaleSettings`.

          If you're trying to install additional locales not specified in
          `i18n.defaultLocale` or `i18n.extraLocaleSettings`, consider adding
          only those locales to `i18n.extraLocales`.
        '';

    environment.sessionVariables = {
      TZDIR = "/etc/zoneinfo";
      LOCALE_ARCHIVE = "/run/current-system/sw/lib/locale/locale-archive";
    }
    // lib.optionalAttrs (!cfg.imperativeLocale) (
      {
        LANG = cfg.defaultLocale;
      }
      // cfg.extraLocaleSettings
    );

    systemd.globalEnvironment = {
      TZDIR = tzdir;
      LOCALE_ARCHIVE = lib.mkIf (
        cfg.glibcLocales != null
      ) "${cfg.glibcLocales}/lib/locale/locale-archive";
    };

    environment.systemPackages = lib.optional (cfg.glibcLocales != null) cfg.glibcLocales;

    environment.etc = {
      zoneinfo.source = tzdir;
      "locale.conf" = lib.mkIf (!cfg.imperativeLocale) {
        source = pkgs.writeText "locale.conf" ''
          LANG=${cfg.defaultLocale}
          ${lib.concatStringsSep "\n" (lib.mapAttrsToList (n: v: "${n}=${v}") cfg.extraLocaleSettings)}
        '';
      };
    }
    // lib.optionalAttrs (config.time.timeZone != null) {
      localtime.source = "/etc/zoneinfo/${config.time.timeZone}";
      localtime.mode = "direct-symlink";
    }
    // lib.optionalAttrs config.time.hardwareClockInLocalTime {
      adjtime.text = ''
        0.0 0 0
        0
        LOCAL
      '';
    };
  };
}
