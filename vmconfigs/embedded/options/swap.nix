# swapDevices (swapon(8)), and the units that make swap files.
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:

let
  inherit (lib)
    mkIf
    mkOption
    optional
    optionalString
    types
    ;

  escapePath = utils.escapeSystemdPath;

  opt =
    type: default: description:
    mkOption { inherit type default description; };

  encryption.options = {
    enable = opt types.bool false "Whether a new key each boot encrypts it.";
    cipher = opt types.str "aes-xts-plain64" "Cipher of cryptsetup.";
    keySize = opt (types.nullOr types.int) null "Size of the key, in bits.";
    sectorSize = opt (types.nullOr types.int) null "Size of a sector, in bytes.";
    source = opt types.str "/dev/urandom" "Where the key comes from.";
    allowDiscards = opt types.bool false "Whether discards reach the device.";
  };

  device =
    { config, options, ... }:
    {
      options = {
        device = mkOption {
          type = types.nonEmptyStr;
          description = "Path of the device or file.";
        };
        isDevice = mkOption {
          default = lib.hasPrefix "/dev/" config.device;
          internal = true;
        };
        label = mkOption {
          type = types.str;
          description = "Label of the device, in place of `device`.";
        };
        size = opt (types.nullOr types.int) null "Size of the file, in MiB; makes it when it is missing.";
        priority = opt (types.nullOr types.int) null "Priority, 0 to 32767; higher is used first.";
        randomEncryption = mkOption {
          type = types.coercedTo types.bool (enable: { inherit enable; }) (types.submodule encryption);
          default = false;
          description = "Encryption with a key nobody keeps; no hibernation then.";
        };
        discardPolicy = opt (types.nullOr (
          types.enum [
            "once"
            "pages"
            "both"
          ]
        )) null "Which discards are sent ({manpage}`swapon(8)`).";
        options = opt (types.listOf types.nonEmptyStr) [ "defaults" ] "Options of the line in fstab.";
        deviceName = mkOption {
          type = types.str;
          internal = true;
        };
        realDevice = mkOption {
          type = types.path;
          internal = true;
        };
      };

      config = {
        device = mkIf options.label.isDefined "/dev/disk/by-label/${config.label}";
        deviceName = lib.replaceStrings [ "\\" ] [ "" ] (escapePath config.device);
        realDevice =
          if config.randomEncryption.enable then "/dev/mapper/${config.deviceName}" else config.device;
      };
    };

  fileScript = sw: ''
    currentSize=$(( $(stat -c "%s" "$DEVICE" 2>/dev/null || echo 0) / 1024 / 1024 ))
    if [[ ! -b "$DEVICE" && "${toString sw.size}" != "$currentSize" ]]; then
      if [[ "$(stat -f -c %T "$(dirname "$DEVICE")")" == "btrfs" ]]; then
        # Use btrfs mkswapfile to speed up the creation of swapfile.
        rm -f "$DEVICE"
        btrfs filesystem mkswapfile --size "${toString sw.size}M" --uuid clear "$DEVICE"
      else
        # Disable CoW for CoW based filesystems.
        truncate --size 0 "$DEVICE"
        chattr +C "$DEVICE" 2>/dev/null || true

        echo "Creating swap file using dd and mkswap."
        mkdir -p "$(dirname "$DEVICE")"
        dd if=/dev/zero of="$DEVICE" bs=1M count=${toString sw.size} status=progress
        ${optionalString (!sw.randomEncryption.enable) "mkswap \"${sw.realDevice}\""}
      fi
    fi
  '';

  encryptionScript =
    sw:
    let
      enc = sw.randomEncryption;
      flags =
        optional (enc.sectorSize != null) "--sector-size=${toString enc.sectorSize}"
        ++ optional (enc.keySize != null) "--key-size=${toString enc.keySize}"
        ++ optional enc.allowDiscards "--allow-discards";
    in
    ''
      cryptsetup plainOpen -c ${enc.cipher} -d ${enc.source} \
      ${lib.concatStringsSep " \\\n" flags} ${sw.device} ${sw.deviceName}
      mkswap ${sw.realDevice}
      ${optionalString sw.isDevice "udevadm trigger ${sw.realDevice}"}
    '';

  makeSwap =
    sw:
    let
      unit = "${escapePath sw.realDevice}.swap";
      encrypted = sw.randomEncryption.enable;
    in
    lib.nameValuePair "mkswap-${sw.deviceName}" {
      description = "Initialisation of swap device ${sw.device}";
      after = [ "systemd-modules-load.service" ];
      wantedBy = [ unit ];
      requiredBy = lib.optionals encrypted [ unit ];
      before = [
        unit
        "shutdown.target"
      ];
      conflicts = [ "shutdown.target" ];
      path = [
        pkgs.util-linux
        pkgs.e2fsprogs
      ]
      ++ optional (config.boot.supportedFilesystems.btrfs or false) pkgs.btrfs-progs
      ++ optional encrypted pkgs.cryptsetup;

      environment.DEVICE = sw.device;

      script = ''
        ${optionalString (sw.size != null) (fileScript sw)}
        ${optionalString encrypted (encryptionScript sw)}
      '';
      enableStrictShellChecks = true;

      unitConfig.RequiresMountsFor = [ "${dirOf sw.device}" ];
      # with the defaults, sysinit.target would wait for itself
      unitConfig.DefaultDependencies = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = encrypted;
        UMask = "0177";
        ExecStop = optionalString encrypted "${pkgs.cryptsetup}/bin/cryptsetup luksClose ${sw.deviceName}";
      };
      restartIfChanged = false;
    };
in
{
  options.swapDevices = mkOption {
    type = types.listOf (types.submodule device);
    default = [ ];
    description = "Devices and files to swap to.";
  };

  config = mkIf (config.swapDevices != [ ]) {
    assertions = map (sw: {
      assertion =
        sw.randomEncryption.enable -> builtins.match "/dev/disk/by-(uuid|label)/.*" sw.device == null;
      message = ''
        You cannot use swap device "${sw.device}" with randomEncryption enabled.
        The UUIDs and labels will get erased on every boot when the partition is encrypted.
        Use /dev/disk/by-partuuid/… instead.
      '';
    }) config.swapDevices;

    warnings = lib.concatMap (
      sw:
      optional (
        sw.size != null && lib.hasPrefix "/dev/" sw.device
      ) "Setting the swap size of block device ${sw.device} has no effect"
    ) config.swapDevices;

    systemd.services = lib.listToAttrs (
      map makeSwap (lib.filter (sw: sw.size != null || sw.randomEncryption.enable) config.swapDevices)
    );
  };
}
