# Names, gateways, name servers and interfaces of the machine.
{
  config,
  options,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkDefault mkOption types;

  cfg = config.networking;
  interfaces = lib.attrValues cfg.interfaces;

  opt =
    type: default: description:
    mkOption { inherit type default description; };

  gateway =
    version:
    opt
      (types.nullOr (
        types.coercedTo types.str (address: { inherit address; }) (
          types.submodule {
            options = {
              address = mkOption {
                type = types.str;
                description = "Its address.";
              };
              interface = opt (types.nullOr types.str) null "Interface it is reached by.";
              metric = opt (types.nullOr types.int) null "Metric of the route; lower goes first.";
              source = opt (types.nullOr types.str) null "Address packets leave with.";
            };
          }
        )
      ))
      null
      "Where IPv${version} packets to everywhere else go: an address, or a set with it.";

  # The kernel's use_tempaddr.
  tempAddress = {
    disabled = "0";
    enabled = "1";
    default = "2";
  };

  # "/" stands for "." inside a part of a sysctl's name, sysctl.d(5)
  sysctlName = i: lib.replaceStrings [ "." ] [ "/" ] i.name;

  isHex = s: builtins.match "[0-9a-fA-F]{8}" s != null;
in
{
  options.networking = {
    hostName = mkOption {
      type = types.strMatching "^$|^[[:alnum:]]([[:alnum:]_-]{0,61}[[:alnum:]])?$";
      default = "nixos";
      description = "Name of the machine, without domain; empty: as DHCP says.";
    };
    fqdn = mkOption {
      type = types.str;
      default =
        if cfg.hostName != "" && cfg.domain != null then
          "${cfg.hostName}.${cfg.domain}"
        else
          throw ''
            The FQDN is required but cannot be determined from `networking.hostName`
            and `networking.domain`. Please ensure these options are set properly or
            set `networking.fqdn` directly.
          '';
      description = "Name of the machine with its domain.";
    };
    fqdnOrHostName = mkOption {
      type = types.str;
      readOnly = true;
      default =
        if cfg.domain != null || options.networking.fqdn.highestPrio < (lib.mkOptionDefault { }).priority then
          cfg.fqdn
        else
          cfg.hostName;
      description = "That, or the name alone where there is no domain.";
    };
    hostId = opt (types.nullOr types.str) null "Eight hexadecimal digits that tell this machine from others (ZFS).";
    enableIPv6 = opt types.bool true "Whether there is IPv6.";
    defaultGateway = gateway "4";
    defaultGateway6 = gateway "6";
    defaultGatewayWindowSize = opt (types.nullOr types.int) null "TCP window of the default route, in bytes.";
    nameservers = opt (types.listOf types.str) [ ] "Addresses of name servers.";
    search = opt (types.listOf types.str) [ ] "Domains tried for names without one.";
    domain = opt (types.nullOr types.str) null "Domain of the machine.";
    useHostResolvConf = opt types.bool false "Whether a container uses its host's name servers.";
    localCommands = opt types.lines "" "Commands run when the network is set up.";
    interfaces = mkOption {
      type = types.attrsOf (
        types.submodule (
          import ./network-interface.nix {
            inherit lib;
            networking = cfg;
            outer = options;
          }
        )
      );
      default = { };
      description = "Interfaces, by name.";
    };
    useDHCP = opt types.bool true "Whether DHCP gives addresses to interfaces that do not say.";
    useNetworkd = opt types.bool false "Whether systemd-networkd sets the interfaces up.";
    tempAddresses = opt (types.enum (lib.attrNames tempAddress)) (
      if cfg.enableIPv6 then "default" else "disabled"
    ) "Temporary IPv6 addresses of interfaces that do not say.";
    usePredictableInterfaceNames = opt types.bool true "Whether interfaces are named after their place; else eth0, eth1, ….";
  };

  config = {
    warnings =
      lib.concatMap (i: i.warnings) interfaces
      ++ lib.optional (config.systemd.network.enable && cfg.useDHCP && !cfg.useNetworkd) ''
        The combination of `systemd.network.enable = true`, `networking.useDHCP = true` and `networking.useNetworkd = false` can cause both networkd and dhcpcd to manage the same interfaces. This can lead to loss of networking. It is recommended you choose only one of networkd (by also enabling `networking.useNetworkd`) or scripting (by disabling `systemd.network.enable`)
      '';

    assertions =
      map (i: {
        # IFNAMSIZ, with the null at its end
        assertion = lib.stringLength i.name < 16;
        message = ''
          The name of networking.interfaces."${i.name}" is too long, it needs to be less than 16 characters.
        '';
      }) interfaces
      ++ map (i: {
        assertion = i.tempAddress != "disabled" -> cfg.enableIPv6;
        message = ''
          Temporary addresses are only needed when IPv6 is enabled.
        '';
      }) interfaces
      ++ map (i: {
        assertion = i.virtual && i.virtualType == "tun" -> i.macAddress == null;
        message = ''
          Setting a MAC Address for tun device ${i.name} isn't supported.
        '';
      }) interfaces
      ++ [
        {
          assertion = cfg.hostId == null || isHex cfg.hostId;
          message = "Invalid value given to the networking.hostId option.";
        }
      ];

    boot.kernelModules = lib.optional (lib.any (i: i.virtual) interfaces) "tun";
    boot.kernelParams = lib.mkIf (!cfg.usePredictableInterfaceNames) [ "net.ifnames=0" ];

    boot.kernel.sysctl = {
      "net.ipv4.conf.all.forwarding" = lib.mkIf (lib.any (i: i.proxyARP) interfaces) (mkDefault true);
      "net.ipv6.conf.all.disable_ipv6" = mkDefault (!cfg.enableIPv6);
      "net.ipv6.conf.default.disable_ipv6" = mkDefault (!cfg.enableIPv6);
      # every group may ping without privileges
      "net.ipv4.ping_group_range" = mkDefault "0 2147483647";
      "net.ipv6.conf.default.use_tempaddr" = tempAddress.${cfg.tempAddresses};
    }
    // lib.listToAttrs (
      lib.concatMap (i: [
        (lib.nameValuePair "net.ipv4.conf.${sysctlName i}.proxy_arp" i.proxyARP)
        (lib.nameValuePair "net.ipv6.conf.${sysctlName i}.use_tempaddr" tempAddress.${i.tempAddress})
      ]) interfaces
    );

    environment.etc.hostname = lib.mkIf (cfg.hostName != "") { text = "${cfg.hostName}\n"; };

    environment.corePackages = [
      pkgs.host
      pkgs.hostname
      pkgs.iproute2
      pkgs.iputils
    ];

    systemd.network.links = lib.listToAttrs (
      map (
        i:
        lib.nameValuePair "40-${i.name}" {
          matchConfig.OriginalName = i.name;
          linkConfig.WakeOnLan = lib.concatStringsSep " " i.wakeOnLan.policy;
        }
      ) (lib.filter (i: i.wakeOnLan.enable) interfaces)
    );

    # NixOS hands the name servers to openresolv here; in the guest a switch gives them to systemd-networkd.
    systemd.services.network-local-commands = {
      enable = cfg.localCommands != "";
      description = "Extra networking commands.";
      before = [ "network.target" ];
      wantedBy = [ "network.target" ];
      after = [ "network-pre.target" ];
      unitConfig.ConditionCapability = "CAP_NET_ADMIN";
      path = [ pkgs.iproute2 ];
      serviceConfig.Type = "oneshot";
      serviceConfig.RemainAfterExit = true;
      script = ''
        # Run any user-specified commands.
        ${cfg.localCommands}
      '';
    };
  };
}
