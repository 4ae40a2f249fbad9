# What NixOS puts into every environment: nixos/modules/programs/environment.nix,
# programs/less.nix, programs/nano.nix, config/xdg, config/terminfo.nix,
# config/gtk's neighbours, as far as they set variables.
{
  config,
  lib,
  pkgs,
  ...
}:
{
  config = {
    environment.variables = {
      NIXPKGS_CONFIG = "/etc/nix/nixpkgs-config.nix";
      PAGER = lib.mkDefault "less";
      EDITOR = lib.mkDefault "nano";
    };

    environment.profiles = lib.mkMerge [
      [
        "$HOME/.nix-profile"
        "\${XDG_STATE_HOME}/nix/profile"
        "$HOME/.local/state/nix/profile"
        "/etc/profiles/per-user/$USER"
      ]
      (lib.mkAfter [
        "/nix/var/nix/profiles/default"
        "/run/current-system/sw"
      ])
    ];

    environment.sessionVariables = {
      XDG_CONFIG_DIRS = [ "/etc/xdg" ];
      GTK_A11Y = "none";
      NO_AT_BRIDGE = "1";
      XCURSOR_PATH = [
        "$HOME/.icons"
        "$HOME/.local/share/icons"
      ];
    };

    environment.profileRelativeSessionVariables = {
      PATH = [ "/bin" ];
      INFOPATH = [
        "/info"
        "/share/info"
      ];
      QTWEBKIT_PLUGIN_PATH = [ "/lib/mozilla/plugins/" ];
      GTK_PATH = [
        "/lib/gtk-2.0"
        "/lib/gtk-3.0"
        "/lib/gtk-4.0"
      ];
      XDG_CONFIG_DIRS = [ "/etc/xdg" ];
      XDG_DATA_DIRS = [ "/share" ];
      LIBEXEC_PATH = [ "/libexec" ];
      TERMINFO_DIRS = [ "/share/terminfo" ];
      XCURSOR_PATH = [
        "/share/icons"
        "/share/pixmaps"
      ];
    };

    environment.extraInit = ''
      export NIX_USER_PROFILE_DIR="/nix/var/nix/profiles/per-user/$USER"
      export NIX_PROFILES="${toString (lib.reverseList config.environment.profiles)}"


      # reset TERM with new TERMINFO available (if any)
      export TERM=$TERM
    '';
  };
}
