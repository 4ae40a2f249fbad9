# The options of a table: a line an option,
#   path : type = default, as JSON; `-` where there is none
# A `?` after a type allows null.
{ lib }:
file:
let
  inherit (lib) mkOption types;

  typeOf = {
    any = types.anything;
    anyOf = types.attrsOf types.anything;
    attrs = types.attrs;
    bool = types.bool;
    int = types.int;
    ints = types.attrsOf types.int;
    lines = types.lines;
    list = types.listOf types.anything;
    anythings = types.listOf types.anything;
    package = types.package;
    packages = types.listOf types.package;
    path = types.path;
    pathOf = types.attrsOf types.path;
    paths = types.listOf types.path;
    percent = types.ints.between 1 100;
    positive = types.ints.positive;
    str = types.str;
    strOf = types.attrsOf types.str;
    strs = types.listOf types.str;
    unsigned = types.ints.unsigned;
  };

  parseType =
    text:
    let
      words = lib.splitString " " text;
      name = lib.head words;
      plain = lib.removeSuffix "?" name;
      type = if plain == "enum" then types.enum (lib.tail words) else typeOf.${plain};
    in
    if plain == name then type else types.nullOr type;

  parse =
    line:
    let
      parts = builtins.match "([^ ]+) : ([^=]+) = (.*)" line;
      default = lib.elemAt parts 2;
    in
    lib.setAttrByPath (lib.splitString "." (lib.head parts)) (
      mkOption (
        {
          type = parseType (lib.elemAt parts 1);
          description = "Accepted; it changes nothing in a guest.";
        }
        // lib.optionalAttrs (default != "-") { default = builtins.fromJSON default; }
      )
    );
in
lib.foldl' lib.recursiveUpdate { } (
  map parse (lib.filter (line: line != "") (lib.splitString "\n" (builtins.readFile file)))
)
