# Options of NixOS that are taken and change nothing in a guest: tables in ./accepted (see table.nix there), and
# renamed.txt, old names -> new ones. Whoever sets one is told so (see ../render/declared.nix).
{ lib, ... }:
let
  table = import ./accepted/table.nix { inherit lib; };

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
    map table [
      ./accepted/system.txt
      ./accepted/programs.txt
      ./accepted/services.txt
    ]
  );
}
