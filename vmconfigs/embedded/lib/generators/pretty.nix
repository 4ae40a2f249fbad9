# Values as Nix would write them, for people.
{ lib }:
let
  inherit (builtins)
    addErrorContext
    concatStringsSep
    elem
    filter
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isPath
    isString
    length
    mapAttrs
    replaceStrings
    ;
  inherit (lib.attrsets) mapAttrsToList;
  inherit (lib.lists) init last;
  inherit (lib.strings) concatMapStringsSep escape escapeNixIdentifier;
  inherit (lib.trivial) functionArgs isFunction;

  # Attributes that make a set something else; not looked into.
  special = [
    "__functor"
    "__functionArgs"
    "__toString"
    "__pretty"
  ];
in
{
  # The value cut off at a depth: thrown at, or "<unevaluated>".
  withRecursion =
    {
      depthLimit,
      throwOnDepthLimit ? true,
    }:
    assert isInt depthLimit;
    let
      limit =
        depth: value:
        if depth <= depthLimit then
          value
        else if throwOnDepthLimit then
          throw "Exceeded maximum eval-depth limit of ${toString depthLimit} while trying to evaluate with `generators.withRecursion'!"
        else
          "<unevaluated>";
      at =
        depth: value:
        let
          inner = x: at (depth + 1) (limit (depth + 1) x);
        in
        if isAttrs value then
          mapAttrs (name: x: if elem name special then x else inner x) value
        else if isList value then
          map inner value
        else
          limit (depth + 1) value;
    in
    at 0;

  toPretty =
    {
      # Sets { __pretty, val } show themselves.
      allowPrettyValues ? false,
      multiline ? true,
      indent ? "",
    }:
    let
      show =
        indent: v:
        let
          start = if multiline then "\n${indent}  " else " ";
          end = if multiline then "\n${indent}" else " ";
          inner = show (indent + "  ");
        in
        if isInt v then
          toString v
        # toString would lose digits.
        else if isFloat v then
          builtins.toJSON v
        else if isString v then
          let
            lines = filter isString (builtins.split "\n" v);
            block = map (replaceStrings [ "\${" "''" ] [ "''\${" "'''" ]) lines;
            final = last block;
          in
          if multiline && length lines > 1 then
            "''${start}${concatStringsSep start (init block)}${if final == "" then end else start + final}''"
          else
            ''"${
              concatMapStringsSep "\\n" (escape [
                "\\"
                "\""
                "\${"
              ]) lines
            }"''
        else if isBool v then
          lib.trivial.boolToString v
        else if v == null then
          "null"
        else if isPath v then
          toString v
        else if isList v then
          if v == [ ] then "[ ]" else "[${start}${concatMapStringsSep start inner v}${end}]"
        else if isFunction v then
          let
            args = mapAttrsToList (name: optional: if optional then "${name}?" else name) (functionArgs v);
          in
          if args == [ ] then "<function>" else "<function, args: {${concatStringsSep ", " args}}>"
        else if isAttrs v then
          if allowPrettyValues && v ? __pretty && v ? val then
            v.__pretty v.val
          else if v == { } then
            "{ }"
          else if v.type or null == "derivation" then
            "<derivation ${v.name or "???"}>"
          else
            "{${start}${
              concatStringsSep start (
                mapAttrsToList (
                  name: value:
                  "${escapeNixIdentifier name} = ${
                    addErrorContext "while evaluating an attribute `${name}`" (inner value)
                  };"
                ) v
              )
            }${end}}"
        else
          abort "generators.toPretty: should never happen (v = ${v})";
    in
    show indent;
}
