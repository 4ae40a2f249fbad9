# hardware.*, documentation.*, virtualisation.*, zramSwap: what hosts commonly
# say about themselves. Accepted with NixOS's types; a guest has other hardware
# and no manuals.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  bool = default: mkOption {
    type = types.bool;
    inherit default;
    description = "Accepted; it has no effect on a guest.";
  };
  option = type: default: mkOption {
    inherit type default;
    description = "Accepted; it has no effect on a guest.";
  };
  removed = path: lib.mkRemovedOptionModule (lib.splitString "." path);
  renamed = from: to: lib.mkRenamedOptionModule (lib.splitString "." from) (lib.splitString "." to);
in
{
  options = {
    hardware = {
      enableAllFirmware = bool false;
      enableRedistributableFirmware = bool false;
      enableAllHardware = bool false;
      cpu.intel.updateMicrocode = bool false;
      cpu.amd.updateMicrocode = bool false;
      graphics.enable = bool false;
      graphics.enable32Bit = bool false;
      graphics.extraPackages = option (types.listOf types.package) [ ];
      bluetooth.enable = bool false;
      bluetooth.powerOnBoot = bool true;
      firmware = option (types.listOf types.package) [ ];
      wirelessRegulatoryDatabase = bool false;
      ksm.enable = bool false;
      rasdaemon.enable = bool false;
      sensor.iio.enable = bool false;
    };
    documentation = {
      enable = bool true;
      man.enable = bool true;
      info.enable = bool true;
      doc.enable = bool true;
      dev.enable = bool false;
      nixos.enable = bool true;
      nixos.includeAllModules = bool false;
    };
    zramSwap = {
      enable = bool false;
      algorithm = option (types.either (types.enum [
        "842"
        "lzo"
        "lzo-rle"
        "lz4"
        "lz4hc"
        "zstd"
      ]) types.str) "zstd";
      memoryPercent = option types.ints.positive 50;
      memoryMax = option (types.nullOr types.int) null;
      priority = option types.int 5;
      swapDevices = option types.int 1;
    };
    virtualisation = {
      hypervGuest.enable = bool false;
      vmware.guest.enable = bool false;
      virtualbox.guest.enable = bool false;
    };
    fonts.fontconfig.enable = bool true;
    fonts.packages = option (types.listOf types.path) [ ];
    xdg.portal.enable = bool false;
    qt.enable = bool false;
    appstream.enable = bool true;
  };

  imports = [
    (renamed "documentation.man.generateCaches" "documentation.man.cache.enable")
    (removed "boot.readOnlyNixStore" "Please use the `boot.nixStoreMountOpts' option to define mount options for the Nix store, including 'ro'")
    (removed "boot.bootspec.enable" ''
      Bootspec is now always generated and can no longer be disabled.
    '')
    (lib.mkRenamedOptionModule [ "hardware" "opengl" "enable" ] [ "hardware" "graphics" "enable" ])
  ];
}
