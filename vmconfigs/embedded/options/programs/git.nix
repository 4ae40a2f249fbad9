# programs.git: nixos/modules/programs/git.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.programs.git;
  gitIni = types.attrsOf (types.attrsOf types.anything);
in
{
  options.programs.git = {
    enable = lib.mkEnableOption "git, a distributed version control system";
    package = lib.mkPackageOption pkgs "git" { };
    config = mkOption {
      # Sets are merged and come first; lists keep their order after them.
      type = types.either gitIni (types.listOf gitIni) // {
        merge =
          loc: defs:
          let
            lists = lib.filter (d: lib.isList d.value) defs;
            sets = lib.filter (d: !lib.isList d.value) defs;
          in
          [ (gitIni.merge loc sets) ] ++ lib.concatMap (d: d.value) lists;
      };
      default = [ ];
      description = "Text of /etc/gitconfig.";
    };
    prompt.enable = lib.mkEnableOption "git's functions for prompts";
    lfs = {
      enable = lib.mkEnableOption "git-lfs (Large File Storage)";
      package = lib.mkPackageOption pkgs "git-lfs" { };
      enablePureSSHTransfer = lib.mkEnableOption "transfers of large files over SSH alone";
    };
    attributes = mkOption {
      type = types.lines;
      default = "";
      description = "Text of /etc/gitattributes.";
    };
  };

  config = lib.mkMerge [
    (lib.mkIf cfg.enable {
      environment.systemPackages = [ cfg.package ];
      environment.etc.gitconfig = lib.mkIf (cfg.config != [ ]) {
        text = lib.concatMapStringsSep "\n" lib.generators.toGitINI cfg.config;
      };
      environment.etc.gitattributes = lib.mkIf (cfg.attributes != "") {
        text = cfg.attributes + "\n";
      };
    })
    (lib.mkIf (cfg.enable && cfg.lfs.enable) {
      environment.systemPackages = [ cfg.lfs.package ];
      programs.git.config.filter.lfs = {
        clean = "git-lfs clean -- %f";
        smudge = "git-lfs smudge -- %f";
        process = "git-lfs filter-process";
        required = true;
      };
    })
    (lib.mkIf (cfg.enable && cfg.prompt.enable) {
      environment.interactiveShellInit = ''
        source ${cfg.package}/share/bash-completion/completions/git-prompt.sh
      '';
    })
  ];
}
