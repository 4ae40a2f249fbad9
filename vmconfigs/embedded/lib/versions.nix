# Versions: numbers and words between dots and dashes.
{ lib }:
let
  inherit (builtins)
    concatStringsSep
    elemAt
    genList
    head
    splitVersion
    ;
  inherit (lib.lists) take;
in
{
  inherit (builtins) compareVersions splitVersion;
  major = version: elemAt (splitVersion version) 0;
  minor = version: elemAt (splitVersion version) 1;
  patch = version: elemAt (splitVersion version) 2;
  majorMinor = version: concatStringsSep "." (take 2 (splitVersion version));
  # To n numbers; what follows a dash stays.
  pad =
    n: version:
    let
      numbers = head (lib.strings.splitString "-" version);
    in
    concatStringsSep "." (take n (splitVersion numbers ++ genList (_: "0") n))
    + lib.strings.removePrefix numbers version;
}
