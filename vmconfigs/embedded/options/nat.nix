# networking.nat: addresses of an inner network hidden behind this machine's.
{ config, lib, ... }:

let
  inherit (lib) mkOption types;

  cfg = config.networking.nat;

  opt =
    type: default: description:
    mkOption { inherit type default description; };
  nullOrStr = opt (types.nullOr types.str) null;
  strings = opt (types.listOf types.str) [ ];

  forward.options = {
    sourcePort = mkOption {
      type = types.either types.int (types.strMatching "[[:digit:]]+:[[:digit:]]+");
      description = "Port outside, or `first:last`.";
    };
    destination = mkOption {
      type = types.str;
      description = "Where it goes: `address:port`, `[address]:port` or `address:first-last`.";
    };
    proto = opt types.str "tcp" "Protocol.";
    loopbackIPs = strings "Outer addresses that lead there from inside as well.";
  };

  always = lib.mkOverride 99;
in
{
  options.networking.nat = {
    enable = opt types.bool false "Whether the machine translates.";
    enableIPv6 = opt types.bool false "Whether for IPv6 too.";
    internalInterfaces = strings "Interfaces of the inner network.";
    internalIPs = strings "IPv4 ranges of the inner network.";
    internalIPv6s = strings "IPv6 ranges of the inner network.";
    externalInterface = nullOrStr "Interface to the outside.";
    externalIP = nullOrStr "IPv4 address outside; the interface's own if null.";
    externalIPv6 = nullOrStr "IPv6 address outside; the interface's own if null.";
    forwardPorts = opt (types.listOf (types.submodule forward)) [ ] "Ports that lead to machines inside.";
    dmzHost = nullOrStr "Machine inside that gets all the rest.";
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.enableIPv6 -> config.networking.enableIPv6;
        message = "networking.nat.enableIPv6 requires networking.enableIPv6";
      }
      {
        assertion = cfg.dmzHost != null -> cfg.externalInterface != null;
        message = "networking.nat.dmzHost requires networking.nat.externalInterface";
      }
      {
        assertion = cfg.forwardPorts != [ ] -> cfg.externalInterface != null;
        message = "networking.nat.forwardPorts requires networking.nat.externalInterface";
      }
      {
        assertion = !config.networking.nftables.enable;
        message = "networking.nat with networking.nftables is not there in the embedded guest: leave networking.nftables.enable off";
      }
    ];

    environment.systemPackages = [ config.networking.firewall.package ];

    boot.kernelModules = [ "nf_nat_ftp" ];
    boot.kernel.sysctl = {
      "net.ipv4.conf.all.forwarding" = always true;
      "net.ipv4.conf.default.forwarding" = always true;
    }
    // lib.optionalAttrs cfg.enableIPv6 {
      # a machine that forwards would take no router's word any more
      "net.ipv6.conf.all.accept_ra" = always 2;
      "net.ipv6.conf.default.accept_ra" = always 2;
      "net.ipv6.conf.all.forwarding" = always true;
      "net.ipv6.conf.default.forwarding" = always true;
    };
  };
}
