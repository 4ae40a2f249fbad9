# Whether an address lies in a network: both as bits, compared as far as the prefix goes.
{ lib }:

let
  pad = width: bits: lib.replicate (width - lib.length bits) 0 ++ bits;
  bits = width: n: pad width (lib.toBaseDigits 2 n);

  parse.ipv4 =
    address: lib.concatMap (part: bits 8 (lib.toInt part)) (lib.splitString "." address);
  parse.ipv6 =
    address:
    lib.concatMap (part: bits 16 (lib.fromHexString part)) (
      lib.splitString ":" (lib.network.ipv6.fromString address).address
    );
in
{
  # version: "ipv4" or "ipv6"; net: address and prefixLength.
  contains =
    version: net: address:
    lib.take net.prefixLength (parse.${version} net.address)
    == lib.take net.prefixLength (parse.${version} address);
}
