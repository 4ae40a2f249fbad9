# security.*: nixos/modules/security/misc.nix and lock-kernel-modules.nix, what of audit.nix and apparmor.nix tells the
# kernel. A guest's kernel is started by the harness: parameters are rendered, and take effect on a real machine.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkIf mkOption types;
  cfg = config.security;
  bool = default: description: mkOption {
    type = types.bool;
    inherit default description;
  };
  audit = cfg.audit.enable;
in
{
  imports = [
    (lib.mkRenamedOptionModule
      [ "security" "virtualization" "flushL1DataCache" ]
      [ "security" "virtualisation" "flushL1DataCache" ]
    )
  ];

  options.security = {
    lsm = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Security modules of the kernel, in order; on the kernel's command line.";
    };
    allowUserNamespaces = bool true "Whether there are user namespaces; a build's sandbox needs them.";
    unprivilegedUsernsClone = bool false "Whether users who are not root may make some.";
    protectKernelImage = bool false "Whether the running kernel cannot be replaced.";
    allowSimultaneousMultithreading = bool true "Whether a core runs two threads.";
    forcePageTableIsolation = bool false "Whether the kernel has page tables of its own.";
    virtualisation.flushL1DataCache = mkOption {
      type = types.nullOr (types.enum [ "never" "cond" "always" ]);
      default = null;
      description = "When the level 1 cache is flushed before a guest runs.";
    };
    lockKernelModules = bool false "Whether no module is loaded once the system is up.";
    audit = {
      enable = mkOption {
        type = types.enum [ false true "lock" ];
        default = false;
        description = "Whether the kernel's audit subsystem is on; `lock` keeps its rules until a reboot.";
      };
      backlogLimit = mkOption {
        type = types.int;
        default = 1024;
        description = "How many messages may wait.";
      };
      failureMode = mkOption {
        type = types.enum [ "silent" "printk" "panic" ];
        default = "printk";
        description = "Accepted; the guest loads no audit rules.";
      };
      rateLimit = mkOption {
        type = types.int;
        default = 0;
        description = "Accepted; the guest loads no audit rules.";
      };
      rules = mkOption {
        type = types.listOf types.str;
        default = [ ];
        description = "Accepted; the guest loads no audit rules.";
      };
    };
    auditd.enable = bool false "Accepted; the guest has no auditd.";
    apparmor = {
      enable = bool false "Whether AppArmor is on.";
      packages = mkOption {
        type = types.listOf types.package;
        default = [ ];
        description = "Accepted; the guest loads no profiles.";
      };
      policies = mkOption {
        type = types.attrsOf types.anything;
        default = { };
        description = "Accepted; the guest loads no profiles.";
      };
      includes = mkOption {
        type = types.attrsOf types.lines;
        default = { };
        description = "Accepted; the guest loads no profiles.";
      };
      enableCache = bool false "Accepted; the guest loads no profiles.";
      killUnconfinedConfinables = bool false "Accepted; the guest loads no profiles.";
    };
  };

  config = lib.mkMerge [
    {
      security.lsm = lib.mkMerge [
        [ "landlock" "yama" ]
        (mkIf cfg.apparmor.enable [ "apparmor" ])
        (lib.mkAfter [ "bpf" ])
      ];
      assertions = [
        {
          assertion = cfg.lsm != [ ] -> !lib.any (lib.hasPrefix "security=") config.boot.kernelParams;
          message = "security parameter in boot.kernelParams cannot be used when security.lsm is used";
        }
      ];
    }
    (mkIf (!cfg.allowUserNamespaces) {
      boot.kernel.sysctl."user.max_user_namespaces" = 0;
      assertions = [
        {
          assertion = config.nix.settings.sandbox -> cfg.allowUserNamespaces;
          message = "`nix.settings.sandbox = true` conflicts with `!security.allowUserNamespaces`.";
        }
      ];
    })
    (mkIf cfg.unprivilegedUsernsClone {
      boot.kernel.sysctl."kernel.unprivileged_userns_clone" = mkDefault true;
    })
    (mkIf cfg.protectKernelImage {
      boot.kernelParams = [ "nohibernate" ];
      boot.kernel.sysctl."kernel.kexec_load_disabled" = mkDefault true;
    })
    (mkIf (!cfg.allowSimultaneousMultithreading) { boot.kernelParams = [ "nosmt" ]; })
    (mkIf cfg.forcePageTableIsolation { boot.kernelParams = [ "pti=on" ]; })
    (mkIf (cfg.virtualisation.flushL1DataCache != null) {
      boot.kernelParams = [ "kvm-intel.vmentry_l1d_flush=${cfg.virtualisation.flushL1DataCache}" ];
    })
    (mkIf (audit == "lock" || audit) {
      boot.kernelParams = [
        "audit=1"
        "audit_backlog_limit=${toString cfg.audit.backlogLimit}"
      ];
    })
    (mkIf cfg.apparmor.enable { boot.kernelParams = [ "apparmor=1" ]; })
    (mkIf cfg.lockKernelModules {
      boot.kernelModules = lib.concatMap (
        fs:
        lib.optionals (fs.device != null) (
          if fs.fsType == "vfat" then [ "vfat" "nls-cp437" "nls-iso8859-1" ] else [ fs.fsType ]
        )
      ) config.system.build.fileSystems;
      systemd.services.disable-kernel-module-loading = {
        description = "Disable kernel module loading";
        wants = [ "systemd-udevd.service" ];
        wantedBy = [ config.systemd.defaultUnit ];
        after = [
          "firewall.service"
          "systemd-modules-load.service"
          config.systemd.defaultUnit
        ];
        unitConfig.ConditionPathIsReadWrite = "/proc/sys/kernel";
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          TimeoutSec = 180;
        };
        script = ''
          ${config.systemd.package}/bin/udevadm settle
          echo -n 1 >/proc/sys/kernel/modules_disabled
        '';
      };
    })
  ];
}
