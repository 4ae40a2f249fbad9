{ config, ... }: { imports = [ ./m04-b.nix ]; networking.firewall.allowedTCPPorts = [ 10 ]; }
