# The settings of a text like nix.conf(5): "a = b" of each line, a setting that
# stands twice as a list.
{ lib }:
text:
let
  parse =
    line:
    let
      m = builtins.match "[[:space:]]*([^#=[:space:]]+)[[:space:]]*=[[:space:]]*(.*)" line;
    in
    lib.optional (m != null) {
      name = lib.elemAt m 0;
      value = lib.trim (lib.elemAt m 1);
    };
in
lib.mapAttrs (_: found: if lib.length found == 1 then (lib.head found).value else map (x: x.value) found) (
  lib.groupBy (x: x.name) (lib.concatMap parse (lib.splitString "\n" text))
)
