# Programs that may do one thing only root may, by security.wrappers: iftop, iotop, mtr, tcpdump, traceroute,
# wireshark of nixos/modules/programs/*.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkIf mkOption types;
  cfg = config.programs;

  enable =
    what:
    mkOption {
      type = types.bool;
      default = false;
      description = "Whether users may run ${what}.";
    };
  bool =
    default: description:
    mkOption {
      type = types.bool;
      inherit default description;
    };
  capable = capabilities: source: {
    owner = "root";
    group = "root";
    inherit capabilities source;
  };
  members = group: {
    inherit group;
    permissions = "u+rx,g+x";
  };
in
{
  options.programs = {
    iftop.enable = enable "iftop";
    iotop = {
      enable = enable "iotop";
      package = lib.mkPackageOption pkgs "iotop" { };
      enableDelayacct = bool false "Whether the kernel accounts for the delays of tasks.";
    };
    mtr = {
      enable = enable "mtr";
      package = lib.mkPackageOption pkgs "mtr" { };
    };
    tcpdump.enable = enable "tcpdump, where they are in the group pcap";
    traceroute.enable = enable "traceroute";
    wireshark = {
      enable = enable "Wireshark";
      package = lib.mkPackageOption pkgs "wireshark-cli" { };
      dumpcap.enable = bool true "Whether the group wireshark captures packets.";
      usbmon.enable = bool false "Whether the group wireshark captures from USB.";
    };
  };

  config = lib.mkMerge [
    (mkIf cfg.iftop.enable {
      environment.systemPackages = [ pkgs.iftop ];
      security.wrappers.iftop = capable "cap_net_raw+p" (lib.getExe pkgs.iftop);
    })
    (mkIf cfg.iotop.enable {
      security.wrappers.iotop = capable "cap_net_admin+p" (lib.getExe cfg.iotop.package);
      boot.kernel.sysctl = mkIf cfg.iotop.enableDelayacct { "kernel.task_delayacct" = 1; };
    })
    (mkIf cfg.mtr.enable {
      environment.systemPackages = [ cfg.mtr.package ];
      security.wrappers.mtr-packet = capable "cap_net_raw+p" "${cfg.mtr.package}/bin/mtr-packet";
    })
    (mkIf cfg.tcpdump.enable {
      security.wrappers.tcpdump = capable "cap_net_raw+p" (lib.getExe pkgs.tcpdump) // members "pcap";
      users.groups.pcap = { };
    })
    (mkIf cfg.traceroute.enable {
      security.wrappers.traceroute = capable "cap_net_raw+p" (lib.getExe pkgs.traceroute);
    })
    (mkIf cfg.wireshark.enable {
      environment.systemPackages = [ cfg.wireshark.package ];
      users.groups.wireshark = { };
      security.wrappers.dumpcap = mkIf cfg.wireshark.dumpcap.enable (
        capable "cap_net_raw,cap_net_admin+eip" "${cfg.wireshark.package}/bin/dumpcap" // members "wireshark"
      );
      services.udev.packages = mkIf cfg.wireshark.usbmon.enable [
        (pkgs.writeTextDir "etc/udev/rules.d/85-wireshark-usbmon.rules" ''
          SUBSYSTEM=="usbmon", MODE="0640", GROUP="wireshark"
        '')
      ];
    })
  ];
}
