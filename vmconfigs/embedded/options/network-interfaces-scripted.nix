# Interfaces set up by units of ip(8): network-addresses-<name>.service, <name>-netdev.service.
{
  config,
  lib,
  pkgs,
  utils,
  ...
}:

let
  inherit (lib) concatMapStrings optional optionalString;

  cfg = config.networking;
  interfaces = lib.attrValues cfg.interfaces;
  subnet = import ../text/subnet.nix { inherit lib; };

  device = name: "sys-subsystem-net-devices-${utils.escapeSystemdPath name}.device";
  # What has to be there before an interface can be set up.
  needs =
    name:
    if name == "lo" then
      [ ]
    else if cfg.interfaces.${name}.virtual or false then
      [ "${name}-netdev.service" ]
    else
      [ (device name) ];

  addresses = i: i.ipv4.addresses ++ lib.optionals cfg.enableIPv6 i.ipv6.addresses;

  # Whether the gateway is reached by this interface: by name, or by one of its networks.
  leadsTo =
    version: gateway: i:
    gateway != null
    && (
      i.name == gateway.interface
      || lib.any (net: subnet.contains version net gateway.address) i.${version}.addresses
    );
  # Another interface that owns the address packets shall leave with.
  sourceOf =
    version: gateway: i:
    let
      owner = lib.head (
        lib.filter (o: lib.any (a: a.address == gateway.source) o.${version}.addresses) interfaces
      );
    in
    optional (
      leadsTo version gateway i && gateway.source != null && i.name != owner.name
    ) "network-addresses-${owner.name}.service";

  arguments =
    args:
    lib.concatStringsSep " " (
      lib.mapAttrsToList (n: v: "${n} ${toString v}") (lib.filterAttrs (_: v: v != null) args)
    );

  gatewayCommands =
    i: version: gateway:
    optionalString (gateway.address != "") ''
      echo -n "setting ${i.name} as default IPv${version} gateway... "
      ${optionalString (gateway.interface != null) ''
        ip -${version} route replace ${gateway.address} proto static ${
          arguments {
            metric = gateway.metric;
            dev = gateway.interface;
          }
        }
      ''}
      ip -${version} route replace default proto static ${
        arguments {
          metric = gateway.metric;
          via = gateway.address;
          window = cfg.defaultGatewayWindowSize;
          dev = gateway.interface;
          src = gateway.source;
        }
      }
      echo "done"
    '';

  addAddress =
    i: ip:
    let
      cidr = "${ip.address}/${toString ip.prefixLength}";
    in
    ''
      echo "${cidr}" >> $state
      echo -n "adding address ${cidr}... "
      if out=$(ip addr replace "${cidr}" dev "${i.name}" nodad 2>&1); then
        echo "done"
      else
        echo "'ip addr replace \"${cidr}\" dev \"${i.name}\"' nodad failed: $out"
        exit 1
      fi
    '';

  addRoute =
    i: route:
    let
      cidr = "${route.address}/${toString route.prefixLength}";
      via = optionalString (route.via != null) ''via "${route.via}"'';
      more = lib.concatStrings (lib.mapAttrsToList (n: v: "${n} ${v} ") route.options);
      kind = toString route.type;
    in
    ''
      echo "${cidr}" >> $state
      echo -n "adding route ${cidr}... "
      if out=$(ip route add ${kind} "${cidr}" ${more} ${via} dev "${i.name}" proto static 2>&1); then
        echo "done"
      elif ! echo "$out" | grep "File exists" >/dev/null 2>&1; then
        echo "'ip route add ${kind} \"${cidr}\" ${more} ${via} dev \"${i.name}\"' failed: $out"
        exit 1
      fi
    '';

  # what: "route" or "address"; the object of ip
  removeAll = i: what: object: ''
    state="/run/nixos/network/${what}${if what == "route" then "s" else "es"}/${i.name}"
    if [ -e "$state" ]; then
      while read -r cidr; do
        echo -n "deleting ${what} $cidr... "
        ip ${object} del "$cidr" dev "${i.name}" >/dev/null 2>&1 && echo "done" || echo "failed"
      done < "$state"
      rm -f "$state"
    fi
  '';

  setUp =
    i:
    let
      isGateway4 = leadsTo "ipv4" cfg.defaultGateway i;
      isGateway6 = leadsTo "ipv6" cfg.defaultGateway6 i;
    in
    lib.nameValuePair "network-addresses-${i.name}" {
      description = "Address configuration of ${i.name}";
      wantedBy = needs i.name ++ optional (isGateway4 || isGateway6) "network-online.target";
      bindsTo = needs i.name;
      partOf = [ "networking-scripted.target" ];
      after = [
        "network-pre.target"
      ]
      ++ sourceOf "ipv4" cfg.defaultGateway i
      ++ sourceOf "ipv6" cfg.defaultGateway6 i
      ++ needs i.name;
      serviceConfig.Type = "oneshot";
      serviceConfig.RemainAfterExit = true;
      # Restart rather than stop: a switch must not take the network away.
      stopIfChanged = false;
      path = [ pkgs.iproute2 ];
      script = ''
        state="/run/nixos/network/addresses/${i.name}"
        mkdir -p "$(dirname "$state")"

        ip link set dev "${i.name}" up

        ${concatMapStrings (addAddress i) (addresses i)}

        state="/run/nixos/network/routes/${i.name}"
        mkdir -p "$(dirname "$state")"

        ${concatMapStrings (addRoute i) (i.ipv4.routes ++ i.ipv6.routes)}

        # Set the default gateway
        ${optionalString isGateway4 (gatewayCommands i "4" cfg.defaultGateway)}
        ${optionalString isGateway6 (gatewayCommands i "6" cfg.defaultGateway6)}
      '';
      preStop = ''
        ${removeAll i "route" "route"}
        ${removeAll i "address" "addr"}'';
    };

  makeTunnel =
    i:
    lib.nameValuePair "${i.name}-netdev" {
      description = "Virtual Network Interface ${i.name}";
      bindsTo = [ "dev-net-tun.device" ];
      partOf = [ "networking-scripted.target" ];
      after = [
        "dev-net-tun.device"
        "network-pre.target"
      ];
      wantedBy = [
        "network.target"
        (device i.name)
      ];
      before = [ "network.target" ];
      path = [ pkgs.iproute2 ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
      };
      script = ''
        ip tuntap add dev "${i.name}" mode "${i.virtualType}" ${
          optionalString (i.virtualOwner != null) ''user "${i.virtualOwner}"''
        }
      '';
      postStop = ''
        ip link del dev ${i.name} || true
      '';
    };
in
{
  config = lib.mkIf (!cfg.useNetworkd) {
    # udev applies these, also where networkd does not run
    systemd.network.links = lib.listToAttrs (
      map (
        i:
        lib.nameValuePair "40-${i.name}" {
          matchConfig.OriginalName = i.name;
          linkConfig =
            lib.optionalAttrs (i.macAddress != null) { MACAddress = i.macAddress; }
            // lib.optionalAttrs (i.mtu != null) { MTUBytes = toString i.mtu; };
        }
      ) interfaces
    );

    systemd.services = lib.listToAttrs (
      map setUp interfaces ++ map makeTunnel (lib.filter (i: i.virtual) interfaces)
    );

    systemd.targets.network.wantedBy = [ "multi-user.target" ];
    systemd.targets.networking-scripted.description = "NixOS scripted networking setup";
  };
}
