# programs.tcpdump: nixos/modules/programs/tcpdump.nix
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.programs.tcpdump;
in
{
  options.programs.tcpdump.enable = lib.mkEnableOption "tcpdump for the group pcap";

  config = lib.mkIf cfg.enable {
    users.groups.pcap = { };
    security.wrappers.tcpdump = {
      owner = "root";
      group = "pcap";
      capabilities = "cap_net_raw+p";
      permissions = "u+rx,g+x";
      source = lib.getExe pkgs.tcpdump;
    };
  };
}
