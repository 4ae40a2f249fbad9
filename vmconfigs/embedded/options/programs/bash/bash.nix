# programs.bash: nixos/modules/programs/bash/{bash,bash-completion,ls-colors}.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  env = config.environment;
  cfg = config.programs.bash;

  aliases = lib.concatStringsSep "\n" (
    lib.mapAttrsToList (k: v: "alias -- ${k}=${lib.escapeShellArg v}") (
      lib.filterAttrs (_: v: v != null) cfg.shellAliases
    )
  );

  lines = default: description: mkOption {
    type = types.lines;
    inherit default description;
  };
in
{
  imports = [
    (lib.mkRenamedOptionModule
      [ "programs" "bash" "enableCompletion" ]
      [ "programs" "bash" "completion" "enable" ]
    )
  ];

  options.programs.bash = {
    enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether bash is set up.";
    };
    completion.enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether bash completes words of commands; Debian's own set-up does.";
    };
    shellAliases = mkOption {
      type = types.attrsOf (types.nullOr (types.either types.str types.path));
      default = { };
      description = "Aliases of bash.";
    };
    shellInit = lines "" "Commands at the start of every bash.";
    loginShellInit = lines "" "Commands at the start of a login bash.";
    interactiveShellInit = lines "" "Commands at the start of an interactive bash.";
    promptInit = lines ''
      # Provide a nice prompt if the terminal supports it.
      if [ "$TERM" != "dumb" ] || [ -n "$INSIDE_EMACS" ]; then
        PROMPT_COLOR="1;31m"
        ((UID)) && PROMPT_COLOR="1;32m"
        if [ -n "$INSIDE_EMACS" ]; then
          # Emacs term mode doesn't support xterm title escape sequence (\e]0;)
          PS1="\n\[\033[$PROMPT_COLOR\][\u@\h:\w]\\$\[\033[0m\] "
        else
          PS1="\n\[\033[$PROMPT_COLOR\][\[\e]0;\u@\h: \w\a\]\u@\h:\w]\\$\[\033[0m\] "
        fi
        if test "$TERM" = "xterm"; then
          PS1="\[\033]2;\h:\u:\w\007\]$PS1"
        fi
      fi
    '' "Commands that set the prompt.";
    enableLsColors = lib.mkEnableOption "extra colors in directory listings" // {
      default = true;
    };
    lsColorsFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      description = "Other colours of directory listings.";
    };
    promptPluginInit = lines "" "Commands of modules that set the prompt." // {
      internal = true;
    };
    logout = lines ''
      printf '\e]0;\a'
    '' "Commands at the end of a login bash.";
  };

  config = lib.mkIf cfg.enable {
    programs.bash = {
      shellAliases = lib.mapAttrs (_: lib.mkDefault) env.shellAliases;
      shellInit = ''
        if [ -z "$__NIXOS_SET_ENVIRONMENT_DONE" ]; then
            . ${config.system.build.setEnvironment}
        fi

        ${env.shellInit}
      '';
      loginShellInit = env.loginShellInit;
      promptPluginInit = lib.mkIf cfg.enableLsColors ''
        eval "$(${pkgs.coreutils}/bin/dircolors -b ${
          lib.optionalString (cfg.lsColorsFile != null) cfg.lsColorsFile
        })"
      '';
      interactiveShellInit = ''
        # Disable hashing (i.e. caching) of command lookups.
        set +h

        ${cfg.promptInit}
        ${cfg.promptPluginInit}
        ${aliases}

        ${env.interactiveShellInit}
      '';
    };

    environment.etc.profile.text = ''
      # /etc/profile: DO NOT EDIT -- this file has been generated automatically.
      # This file is read for login shells.

      # Only execute this file once per shell.
      if [ -n "$__ETC_PROFILE_SOURCED" ]; then return; fi
      __ETC_PROFILE_SOURCED=1

      # Prevent this file from being sourced by interactive non-login child shells.
      export __ETC_PROFILE_DONE=1

      ${cfg.shellInit}
      ${cfg.loginShellInit}

      # Read system-wide modifications.
      if test -f /etc/profile.local; then
          . /etc/profile.local
      fi

      if [ -n "''${BASH_VERSION:-}" ]; then
          . /etc/bashrc
      fi
    '';

    environment.etc.bashrc.text = ''
      # /etc/bashrc: DO NOT EDIT -- this file has been generated automatically.

      # Only execute this file once per shell.
      if [ -n "$__ETC_BASHRC_SOURCED" ] || [ -n "$NOSYSBASHRC" ]; then return; fi
      __ETC_BASHRC_SOURCED=1

      # If the profile was not loaded in a parent process, source
      # it.  But otherwise don't do it because we don't want to
      # clobber overridden values of $PATH, etc.
      if [ -z "$__ETC_PROFILE_DONE" ]; then
          . /etc/profile
      fi

      # We are not always an interactive shell.
      if [ -n "$PS1" ]; then
          ${cfg.interactiveShellInit}
      fi

      # Read system-wide modifications.
      if test -f /etc/bashrc.local; then
          . /etc/bashrc.local
      fi
    '';

    environment.etc.bash_logout.text = ''
      # /etc/bash_logout: DO NOT EDIT -- this file has been generated automatically.

      # Only execute this file once per shell.
      if [ -n "$__ETC_BASHLOGOUT_SOURCED" ] || [ -n "$NOSYSBASHLOGOUT" ]; then return; fi
      __ETC_BASHLOGOUT_SOURCED=1

      ${cfg.logout}

      # Read system-wide modifications.
      if test -f /etc/bash_logout.local; then
          . /etc/bash_logout.local
      fi
    '';

    users.defaultUserShell = lib.mkDefault pkgs.bashInteractive;
    environment.shells = [
      "/run/current-system/sw/bin/bash"
      "/run/current-system/sw/bin/sh"
      "${pkgs.bashInteractive}/bin/bash"
      "${pkgs.bashInteractive}/bin/sh"
    ];
  };
}
