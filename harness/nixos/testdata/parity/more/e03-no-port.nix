# ERROR: a number that is no port, in a list that a module of NixOS's own defines before.
{ networking.firewall.allowedTCPPorts = [ 22 70000 ]; }
