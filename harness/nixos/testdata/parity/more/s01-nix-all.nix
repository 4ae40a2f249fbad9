# nix: every group of options.
{ lib, pkgs, config, ... }:
{
  nix = {
    package = pkgs.nixVersions.latest;
    distributedBuilds = true;
    daemonCPUSchedPolicy = "batch";
    daemonIOSchedClass = "idle";
    daemonIOSchedPriority = 5;
    nrBuildUsers = 8;
    checkConfig = false;
    checkAllErrors = false;
    channel.enable = false;
    envVars = { http_proxy = "http://proxy:3128"; };
    registry.nixpkgs.flake = { outPath = "/srv/np"; lastModified = 5; narHash = "sha256-x"; rev = "abc"; };
    registry.exactless = { exact = false; from = { type = "indirect"; id = "e"; }; to = { type = "github"; owner = "o"; repo = "r"; }; };
    settings = {
      experimental-features = [ "nix-command" "flakes" ];
      max-jobs = 4; cores = 2; sandbox = "relaxed"; auto-optimise-store = true;
      trusted-users = [ "@wheel" "bob" ]; allowed-users = [ "@users" ];
      substituters = lib.mkBefore [ "http://a" ]; trusted-public-keys = [ "a:b=" ];
      extra-substituters = [ "http://extra" ]; keep-outputs = true; keep-derivations = false; min-free = 1024 * 1024; 
      connect-timeout = 5; fallback = true; http-connections = 50; log-lines = 25; warn-dirty = false; flake-registry = "";
      system-features = [ "kvm" ]; extra-platforms = [ "i686-linux" ]; post-build-hook = "/etc/hook"; sandbox-paths = [ "/bin/sh=${pkgs.busybox}/bin/busybox" ]; extra-sandbox-paths = [ "/dev/kvm" ];
      nix-path = [ "nixpkgs=flake:nixpkgs" ]; diff-hook = null; builders = "ssh://x"; require-sigs = false; secret-key-files = [ "/a" "/b" ]; access-tokens = [ "github.com=x" ]; netrc-file = /etc/netrc; timeout = 1.5; 
    };
    buildMachines = [ { hostName = "h"; system = "x86_64-linux"; protocol = "ssh-ng"; maxJobs = 3; speedFactor = 2; supportedFeatures = [ "a" ]; mandatoryFeatures = [ "b" ]; sshUser = "u"; sshKey = "/k"; publicHostKey = "abc"; } ];
    gc = { automatic = true; dates = [ "daily" "Mon 05:00" ]; randomizedDelaySec = "45min"; persistent = true; options = "-d"; };
    optimise = { automatic = true; dates = "weekly"; randomizedDelaySec = "5"; persistent = false; };
    sshServe = { enable = true; write = true; trusted = true; protocol = "ssh-ng"; keys = [ "ssh-ed25519 AAAA a" ]; };
    extraOptions = "keep-build-log = false\n# c";
  };
}
