# Command lines made of attribute sets.
{ lib }:
let
  inherit (builtins)
    concatLists
    concatMap
    isBool
    isList
    stringLength
    ;
  inherit (lib.attrsets) mapAttrsToList;
  inherit (lib.strings) escapeShellArgs;
  inherit (lib.trivial) warn;
  mkValueString = lib.generators.mkValueStringDefault { };
  dashed = name: if stringLength name == 1 then "-${name}" else "--${name}";
in
rec {
  # format: name -> { option, sep (null: an argument of its own), explicitBool,
  # formatArg }.
  toCommandLine =
    format: options:
    let
      render =
        name: value:
        let
          f = format name;
          arg = (f.formatArg or mkValueString) value;
        in
        if value == null || (!f.explicitBool && value == false) then
          [ ]
        else if !f.explicitBool && value == true then
          [ f.option ]
        else if f.sep != null then
          [ "${f.option}${f.sep}${arg}" ]
        else
          [
            f.option
            arg
          ];
    in
    concatLists (
      mapAttrsToList (
        name: value:
        if name == "" then
          throw "lib.cli.toCommandLine only accepts non-empty option names."
        else if isList value then
          concatMap (render name) value
        else
          render name value
      ) options
    );
  toCommandLineShell = format: options: escapeShellArgs (toCommandLine format options);

  toCommandLineGNU =
    {
      isLong ? (name: stringLength name > 1),
      explicitBool ? false,
      formatArg ? mkValueString,
    }:
    toCommandLine (name: {
      option = if isLong name then "--${name}" else "-${name}";
      sep = if isLong name then "=" else "";
      inherit explicitBool formatArg;
    });
  toCommandLineShellGNU = options: attrs: escapeShellArgs (toCommandLineGNU options attrs);

  toGNUCommandLine = warn "lib.cli.toGNUCommandLine is deprecated, please use lib.cli.toCommandLine or lib.cli.toCommandLineShellGNU instead." oldGNU;
  toGNUCommandLineShell = warn "lib.cli.toGNUCommandLineShell is deprecated, please use lib.cli.toCommandLineShell or lib.cli.toCommandLineShellGNU instead." (
    options: attrs: escapeShellArgs (oldGNU options attrs)
  );
  # Neither name is in nixpkgs any longer without its warning.
  oldGNU =
    {
      mkOptionName ? dashed,
      mkBool ? (name: value: if value then [ (mkOptionName name) ] else [ ]),
      mkList ? (name: concatMap (mkOption name)),
      mkOption ? (
        name: value:
        if value == null then
          [ ]
        else if optionValueSeparator == null then
          [
            (mkOptionName name)
            (mkValueString value)
          ]
        else
          [ "${mkOptionName name}${optionValueSeparator}${mkValueString value}" ]
      ),
      optionValueSeparator ? null,
    }:
    options:
    concatLists (
      mapAttrsToList (
        name: value:
        (
          if isBool value then
            mkBool
          else if isList value then
            mkList
          else
            mkOption
        )
          name
          value
      ) options
    );
}
