# Lines of sysctl.d(5) from boot.kernel.sysctl; null is not written.
{ lib }:
settings:
lib.concatStrings (
  lib.mapAttrsToList (
    name: value:
    lib.optionalString (value != null) "${name}=${if value == false then "0" else toString value}\n"
  ) settings
)
