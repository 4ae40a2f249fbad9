# The commands of networking.nat, to the byte those of NixOS.
{ lib }:
{
  # networking.nat
  cfg,
  # networking.enableIPv6
  enableIPv6,
}:

let
  inherit (lib) concatMapStrings filter optionalString;

  ip46tables = import ./ip46tables.nix { inherit lib enableIPv6; };

  target = address: if address == null then "-j MASQUERADE" else "-j SNAT --to-source ${address}";
  out = optionalString (cfg.externalInterface != null) "-o ${cfg.externalInterface}";
  outside = toString cfg.externalInterface;
  isIPv6 = address: builtins.length (lib.splitString ":" address) > 2;

  # "address:port" or "[address]:port" -> address and port, a range spelt as iptables does.
  parse =
    destination:
    let
      address = if isIPv6 destination then "[[]([0-9a-fA-F:]+)[]]" else "([0-9.]+)";
      m = builtins.match "${address}:([0-9-]+)" destination;
    in
    if m == null then
      throw "bad ip:ports `${destination}'"
    else
      {
        address = builtins.elemAt m 0;
        ports = builtins.replaceStrings [ "-" ] [ ":" ] (builtins.elemAt m 1);
      };

  forFamily =
    {
      iptables,
      dest,
      ips,
      forwards,
      external,
    }:
    let
      loopback =
        fwd: ip:
        let
          port = toString fwd.sourcePort;
          to = parse fwd.destination;
          # from: how the inner machines are told apart, by range or by interface
          inner = from: ''
            ${iptables} -w -t nat -A nixos-nat-pre \
              -d ${ip} -p ${fwd.proto} ${from} \
              --dport ${port} \
              -j DNAT --to-destination ${fwd.destination}
            ${iptables} -w -t nat -A nixos-nat-post \
              -d ${to.address} -p ${fwd.proto} \
              ${from} --dport ${to.ports} \
              -j SNAT --to-source ${ip}
            ${iptables} -w -t filter -A nixos-filter-forward \
              -d ${to.address} -p ${fwd.proto} \
              ${from} --dport ${to.ports} -j ACCEPT
          '';
        in
        ''
          # Allow connections to ${ip}:${port} from the host itself
          ${iptables} -w -t nat -A nixos-nat-out \
            -d ${ip} -p ${fwd.proto} \
            --dport ${port} \
            -j DNAT --to-destination ${fwd.destination}

          # Allow connections to ${ip}:${port} from other hosts behind NAT
          ${concatMapStrings (range: inner "-s '${range}'") ips}
          ${concatMapStrings (name: inner "-i '${name}'") cfg.internalInterfaces}
        '';
    in
    ''
      # We can't match on incoming interface in POSTROUTING, so
      # mark packets coming from the internal interfaces.
      ${concatMapStrings (name: ''
        ${iptables} -w -t nat -A nixos-nat-pre \
          -i '${name}' -j MARK --set-mark 1
        ${iptables} -w -t filter -A nixos-filter-forward \
          -i '${name}' ${out} -j ACCEPT
      '') cfg.internalInterfaces}

      # NAT the marked packets.
      ${optionalString (cfg.internalInterfaces != [ ]) ''
        ${iptables} -w -t nat -A nixos-nat-post -m mark --mark 1 \
          ${out} ${dest}
      ''}

      # NAT packets coming from the internal IPs.
      ${concatMapStrings (range: ''
        ${iptables} -w -t nat -A nixos-nat-post \
          -s '${range}' ${out} ${dest}
        ${iptables} -w -t filter -A nixos-filter-forward \
          -s '${range}' ${out} -j ACCEPT
      '') ips}

      # Related connections are allowed
      ${iptables} -w -t filter -A nixos-filter-forward \
        -m state --state ESTABLISHED,RELATED -j ACCEPT

      # NAT from external ports to internal ports.
      ${concatMapStrings (fwd: ''
        ${iptables} -w -t nat -A nixos-nat-pre \
          -i ${outside} -p ${fwd.proto} \
          ${optionalString (external != null) "-d ${external}"} --dport ${toString fwd.sourcePort} \
          -j DNAT --to-destination ${fwd.destination}
        ${iptables} -w -t filter -A nixos-filter-forward \
          -i ${outside} -p ${fwd.proto} \
          --dport ${toString fwd.sourcePort} -j ACCEPT

        ${concatMapStrings (loopback fwd) fwd.loopbackIPs}
      '') forwards}
    '';
in
{
  flush = ''
    ${ip46tables}
    ip46tables -w -t nat -D PREROUTING -j nixos-nat-pre 2>/dev/null|| true
    ip46tables -w -t nat -F nixos-nat-pre 2>/dev/null || true
    ip46tables -w -t nat -X nixos-nat-pre 2>/dev/null || true
    ip46tables -w -t nat -D POSTROUTING -j nixos-nat-post 2>/dev/null || true
    ip46tables -w -t nat -F nixos-nat-post 2>/dev/null || true
    ip46tables -w -t nat -X nixos-nat-post 2>/dev/null || true
    ip46tables -w -t nat -D OUTPUT -j nixos-nat-out 2>/dev/null || true
    ip46tables -w -t nat -F nixos-nat-out 2>/dev/null || true
    ip46tables -w -t nat -X nixos-nat-out 2>/dev/null || true
    ip46tables -w -t filter -D FORWARD -j nixos-filter-forward 2>/dev/null || true
    ip46tables -w -t filter -F nixos-filter-forward 2>/dev/null || true
    ip46tables -w -t filter -X nixos-filter-forward 2>/dev/null || true

    ${cfg.extraStopCommands}
  '';

  setup = ''
    ${ip46tables}
    # Create subchains where we store rules
    ip46tables -w -t nat -N nixos-nat-pre
    ip46tables -w -t nat -N nixos-nat-post
    ip46tables -w -t nat -N nixos-nat-out
    ip46tables -w -t filter -N nixos-filter-forward

    ${forFamily {
      iptables = "iptables";
      dest = target cfg.externalIP;
      ips = cfg.internalIPs;
      forwards = filter (fwd: !isIPv6 fwd.destination) cfg.forwardPorts;
      external = cfg.externalIP;
    }}

    ${optionalString cfg.enableIPv6 (forFamily {
      iptables = "ip6tables";
      dest = target cfg.externalIPv6;
      ips = cfg.internalIPv6s;
      forwards = filter (fwd: isIPv6 fwd.destination) cfg.forwardPorts;
      external = cfg.externalIPv6;
    })}

    ${optionalString (cfg.dmzHost != null) ''
      iptables -w -t nat -A nixos-nat-pre \
        -i ${outside} -j DNAT \
        --to-destination ${cfg.dmzHost}
    ''}

    ${cfg.extraCommands}

    # Append our chains to the nat tables
    ip46tables -w -t nat -A PREROUTING -j nixos-nat-pre
    ip46tables -w -t nat -A POSTROUTING -j nixos-nat-post
    ip46tables -w -t nat -A OUTPUT -j nixos-nat-out
    ip46tables -w -t filter -A FORWARD -j nixos-filter-forward
  '';
}
