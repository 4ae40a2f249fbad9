# nixos/modules/misc/extra-arguments.nix
{
  config,
  lib,
  pkgs,
  ...
}:
{
  _module.args.utils = import ../utils.nix { inherit config lib pkgs; };
}
