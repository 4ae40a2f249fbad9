# nix.nixPath and what the nix-channel command needs.
{
  config,
  lib,
  ...
}:

let
  inherit (lib) mkIf mkOption types;

  cfg = config.nix;
  channels = "/nix/var/nix/profiles/per-user/root/channels";
in
{
  options = {
    nix.channel.enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether `nix-channel` and its state files are there.";
    };

    nix.nixPath = mkOption {
      type = types.listOf types.str;
      default = lib.optionals cfg.channel.enable [
        "nixpkgs=${channels}/nixos"
        "nixos-config=/etc/nixos/configuration.nix"
        channels
      ];
      description = "Where Nix looks for `<names in angle brackets>`.";
    };

    system.defaultChannel = mkOption {
      internal = true;
      type = types.str;
      default = "https://channels.nixos.org/nixos-unstable";
      description = "The channel root is subscribed to at first.";
    };
  };

  config = mkIf cfg.enable {
    environment.extraInit = mkIf cfg.channel.enable ''
      if [ -e "$HOME/.nix-defexpr/channels" ]; then
        export NIX_PATH="$HOME/.nix-defexpr/channels''${NIX_PATH:+:$NIX_PATH}"
      fi
    '';

    # Written even when empty: without the variable Nix takes a default of its own.
    environment.sessionVariables.NIX_PATH = cfg.nixPath;

    systemd.tmpfiles.rules = mkIf cfg.channel.enable [
      ''f /root/.nix-channels - - - - ${config.system.defaultChannel} nixos\n''
    ];
  };
}
