# Options of NixOS that are taken and change nothing in a guest: tables in ./accepted, a line an option,
#   path : type = default, as JSON; `-` where there is none
# and ./accepted/renamed.txt, old names -> new ones. A `?` after a type allows null. Whoever sets one is told so (see ../render/declared.nix).
{ lib, ... }:
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

  table =
    file: map parse (lib.filter (line: line != "") (lib.splitString "\n" (builtins.readFile file)));
  renames = lib.filter (line: line != "") (lib.splitString "\n" (builtins.readFile ./accepted/renamed.txt));
  renamed =
    line:
    let
      path = text: lib.splitString "." text;
      words = lib.splitString " -> " line;
    in
    lib.mkRenamedOptionModule (path (lib.head words)) (path (lib.last words));
in
{
  imports = map renamed renames;

  options = lib.foldl' lib.recursiveUpdate { } (
    table ./accepted/system.txt ++ table ./accepted/programs.txt ++ table ./accepted/services.txt
  );
}
