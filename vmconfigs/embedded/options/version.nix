# system.stateVersion, system.nixos.*: nixos/modules/misc/version.nix
{
  config,
  lib,
  options,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.system.nixos;
  fixed = default: description: mkOption {
    type = types.str;
    readOnly = true;
    inherit default description;
  };
  internal = default: mkOption {
    type = types.str;
    internal = true;
    inherit default;
    description = "About this NixOS.";
  };
  perhaps = mkOption {
    type = types.nullOr types.str;
    default = null;
    internal = true;
    description = "About this NixOS.";
  };
in
{
  imports = [
    (lib.mkRenamedOptionModule [ "system" "nixosVersion" ] [ "system" "nixos" "version" ])
    (lib.mkRenamedOptionModule [ "system" "nixosLabel" ] [ "system" "nixos" "label" ])
  ];

  options.system = {
    nixos = {
      release = fixed "26.11" "The release whose options these are.";
      codeName = fixed "Zokor" "Its name.";
      version = internal "${cfg.release}pre-git";
      versionSuffix = internal "pre-git";
      revision = perhaps;
      label = internal cfg.version;
      tags = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "Words in the label.";
      };
      distroId = internal "nixos";
      distroName = internal "NixOS";
      vendorId = internal "nixos";
      vendorName = internal "NixOS";
      variant_id = perhaps;
      variantName = perhaps;
    };
    stateVersion = mkOption {
      type = types.str;
      default = cfg.release;
      description = "The release a machine was first installed with.";
    };
    configurationRevision = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "Revision of the configuration.";
    };
    name = mkOption {
      type = types.str;
      default = if config.networking.hostName == "" then "unnamed" else config.networking.hostName;
      description = "Name of the system's store path.";
    };
    copySystemConfiguration = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the configuration lies beside the system; the guest has it anyway.";
    };
    autoUpgrade = {
      enable = lib.mkEnableOption "updates that come by themselves; a guest is never updated";
      allowReboot = lib.mkEnableOption "reboots after updates";
      channel = perhaps;
      dates = mkOption {
        type = types.str;
        default = "04:40";
        description = "When.";
      };
      flake = perhaps;
      flags = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "Flags of nixos-rebuild.";
      };
    };
    switch.enable = mkOption {
      type = types.bool;
      default = true;
      description = "Whether a machine can switch.";
    };
  };

  config.warnings =
    lib.optional (options.system.stateVersion.highestPrio == (lib.mkOptionDefault { }).priority)
      "system.stateVersion is not set, defaulting to ${config.system.stateVersion}. Read why this matters on https://nixos.org/manual/nixos/stable/options.html#opt-system.stateVersion.";
}
