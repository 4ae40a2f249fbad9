# programs.fish: nixos/modules/programs/fish.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  env = config.environment;
  cfg = config.programs.fish;

  opt =
    type: default: description:
    mkOption { inherit type default description; };
  lines = opt types.lines "";

  # Settings are written for sh: bash reads them, and fish takes over the variables.
  taken = file: ''
    for pair in (${pkgs.runtimeShell} -c '. ${file} >/dev/null && env --null' | string split0)
      set -l parts (string split --max 1 = -- $pair)
      contains -- $parts[1] _ PWD OLDPWD SHLVL; or set -gx $parts[1] $parts[2]
    end
  '';
  ofShells = name: text: lib.optionalString (text != "") (taken (pkgs.writeText name text));

  each = format: attrs: lib.concatStringsSep "\n" (lib.mapAttrsToList format attrs);

  # A part of config.fish that a shell runs once; its children do again.
  section = name: condition: text: ''
    if ${condition}; and not set -q __fish_nixos_${name}_config_sourced
    ${text}
      set -g __fish_nixos_${name}_config_sourced 1
    end
  '';
in
{
  options.programs.fish = {
    enable = opt types.bool false "Whether fish is set up.";
    package = lib.mkPackageOption pkgs "fish" { };
    useBabelfish = opt types.bool false "Accepted; bash reads the settings of shells for a guest's fish.";
    generateCompletions = opt types.bool true "Accepted; a guest has no manual pages to make completions of.";
    extraCompletionPackages = opt (types.listOf types.package) [ ] "Accepted; a guest has no manual pages to make completions of.";
    vendor.config.enable = opt types.bool true "Whether packages' settings are read.";
    vendor.completions.enable = opt types.bool true "Whether packages' completions are.";
    vendor.functions.enable = opt types.bool true "Whether packages' functions are.";
    shellAbbrs = opt (types.attrsOf types.str) { } "Abbreviations.";
    shellAliases = opt (types.attrsOf (
      types.nullOr (types.either types.str types.path)
    )) { } "Aliases of fish.";
    shellInit = lines "Commands at the start of every fish.";
    loginShellInit = lines "Commands at the start of a login fish.";
    interactiveShellInit = lines "Commands at the start of an interactive fish.";
    promptInit = lines "Commands that set the prompt.";
  };

  config = lib.mkIf cfg.enable {
    programs.fish.shellAliases = lib.mapAttrs (_: lib.mkDefault) env.shellAliases;

    environment.etc."fish/config.fish".text = ''
      # /etc/fish/config.fish: DO NOT EDIT -- this file has been generated automatically.
      if test -z "$__NIXOS_SET_ENVIRONMENT_DONE"
      ${taken config.system.build.setEnvironment}
      end

      ${section "general" "true" ''
        ${ofShells "shellInit" env.shellInit}
        ${cfg.shellInit}
      ''}
      ${section "login" "status is-login" ''
        ${ofShells "loginShellInit" env.loginShellInit}
        ${cfg.loginShellInit}
      ''}
      ${section "interactive" "status is-interactive" ''
        ${each (k: v: "abbr -a ${k} -- ${lib.escapeShellArg v}") cfg.shellAbbrs}
        ${each (k: v: "alias ${k} ${lib.escapeShellArg v}") (lib.filterAttrs (_: v: v != null) cfg.shellAliases)}
        ${ofShells "interactiveShellInit" env.interactiveShellInit}
        ${cfg.promptInit}
        ${cfg.interactiveShellInit}
      ''}
    '';

    environment.pathsToLink =
      lib.optional cfg.vendor.config.enable "/share/fish/vendor_conf.d"
      ++ lib.optional cfg.vendor.completions.enable "/share/fish/vendor_completions.d"
      ++ lib.optional cfg.vendor.functions.enable "/share/fish/vendor_functions.d";
    environment.systemPackages = [ cfg.package ];
    environment.shells = [
      "/run/current-system/sw/bin/fish"
      (lib.getExe cfg.package)
    ];
  };
}
