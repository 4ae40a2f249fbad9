# The scripts of firewall.service, from networking.firewall. To the byte those of NixOS: extraCommands are
# written for its chains, and a script that differs is a unit that is reloaded.
#
# Chains: nixos-fw sees each packet that comes in, nixos-fw-accept and nixos-fw-refuse decide,
# nixos-fw-log-refuse logs before it refuses, nixos-fw-rpfilter (table mangle) tests the way back,
# nixos-drop stands in for all of them during a reload.
{ lib }:
{
  # networking.firewall
  cfg,
  enableIPv6,
}:

let
  inherit (lib) concatMapStrings concatStrings optionalString;

  ip46tables = import ./ip46tables.nix { inherit lib enableIPv6; };
  checksPath = cfg.checkReversePath != false;

  # The same rule for each port of each interface; "default" means every interface.
  forInterfaces =
    rule:
    concatStrings (
      lib.mapAttrsToList (
        name: ports: rule (optionalString (name != "default") "-i ${name}") ports
      ) cfg.allInterfaces
    );
  ports =
    proto: field:
    forInterfaces (
      interface: allowed:
      concatMapStrings (port: ''
        ip46tables -A nixos-fw -p ${proto} --dport ${toString port} -j nixos-fw-accept ${interface}
      '') allowed.${field}
    );
  ranges =
    proto: field:
    forInterfaces (
      interface: allowed:
      concatMapStrings (range: ''
        ip46tables -A nixos-fw -p ${proto} --dport ${toString range.from}:${toString range.to} -j nixos-fw-accept ${interface}
      '') allowed.${field}
    );

  refuse =
    if cfg.rejectPackets then
      ''
        # Send a reset for existing TCP connections that we've
        # somehow forgotten about.  Send ICMP "port unreachable"
        # for everything else.
        ip46tables -A nixos-fw-refuse -p tcp ! --syn -j REJECT --reject-with tcp-reset
        ip46tables -A nixos-fw-refuse -j REJECT
      ''
    else
      ''
        ip46tables -A nixos-fw-refuse -j DROP
      '';

  pathFilter = optionalString checksPath ''
    # Perform a reverse-path test to refuse spoofers
    # For now, we just drop, as the mangle table doesn't have a log-refuse yet
    ip46tables -t mangle -N nixos-fw-rpfilter 2> /dev/null || true
    ip46tables -t mangle -A nixos-fw-rpfilter -m rpfilter --validmark ${
      optionalString (cfg.checkReversePath == "loose") "--loose"
    } -j RETURN

    # Allows this host to act as a DHCP4 client without first having to use APIPA
    iptables -t mangle -A nixos-fw-rpfilter -p udp --sport 67 --dport 68 -j RETURN

    # Allows this host to act as a DHCPv4 server
    iptables -t mangle -A nixos-fw-rpfilter -s 0.0.0.0 -d 255.255.255.255 -p udp --sport 68 --dport 67 -j RETURN

    ${optionalString cfg.logReversePathDrops ''
      ip46tables -t mangle -A nixos-fw-rpfilter -j LOG --log-level info --log-prefix "rpfilter drop: "
    ''}
    ip46tables -t mangle -A nixos-fw-rpfilter -j DROP

    ip46tables -t mangle -A PREROUTING -j nixos-fw-rpfilter
  '';

  ping = optionalString cfg.allowPing ''
    iptables -w -A nixos-fw -p icmp --icmp-type echo-request ${
      optionalString (cfg.pingLimit != null) "-m limit ${cfg.pingLimit} "
    }-j nixos-fw-accept
  '';

  icmpv6 = optionalString enableIPv6 ''
    # Accept all ICMPv6 messages except redirects and node
    # information queries (type 139).  See RFC 4890, section
    # 4.4.
    ip6tables -A nixos-fw -p icmpv6 --icmpv6-type redirect -j DROP
    ip6tables -A nixos-fw -p icmpv6 --icmpv6-type 139 -j DROP
    ip6tables -A nixos-fw -p icmpv6 -j nixos-fw-accept

    # Allow this host to act as a DHCPv6 client
    ip6tables -A nixos-fw -d fe80::/64 -p udp --dport 546 -j nixos-fw-accept
  '';
in
{
  start = ''
    ${ip46tables}

    # Flush the old firewall rules.  !!! Ideally, updating the
    # firewall would be atomic.  Apparently that's possible
    # with iptables-restore.
    ip46tables -D INPUT -j nixos-fw 2> /dev/null || true
    for chain in nixos-fw nixos-fw-accept nixos-fw-log-refuse nixos-fw-refuse; do
      ip46tables -F "$chain" 2> /dev/null || true
      ip46tables -X "$chain" 2> /dev/null || true
    done


    # The "nixos-fw-accept" chain just accepts packets.
    ip46tables -N nixos-fw-accept
    ip46tables -A nixos-fw-accept -j ACCEPT


    # The "nixos-fw-refuse" chain rejects or drops packets.
    ip46tables -N nixos-fw-refuse

    ${refuse}


    # The "nixos-fw-log-refuse" chain performs logging, then
    # jumps to the "nixos-fw-refuse" chain.
    ip46tables -N nixos-fw-log-refuse

    ${optionalString cfg.logRefusedConnections ''
      ip46tables -A nixos-fw-log-refuse -p tcp --syn -j LOG --log-level info --log-prefix "refused connection: "
    ''}
    ${optionalString (cfg.logRefusedPackets && !cfg.logRefusedUnicastsOnly) ''
      ip46tables -A nixos-fw-log-refuse -m pkttype --pkt-type broadcast \
        -j LOG --log-level info --log-prefix "refused broadcast: "
      ip46tables -A nixos-fw-log-refuse -m pkttype --pkt-type multicast \
        -j LOG --log-level info --log-prefix "refused multicast: "
    ''}
    ip46tables -A nixos-fw-log-refuse -m pkttype ! --pkt-type unicast -j nixos-fw-refuse
    ${optionalString cfg.logRefusedPackets ''
      ip46tables -A nixos-fw-log-refuse \
        -j LOG --log-level info --log-prefix "refused packet: "
    ''}
    ip46tables -A nixos-fw-log-refuse -j nixos-fw-refuse


    # The "nixos-fw" chain does the actual work.
    ip46tables -N nixos-fw

    # Clean up rpfilter rules
    ip46tables -t mangle -D PREROUTING -j nixos-fw-rpfilter 2> /dev/null || true
    ip46tables -t mangle -F nixos-fw-rpfilter 2> /dev/null || true
    ip46tables -t mangle -X nixos-fw-rpfilter 2> /dev/null || true

    ${pathFilter}

    # Accept all traffic on the trusted interfaces.
    ${concatMapStrings (name: ''
      ip46tables -A nixos-fw -i ${name} -j nixos-fw-accept
    '') cfg.trustedInterfaces}

    # Accept packets from established or related connections.
    ip46tables -A nixos-fw -m conntrack --ctstate ESTABLISHED,RELATED -j nixos-fw-accept

    # Accept connections to the allowed TCP ports.
    ${ports "tcp" "allowedTCPPorts"}

    # Accept connections to the allowed TCP port ranges.
    ${ranges "tcp" "allowedTCPPortRanges"}

    # Accept packets on the allowed UDP ports.
    ${ports "udp" "allowedUDPPorts"}

    # Accept packets on the allowed UDP port ranges.
    ${ranges "udp" "allowedUDPPortRanges"}

    # Optionally respond to ICMPv4 pings.
    ${ping}

    ${icmpv6}

    ${cfg.extraCommands}

    # Reject/drop everything else.
    ip46tables -A nixos-fw -j nixos-fw-log-refuse


    # Enable the firewall.
    ip46tables -A INPUT -j nixos-fw
  '';

  stop = ''
    ${ip46tables}

    # Clean up in case reload fails
    ip46tables -D INPUT -j nixos-drop 2>/dev/null || true

    # Clean up after added ruleset
    ip46tables -D INPUT -j nixos-fw 2>/dev/null || true

    ${optionalString checksPath ''
      ip46tables -t mangle -D PREROUTING -j nixos-fw-rpfilter 2>/dev/null || true
    ''}

    ${cfg.extraStopCommands}
  '';

  # start, stop: paths of those scripts.
  reload =
    { start, stop }:
    ''
      ${ip46tables}

      # Create a unique drop rule
      ip46tables -D INPUT -j nixos-drop 2>/dev/null || true
      ip46tables -F nixos-drop 2>/dev/null || true
      ip46tables -X nixos-drop 2>/dev/null || true
      ip46tables -N nixos-drop
      ip46tables -A nixos-drop -j DROP

      # Don't allow traffic to leak out until the script has completed
      ip46tables -A INPUT -j nixos-drop

      ${cfg.extraStopCommands}

      if ${start}; then
        ip46tables -D INPUT -j nixos-drop 2>/dev/null || true
      else
        echo "Failed to reload firewall... Stopping"
        ${stop}
        exit 1
      fi
    '';
}
