# programs.tmux: nixos/modules/programs/tmux.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption optionalString types;
  cfg = config.programs.tmux;
  opt =
    type: default: description:
    mkOption { inherit type default description; };
  bool = opt types.bool;
  onOff = value: if value then "on" else "off";

  text = ''
    set  -g default-terminal "${cfg.terminal}"
    set  -g base-index      ${toString cfg.baseIndex}
    setw -g pane-base-index ${toString cfg.baseIndex}
    set  -g history-limit   ${toString cfg.historyLimit}

    ${optionalString cfg.newSession ''
      # One session for all who start tmux.
      new-session -A -s 0
    ''}

    ${optionalString cfg.reverseSplit ''
      bind v split-window -h
      bind s split-window -v
    ''}

    set -g status-keys ${cfg.keyMode}
    set -g mode-keys   ${cfg.keyMode}

    ${optionalString (cfg.keyMode == "vi" && cfg.customPaneNavigationAndResize) (
      lib.concatStrings (
        lib.mapAttrsToList (key: side: ''
          bind ${key} select-pane -${side}
          bind -r ${lib.toUpper key} resize-pane -${side} ${toString cfg.resizeAmount}
        '') { h = "L"; j = "D"; k = "U"; l = "R"; }
      )
    )}

    ${optionalString (cfg.shortcut != "b") ''
      unbind C-b
      set -g prefix C-${cfg.shortcut}
      bind ${cfg.shortcut} send-prefix
      bind C-${cfg.shortcut} last-window
    ''}

    setw -g aggressive-resize ${onOff cfg.aggressiveResize}
    setw -g clock-mode-style  ${if cfg.clock24 then "24" else "12"}
    set  -s escape-time       ${toString cfg.escapeTime}

    ${cfg.extraConfigBeforePlugins}

    ${lib.concatMapStrings (plugin: "run-shell ${plugin.rtp}\n") cfg.plugins}

    ${cfg.extraConfig}
  '';
in
{
  imports = [
    (lib.mkRenamedOptionModule [ "programs" "tmux" "extraTmuxConf" ] [ "programs" "tmux" "extraConfig" ])
  ];

  options.programs.tmux = {
    enable = lib.mkEnableOption "tmux";
    package = lib.mkPackageOption pkgs "tmux" { };
    aggressiveResize = bool false "Whether a window is as small as the smallest client that shows it.";
    baseIndex = opt types.int 0 "Number of the first window.";
    clock24 = bool false "Whether the clock counts to 24.";
    customPaneNavigationAndResize = bool false "Whether h, j, k and l move between panes.";
    escapeTime = opt types.int 500 "Milliseconds to wait after an escape.";
    extraConfigBeforePlugins = opt types.lines "" "Lines of tmux.conf before plugins.";
    extraConfig = opt types.lines "" "Lines at the end of tmux.conf.";
    historyLimit = opt types.int 2000 "Lines that are kept.";
    keyMode = opt (types.enum [ "emacs" "vi" ]) "emacs" "Whose keys.";
    newSession = bool false "Whether attaching makes a session where there is none.";
    reverseSplit = bool false "Whether v and s split as in vi.";
    resizeAmount = opt types.int 5 "By how much a pane is resized.";
    shortcut = opt types.str "b" "The key, with control.";
    terminal = opt types.str "screen" "What TERM says inside.";
    secureSocket = bool true "Whether sockets lie in /run, and end with the session.";
    plugins = opt (types.listOf types.package) [ ] "Plugins.";
    withUtempter = bool true "Whether sessions are told to utmp, utmp(5).";
  };

  config = lib.mkIf cfg.enable {
    environment.etc."tmux.conf".text = text;
    environment.systemPackages = [ cfg.package ] ++ cfg.plugins;
    environment.variables.TMUX_TMPDIR = lib.optional cfg.secureSocket ''''${XDG_RUNTIME_DIR:-"/run/user/$(id -u)"}'';
    security.wrappers.utempter = lib.mkIf cfg.withUtempter (import ./utempter.nix pkgs);
  };
}
