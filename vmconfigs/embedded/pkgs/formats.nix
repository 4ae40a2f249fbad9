# pkgs.formats: types and writers of configuration files (RFC 42 settings).
{ lib, builders }:
let
  inherit (lib) types;
  inherit (builders) writeText;

  indent = depth: lib.concatStrings (lib.genList (_: "  ") depth);

  # As jq prints it, which is how nixpkgs writes its JSON files.
  prettyJSON =
    depth: value:
    let
      inner = indent (depth + 1);
      block =
        open: close: lines:
        "${open}\n${lib.concatStringsSep ",\n" (map (l: inner + l) lines)}\n${indent depth}${close}";
      plainAttrs = lib.isAttrs value && !(value ? outPath) && !(value ? __toString);
    in
    if plainAttrs && value == { } then
      "{}"
    else if plainAttrs then
      block "{" "}" (
        lib.mapAttrsToList (n: v: "${builtins.toJSON n}: ${prettyJSON (depth + 1) v}") value
      )
    else if lib.isList value && value != [ ] then
      block "[" "]" (map (prettyJSON (depth + 1)) value)
    else
      builtins.toJSON value;

  jsonLike =
    description:
    let
      valueType =
        types.nullOr (
          types.oneOf [
            types.bool
            types.int
            types.float
            types.str
            types.path
            (types.attrsOf valueType)
            (types.listOf valueType)
          ]
        )
        // {
          inherit description;
        };
    in
    valueType;

  iniAtom =
    types.nullOr (
      types.oneOf [
        types.bool
        types.int
        types.float
        types.str
      ]
    )
    // {
      description = "INI atom (null, bool, int, float or string)";
    };

  atomOrList =
    {
      listsAsDuplicateKeys ? false,
      listToValue ? null,
      ...
    }:
    if listsAsDuplicateKeys || listToValue != null then
      types.either iniAtom (types.listOf iniAtom)
    else
      iniAtom;

  generatorArgs = args: removeAttrs args [ "listToValue" "atomsCoercedToLists" ];

  # Lists become one value where the format says how to join them.
  joinLists =
    listToValue: section:
    if listToValue == null then
      section
    else
      lib.mapAttrs (_: v: if lib.isList v then listToValue v else v) section;

  tomlKey = key: if builtins.match "[A-Za-z0-9_-]+" key != null then key else builtins.toJSON key;

  tomlInline =
    value:
    if lib.isList value then
      "[${lib.concatMapStringsSep ", " tomlInline value}]"
    else if lib.isAttrs value && !(value ? outPath) then
      "{ ${
        lib.concatStringsSep ", " (lib.mapAttrsToList (n: v: "${tomlKey n} = ${tomlInline v}") value)
      } }"
    else
      builtins.toJSON value;

  toTOML =
    path: attrs:
    let
      isTable = v: lib.isAttrs v && !(v ? outPath);
      given = lib.filterAttrs (_: v: v != null) attrs;
      leaves = lib.filterAttrs (_: v: !isTable v) given;
      tables = lib.filterAttrs (_: isTable) given;
      header = lib.optionalString (
        path != [ ] && (leaves != { } || tables == { })
      ) "[${lib.concatMapStringsSep "." tomlKey path}]\n";
    in
    header
    + lib.concatStrings (lib.mapAttrsToList (n: v: "${tomlKey n} = ${tomlInline v}\n") leaves)
    + lib.concatStrings (lib.mapAttrsToList (n: v: "\n" + toTOML (path ++ [ n ]) v) tables);
in
rec {
  json =
    { }:
    {
      type = jsonLike "JSON value";
      generate = name: value: writeText name (prettyJSON 0 value + "\n");
    };

  # JSON is YAML.
  yaml =
    { }:
    {
      type = jsonLike "YAML value";
      generate = name: value: writeText name (prettyJSON 0 value + "\n");
    };
  yaml_1_1 = yaml;
  yaml_1_2 = yaml;

  toml =
    { }:
    {
      type = jsonLike "TOML value";
      generate = name: value: writeText name (toTOML [ ] value);
    };

  ini =
    args@{
      listToValue ? null,
      ...
    }:
    {
      type = types.attrsOf (types.attrsOf (atomOrList args));
      lib.types.atom = iniAtom;
      generate =
        name: value:
        writeText name (
          lib.generators.toINI (generatorArgs args) (lib.mapAttrs (_: joinLists listToValue) value)
        );
    };

  iniWithGlobalSection =
    args@{
      listToValue ? null,
      ...
    }:
    {
      type = types.submodule {
        options = {
          sections = lib.mkOption {
            type = types.attrsOf (types.attrsOf (atomOrList args));
            default = { };
            description = "INI sections";
          };
          globalSection = lib.mkOption {
            type = types.attrsOf (atomOrList args);
            default = { };
            description = "The part before the first section";
          };
        };
      };
      generate =
        name: value:
        writeText name (
          lib.generators.toINIWithGlobalSection (generatorArgs args) {
            sections = lib.mapAttrs (_: joinLists listToValue) (value.sections or { });
            globalSection = joinLists listToValue (value.globalSection or { });
          }
        );
    };

  systemd = { }: ini { listsAsDuplicateKeys = true; };

  keyValue =
    args@{
      listToValue ? null,
      ...
    }:
    {
      type = types.attrsOf (atomOrList args);
      generate =
        name: value:
        writeText name (lib.generators.toKeyValue (generatorArgs args) (joinLists listToValue value));
    };

  gitIni = args: {
    type = types.attrsOf (types.attrsOf types.anything);
    generate = name: value: writeText name (lib.generators.toGitINI value);
  };

  lua =
    { ... }@args:
    {
      type = jsonLike "Lua value";
      generate = name: value: writeText name "return ${lib.generators.toLua { } value}\n";
    };
}
