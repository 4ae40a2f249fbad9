# The shell function with which NixOS's scripts speak to both iptables and ip6tables.
{ lib, enableIPv6 }:
''
  # Helper command to manipulate both the IPv4 and IPv6 tables.
  ip46tables() {
    iptables -w "$@"
    ${lib.optionalString enableIPv6 ''
      ip6tables -w "$@"
    ''}
  }
''
