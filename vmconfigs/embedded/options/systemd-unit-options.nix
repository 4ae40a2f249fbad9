# Options that units have, by kind: systemd.unit(5), systemd.service(5),
# systemd.socket(5), systemd.timer(5), systemd.path(5), systemd.mount(5),
# systemd.automount(5), systemd.slice(5).
# Not a module of its own: ./systemd-types.nix makes submodules of them.
{ lib, unitLib }:
let
  inherit (lib) mkOption types;
  inherit (unitLib) unitNameType jobScript;

  list = description: mkOption {
    type = types.listOf unitNameType;
    default = [ ];
    inherit description;
  };

  shell = description: mkOption {
    type = types.lines;
    default = "";
    inherit description;
  };

  section = description: mkOption {
    type = types.attrsOf unitOption;
    default = { };
    inherit description;
  };

  flag =
    default: description:
    mkOption {
      type = types.bool;
      inherit default description;
    };

  # One value, or a line for each where any definition is a list.
  unitOption = lib.mkOptionType {
    name = "systemd option";
    merge =
      loc: defs:
      if lib.any (def: lib.isList def.value) defs then
        lib.concatMap (def: lib.toList def.value) defs
      else
        lib.mergeEqualOption loc defs;
  };

  shared = {
    enable = flag true "Whether the unit exists; a disabled one is masked.";
    name = mkOption {
      type = types.str;
      description = "Name of the unit, with its suffix.";
    };
    overrideStrategy = mkOption {
      type = types.enum [
        "asDropinIfExists"
        "asDropin"
      ];
      default = "asDropinIfExists";
      description = "Whether the unit is a file of its own or a drop-in for one that a package brings.";
    };
    requiredBy = list "Units that require this one.";
    upheldBy = list "Units that keep this one running.";
    wantedBy = list "Units that want this one.";
    aliases = list "Other names of the unit.";
  };

  common.options = shared // {
    description = mkOption {
      type = types.singleLineStr;
      default = "";
      description = "What the unit is, in a line.";
    };
    documentation = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Where the unit is documented.";
    };
    requires = list "Units that are started and stopped with this one.";
    wants = list "Units that are started with this one.";
    upholds = list "Units that are kept running while this one runs.";
    after = list "Units that are up before this one starts.";
    before = list "Units that start after this one is up.";
    bindsTo = list "As `requires`; this unit also stops when they disappear.";
    partOf = list "Units with which this one is stopped and restarted.";
    conflicts = list "Units that cannot run together with this one.";
    requisite = list "Units that must be up already.";
    unitConfig = section "Section [Unit], systemd.unit(5).";
    onFailure = list "Units started when this one fails.";
    onSuccess = list "Units started when this one ends well.";
    startLimitBurst = mkOption {
      type = types.int;
      description = "How many starts are allowed in startLimitIntervalSec.";
    };
    startLimitIntervalSec = mkOption {
      type = types.int;
      description = "Seconds over which starts are counted.";
    };
    restartTriggers = mkOption {
      type = types.listOf types.unspecified;
      default = [ ];
      description = "The unit is restarted at a switch when any of these changed.";
    };
    reloadTriggers = mkOption {
      type = types.listOf unitOption;
      default = [ ];
      description = "The unit is reloaded at a switch when any of these changed.";
    };
  };

  environmentType = types.attrsOf (
    types.nullOr (
      types.oneOf [
        types.str
        types.path
        types.package
      ]
    )
  );

  # Hooks: option of the module, suffix of the script, key of [Service].
  hooks = [
    { option = "preStart"; suffix = "pre-start"; key = "ExecStartPre"; many = true; }
    { option = "script"; suffix = "start"; key = "ExecStart"; many = false; }
    { option = "postStart"; suffix = "post-start"; key = "ExecStartPost"; many = true; }
    { option = "reload"; suffix = "reload"; key = "ExecReload"; many = false; }
    { option = "preStop"; suffix = "pre-stop"; key = "ExecStop"; many = false; }
    { option = "postStop"; suffix = "post-stop"; key = "ExecStopPost"; many = false; }
  ];

  service =
    { name, config, ... }:
    {
      imports = [ common ];
      options = {
        environment = mkOption {
          type = environmentType;
          default = { };
          description = "Environment of the service's processes.";
        };
        path = mkOption {
          type = types.listOf (types.oneOf [ types.package types.str ]);
          default = [ ];
          description = "Packages whose bin and sbin are on the service's PATH.";
        };
        enableDefaultPath = flag true "Whether coreutils, findutils, gnugrep, gnused and systemd end the PATH.";
        serviceConfig = mkOption {
          type = types.addCheck (types.attrsOf unitOption) unitLib.checkService;
          default = { };
          description = "Section [Service], systemd.service(5).";
        };
        enableStrictShellChecks = mkOption {
          type = types.bool;
          description = "Whether the scripts are checked by shellcheck.";
        };
        script = shell "Commands of the main process.";
        scriptArgs = mkOption {
          type = types.str;
          default = "";
          description = "Arguments of the main script.";
        };
        preStart = shell "Commands before the main process.";
        postStart = shell "Commands after the main process was started.";
        reload = shell "Commands that reload the service.";
        preStop = shell "Commands that stop the service.";
        postStop = shell "Commands after the service has ended.";
        jobScripts = mkOption {
          type = types.coercedTo types.path lib.singleton (types.listOf types.path);
          default = [ ];
          internal = true;
          description = "Scripts made for this unit.";
        };
        restartIfChanged = flag true "Whether a switch restarts the service if it changed.";
        reloadIfChanged = flag false "Whether a switch reloads it instead.";
        stopIfChanged = flag true "Whether a switch stops it first and starts it after.";
        notSocketActivated = flag false "Whether its sockets are left out of account at a switch.";
        startAt = mkOption {
          type = types.either types.str (types.listOf types.str);
          default = [ ];
          apply = lib.toList;
          description = "When a timer starts the service, systemd.time(7).";
        };
      };

      config = lib.mkMerge (
        map (
          hook:
          lib.mkIf (config.${hook.option} != "") (
            let
              script = jobScript {
                name = "${name}-${hook.suffix}";
                text = config.${hook.option};
                inherit (config) enableStrictShellChecks;
              };
            in
            {
              jobScripts = script;
              serviceConfig.${hook.key} =
                if hook.many then
                  [ script ]
                else if hook.option == "script" then
                  script + " " + config.scriptArgs
                else
                  script;
            }
          )
        ) hooks
      );
    };

  withSection = key: extra: {
    imports = [ common ];
    options = {
      ${key} = section "The section of this kind of unit.";
    }
    // extra;
  };

  where = mkOption {
    type = types.str;
    description = "Where the file system is mounted.";
  };

  streams = description: mkOption {
    type = types.listOf types.str;
    default = [ ];
    inherit description;
  };
in
{
  inherit
    common
    service
    unitOption
    environmentType
    hooks
    ;

  concrete = shared // {
    text = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "Text of the unit.";
    };
    unit = mkOption {
      internal = true;
      description = "The unit as a store path.";
    };
  };

  socket = withSection "socketConfig" {
    listenStreams = streams "One ListenStream each.";
    listenDatagrams = streams "One ListenDatagram each.";
  };
  timer = withSection "timerConfig" { };
  path = withSection "pathConfig" { };
  slice = withSection "sliceConfig" { };
  mount = withSection "mountConfig" {
    inherit where;
    what = mkOption {
      type = types.str;
      description = "What is mounted.";
    };
    type = mkOption {
      type = types.str;
      default = "";
      description = "Type of the file system.";
    };
    options = mkOption {
      type = types.commas;
      default = "";
      description = "Mount options.";
    };
  };
  automount = withSection "automountConfig" { inherit where; };
}
