# Old names of nix options.
{ lib, ... }:
{
  nix.binaryCaches = [ "http://old" ]; nix.binaryCachePublicKeys = [ "k:v" ]; nix.maxJobs = 3; nix.buildCores = 1; nix.useSandbox = false; nix.autoOptimiseStore = true; nix.allowedUsers = [ "x" ]; nix.requireSignedBinaryCaches = false; nix.systemFeatures = [ "a" ]; nix.sandboxPaths = [ "/x" ]; nix.trustedBinaryCaches = [ "t" ];
}
