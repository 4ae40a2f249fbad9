# programs.fuse: nixos/modules/programs/fuse.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.programs.fuse;
  root = source: {
    setuid = true;
    owner = "root";
    group = "root";
    inherit source;
  };
in
{
  options.programs.fuse = {
    enable = lib.mkEnableOption "fuse";
    mountMax = lib.mkOption {
      # An int of C, which may have 16 bits.
      type = lib.types.ints.between 0 32767;
      default = 1000;
      description = "How many file systems users may mount.";
    };
    userAllowOther = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether users may show others what they mounted, mount.fuse3(8).";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [
      pkgs.fuse
      pkgs.fuse3
    ];
    security.wrappers.fusermount = root "${pkgs.fuse}/bin/fusermount";
    security.wrappers.fusermount3 = root "${pkgs.fuse3}/bin/fusermount3";
    environment.etc."fuse.conf".text = ''
      ${lib.optionalString (!cfg.userAllowOther) "#"}user_allow_other
      mount_max = ${toString cfg.mountMax}
    '';
  };
}
