# fileSystems.<name>.encrypted, swapDevices.*.encrypted: nixos/modules/tasks/encrypted-devices.nix. The first stage
# would open such a device; a guest has none.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  text = description: mkOption {
    type = types.nullOr types.str;
    default = null;
    inherit description;
  };
  encrypted.options.encrypted = {
    enable = mkOption {
      type = types.bool;
      default = false;
      description = "Whether an encrypted device is below.";
    };
    blkDev = text "The encrypted device.";
    label = text "Name of the opened device in /dev/mapper.";
    keyFile = text "File with the key.";
  };
  devices = lib.filter (d: d.encrypted.enable) (config.system.build.fileSystems ++ config.swapDevices);
in
{
  options.fileSystems = mkOption { type = types.attrsOf (types.submodule encrypted); };
  options.swapDevices = mkOption { type = types.listOf (types.submodule encrypted); };

  config.assertions = lib.concatMap (d: [
    {
      assertion = d.encrypted.label != null;
      message = ''
        The filesystem for ${d.mountPoint} has encrypted.enable set to true, but no encrypted.label set
      '';
    }
    {
      assertion =
        d.encrypted.keyFile == null
        || !lib.any (x: lib.hasPrefix x d.encrypted.keyFile) [ "/mnt-root" "$targetRoot" ];
      message = ''
        Bad use of '/mnt-root' or '$targetRoot` in 'keyFile'.

          When 'boot.initrd.systemd.enable' is enabled, file systems
          are mounted at '/sysroot' instead of '/mnt-root'.
      '';
    }
  ]) devices;
}
