# programs.bash.undistractMe: nixos/modules/programs/bash/undistract-me.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.programs.bash.undistractMe;
in
{
  options.programs.bash.undistractMe = {
    enable = lib.mkEnableOption "a notice when a long command ends";
    playSound = lib.mkEnableOption "a sound with that notice";
    timeout = lib.mkOption {
      type = lib.types.int;
      default = 10;
      description = "Seconds after which a command is long.";
    };
  };

  config = lib.mkIf cfg.enable {
    programs.bash.promptPluginInit = ''
      export LONG_RUNNING_COMMAND_TIMEOUT=${toString cfg.timeout}
      export UDM_PLAY_SOUND=${if cfg.playSound then "1" else "0"}
      . "${pkgs.undistract-me}/etc/profile.d/undistract-me.sh"
    '';
  };
}
