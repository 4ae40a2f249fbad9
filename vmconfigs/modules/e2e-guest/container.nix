# A container: its network is a cable of the LAN, and no part of the engine's.
{ config, lib, ... }:
lib.mkIf config.boot.isContainer {
  # The name servers are those of the LAN, as on a machine.
  networking.useHostResolvConf = false;
}
