# programs.bash.blesh: nixos/modules/programs/bash/blesh.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.programs.bash.blesh;
in
{
  options.programs.bash.blesh.enable = lib.mkEnableOption "blesh, a line editor in bash";

  config = lib.mkIf cfg.enable {
    programs.bash.interactiveShellInit = lib.mkBefore ''
      source ${pkgs.blesh}/share/blesh/ble.sh
    '';
  };
}
