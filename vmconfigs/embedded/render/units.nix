# Units: as files to write, and section by section.
{
  config,
  lib,
  utils,
  ...
}:
let
  cfg = config.systemd;
  inherit (utils.systemdUtils) unitOptions;
  unitLib = utils.systemdUtils.lib;

  broughtBy = import ./units-of-packages.nix;
  isBrought =
    name: lib.elem name broughtBy.names || lib.any (prefix: lib.hasPrefix prefix name) broughtBy.prefixes;

  # A section as key -> the values of its lines.
  lines = attrs: lib.filterAttrs (_: values: values != [ ]) (lib.mapAttrs (_: v: map unitLib.toOption (lib.toList v)) attrs);

  sections =
    def: own:
    lib.filterAttrs (_: section: section != { }) (
      {
        Unit = lines def.unitConfig;
        Install = lib.optionalAttrs (def.wantedBy != [ ]) { WantedBy = [ (toString def.wantedBy) ]; };
      }
      // own
    );

  links = def: lib.filterAttrs (_: list: list != [ ]) { inherit (def) requiredBy upheldBy aliases; };

  shown =
    own: def:
    if !def.enable then
      { enable = false; }
    else
      { unit = sections def (own def); }
      // links def
      // lib.optionalAttrs (def.overrideStrategy != "asDropinIfExists") {
        inherit (def) overrideStrategy;
      };

  # What the module `systemd` itself puts at the end of a service's path.
  pathNames =
    path:
    map (
      entry:
      if lib.isDerivation entry then
        (builtins.parseDrvName entry.name).name
      else
        toString entry
    ) path;
  defaultPath = [
    "coreutils"
    "findutils"
    "gnugrep"
    "gnused"
    "systemd"
  ];

  switchKeys =
    def:
    lib.optionalAttrs def.reloadIfChanged { X-ReloadIfChanged = true; }
    // lib.optionalAttrs (!def.reloadIfChanged && !def.restartIfChanged) { X-RestartIfChanged = false; }
    // lib.optionalAttrs (!def.stopIfChanged) { X-StopIfChanged = false; }
    // lib.optionalAttrs def.notSocketActivated { X-NotSocketActivated = true; };

  service =
    def:
    let
      names = pathNames def.path;
      extra = lib.length names - lib.length defaultPath;
      ends = extra >= 0 && lib.drop extra names == defaultPath;
      own = if ends then lib.take extra names else names;
      environment = lib.filterAttrs (_: v: v != null) (removeAttrs def.environment [ "PATH" ]);
      scripts = lib.listToAttrs (
        lib.concatMap (
          hook:
          lib.optional (def.${hook.option} != "") (
            lib.nameValuePair hook.suffix (unitLib.jobText def.${hook.option})
          )
        ) unitOptions.hooks
      );
    in
    shown (d: { Service = lines (switchKeys d // d.serviceConfig); }) def
    // lib.optionalAttrs def.enable (
      lib.optionalAttrs (environment != { }) { environment = lib.mapAttrs (_: toString) environment; }
      // lib.optionalAttrs (own != [ ]) { path = own; }
      // lib.optionalAttrs (!ends) { defaultPath = false; }
      // lib.optionalAttrs (scripts != { }) { inherit scripts; }
    );

  socket = shown (d: {
    Socket = lib.zipAttrsWith (_: lib.concatLists) [
      (lines d.socketConfig)
      (lines {
        ListenStream = d.listenStreams;
        ListenDatagram = d.listenDatagrams;
      })
    ];
  });

  simple = section: key: shown (d: { ${section} = lines d.${key}; });

  listed =
    suffix: section: key: defs:
    lib.listToAttrs (
      map (def: lib.nameValuePair (lib.removeSuffix suffix def.name) (simple section key def)) defs
    );
in
{
  unitFiles = lib.mapAttrs (_: unit: {
    text = if unit.text == null then "" else unit.text;
    dropIn = unit.overrideStrategy == "asDropin" || isBrought unit.name;
    inherit (unit)
      enable
      wantedBy
      requiredBy
      upheldBy
      aliases
      ;
  }) cfg.units;

  services = lib.mapAttrs (_: service) cfg.services;
  timers = lib.mapAttrs (_: simple "Timer" "timerConfig") cfg.timers;
  targets = lib.mapAttrs (_: shown (_: { })) cfg.targets;
  sockets = lib.mapAttrs (_: socket) cfg.sockets;
  paths = lib.mapAttrs (_: simple "Path" "pathConfig") cfg.paths;
  slices = lib.mapAttrs (_: simple "Slice" "sliceConfig") cfg.slices;
  mounts = listed ".mount" "Mount" "mountConfig" cfg.mounts;
  automounts = listed ".automount" "Automount" "automountConfig" cfg.automounts;
}
