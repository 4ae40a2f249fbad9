# Interfaces set up by systemd-networkd, where networking.useNetworkd says so.
{ config, lib, ... }:

let
  inherit (lib) mkIf optionalAttrs;

  cfg = config.networking;

  gatewayOf =
    gateway:
    optionalAttrs (gateway != null && gateway.interface != null) {
      networks."40-${gateway.interface}" = {
        matchConfig.Name = gateway.interface;
        routes = [
          (
            { Gateway = gateway.address; }
            // optionalAttrs (gateway.metric != null) { Metric = gateway.metric; }
            // optionalAttrs (gateway.source != null) { PreferredSource = gateway.source; }
          )
        ];
      };
    };

  # For interfaces nobody speaks of.
  rest = mkIf cfg.useDHCP {
    networks."99-ethernet-default-dhcp" = {
      matchConfig = {
        Type = "ether";
        # a device of hardware has no kind
        Kind = "!*";
      };
      DHCP = "yes";
      networkConfig.IPv6PrivacyExtensions = "kernel";
    };
    networks."99-wireless-client-dhcp" = {
      matchConfig.WLANInterfaceType = "station";
      DHCP = "yes";
      networkConfig.IPv6PrivacyExtensions = "kernel";
      # one more than networkd's own: the cable goes first
      dhcpV4Config.RouteMetric = 1025;
      ipv6AcceptRAConfig.RouteMetric = 1025;
    };
  };

  # Names of ip(8) -> keys of systemd.network(5).
  routeKeys = {
    fastopen_no_cookie = "FastOpenNoCookie";
    initrwnd = "InitialAdvertisedReceiveWindow";
    initcwnd = "InitialCongestionWindow";
    pref = "IPv6Preference";
    mtu = "MTUBytes";
    metric = "Metric";
    src = "PreferredSource";
    protocol = "Protocol";
    quickack = "QuickAck";
    scope = "Scope";
    from = "Source";
    table = "Table";
    advmss = "TCPAdvertisedMaximumSegmentSize";
  };
  route =
    r:
    { Destination = "${r.address}/${toString r.prefixLength}"; }
    // optionalAttrs (r.via != null) { Gateway = r.via; }
    // optionalAttrs (r.type != null) { Type = r.type; }
    // optionalAttrs (r.options ? onlink) { GatewayOnLink = true; }
    // optionalAttrs (r.options ? ttl-propagate) {
      TTLPropagate = r.options.ttl-propagate == "enabled";
    }
    // lib.mapAttrs' (name: lib.nameValuePair routeKeys.${name}) (
      lib.filterAttrs (name: _: routeKeys ? ${name}) r.options
    );

  usesDHCP = i: if i.useDHCP != null then i.useDHCP else cfg.useDHCP && i.ipv4.addresses == [ ];
  own = field: i: i.ipv4.${field} ++ lib.optionals cfg.enableIPv6 i.ipv6.${field};

  one = i: {
    netdevs = mkIf i.virtual {
      "40-${i.name}" = {
        netdevConfig = {
          Name = i.name;
          Kind = i.virtualType;
        };
        "${i.virtualType}Config" = optionalAttrs (i.virtualOwner != null) { User = i.virtualOwner; };
      };
    };
    networks."40-${i.name}" = {
      name = lib.mkDefault i.name;
      DHCP = lib.mkForce (lib.boolToYesNo (usesDHCP i));
      address = map (ip: "${ip.address}/${toString ip.prefixLength}") (own "addresses" i);
      routes = map route (own "routes" i);
      networkConfig.IPv6PrivacyExtensions = "kernel";
      linkConfig =
        optionalAttrs (i.macAddress != null) { MACAddress = i.macAddress; }
        // optionalAttrs (i.mtu != null) { MTUBytes = toString i.mtu; };
      bridgeConfig = optionalAttrs i.proxyARP { ProxyARP = i.proxyARP; };
    };
  };

  named = option: gateway: {
    assertion = gateway != null -> gateway.interface != null;
    message = "networking.${option}.interface is not optional when using networkd.";
  };
in
{
  config = mkIf cfg.useNetworkd {
    assertions = [
      {
        assertion = cfg.defaultGatewayWindowSize == null;
        message = "networking.defaultGatewayWindowSize is not supported by networkd.";
      }
      (named "defaultGateway" cfg.defaultGateway)
      (named "defaultGateway6" cfg.defaultGateway6)
    ];

    networking.dhcpcd.enable = lib.mkDefault false;

    systemd.services.network-local-commands = {
      after = [ "systemd-networkd.service" ];
      bindsTo = [ "systemd-networkd.service" ];
    };

    systemd.network = lib.mkMerge (
      [
        { enable = true; }
        (gatewayOf cfg.defaultGateway)
        (gatewayOf cfg.defaultGateway6)
        rest
      ]
      ++ map one (lib.attrValues cfg.interfaces)
    );
  };
}
