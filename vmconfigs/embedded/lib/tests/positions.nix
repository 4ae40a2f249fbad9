# Where definitions stand, and lib.explainOption.
{ lib }:
let
  inherit (import ./eval.nix { inherit lib; })
    eval
    option
    optionWith
    types
    ;
  file = toString ./modules/settings.nix;
  evaluation = eval [
    {
      _file = "/options.nix";
      options = {
        nix.settings = optionWith (types.submodule {
          freeformType = types.attrsOf (types.either types.int types.str);
          options.cores = optionWith types.int 0;
        }) { };
        users = optionWith (types.attrsOf (types.submodule {
          options.shell = optionWith (types.nullOr types.str) null;
        })) { };
        environment = optionWith (types.attrsOf types.str) { };
        enable = optionWith types.bool false;
        ports = option (types.listOf types.int);
        lines = option types.lines;
      };
    }
    (lib.mkRenamedOptionModule [ "old" ] [ "environment" "renamed" ])
    ./modules/settings.nix
  ];
  explained = lib.explainOption evaluation;
  # "line:column priority value", with a * if it counts.
  short =
    path:
    map (
      d: "${if d.line == null then d.file else "${toString d.line}:${toString d.column}"} ${toString d.priority} ${builtins.toJSON d.value}${if d.wins then " *" else ""}"
    ) (lib.filter (d: d.file == file || d.line == null) (explained path).definitions);
  is = expr: expected: { inherit expr expected; };
in
{
  whole = is (removeAttrs (explained [ "enable" ]) [ "definitions" ]) {
    path = [ "enable" ];
    type = "boolean";
    declarations = [ "/options.nix" ];
    value = true;
    priority = 50;
  };
  fields = is (lib.last (explained [ "ports" ]).definitions) {
    inherit file;
    line = 6;
    column = 7;
    priority = 100;
    value = [ 22 ];
    wins = true;
  };
  lost = is (short [ "enable" ]) [
    "13:7 100 false"
    "21:7 50 true *"
  ];
  freeform = is (short [ "nix" "settings" "builders" ]) [
    "16:9 100 \"ssh://desktop\" *"
    "9:9 1000 \"from default\""
  ];
  submodule = is (short [ "nix" "settings" "cores" ]) [ "17:9 100 4 *" ];
  # The set as a whole was overridden: its members go with it.
  overriddenSet = is (short [ "users" "me" "shell" ]) [
    "32:29 50 \"/bin/forced\" *"
    "31:7 100 \"/bin/plain\""
  ];
  member = is (short [ "environment" "EDITOR" ]) [
    "24:11 100 \"vi\" *"
    "27:11 1000 \"nano\""
  ];
  # Not where the alias is, but where its user is.
  renamed = is (short [ "environment" "renamed" ]) [ "7:7 100 \"x\" *" ];
  # A set that a function made: where that set stands.
  generated = is (short [ "environment" "GENERATED" ]) [ "14:7 100 \"1\" *" ];
  value = is (explained [ "nix" "settings" "builders" ]).value "ssh://desktop";
  positionsInOptions = is (map (d: d.pos.line) evaluation.options.ports.definitionsWithLocations) [ 6 ];
  allDefinitions = is (map (d: d.priority) (lib.filter (d: d.file == file) evaluation.options.enable.allDefinitions)) [ 100 50 ];
  # Positions are nothing to the values.
  unchanged = is evaluation.config.nix.settings {
    builders = "ssh://desktop";
    cores = 4;
  };
}
