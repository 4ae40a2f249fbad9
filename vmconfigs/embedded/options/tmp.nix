# boot.tmp.*: nixos/modules/system/boot/tmp.nix
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.boot.tmp;
in
{
  imports = [
    (lib.mkRenamedOptionModule [ "boot" "cleanTmpDir" ] [ "boot" "tmp" "cleanOnBoot" ])
    (lib.mkRenamedOptionModule [ "boot" "tmpOnTmpfs" ] [ "boot" "tmp" "useTmpfs" ])
    (lib.mkRenamedOptionModule [ "boot" "tmpOnTmpfsSize" ] [ "boot" "tmp" "tmpfsSize" ])
  ];

  options.boot.tmp = {
    cleanOnBoot = mkOption {
      type = types.bool;
      default = false;
      description = "Whether /tmp is emptied at boot.";
    };
    useTmpfs = mkOption {
      type = types.bool;
      default = false;
      description = "Whether /tmp is in memory.";
    };
    tmpfsSize = mkOption {
      type = types.oneOf [
        types.str
        types.ints.positive
      ];
      default = "50%";
      description = "How large it may get there, tmpfs(5).";
    };
    tmpfsHugeMemoryPages = mkOption {
      type = types.enum [
        "never"
        "always"
        "within_size"
        "advise"
      ];
      default = "never";
      description = "When it is in huge pages, tmpfs(5).";
    };
  };

  config.systemd = {
    mounts = lib.mkIf cfg.useTmpfs [
      {
        what = "tmpfs";
        where = "/tmp";
        type = "tmpfs";
        mountConfig.Options = lib.concatStringsSep "," [
          "mode=1777"
          "strictatime"
          "rw"
          "nosuid"
          "nodev"
          "size=${toString cfg.tmpfsSize}"
          "huge=${cfg.tmpfsHugeMemoryPages}"
        ];
      }
    ];

    tmpfiles.rules = lib.optional cfg.cleanOnBoot "D! /tmp 1777 root root";
  };
}
