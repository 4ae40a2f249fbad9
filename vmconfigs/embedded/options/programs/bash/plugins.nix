# programs.bash.{blesh,undistractMe}: nixos/modules/programs/bash/{blesh,undistract-me}.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.programs.bash;
in
{
  options.programs.bash = {
    blesh.enable = lib.mkEnableOption "blesh, a line editor in bash";
    undistractMe = {
      enable = lib.mkEnableOption "a notice when a long command ends";
      playSound = lib.mkEnableOption "a sound with that notice";
      timeout = lib.mkOption {
        type = lib.types.int;
        default = 10;
        description = "Seconds after which a command is long.";
      };
    };
  };

  config = lib.mkMerge [
    (lib.mkIf cfg.blesh.enable {
      programs.bash.interactiveShellInit = lib.mkBefore ''
        source ${pkgs.blesh}/share/blesh/ble.sh
      '';
    })
    (lib.mkIf cfg.undistractMe.enable {
      programs.bash.promptPluginInit = ''
        export LONG_RUNNING_COMMAND_TIMEOUT=${toString cfg.undistractMe.timeout}
        export UDM_PLAY_SOUND=${if cfg.undistractMe.playSound then "1" else "0"}
        . "${pkgs.undistract-me}/etc/profile.d/undistract-me.sh"
      '';
    })
  ];
}
