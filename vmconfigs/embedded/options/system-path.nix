# What /run/current-system/sw is made of: nixos/modules/config/system-path.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;

  # Installed behind everything that is asked for by name.
  low = package: lib.setPrio ((package.meta.priority or lib.meta.defaultPriority) + 3) package;

  core = map low [
    pkgs.acl
    pkgs.attr
    pkgs.bashInteractive
    pkgs.bzip2
    pkgs.coreutils-full
    pkgs.cpio
    pkgs.curl
    pkgs.diffutils
    pkgs.findutils
    pkgs.gawk
    pkgs.getent
    pkgs.getconf
    pkgs.gnugrep
    pkgs.gnupatch
    pkgs.gnused
    pkgs.gnutar
    pkgs.gzip
    pkgs.xz
    pkgs.less
    pkgs.libcap
    pkgs.ncurses
    pkgs.netcat
    pkgs.mkpasswd
    pkgs.procps
    pkgs.su
    pkgs.time
    pkgs.util-linux
    pkgs.which
    pkgs.zstd
    pkgs.stdenv.cc.libc
  ];

  packages = default: description: mkOption {
    type = types.listOf types.package;
    inherit default description;
  };
in
{
  options.environment = {
    systemPackages = packages [ ] "Packages on everybody's PATH.";
    corePackages = packages [ ] "Packages of every interactive system.";
    defaultPackages = packages (map low [
      pkgs.perl
      pkgs.rsync
      pkgs.strace
    ]) "Packages that a system has if nobody says otherwise.";
    pathsToLink = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Directories of packages that are linked into the system's.";
    };
    extraOutputsToInstall = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "More outputs of packages to link.";
    };
    extraSetup = mkOption {
      type = types.lines;
      default = "";
      description = "Commands after the system's directory is made.";
    };
    enableAllTerminfo = mkOption {
      type = types.bool;
      default = false;
      description = "Whether all terminals are described.";
    };
  };

  options.system.path = mkOption {
    internal = true;
    description = "The directory of all packages.";
  };

  config = {
    environment.corePackages = core;
    environment.systemPackages =
      config.environment.corePackages
      ++ config.environment.defaultPackages
      # of every NixOS, by modules that have nothing else to say here
      ++ [
        pkgs.bind
        pkgs.hostname
        pkgs.iproute2
        pkgs.iputils
        pkgs.kbd
        pkgs.kmod
      ];
    environment.pathsToLink = [
      "/bin"
      "/etc/xdg"
      "/lib"
      "/sbin"
    ];
    system.path = pkgs.buildEnv {
      name = "system-path";
      paths = config.environment.systemPackages;
      inherit (config.environment) pathsToLink;
    };
  };
}
