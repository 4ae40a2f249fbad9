# The text of nix.conf(5) from nix.settings, in NixOS's own spelling.
{ lib }:

let
  inherit (lib) strings;

  # Integers first: a list, a path and a package all are "convertible".
  value =
    v:
    if v == null then
      ""
    else if builtins.isBool v then
      lib.boolToString v
    else if builtins.isFloat v then
      strings.floatToString v
    else if builtins.isInt v || builtins.isPath v || lib.isDerivation v then
      toString v
    else if builtins.isString v then
      v
    else if strings.isConvertibleWithToString v then
      toString v
    else
      abort "The nix conf value: ${lib.generators.toPretty { } v} can not be encoded";

  pair = name: v: "${strings.escape [ "=" ] name} = ${value v}";
  pairs = settings: lib.concatStringsSep "\n" (lib.mapAttrsToList pair settings);

  isExtra = name: _: lib.hasPrefix "extra-" name;
in
{
  # nix.settings
  settings,
  # nix.extraOptions
  extraOptions ? "",
}:
# Nix reads from top to bottom, and a plain setting after its extra- one would undo it: extra ones stand last.
''
  # WARNING: this file is generated from the nix.* options in
  # your NixOS configuration, typically
  # /etc/nixos/configuration.nix.  Do not edit it!
  ${pairs (lib.filterAttrs (n: v: !isExtra n v) settings)}
  ${pairs (lib.filterAttrs isExtra settings)}
  ${extraOptions}
''
