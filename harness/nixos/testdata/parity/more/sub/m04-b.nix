{ networking.firewall.allowedTCPPorts = [ 11 ]; environment.etc.b.text = "b"; }
