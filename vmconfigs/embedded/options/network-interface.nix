# The submodule networking.interfaces.<name>. `networking` is config.networking, `outer` the host's options.
{
  lib,
  networking,
  outer,
}:

let
  inherit (lib) mkOption types;

  opt =
    type: default: description:
    mkOption { inherit type default description; };
  list = module: opt (types.listOf (types.submodule module)) [ ];
  prefixLength =
    version:
    mkOption {
      type = types.ints.between 0 (if version == 4 then 32 else 128);
      description = "Length of the network's part, in bits.";
    };

  address = version: {
    options = {
      address = mkOption {
        type = types.str;
        description = "IPv${toString version} address, without prefix.";
      };
      prefixLength = prefixLength version;
    };
  };

  route = version: {
    options = {
      address = mkOption {
        type = types.str;
        description = "IPv${toString version} address of the network.";
      };
      prefixLength = prefixLength version;
      type = opt (types.nullOr (
        types.enum [
          "unicast"
          "local"
          "broadcast"
          "multicast"
        ]
      )) null "Kind of route ({manpage}`ip-route(8)`).";
      via = opt (types.nullOr types.str) null "Address of the next hop.";
      options = opt (types.attrsOf types.str) { } "More arguments of `ip route`.";
    };
  };

  # Two options of old, address and prefix, as one.
  merged =
    from: prefix: to:
    lib.mkMergedOptionModule [ [ from ] [ prefix ] ] to (
      cfg:
      let
        defined = v: v != "_mkMergedOptionModule";
      in
      lib.optional (defined cfg.${from} && defined cfg.${prefix}) {
        address = cfg.${from};
        prefixLength = cfg.${prefix};
      }
    );
in
{ name, ... }:
{
  imports = [
    (lib.mkChangedOptionModule [ "preferTempAddress" ] [ "tempAddress" ] (
      old: if old.preferTempAddress then "default" else "enabled"
    ))
    (lib.mkRenamedOptionModule [ "ip4" ] [ "ipv4" "addresses" ])
    (lib.mkRenamedOptionModule [ "ip6" ] [ "ipv6" "addresses" ])
    (lib.mkRemovedOptionModule [ "subnetMask" ] ''
      Supply a prefix length instead; use option
      networking.interfaces.<name>.ipv{4,6}.addresses'')
    (merged "ipAddress" "prefixLength" [ "ipv4" "addresses" ])
    (merged "ipv6Address" "ipv6PrefixLength" [ "ipv6" "addresses" ])
    # where renamed and removed options leave their words
    { options = { inherit (outer) warnings assertions; }; }
  ];

  options = {
    name = mkOption {
      type = types.str;
      description = "Its name.";
    };
    tempAddress = opt (types.enum [
      "default"
      "disabled"
      "enabled"
    ]) networking.tempAddresses "Temporary IPv6 addresses (RFC 4941): made and used, none, or made only.";
    useDHCP = opt (types.nullOr types.bool) null "Whether DHCP gives it addresses; null: as `networking.useDHCP`.";
    ipv4.addresses = list (address 4) "IPv4 addresses.";
    ipv6.addresses = list (address 6) "IPv6 addresses.";
    ipv4.routes = list (route 4) "IPv4 routes.";
    ipv6.routes = list (route 6) "IPv6 routes.";
    macAddress = opt (types.nullOr types.str) null "Hardware address, in place of its own.";
    mtu = opt (types.nullOr types.int) null "Size of the largest packet, in bytes.";
    virtual = opt types.bool false "Whether it is made as a tunnel device.";
    virtualOwner = opt (types.nullOr types.str) "root" "Who may use that device.";
    virtualType = opt (types.enum [
      "tun"
      "tap"
    ]) (if lib.hasPrefix "tun" name then "tun" else "tap") "Whether it carries packets or frames.";
    proxyARP = opt types.bool false "Whether it answers ARP for others.";
    wakeOnLan = {
      enable = opt types.bool false "Whether packets wake the machine.";
      policy = opt (types.listOf (
        types.enum [
          "phy"
          "unicast"
          "multicast"
          "broadcast"
          "arp"
          "magic"
          "secureon"
        ]
      )) [ "magic" ] "Which packets ({manpage}`systemd.link(5)`).";
    };
  };

  config.name = lib.mkDefault name;
}
