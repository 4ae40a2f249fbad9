# boot.kernel*, boot.*Modprobe*: nixos/modules/system/boot/kernel.nix and
# modprobe.nix. The kernel itself is the guest's.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.boot;

  names = types.coercedTo (types.listOf types.str) (list: lib.genAttrs list (_: true)) (
    types.attrsOf types.bool
  );
  modules = description: mkOption {
    type = names;
    default = { };
    apply = mods: lib.attrNames (lib.filterAttrs (_: wanted: wanted) mods);
    inherit description;
  };
in
{
  options.boot = {
    kernel.enable = lib.mkEnableOption "the kernel" // {
      default = true;
    };
    kernel.features = mkOption {
      type = types.attrs;
      default = { };
      internal = true;
      description = "What the kernel can do.";
    };
    kernel.randstructSeed = mkOption {
      type = types.str;
      default = "";
      description = "Seed of the kernel's layout; the guest's kernel is built already.";
    };
    kernelPackages = mkOption {
      type = types.raw;
      default = pkgs.linuxPackages;
      description = "Accepted; the guest has one kernel.";
    };
    kernelPatches = mkOption {
      type = types.listOf types.attrs;
      default = [ ];
      description = "Accepted; the guest has one kernel.";
    };
    kernelParams = mkOption {
      type = types.listOf (
        types.strMatching ''([^"[:space:]]|"[^"]*")+''
        // {
          name = "kernelParam";
          description = "string, with spaces inside double quotes";
        }
      );
      default = [ ];
      description = "Parameters of the kernel.";
    };
    consoleLogLevel = mkOption {
      type = types.int;
      default = 4;
      description = "Which messages of the kernel reach the console.";
    };
    extraModulePackages = mkOption {
      type = types.listOf types.package;
      default = [ ];
      description = "Packages with modules of the kernel.";
    };
    kernelModules = modules "Modules loaded at boot.";
    blacklistedKernelModules = modules "Modules not loaded by themselves.";
    extraModprobeConfig = mkOption {
      type = types.lines;
      default = "";
      description = "Lines of modprobe.d(5).";
    };
    modprobeConfig.enable = lib.mkEnableOption "modprobe's configuration" // {
      default = true;
    };
    modprobeConfig.useUbuntuModuleBlacklist = mkOption {
      type = types.bool;
      default = true;
      description = "Whether modules that Ubuntu leaves out are left out.";
    };
    initrd = {
      availableKernelModules = modules "Accepted; the guest boots by itself.";
      kernelModules = modules "Accepted; the guest boots by itself.";
      includeDefaultModules = mkOption {
        type = types.bool;
        default = true;
        description = "Whether NixOS's own choice is at hand.";
      };
      allowMissingModules = mkOption {
        type = types.bool;
        default = false;
        description = "Whether a module may be missing.";
      };
    };
    isContainer = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the machine is a container.";
    };
  };

  config = {
    boot.kernelParams = lib.mkMerge [
      [ "root=fstab" ]
      [ "loglevel=${toString cfg.consoleLogLevel}" ]
      (lib.mkAfter (
        lib.optional (config.security.lsm != [ ]) "lsm=${lib.concatStringsSep "," config.security.lsm}"
      ))
    ];
    boot.kernelModules = [
      "loop"
      "atkbd"
    ];
    boot.kernel.sysctl."kernel.printk" = lib.mkDefault cfg.consoleLogLevel;

    environment.etc."modules-load.d/nixos.conf".source = pkgs.writeText "nixos.conf" ''
      ${lib.concatStringsSep "\n" cfg.kernelModules}
    '';
    environment.etc."modprobe.d/nixos.conf" = lib.mkIf cfg.modprobeConfig.enable {
      text = ''
        ${lib.concatMapStrings (name: "blacklist ${name}\n") cfg.blacklistedKernelModules}
        ${cfg.extraModprobeConfig}
      '';
    };

    systemd.services.systemd-modules-load = {
      wantedBy = [ "multi-user.target" ];
      restartTriggers = [ config.environment.etc."modules-load.d/nixos.conf".source ];
      serviceConfig.SuccessExitStatus = "0 1";
    };
  };
}
