# programs.zsh: nixos/modules/programs/zsh/zsh.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption optionalString types;
  env = config.environment;
  cfg = config.programs.zsh;

  opt =
    type: default: description:
    mkOption { inherit type default description; };
  lines = opt types.lines "";

  aliases = lib.concatStringsSep "\n" (
    lib.mapAttrsToList (k: v: "alias -- ${k}=${lib.escapeShellArg v}") (
      lib.filterAttrs (_: v: v != null) cfg.shellAliases
    )
  );

  # A startup file that is read once, and after it what the machine's own administrator wrote.
  startup = name: condition: text: ''
    # /etc/${name}: DO NOT EDIT -- this file has been generated automatically.
    if ${condition}; then return; fi
    __ETC_${lib.toUpper name}_SOURCED=1

    ${text}
    if test -f /etc/${name}.local; then
        . /etc/${name}.local
    fi
  '';
  once = name: ''[ -n "''${__ETC_${lib.toUpper name}_SOURCED-}" ]'';
in
{
  options.programs.zsh = {
    enable = opt types.bool false "Whether zsh is set up.";
    shellAliases = opt (types.attrsOf (
      types.nullOr (types.either types.str types.path)
    )) { } "Aliases of zsh.";
    shellInit = lines "Commands at the start of every zsh.";
    loginShellInit = lines "Commands at the start of a login zsh.";
    interactiveShellInit = lines "Commands at the start of an interactive zsh.";
    promptInit = opt types.lines ''
      # Undone in ~/.zshrc by `prompt off`.
      autoload -U promptinit && promptinit && prompt suse && setopt prompt_sp
    '' "Commands that set the prompt.";
    histSize = opt types.int 2000 "How many commands are remembered.";
    histFile = opt types.str "$HOME/.zsh_history" "Where they are.";
    setOptions = opt (types.listOf types.str) [
      "HIST_IGNORE_DUPS"
      "SHARE_HISTORY"
      "HIST_FCNTL_LOCK"
    ] "Options of zsh, zshoptions(1).";
    enableCompletion = opt types.bool true "Whether zsh completes words of commands.";
    enableBashCompletion = opt types.bool false "Whether it does by what bash has for it.";
    enableGlobalCompInit = mkOption {
      type = types.bool;
      default = cfg.enableCompletion;
      description = "Whether that is set up for all.";
    };
    enableLsColors = opt types.bool true "Whether listings of directories are coloured.";
  };

  config = lib.mkIf cfg.enable {
    programs.zsh.shellAliases = lib.mapAttrs (_: lib.mkDefault) env.shellAliases;

    environment.etc.zshenv.text = startup "zshenv" (once "zshenv") ''
      if [ -z "''${__NIXOS_SET_ENVIRONMENT_DONE-}" ]; then
          . ${config.system.build.setEnvironment}
      fi

      HELPDIR="${pkgs.zsh}/share/zsh/$ZSH_VERSION/help"
      for p in ''${(z)NIX_PROFILES}; do
          fpath=($p/share/zsh/site-functions $p/share/zsh/$ZSH_VERSION/functions $p/share/zsh/vendor-completions $fpath)
      done

      ${env.shellInit}
      ${cfg.shellInit}
    '';

    environment.etc.zprofile.text = startup "zprofile" (once "zprofile") ''
      ${env.loginShellInit}
      ${cfg.loginShellInit}
    '';

    environment.etc.zshrc.text = startup "zshrc" ''${once "zshrc"} || [ -n "''${NOSYSZSHRC-}" ]'' ''
      ${optionalString (cfg.setOptions != [ ]) "setopt ${toString cfg.setOptions}"}
      HOST=$(hostname --fqdn)

      # Not exported: other shells would take them for their own.
      SAVEHIST=${toString cfg.histSize}
      HISTSIZE=${toString cfg.histSize}
      HISTFILE=${cfg.histFile}

      . /etc/zinputrc
      ${optionalString cfg.enableGlobalCompInit "autoload -U compinit && compinit"}
      ${optionalString cfg.enableBashCompletion "autoload -U bashcompinit && bashcompinit"}

      ${env.interactiveShellInit}
      ${cfg.interactiveShellInit}
      ${optionalString cfg.enableLsColors ''eval "$(${pkgs.coreutils}/bin/dircolors -b)"''}

      ${aliases}
      ${cfg.promptInit}

      # Editors that run a shell in a buffer.
      if [ "$TERM" = dumb ]; then
          unsetopt zle prompt_cr prompt_subst
          unset RPS1 RPROMPT
          PS1='$ '
          PROMPT='$ '
      fi
    '';

    # Keys by what terminfo(5) says of the terminal, zshzle(1).
    environment.etc.zinputrc.text =
      let
        keys = {
          khome = "beginning-of-line";
          kend = "end-of-line";
          kich1 = "overwrite-mode";
          kdch1 = "delete-char";
          kcuu1 = "up-line-or-history";
          kcud1 = "down-line-or-history";
          kcub1 = "backward-char";
          kcuf1 = "forward-char";
          kpp = "beginning-of-buffer-or-history";
          knp = "end-of-buffer-or-history";
        };
        bind = key: widget: ''[[ -n "''${terminfo[${key}]}" ]] && bindkey "''${terminfo[${key}]}" ${widget}'';
      in
      ''
        ${lib.concatStringsSep "\n" (lib.mapAttrsToList bind keys)}

        # terminfo's sequences are those of application mode.
        if (( ''${+terminfo[smkx]} )) && (( ''${+terminfo[rmkx]} )); then
            function zle-line-init () { printf '%s' "''${terminfo[smkx]}"; }
            function zle-line-finish () { printf '%s' "''${terminfo[rmkx]}"; }
            zle -N zle-line-init
            zle -N zle-line-finish
        fi
      '';

    environment.systemPackages = [
      pkgs.zsh
    ]
    ++ lib.optional cfg.enableCompletion pkgs.nix-zsh-completions;
    environment.pathsToLink = lib.optional cfg.enableCompletion "/share/zsh";
    environment.shells = [
      "/run/current-system/sw/bin/zsh"
      "${pkgs.zsh}/bin/zsh"
    ];
  };
}
