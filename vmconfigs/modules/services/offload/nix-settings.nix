# How patient Nix is with a LAN cache or the internet, on desktop and laptop
# alike. See nix.conf(5).
#
# Every value is weaker than `lib.mkDefault` (1000) and stronger than an
# option's default (1500): a module of the user's that sets one of them, even
# as a default, wins instead of conflicting with these.
{ lib }:
lib.mapAttrs (_name: lib.mkOverride 1100) {
  # Without it, a substituter that dies half-way fails the build instead of
  # handing over to a local one.
  fallback = true;

  # Seconds for an attempt to connect (TLS included). Dropped packets cost this
  # once an attempt; Nix's defaults (5 attempts, curl's 300 s) would leave a
  # laptop away from home waiting for minutes. A second attempt is for what a
  # first one met by chance; a third only makes each build away from home longer.
  connect-timeout = 3;
  download-attempts = 2;

  # Seconds without a byte after which a download counts as dead (default 300):
  # a desktop that is suspended in the middle of a NAR.
  stalled-download-timeout = 20;
}
