# The table nixos-fw of nft(8), from networking.firewall; to the byte that of NixOS.
{ lib }:
cfg:

let
  inherit (lib) concatStringsSep optionalString;

  trusted = concatStringsSep ", " (map (name: ''"${name}"'') cfg.trustedInterfaces);

  set =
    ports: ranges:
    concatStringsSep ", " (
      map toString ports ++ map (r: "${toString r.from}-${toString r.to}") ranges
    );

  interface =
    name: allowed:
    let
      from = optionalString (name != "default") "iifname ${name}";
      tcp = set allowed.allowedTCPPorts allowed.allowedTCPPortRanges;
      udp = set allowed.allowedUDPPorts allowed.allowedUDPPortRanges;
    in
    ''
      ${optionalString (tcp != "") "${from} tcp dport { ${tcp} } accept"}
      ${optionalString (udp != "") "${from} udp dport { ${udp} } accept"}
    '';
in
''
  set temp-ports {
    comment "Temporarily opened ports"
    type inet_proto . inet_service
    flags interval
    auto-merge
  }

  ${optionalString (cfg.checkReversePath != false) ''
    chain rpfilter {
      type filter hook prerouting priority mangle + 10; policy drop;

      meta nfproto ipv4 udp sport . udp dport { 67 . 68, 68 . 67 } accept comment "DHCPv4 client/server"
      fib saddr . mark ${optionalString (cfg.checkReversePath != "loose") ". iif"} oif exists accept

      jump rpfilter-allow

      ${optionalString cfg.logReversePathDrops ''
        log level info prefix "rpfilter drop: "
      ''}

    }
  ''}

  chain rpfilter-allow {
    ${cfg.extraReversePathFilterRules}
  }

  chain input {
    type filter hook input priority filter; policy drop;

    ${optionalString (trusted != "") ''iifname { ${trusted} } accept comment "trusted interfaces"''}

    # Multicast ICMPv6 echo replies get marked as invalid by conntrack.
    # Accept them before conntrack to avoid dropped replies.
    icmpv6 type echo-reply accept

    # Some ICMPv6 types like NDP is untracked
    ct state vmap {
      invalid : drop,
      established : accept,
      related : accept,
      new : jump input-allow,
      untracked: jump input-allow,
    }

    ${optionalString cfg.logRefusedConnections ''
      tcp flags syn / fin,syn,rst,ack log level info prefix "refused connection: "
    ''}
    ${optionalString (cfg.logRefusedPackets && !cfg.logRefusedUnicastsOnly) ''
      pkttype broadcast log level info prefix "refused broadcast: "
      pkttype multicast log level info prefix "refused multicast: "
    ''}
    ${optionalString cfg.logRefusedPackets ''
      pkttype host log level info prefix "refused packet: "
    ''}

    ${optionalString cfg.rejectPackets ''
      meta l4proto tcp reject with tcp reset
      reject
    ''}

  }

  chain input-allow {

    ${lib.concatStrings (lib.mapAttrsToList interface cfg.allInterfaces)}

    meta l4proto . th dport @temp-ports accept

    ${optionalString cfg.allowPing ''
      icmp type echo-request ${
        optionalString (cfg.pingLimit != null) "limit rate ${cfg.pingLimit}"
      } accept comment "allow ping"
    ''}

    icmpv6 type != { nd-redirect, 139 } accept comment "Accept all ICMPv6 messages except redirects and node information queries (type 139).  See RFC 4890, section 4.4."
    ip6 daddr fe80::/64 udp dport 546 accept comment "DHCPv6 client"

    ${cfg.extraInputRules}

  }

  ${optionalString cfg.filterForward ''
    chain forward {
      type filter hook forward priority filter; policy drop;

      ct state vmap {
        invalid : drop,
        established : accept,
        related : accept,
        new : jump forward-allow,
        untracked : jump forward-allow,
      }

    }

    chain forward-allow {

      icmpv6 type != { router-renumbering, 139 } accept comment "Accept all ICMPv6 messages except renumbering and node information queries (type 139).  See RFC 4890, section 4.3."

      ct status dnat accept comment "allow port forward"

      ${cfg.extraForwardRules}

    }
  ''}
''
