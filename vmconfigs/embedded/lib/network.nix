# IPv6 addresses (RFC 4291), written in full: eight groups, no `::`.
{ lib }:
let
  inherit (builtins)
    elemAt
    filter
    genList
    isString
    length
    match
    split
    ;
  inherit (lib.strings) concatMapStringsSep concatStringsSep toLower;
  inherit (lib.trivial) bitXor fromHexString toHexString;

  groups = text: if text == "" then [ ] else filter isString (split ":" text);
  bad = text: why: throw "${why} while parsing IPv6 address ${text}";
  # Eight numbers.
  expand =
    text:
    let
      halves = filter isString (split "::" text);
      left = groups (elemAt halves 0);
      right = groups (elemAt halves 1);
      all =
        if length halves == 1 then
          left
        else
          left ++ genList (_: "0") (8 - length left - length right) ++ right;
    in
    if length halves > 2 || length all != 8 then
      bad text "wrong number of groups"
    else
      map (
        group:
        if match "[0-9a-fA-F]{1,4}" group == null then
          bad text "0x${group} is not a group"
        else
          fromHexString group
      ) all;
  show = concatMapStringsSep ":" (n: toLower (toHexString n));
in
{
  ipv6 = {
    # { address, prefixLength } of "address" or "address/length".
    fromString =
      text:
      let
        parts = filter isString (split "/" text);
        prefixLength = if length parts == 1 then 128 else lib.strings.toInt (elemAt parts 1);
      in
      if length parts > 2 || prefixLength < 1 || prefixLength > 128 then
        bad text "wrong prefix length"
      else
        {
          address = show (expand (elemAt parts 0));
          inherit prefixLength;
        };
    # The half of an address that is made of a MAC address.
    mkEUI64Suffix =
      mac:
      let
        octets = match "([0-9A-Fa-f]{2})[-:.]?([0-9A-Fa-f]{2})[-:.]?([0-9A-Fa-f]{2})[-:.]?([0-9A-Fa-f]{2})[-:.]?([0-9A-Fa-f]{2})[-:.]?([0-9A-Fa-f]{2})" mac;
        octet = elemAt octets;
      in
      if octets == null then
        throw ''"${mac}" is not a valid MAC address (expected 6 octets of hex digits)''
      else
        toLower (
          concatStringsSep ":" [
            (toHexString (bitXor 512 (fromHexString (octet 0 + octet 1))))
            "${octet 2}ff"
            "fe${octet 3}"
            (octet 4 + octet 5)
          ]
        );
  };
}
