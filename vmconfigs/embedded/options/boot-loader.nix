# boot.loader.*, boot.initrd.*: nixos/modules/system/boot/loader, stage-1.nix,
# stage-2.nix. The guest boots by itself: the options are there with NixOS's types,
# so that a host's configuration can be read.
{ lib, ... }:
let
  inherit (lib) mkOption types;

  bool = default: mkOption {
    type = types.bool;
    inherit default;
    description = "Accepted; the guest boots by itself.";
  };
  option = type: default: mkOption {
    inherit type default;
    description = "Accepted; the guest boots by itself.";
  };
  lines = option types.lines "";
  perhaps = type: option (types.nullOr type) null;
in
{
  options.boot = {
    loader = {
      timeout = option (types.nullOr types.int) 5;
      efi.canTouchEfiVariables = bool false;
      efi.efiSysMountPoint = option types.str "/boot";
      systemd-boot = {
        enable = bool false;
        editor = bool true;
        graceful = bool false;
        configurationLimit = perhaps types.int;
        consoleMode = option (types.enum [
          "0"
          "1"
          "2"
          "5"
          "auto"
          "max"
          "keep"
        ]) "keep";
        memtest86.enable = bool false;
        netbootxyz.enable = bool false;
        edk2-uefi-shell.enable = bool false;
        sortKey = option types.str "nixos";
        xbootldrMountPoint = perhaps types.str;
        extraEntries = option (types.attrsOf types.lines) { };
        extraFiles = option (types.attrsOf types.path) { };
        extraInstallCommands = lines;
      };
      grub = {
        enable = bool false;
        device = option types.str "";
        devices = option (types.listOf types.str) [ ];
        efiSupport = bool false;
        efiInstallAsRemovable = bool false;
        useOSProber = bool false;
        enableCryptodisk = bool false;
        forceInstall = bool false;
        zfsSupport = bool false;
        copyKernels = bool false;
        configurationLimit = option types.int 100;
        configurationName = option types.str "";
        default = option (types.either types.int types.str) "0";
        extraConfig = lines;
        extraEntries = lines;
        extraEntriesBeforeNixOS = bool false;
        fsIdentifier = option (types.enum [
          "uuid"
          "label"
          "provided"
        ]) "uuid";
        gfxmodeEfi = option types.str "auto";
        gfxmodeBios = option types.str "1024x768";
        splashImage = perhaps types.path;
        theme = perhaps types.path;
        timeoutStyle = option (types.enum [
          "menu"
          "countdown"
          "hidden"
        ]) "menu";
        mirroredBoots = option (types.listOf types.attrs) [ ];
      };
      generic-extlinux-compatible.enable = bool false;
      generic-extlinux-compatible.configurationLimit = option types.int 20;
      external.enable = bool false;
      supportsInitrdSecrets = bool false;
    };

    initrd = {
      enable = bool true;
      verbose = bool true;
      checkJournalingFS = bool true;
      compressor = option types.raw "zstd";
      compressorArgs = option (types.nullOr (types.listOf types.str)) null;
      secrets = option (types.attrsOf (types.nullOr (types.either types.str types.path))) { };
      luks.devices = option (types.attrsOf (types.attrsOf types.anything)) { };
      luks.reusePassphrases = bool true;
      network.enable = bool false;
      network.ssh = option (types.attrsOf types.anything) { };
      systemd = mkOption {
        type = types.submodule { freeformType = types.attrsOf types.anything; };
        default = { };
        description = "Accepted; the guest boots by itself.";
      };
      postDeviceCommands = lines;
      postMountCommands = lines;
      postResumeCommands = lines;
      preDeviceCommands = lines;
      preFailCommands = lines;
      preLVMCommands = lines;
      extraUtilsCommands = lines;
      supportedFilesystems = option (types.coercedTo (types.listOf types.str) (
        list: lib.genAttrs list (_: true)
      ) (types.attrsOf types.bool)) { };
      services.lvm.enable = bool false;
    };

    tmp.useZram = bool false;
    plymouth.enable = bool false;
    growPartition = bool false;
    resumeDevice = option types.str "";
    hardwareScan = bool true;
    postBootCommands = lines;
    nixStoreMountOpts = option (types.listOf types.nonEmptyStr) [
      "ro"
      "nodev"
      "nosuid"
    ];
    zfs = {
      enabled = bool false;
      forceImportRoot = bool true;
      extraPools = option (types.listOf types.str) [ ];
    };
    swraid.enable = bool false;
    extraSystemdUnitPaths = option (types.listOf types.str) [ ];
  };
}
