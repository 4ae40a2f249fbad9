# Text formats made of attribute sets.
{ lib }:
let
  inherit (builtins)
    attrNames
    attrValues
    concatStringsSep
    head
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isPath
    isString
    length
    tail
    ;
  inherit (lib.attrsets)
    filterAttrs
    isDerivation
    mapAttrsToList
    recursiveUpdate
    ;
  inherit (lib.lists) flatten foldl reverseList;
  inherit (lib.strings)
    concatMapStringsSep
    escape
    escapeXML
    splitString
    ;
  inherit (lib.trivial) isFunction;
  pretty = import ./pretty.nix { inherit lib; };
  inherit (pretty) toPretty;
in
pretty
// rec {
  mkValueStringDefault =
    { }:
    v:
    let
      unsupported =
        what: shown: abort "generators.mkValueStringDefault: ${what} not supported: ${toPretty { } shown}";
    in
    if isInt v || isDerivation v then
      toString v
    else if isString v then
      v
    else if isBool v then
      lib.trivial.boolToString v
    else if v == null then
      "null"
    else if isList v then
      unsupported "lists" v
    else if isAttrs v then
      unsupported "attrsets" v
    else if isFunction v then
      unsupported "functions" v
    else if isFloat v then
      lib.strings.floatToString v
    else
      unsupported "this value is" (toString v);

  mkKeyValueDefault =
    {
      mkValueString ? mkValueStringDefault { },
    }:
    sep: k: v:
    "${escape [ sep ] k}${sep}${mkValueString v}";

  toKeyValue =
    {
      mkKeyValue ? mkKeyValueDefault { } "=",
      listsAsDuplicateKeys ? false,
      indent ? "",
    }:
    set:
    let
      line = k: v: "${indent}${mkKeyValue k v}\n";
      lines =
        k: v:
        if listsAsDuplicateKeys && isList v then concatStringsSep "" (map (line k) v) else line k v;
    in
    concatStringsSep "" (mapAttrsToList lines set);

  toINI =
    {
      mkSectionName ? escape [
        "["
        "]"
      ],
      mkKeyValue ? mkKeyValueDefault { } "=",
      listsAsDuplicateKeys ? false,
    }:
    sections:
    concatStringsSep "\n" (
      mapAttrsToList (
        name: values:
        "[${mkSectionName name}]\n" + toKeyValue { inherit mkKeyValue listsAsDuplicateKeys; } values
      ) sections
    );
  toINIWithGlobalSection =
    {
      mkSectionName ? escape [
        "["
        "]"
      ],
      mkKeyValue ? mkKeyValueDefault { } "=",
      listsAsDuplicateKeys ? false,
    }:
    {
      globalSection,
      sections ? { },
    }:
    (
      if globalSection == { } then
        ""
      else
        toKeyValue { inherit mkKeyValue listsAsDuplicateKeys; } globalSection + "\n"
    )
    + toINI { inherit mkSectionName mkKeyValue listsAsDuplicateKeys; } sections;

  # git-config(1): sections of sections are `[a "b"]`, lists are repeated keys.
  toGitINI =
    let
      mkSectionName =
        name:
        let
          parts = splitString "." name;
        in
        if lib.strings.hasInfix ''"'' name || length parts == 1 then
          name
        else
          ''${head parts} "${concatStringsSep "." (tail parts)}"'';
      quoted =
        builtins.replaceStrings
          [ "\n" "\t" ''"'' "\\" ]
          [ "\\n" "\\t" ''\"'' "\\\\" ];
      mkValueString = v: mkValueStringDefault { } (if isString v then ''"${quoted v}"'' else v);
      line = k: v: "\t" + mkKeyValueDefault { inherit mkValueString; } " = " k v;
      mkKeyValue = k: v: if isList v then concatMapStringsSep "\n" (line k) v else line k v;
      nested = v: isAttrs v && !isDerivation v;
      # { a.b.c = 5; } as { "a.b".c = 5; }; the path is kept backwards.
      flatten' =
        path: v:
        if nested v then
          builtins.concatLists (mapAttrsToList (name: flatten' ([ name ] ++ path)) v)
        else if length path > 1 then
          [ { ${concatStringsSep "." (reverseList (tail path))}.${head path} = v; } ]
        else
          [ { ${head path} = v; } ];
      # Sections that hold nothing but values stay as they are.
      plain = filterAttrs (_: v: !(isAttrs v && builtins.any nested (attrValues v)));
    in
    set:
    toINI { inherit mkSectionName mkKeyValue; } (
      plain set // foldl recursiveUpdate { } (flatten' [ ] set)
    );

  mkDconfKeyValue = mkKeyValueDefault { mkValueString = v: toString (lib.gvariant.mkValue v); } "=";
  toDconfINI = toINI { mkKeyValue = mkDconfKeyValue; };

  toJSON = { }: builtins.toJSON;
  toYAML = { }: builtins.toJSON;

  toDhall =
    { }@args:
    v:
    if isAttrs v then
      "{ ${concatStringsSep ", " (mapAttrsToList (k: x: "${k} = ${toDhall args x}") v)} }"
    else if isList v then
      "[ ${concatMapStringsSep ", " (toDhall args) v} ]"
    else if isInt v then
      (if v < 0 then "" else "+") + toString v
    else if isBool v then
      (if v then "True" else "False")
    else if isFunction v then
      abort "generators.toDhall: cannot convert a function to Dhall"
    else if v == null then
      abort "generators.toDhall: cannot convert a null to Dhall"
    else
      builtins.toJSON v;

  # Apple's property lists; null members are left out.
  toPlist =
    {
      escape ? false,
    }:
    v:
    let
      text = if escape then escapeXML else (x: x);
      block =
        indent: name: lines:
        concatStringsSep "\n" ([ "${indent}<${name}>" ] ++ lines ++ [ "${indent}</${name}>" ]);
      # An empty body is an empty line.
      body = lines: [ (concatStringsSep "\n" lines) ];
      show =
        indent: x:
        if x == null then
          ""
        else if isBool x then
          "${indent}<${lib.trivial.boolToString x}/>"
        else if isInt x then
          "${indent}<integer>${toString x}</integer>"
        else if isString x || isPath x then
          "${indent}<string>${text (toString x)}</string>"
        else if isFloat x then
          "${indent}<real>${toString x}</real>"
        else if isList x then
          block indent "array" (body (map (show "\t${indent}") x))
        else if isAttrs x then
          block indent "dict" (
            body (
              flatten (
                mapAttrsToList (k: y: [
                  "\t${indent}<key>${text k}</key>"
                  (show "\t${indent}" y)
                ]) (filterAttrs (k: y: k != "_module" && y != null) x)
              )
            )
          )
        else
          abort "generators.toPlist: should never happen (v = ${v})";
    in
    ''
      <?xml version="1.0" encoding="UTF-8"?>
      <!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
      <plist version="1.0">
      ${show "" v}
      </plist>'';

  mkLuaInline = expr: {
    _type = "lua-inline";
    inherit expr;
  };
  toLua =
    {
      multiline ? true,
      indent ? "",
      asBindings ? false,
    }@args:
    v:
    let
      deeper = indent + "  ";
      start = if multiline then "\n${deeper}" else " ";
      end = if multiline then "\n${indent}" else " ";
      inner = toLua (
        args
        // {
          indent = if asBindings then indent else deeper;
          asBindings = false;
        }
      );
      table =
        items: if items == [ ] then "{}" else "{${start}${concatStringsSep ",${start}" items}${end}}";
      badNames = builtins.filter (
        name: builtins.match "[[:alpha:]_][[:alnum:]_]*(\\.[[:alpha:]_][[:alnum:]_]*)*" name == null
      ) (attrNames v);
    in
    if asBindings then
      if badNames != [ ] then
        throw "Bad Lua var names: ${toPretty { } badNames}"
      else
        concatStringsSep "" (mapAttrsToList (k: x: "${indent}${k} = ${inner x}\n") v)
    else if v == null then
      "nil"
    else if isInt v || isFloat v || isString v || isBool v then
      builtins.toJSON v
    else if isPath v || isDerivation v then
      builtins.toJSON "${v}"
    else if isList v then
      table (map inner v)
    else if isAttrs v then
      if v._type or null == "lua-inline" then
        "(${v.expr})"
      else
        table (mapAttrsToList (k: x: "[${builtins.toJSON k}] = ${inner x}") v)
    else
      abort "generators.toLua: type ${builtins.typeOf v} is unsupported";
}
