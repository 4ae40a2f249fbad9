# Types of the options that hold units. Not a module of its own.
{
  lib,
  pkgs,
  unitLib,
  unitOptions,
}:
let
  inherit (lib) types;

  several = kind: extra: types.attrsOf (types.submodule ([ kind unitLib.unitConfig ] ++ extra));
  listed = kind: extra: types.listOf (types.submodule ([ kind unitLib.unitConfig ] ++ extra));
  pathSafe = lib.replaceStrings [ "@" ":" "\\" "[" "]" ] [ "-" "-" "-" "" "" ];
in
{
  units = types.attrsOf (
    types.submodule (
      { name, config, ... }:
      {
        options = unitOptions.concrete;
        config = {
          name = lib.mkDefault name;
          unit = lib.mkDefault (
            pkgs.writeTextFile {
              name = "unit-${pathSafe name}${lib.optionalString (!config.enable) "-disabled"}";
              text = lib.optionalString (config.enable && config.text != null) config.text;
              destination = "/${name}";
            }
          );
        };
      }
    )
  );

  services = several unitOptions.service [ unitLib.serviceConfig ];
  targets = several unitOptions.common [ (unitLib.named "target") ];
  sockets = several unitOptions.socket [ (unitLib.named "socket") ];
  timers = several unitOptions.timer [ (unitLib.named "timer") ];
  paths = several unitOptions.path [ (unitLib.named "path") ];
  slices = several unitOptions.slice [ (unitLib.named "slice") ];
  mounts = listed unitOptions.mount [ unitLib.mountConfig ];
  automounts = listed unitOptions.automount [ unitLib.automountConfig ];
}
