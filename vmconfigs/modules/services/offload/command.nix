# A user's command: `commands/lib.sh`, the functions of its machine's role if it
# has one, and `commands/<name>.sh`; with the configuration's values in its
# environment, and on its PATH what it asks for (the user's own PATH stands
# behind that, for sudo's wrapper).
#
# `settings` are variables by name; every value is a string.
{ lib, pkgs }:
{
  name,
  runtimeInputs,
  settings,
  role ? null,
}:
pkgs.writeShellApplication {
  inherit name;
  runtimeInputs = [
    pkgs.coreutils
    pkgs.gnugrep
    pkgs.gnused
    pkgs.gawk
  ]
  ++ runtimeInputs;
  runtimeEnv = settings;
  # lib.sh is shared: not every command calls all of it.
  excludeShellChecks = [
    "SC2317"
    "SC2329"
  ];
  text = lib.concatMapStrings (part: builtins.readFile (./commands + "/${part}.sh")) (
    [ "lib" ] ++ lib.optional (role != null) role ++ [ name ]
  );
}
