# How units are named, checked and written: the text of a unit is NixOS's to
# the byte. Not a module of its own; see ./systemd.nix.
{
  config,
  lib,
  pkgs,
  utils,
}:
let
  cfg = config.systemd;

  toOption =
    x:
    if x == true then
      "true"
    else if x == false then
      "false"
    else
      toString x;

  attrsToSection =
    attrs:
    lib.concatStrings (
      lib.concatLists (
        lib.mapAttrsToList (name: value: map (x: "${name}=${toOption x}\n") (lib.toList value)) attrs
      )
    );

  # An empty line ends each section, and one more stands between sections.
  settingsToSections =
    settings:
    lib.concatStringsSep "\n" (
      lib.mapAttrsToList (name: attrs: "[${name}]\n${attrsToSection attrs}\n") settings
    );

  install =
    def:
    lib.optionalString (def.wantedBy != [ ]) "\n[Install]\nWantedBy=${toString def.wantedBy}\n";

  unitText = def: lines: settingsToSections { Unit = def.unitConfig; } + lines + install def;

  unit = text: def: {
    inherit (def)
      name
      aliases
      wantedBy
      requiredBy
      upheldBy
      enable
      overrideStrategy
      ;
    text = text def;
  };

  sectioned = section: key: unit (def: unitText def (settingsToSections { ${section} = def.${key}; }));

  environmentLines =
    env:
    lib.concatMapStrings (
      n: lib.optionalString (env.${n} != null) "Environment=${builtins.toJSON "${n}=${env.${n}}"}\n"
    ) (lib.attrNames env);

  switchLines =
    def:
    lib.optionalString def.reloadIfChanged "X-ReloadIfChanged=true\n"
    + lib.optionalString (!def.reloadIfChanged && !def.restartIfChanged) "X-RestartIfChanged=false\n"
    + lib.optionalString (!def.stopIfChanged) "X-StopIfChanged=false\n"
    + lib.optionalString def.notSocketActivated "X-NotSocketActivated=true\n";

  # [Unit] entries: option -> key; lists are joined by a space.
  relations = {
    requires = "Requires";
    wants = "Wants";
    upholds = "Upholds";
    after = "After";
    before = "Before";
    bindsTo = "BindsTo";
    partOf = "PartOf";
    conflicts = "Conflicts";
    requisite = "Requisite";
    documentation = "Documentation";
    onFailure = "OnFailure";
    onSuccess = "OnSuccess";
  };

  triggers =
    kind: name: items:
    "${pkgs.writeText "X-${kind}-Triggers-${name}" (
      toString (map (x: if lib.isPath x then "${x}" else x) (lib.flatten items))
    )}";

  oneOf =
    name: values: attrs:
    lib.optional (
      attrs ? ${name} && !lib.elem attrs.${name} values
    ) "Systemd Service field `${name}' cannot have value `${toString attrs.${name}}'.";

  # Definitions may still carry mkForce or mkIf where a type looks at them.
  bare = lib.mapAttrs (
    _: v:
    if
      lib.elem (v._type or "") [
        "override"
        "if"
      ]
    then
      v.content
    else
      v
  );

  # What a script of a service says around its commands.
  jobText = text: "#!${pkgs.runtimeShell}\nset -e\n\n${text}\n\n";
in
{
  inherit
    attrsToSection
    settingsToSections
    toOption
    jobText
    ;

  unitNameType = lib.types.strMatching "[a-zA-Z0-9@%:_.\\\\-]+[.](service|socket|device|mount|automount|swap|target|path|timer|scope|slice)";

  checkService =
    attrs:
    let
      given = bare attrs;
      errors =
        oneOf "Type" [
          "exec"
          "simple"
          "forking"
          "oneshot"
          "dbus"
          "notify"
          "notify-reload"
          "idle"
        ] given
        ++ oneOf "Restart" [
          "no"
          "on-success"
          "on-failure"
          "on-abnormal"
          "on-abort"
          "always"
        ] given;
    in
    if errors == [ ] then true else builtins.trace (lib.concatStringsSep "\n" errors) false;

  # The name of the store path is longer than that of the program in it, so
  # that a log shows the short one.
  jobScript =
    {
      name,
      text,
      enableStrictShellChecks,
    }:
    let
      program = lib.replaceStrings [ "\\" "@" ] [ "-" "_" ] (lib.replaceStrings [ "\\" ] [ "\\\\" ] name);
      script =
        if enableStrictShellChecks then
          pkgs.writeShellApplication {
            name = program;
            inherit text;
          }
        else
          pkgs.writeScriptBin program (jobText text);
    in
    lib.getExe (script.overrideAttrs (_: {
      name = "unit-script-${program}";
    }));

  # What every unit derives from its own options.
  unitConfig =
    {
      config,
      name,
      options,
      ...
    }:
    {
      config.unitConfig =
        lib.mapAttrs' (option: key: lib.nameValuePair key (toString config.${option})) (
          lib.filterAttrs (option: _: config.${option} != [ ]) relations
        )
        // lib.optionalAttrs (config.restartTriggers != [ ]) {
          X-Restart-Triggers = triggers "Restart" name config.restartTriggers;
        }
        // lib.optionalAttrs (config.reloadTriggers != [ ]) {
          X-Reload-Triggers = triggers "Reload" name config.reloadTriggers;
        }
        // lib.optionalAttrs (config.description != "") { Description = config.description; }
        // lib.optionalAttrs options.startLimitIntervalSec.isDefined {
          StartLimitIntervalSec = toString config.startLimitIntervalSec;
        }
        // lib.optionalAttrs options.startLimitBurst.isDefined {
          StartLimitBurst = toString config.startLimitBurst;
        };
    };

  serviceConfig =
    { name, config, ... }:
    {
      config = {
        name = "${name}.service";
        environment.PATH = lib.mkIf (
          config.path != [ ]
        ) "${lib.makeBinPath config.path}:${lib.makeSearchPathOutput "bin" "sbin" config.path}";
        enableStrictShellChecks = lib.mkOptionDefault cfg.enableStrictShellChecks;
        path = lib.mkIf config.enableDefaultPath (
          lib.mkAfter [
            pkgs.coreutils
            pkgs.findutils
            pkgs.gnugrep
            pkgs.gnused
            cfg.package
          ]
        );
      };
    };

  named =
    suffix:
    { name, ... }:
    {
      config.name = "${name}.${suffix}";
    };

  mountConfig =
    { config, ... }:
    {
      config = {
        name = "${utils.escapeSystemdPath config.where}.mount";
        mountConfig = {
          What = config.what;
          Where = config.where;
        }
        // lib.optionalAttrs (config.type != "") { Type = config.type; }
        // lib.optionalAttrs (config.options != "") { Options = config.options; };
      };
    };

  automountConfig =
    { config, ... }:
    {
      config = {
        name = "${utils.escapeSystemdPath config.where}.automount";
        automountConfig.Where = config.where;
      };
    };

  # A submodule's value -> an entry of systemd.units.
  toUnit = {
    target = unit (def: settingsToSections { Unit = def.unitConfig; });
    service = unit (
      def:
      unitText def (
        "[Service]\n"
        + environmentLines (cfg.globalEnvironment // def.environment)
        + switchLines def
        + attrsToSection def.serviceConfig
      )
    );
    socket = unit (
      def:
      unitText def (
        "[Socket]\n${attrsToSection def.socketConfig}\n"
        + lib.concatMapStringsSep "\n" (s: "ListenStream=${s}") def.listenStreams
        + "\n"
        + lib.concatMapStringsSep "\n" (s: "ListenDatagram=${s}") def.listenDatagrams
        + "\n"
      )
    );
    timer = sectioned "Timer" "timerConfig";
    path = sectioned "Path" "pathConfig";
    slice = sectioned "Slice" "sliceConfig";
    mount = sectioned "Mount" "mountConfig";
    automount = sectioned "Automount" "automountConfig";
  };
}
