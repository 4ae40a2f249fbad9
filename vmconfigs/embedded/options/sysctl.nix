# boot.kernel.sysctl: settings of the kernel, sysctl.d(5).
{ config, lib, ... }:

let
  inherit (lib) mkOption types;

  # Any plain value; two definitions are one too many.
  value = lib.mkOptionType {
    name = "sysctl option value";
    check =
      v:
      let
        plain = x: x == null || lib.isBool x || lib.isString x || lib.isInt x;
      in
      plain v || (v._type or "" == "override" && plain v.content);
    merge = lib.mergeOneOption;
  };

  # Of several sizes of a buffer the largest serves all who asked.
  largest =
    description:
    mkOption {
      type = types.nullOr (
        types.ints.unsigned
        // {
          merge =
            _: defs: lib.foldl (max: def: if def.value == null then null else lib.max max def.value) 0 defs;
        }
      );
      default = null;
      inherit description;
    };
in
{
  options.boot.kernel.sysctl = mkOption {
    type = types.submodule {
      freeformType = types.attrsOf value;
      options = {
        "net.core.rmem_max" = largest "Largest receive buffer of a socket, in bytes.";
        "net.core.wmem_max" = largest "Largest send buffer of a socket, in bytes.";
      };
    };
    default = { };
    description = "Settings of the kernel; null leaves one alone.";
  };

  config = {
    environment.etc = {
      # Debian's kernel: CONFIG_ARCH_MMAP_RND_BITS_MAX and CONFIG_ARCH_MMAP_RND_COMPAT_BITS_MAX on x86_64
      "sysctl.d/55-nixos-aslr-entropy.conf".text = ''
        vm.mmap_rnd_bits=32
        vm.mmap_rnd_compat_bits=16
      '';
      "sysctl.d/60-nixos.conf".text = import ../text/sysctl.nix { inherit lib; } config.boot.kernel.sysctl;
    };

    systemd.services.systemd-sysctl = {
      wantedBy = [ "multi-user.target" ];
      restartTriggers = [ config.environment.etc."sysctl.d/60-nixos.conf".source ];
    };

    boot.kernel.sysctl = lib.mapAttrs (_: lib.mkDefault) {
      # addresses of the kernel are for root
      "kernel.kptr_restrict" = 1;
      "vm.max_map_count" = 1048576;
      "fs.inotify.max_user_instances" = 524288;
      "fs.inotify.max_user_watches" = 524288;
    };
  };
}
