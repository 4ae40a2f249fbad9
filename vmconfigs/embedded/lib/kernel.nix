# Values of kernel configuration, for boot.kernelPatches.
{ lib }:
let
  inherit (lib.modules) mkIf;
  inherit (lib.strings) versionAtLeast versionOlder;
  tristate = value: {
    tristate = value;
    optional = false;
  };
in
{
  yes = tristate "y";
  no = tristate "n";
  module = tristate "m";
  unset = tristate null;
  option = value: value // { optional = true; };
  freeform = value: {
    freeform = value;
    optional = false;
  };
  whenHelpers = version: {
    whenAtLeast = least: mkIf (versionAtLeast version least);
    whenOlder = limit: mkIf (versionOlder version limit);
    whenBetween =
      least: limit: mkIf (versionAtLeast version least && versionOlder version limit);
  };
}
