# programs.ccache: nixos/modules/programs/ccache.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.programs.ccache;
  opt =
    type: default: description:
    mkOption { inherit type default description; };
in
{
  options.programs.ccache = {
    enable = lib.mkEnableOption "CCache, a compiler cache for fast recompilation of C/C++ code";
    cacheDir = opt types.path "/var/cache/ccache" "Its directory.";
    owner = opt types.str "root" "Who owns that.";
    group = opt types.str "nixbld" "The group of that.";
    packageNames = opt (types.listOf types.str) [ ] "Accepted; a guest compiles no packages of nixpkgs.";
    trace = opt types.bool true "Accepted; a guest compiles no packages of nixpkgs.";
  };

  config = lib.mkIf cfg.enable {
    systemd.tmpfiles.rules = [ "d ${cfg.cacheDir} 0770 ${cfg.owner} ${cfg.group} -" ];

    # Who may not write there looks at its statistics, and clears it, by this.
    security.wrappers.nix-ccache = {
      inherit (cfg) owner group;
      setuid = false;
      setgid = true;
      source = pkgs.writeScript "nix-ccache.pl" ''
        #!${pkgs.perl}/bin/perl
        my %short = ('--clear' => '-C', '--version' => '-V', '--show-stats' => '-s', '--zero-stats' => '-z');
        my %allowed = map { $_ => $_ } values %short;
        my @args = map { $allowed{$short{$_} // $_} // '-h' } @ARGV;
        %ENV = (CCACHE_DIR => '${cfg.cacheDir}');
        exec('${pkgs.ccache}/bin/ccache', @args);
      '';
    };
  };
}
