# programs.wireshark: nixos/modules/programs/wireshark.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.programs.wireshark;
in
{
  options.programs.wireshark = {
    enable = lib.mkEnableOption "Wireshark";
    package = lib.mkPackageOption pkgs "wireshark-cli" { };
    dumpcap.enable = lib.mkEnableOption "capturing packets for the group wireshark" // {
      default = true;
    };
    usbmon.enable = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Accepted; a guest has no USB.";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];
    users.groups.wireshark = { };
    security.wrappers.dumpcap = lib.mkIf cfg.dumpcap.enable {
      owner = "root";
      group = "wireshark";
      capabilities = "cap_net_raw,cap_net_admin+eip";
      permissions = "u+rx,g+x";
      source = "${cfg.package}/bin/dumpcap";
    };
    services.udev.packages = lib.mkIf cfg.usbmon.enable [
      (pkgs.writeTextDir "etc/udev/rules.d/85-wireshark-usbmon.rules" ''
        SUBSYSTEM=="usbmon", MODE="0640", GROUP="wireshark"
      '')
    ];
  };
}
