# networking.bridges, .bonds, .vlans, .macvlans, .ipvlans: devices made of others, by units of ip(8) or by
# systemd-networkd: nixos/modules/tasks/network-interfaces*.nix
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:
let
  inherit (lib) mkOption nameValuePair types;
  cfg = config.networking;

  opt =
    type: default: description:
    mkOption { inherit type default description; };
  str = description: mkOption {
    type = types.str;
    inherit description;
  };
  members = mkOption {
    type = types.listOf types.str;
    description = "Interfaces it is made of.";
  };
  devices = options: opt (types.attrsOf (types.submodule { inherit options; })) { } "Devices, by name.";
  accepted = opt (types.attrsOf types.anything) { } "Accepted; a guest makes no such devices.";

  below =
    lib.concatMap (d: d.interfaces) (lib.attrValues cfg.bonds ++ lib.attrValues cfg.bridges)
    ++ map (d: d.interface) (lib.attrValues cfg.vlans);

  deviceUnit = name: "sys-subsystem-net-devices-${utils.escapeSystemdPath name}.device";
  made = cfg.bridges // cfg.bonds // cfg.vlans // cfg.macvlans // cfg.ipvlans;
  needs =
    name:
    if name == "lo" then
      [ ]
    else if made ? ${name} || cfg.interfaces.${name}.virtual or false then
      [ "${name}-netdev.service" ]
    else
      [ (deviceUnit name) ];

  unit =
    {
      name,
      kind,
      on,
      commands,
      more ? { },
    }:
    nameValuePair "${name}-netdev" (
      {
        description = "${kind} Interface ${name}";
        wantedBy = [
          "network.target"
          (deviceUnit name)
        ];
        bindsTo = lib.concatMap needs on;
        partOf = [
          "network.target"
          "networking-scripted.target"
        ];
        after = [ "network-pre.target" ] ++ lib.concatMap needs on;
        before = [ "network.target" ];
        serviceConfig.Type = "oneshot";
        serviceConfig.RemainAfterExit = true;
        path = [ pkgs.iproute2 ];
        script = ''
          ip link show dev "${name}" >/dev/null 2>&1 && ip link delete dev "${name}"
          ${commands}
          ip link set dev "${name}" up || true
        '';
        postStop = ''
          ip link delete dev "${name}" || true
        '';
      }
      // more
    );

  enslave =
    name: down:
    lib.concatMapStrings (i: ''
      ${lib.optionalString down "ip link set dev \"${i}\" down"}
      ip link set dev "${i}" master "${name}"
      ip link set dev "${i}" up
    '');

  scripted =
    lib.mapAttrs' (
      name: d:
      unit {
        inherit name;
        kind = "Bridge";
        on = d.interfaces;
        commands = ''
          ip link add name "${name}" type bridge ${lib.optionalString d.rstp "stp_state 1"}
          ${enslave name false d.interfaces}
        '';
        more.reloadIfChanged = true;
      }
    ) cfg.bridges
    // lib.mapAttrs' (
      name: d:
      unit {
        inherit name;
        kind = "Bond";
        on = d.interfaces;
        commands = ''
          ip link add name "${name}" type bond ${
            lib.concatStringsSep " " (lib.mapAttrsToList (n: v: "${n} ${v}") (bondOptions d))
          }
          ${enslave name true d.interfaces}
        '';
      }
    ) cfg.bonds
    // lib.mapAttrs' (
      name: d:
      unit {
        inherit name;
        kind = "VLAN";
        on = [ d.interface ];
        commands = ''ip link add link "${d.interface}" name "${name}" type vlan id "${toString d.id}"'';
      }
    ) cfg.vlans
    // ofParent "macvlan" cfg.macvlans
    // ofParent "ipvlan" cfg.ipvlans;
  ofParent =
    type:
    lib.mapAttrs' (
      name: d:
      unit {
        inherit name;
        kind = lib.toUpper type;
        on = [ d.interface ];
        commands = ''ip link add link "${d.interface}" name "${name}" type ${type} ${
          lib.optionalString (d.mode != null) "mode ${d.mode}"
        }'';
      }
    );

  # The old options of a bond besides the driver's own.
  bondOptions =
    d:
    lib.mapAttrs (_: toString) (
      lib.filterAttrs (_: v: v != null) { inherit (d) lacp_rate miimon mode xmit_hash_policy; }
    )
    // d.driverOptions;

  # Options of the bonding driver -> keys of systemd.netdev(5); some are in milliseconds.
  bondKeys = {
    mode = "Mode";
    xmit_hash_policy = "TransmitHashPolicy";
    lacp_rate = "LACPTransmitRate";
    miimon = "MIIMonitorSec";
    updelay = "UpDelaySec";
    downdelay = "DownDelaySec";
    lp_interval = "LearnPacketIntervalSec";
    ad_select = "AdSelect";
    fail_over_mac = "FailOverMACPolicy";
    arp_validate = "ARPValidate";
    arp_interval = "ARPIntervalSec";
    arp_ip_target = "ARPIPTargets";
    arp_all_targets = "ARPAllTargets";
    primary_reselect = "PrimaryReselectPolicy";
    resend_igmp = "ResendIGMP";
    packets_per_slave = "PacketsPerSlave";
    num_grat_arp = "GratuitousARP";
    num_unsol_na = "GratuitousARP";
    all_slaves_active = "AllSlavesActive";
    min_links = "MinLinks";
  };
  bondConfig =
    d:
    lib.mapAttrs' (
      name: value:
      nameValuePair bondKeys.${name} (
        if lib.elem name [ "miimon" "updelay" "downdelay" ] then "${value}ms" else value
      )
    ) (lib.filterAttrs (name: _: bondKeys ? ${name}) d.driverOptions);

  netdev = name: kind: more: { netdevs."40-${name}" = { netdevConfig = { Name = name; Kind = kind; }; } // more; };
  memberOf = key: name: interfaces: {
    networks = lib.genAttrs' interfaces (i: nameValuePair "40-${i}" {
      DHCP = lib.mkOverride 0 "no";
      networkConfig.${key} = name;
    });
  };
  network = parent: more: { networks."40-${parent}" = more; };
  each = f: set: lib.concatLists (lib.mapAttrsToList f set);
in
{
  options.networking = {
    bridges = devices {
      interfaces = members;
      rstp = opt types.bool false "Whether it speaks the rapid spanning tree protocol.";
    };
    bonds = devices {
      interfaces = members;
      driverOptions = opt (types.attrsOf types.str) { } "Options of the bonding driver.";
      lacp_rate = opt (types.nullOr types.str) null "Old name of a driver's option.";
      miimon = opt (types.nullOr types.int) null "Old name of a driver's option.";
      mode = opt (types.nullOr types.str) null "Old name of a driver's option.";
      xmit_hash_policy = opt (types.nullOr types.str) null "Old name of a driver's option.";
    };
    vlans = devices {
      id = mkOption {
        type = types.int;
        description = "Its number.";
      };
      interface = str "Interface it is on.";
    };
    macvlans = devices {
      interface = str "Interface it is on.";
      mode = opt (types.nullOr types.str) null "Its mode.";
    };
    ipvlans = devices {
      interface = str "Interface it is on.";
      mode = opt (types.nullOr types.str) null "Its mode.";
      flags = opt (types.nullOr types.str) null "Its flags.";
    };
    sits = accepted;
    ipips = accepted;
    greTunnels = accepted;
    fooOverUDP = accepted;
    vswitches = accepted;
    wlanInterfaces = accepted;
  };

  config = lib.mkMerge [
    {
      # what a device is made of has to be up
      networking.interfaces = lib.genAttrs below (_: { });
      boot.kernelModules = lib.optional (cfg.bonds != { }) "bonding";
      # Where there are none this makes an empty line, as on NixOS.
      boot.extraModprobeConfig = lib.optionalString (cfg.bonds != { }) "options bonding max_bonds=0";
      warnings = lib.concatLists (
        lib.mapAttrsToList (
          name: d:
          map (field: "${name}.${field} is deprecated, use ${name}.driverOptions") (
            lib.filter (field: d.${field} != null) [ "lacp_rate" "miimon" "mode" "xmit_hash_policy" ]
          )
        ) cfg.bonds
      );
      assertions = map (name: {
        assertion = cfg.interfaces.${name}.ipv4.addresses == [ ] && cfg.interfaces.${name}.ipv6.addresses == [ ];
        message = ''
          The networking.interfaces."${name}" must not have any defined ips when it is a slave.
        '';
      }) (lib.concatMap (d: d.interfaces) (lib.attrValues cfg.bonds ++ lib.attrValues cfg.bridges));
    }
    (lib.mkIf (!cfg.useNetworkd) { systemd.services = scripted; })
    (lib.mkIf cfg.useNetworkd {
      assertions = lib.mapAttrsToList (name: d: {
        assertion = !d.rstp;
        message = "networking.bridges.${name}.rstp is not supported by networkd.";
      }) cfg.bridges;
      systemd.network = lib.mkMerge (
        each (name: d: [ (netdev name "bridge" { }) (memberOf "Bridge" name d.interfaces) ]) cfg.bridges
        ++ each (name: d: [
          (netdev name "bond" { bondConfig = bondConfig d; })
          (memberOf "Bond" name d.interfaces)
        ]) cfg.bonds
        ++ each (name: d: [
          (netdev name "vlan" { vlanConfig.Id = d.id; })
          (network d.interface { vlan = [ name ]; })
        ]) cfg.vlans
        ++ each (name: d: [
          (netdev name "macvlan" { macvlanConfig = lib.optionalAttrs (d.mode != null) { Mode = d.mode; }; })
          (network d.interface { macvlan = [ name ]; })
        ]) cfg.macvlans
        ++ each (name: d: [
          (netdev name "ipvlan" {
            ipvlanConfig =
              lib.optionalAttrs (d.mode != null) { Mode = lib.toUpper d.mode; }
              // lib.optionalAttrs (d.flags != null) { Flags = d.flags; };
          })
          (network d.interface { ipvlan = [ name ]; })
        ]) cfg.ipvlans
      );
    })
  ];
}
