# Units: nixos/modules/system/boot/systemd.nix. What a unit becomes on the
# disk (a file, or a drop-in for one that Debian or a package brings) is said
# by ../render/units.nix.
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:
let
  inherit (lib) mkOption types;
  inherit (utils.systemdUtils) unitOptions;
  unitLib = utils.systemdUtils.lib;
  unitTypes = utils.systemdUtils.types;
  cfg = config.systemd;

  kind =
    type: default: description:
    mkOption { inherit type default description; };

  environment = description: kind unitOptions.environmentType { } description;

  # Who waits for the network without asking for it waits for nothing.
  waits = def: lib.elem "network-online.target" def.after;
  asks = def: lib.elem "network-online.target" (def.wants ++ def.requires ++ def.bindsTo);
  netOnline =
    suffix: name: def:
    lib.optional (
      waits def && !asks def
    ) "${name}.${suffix} is ordered after 'network-online.target' but doesn't depend on it";
  netOnlineAll = suffix: defs: lib.concatLists (lib.mapAttrsToList (netOnline suffix) defs);
  netOnlineMounts = suffix: defs: lib.concatMap (def: netOnline suffix def.what def) defs;

  serviceWarnings =
    name: service:
    lib.optional
      (
        (service.serviceConfig.Type or "") == "oneshot"
        && lib.elem (service.serviceConfig.Restart or "no") [
          "always"
          "on-success"
        ]
      )
      "Service '${name}.service' with 'Type=oneshot' cannot have 'Restart=always' or 'Restart=on-success'"
    ++ lib.optional (service.serviceConfig ? StartLimitInterval)
      "Service '${name}.service' uses the attribute 'StartLimitInterval' in the Service section, which is deprecated. See https://github.com/NixOS/nixpkgs/issues/45786."
    ++ lib.optional (service.reloadIfChanged && service.reloadTriggers != [ ])
      "Service '${name}.service' has both 'reloadIfChanged' and 'reloadTriggers' set. This is probably not what you want, because 'reloadTriggers' behave the same whay as 'restartTriggers' if 'reloadIfChanged' is set.";

  unitsOf = suffix: lib.mapAttrs' (_: def: lib.nameValuePair def.name (unitLib.toUnit.${suffix} def));
  unitsOfList =
    suffix: defs:
    lib.listToAttrs (map (def: lib.nameValuePair def.name (unitLib.toUnit.${suffix} def)) defs);

  # Units of users lie in one folder for all of them.
  userFiles = lib.concatMapAttrs (
    name: unit:
    let
      file = "systemd/user/${name}";
      link = folder: {
        name = "systemd/user/${folder}/${name}";
        value = {
          source = "/etc/${file}";
          mode = "direct-symlink";
        };
      };
    in
    if !unit.enable then
      {
        ${file} = {
          source = "/dev/null";
          mode = "direct-symlink";
        };
      }
    else
      { ${file}.text = if unit.text == null then "" else unit.text; }
      // lib.listToAttrs (
        map (u: link "${u}.wants") unit.wantedBy ++ map (u: link "${u}.requires") unit.requiredBy
      )
  ) cfg.user.units;

  watchdog =
    old: new:
    lib.mkRenamedOptionModule [ "systemd" "watchdog" old ] [ "systemd" "settings" "Manager" new ];
  removed = name: lib.mkRemovedOptionModule ([ "systemd" ] ++ lib.splitString "." name);
  userTmpfiles =
    suffix: rules:
    pkgs.writeTextFile {
      name = "nixos-user-tmpfiles.d${suffix}";
      destination = "/etc/xdg/user-tmpfiles.d/00-nixos${suffix}.conf";
      text = ''
        # This file is created automatically and should not be modified.
        # Please change the options ‘systemd.user.tmpfiles’ instead.
        ${lib.concatStringsSep "\n" rules}
      '';
    };
  watched = wanted: lib.mkIf (cfg.oomd.enable && wanted) {
    ManagedOOMMemoryPressure = "kill";
    ManagedOOMMemoryPressureLimit = lib.mkDefault "80%";
  };
in
{
  options.systemd = {
    package = lib.mkPackageOption pkgs "systemd" { };
    enableStrictShellChecks = lib.mkEnableOption "shellcheck on the scripts of all units";
    units = kind unitTypes.units { } "All units, as text.";
    packages = kind (types.listOf types.package) [ ] "Packages that bring units.";
    targets = kind unitTypes.targets { } "Targets.";
    services = kind unitTypes.services { } "Services.";
    sockets = kind unitTypes.sockets { } "Sockets.";
    timers = kind unitTypes.timers { } "Timers.";
    paths = kind unitTypes.paths { } "Paths.";
    mounts = kind unitTypes.mounts [ ] "Mounts; their names follow from `where`.";
    automounts = kind unitTypes.automounts [ ] "Automounts; their names follow from `where`.";
    slices = kind unitTypes.slices { } "Slices.";
    generators = kind (types.attrsOf types.path) { } "Generators, systemd.generator(5).";
    generatorEnvironment = kind (types.attrsOf types.str) { } "Environment of generators.";
    generatorPath = kind (types.listOf types.package) [ ] "Packages on the PATH of generators.";
    shutdown = kind (types.attrsOf types.path) { } "Programs run at shutdown.";
    defaultUnit = kind types.str "multi-user.target" "The unit that a boot starts.";
    ctrlAltDelUnit = kind types.str "reboot.target" "The unit that Ctrl-Alt-Delete starts.";
    globalEnvironment = environment "Environment of every service.";
    managerEnvironment = environment "Environment of systemd itself.";
    settings.Manager = kind (types.submodule {
      freeformType = types.attrsOf unitOptions.unitOption;
    }) { } "Settings of the manager, systemd-system.conf(5).";
    sleep.settings.Sleep = kind (types.submodule {
      freeformType = types.attrsOf unitOptions.unitOption;
    }) { } "Settings of sleep, sleep.conf.d(5).";
    additionalUpstreamSystemUnits =
      kind (types.listOf types.str) [ ]
        "Units of systemd's own to take over; Debian has them all.";
    suppressedSystemUnits = kind (types.listOf types.str) [ ] "Units not to have.";
    user = {
      units = kind unitTypes.units { } "Units of users, as text.";
      services = kind unitTypes.services { } "Services of users.";
      timers = kind unitTypes.timers { } "Timers of users.";
      sockets = kind unitTypes.sockets { } "Sockets of users.";
      targets = kind unitTypes.targets { } "Targets of users.";
      paths = kind unitTypes.paths { } "Paths of users.";
      slices = kind unitTypes.slices { } "Slices of users.";
      settings.Manager = kind (types.submodule {
        freeformType = types.attrsOf unitOptions.unitOption;
      }) { } "Settings of users' managers, systemd-user.conf(5).";
      generators = kind (types.attrsOf types.path) { } "Generators of users' units, systemd.generator(5).";
      tmpfiles.enable = kind types.bool true "Whether users' files are made and cleaned.";
      tmpfiles.rules = kind (types.listOf types.str) [ ] "Rules for users' files.";
      tmpfiles.users = kind (types.attrsOf (
        types.submodule {
          options.rules = kind (types.listOf types.str) [ ] "Rules for this user's files.";
        }
      )) { } "Rules for the files of one user.";
    };
    sysusers.enable = lib.mkEnableOption "systemd-sysusers";
    oomd.enable = kind types.bool true "Whether systemd-oomd runs.";
    oomd.enableRootSlice = kind types.bool false "Whether it watches all.";
    oomd.enableSystemSlice = kind types.bool false "Whether it watches the system's units.";
    oomd.enableUserSlices = kind types.bool false "Whether it watches users' units.";
    oomd.settings.OOM = kind (types.submodule {
      freeformType = types.attrsOf unitOptions.unitOption;
    }) { } "Settings of systemd-oomd, oomd.conf(5).";
    coredump.enable = kind types.bool true "Whether core dumps are kept.";
    coredump.settings.Coredump = kind (types.submodule {
      freeformType = types.attrsOf unitOptions.unitOption;
    }) { } "Settings of systemd-coredump, coredump.conf(5).";
    enableEmergencyMode = kind types.bool true "Whether a failed boot gives a shell.";
  };

  imports = [
    (lib.mkRenamedOptionModule [ "boot" "systemd" "sockets" ] [ "systemd" "sockets" ])
    (lib.mkRenamedOptionModule [ "boot" "systemd" "targets" ] [ "systemd" "targets" ])
    (lib.mkRenamedOptionModule [ "boot" "systemd" "services" ] [ "systemd" "services" ])
    (lib.mkRenamedOptionModule [ "jobs" ] [ "systemd" "services" ])
    (watchdog "device" "WatchdogDevice")
    (watchdog "runtimeTime" "RuntimeWatchdogSec")
    (watchdog "rebootTime" "RebootWatchdogSec")
    (watchdog "kexecTime" "KExecWatchdogSec")
    (removed "generator-packages" "Use systemd.packages instead.")
    (removed "enableUnifiedCgroupHierarchy" ''
      In 256 support for cgroup v1 ('legacy' and 'hybrid' hierarchies) is now considered obsolete and systemd by default will refuse to boot under it.
      To forcibly reenable cgroup v1 support, you can set boot.kernelParams = [ "systemd.unified_cgroup_hierarchy=0" "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1" ].
      NixOS does not officially support this configuration and might cause your system to be unbootable in future versions. You are on your own.
    '')
    (removed "enableCgroupAccounting" "To disable cgroup accounting, disable systemd.settings.Manager.*Accounting directly.")
    (removed "extraConfig" "Use systemd.settings.Manager instead.")
    (removed "sleep.extraConfig" "Use systemd.sleep.settings.Sleep instead.")
    (removed "user.extraConfig" "Use systemd.user.settings.Manager instead.")
    (removed "coredump.extraConfig" "Use systemd.coredump.settings.Coredump instead.")
    (lib.mkRenamedOptionModule [ "systemd" "oomd" "enableUserServices" ] [ "systemd" "oomd" "enableUserSlices" ])
    (lib.mkRenamedOptionModule [ "systemd" "oomd" "extraConfig" ] [ "systemd" "oomd" "settings" "OOM" ])
  ];

  config = {
    warnings =
      lib.concatLists (lib.mapAttrsToList serviceWarnings cfg.services)
      ++ netOnlineAll "target" cfg.targets
      ++ netOnlineAll "service" cfg.services
      ++ netOnlineAll "socket" cfg.sockets
      ++ netOnlineAll "timer" cfg.timers
      ++ netOnlineAll "path" cfg.paths
      ++ netOnlineMounts "mount" cfg.mounts
      ++ netOnlineMounts "automount" cfg.automounts
      ++ netOnlineAll "slice" cfg.slices;

    assertions = lib.concatLists (
      lib.mapAttrsToList (
        name: service:
        lib.optional
          (
            lib.elem "network-interfaces.target" service.after
            || lib.elem "network-interfaces.target" service.wants
          )
          {
            assertion = false;
            message = "Service '${name}.service' is using the deprecated target network-interfaces.target, which no longer exists. Using network.target is recommended instead.";
          }
      ) cfg.services
    );

    systemd.units =
      unitsOf "path" cfg.paths
      // unitsOf "service" cfg.services
      // unitsOf "slice" cfg.slices
      // unitsOf "socket" cfg.sockets
      // unitsOf "target" cfg.targets
      // unitsOf "timer" cfg.timers
      // unitsOfList "mount" cfg.mounts
      // unitsOfList "automount" cfg.automounts;

    systemd.user.units =
      unitsOf "path" cfg.user.paths
      // unitsOf "service" cfg.user.services
      // unitsOf "slice" cfg.user.slices
      // unitsOf "socket" cfg.user.sockets
      // unitsOf "target" cfg.user.targets
      // unitsOf "timer" cfg.user.timers;

    systemd.timers = lib.mapAttrs (_: service: {
      wantedBy = [ "timers.target" ];
      timerConfig.OnCalendar = service.startAt;
    }) (lib.filterAttrs (_: service: service.enable && service.startAt != [ ]) cfg.services);

    systemd.user.timers = lib.mapAttrs (_: service: {
      wantedBy = [ "timers.target" ];
      timerConfig.OnCalendar = service.startAt;
    }) (lib.filterAttrs (_: service: service.enable && service.startAt != [ ]) cfg.user.services);

    systemd.settings.Manager = {
      DefaultIOAccounting = lib.mkDefault true;
      DefaultIPAccounting = lib.mkDefault true;
    };

    environment.systemPackages = [
      cfg.package
    ]
    ++ lib.optional (cfg.user.tmpfiles.rules != [ ]) (userTmpfiles "" cfg.user.tmpfiles.rules);
    users.users = lib.mapAttrs (name: u: {
      packages = lib.optional (u.rules != [ ]) (userTmpfiles "-${name}" u.rules);
    }) cfg.user.tmpfiles.users;
    environment.variables.SYSTEMD_XKB_DIRECTORY = "/etc/X11/xkb";
    environment.etc = userFiles // {
      "systemd/system.conf".text = unitLib.settingsToSections cfg.settings;
      "systemd/sleep.conf".text = unitLib.settingsToSections cfg.sleep.settings;
      "systemd/user.conf".text = unitLib.settingsToSections cfg.user.settings;
    }
    // lib.optionalAttrs cfg.oomd.enable {
      "systemd/oomd.conf".text = unitLib.settingsToSections cfg.oomd.settings;
    }
    // lib.optionalAttrs cfg.coredump.enable {
      "systemd/coredump.conf".text = unitLib.settingsToSections cfg.coredump.settings;
    };

    systemd.slices = lib.mkIf (cfg.oomd.enableRootSlice || cfg.oomd.enableSystemSlice || cfg.oomd.enableUserSlices) {
      "-".sliceConfig = watched cfg.oomd.enableRootSlice;
      system.sliceConfig = watched cfg.oomd.enableSystemSlice;
      user.sliceConfig = watched cfg.oomd.enableUserSlices;
    };

    boot.kernel.sysctl = {
      "kernel.pid_max" = lib.mkDefault 4194304;
      "kernel.core_pattern" = lib.mkIf (!cfg.coredump.enable) (lib.mkDefault "core");
    };

    system.build.units = cfg.units;
  };
}
