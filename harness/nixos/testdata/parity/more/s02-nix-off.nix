# nix.enable = false.
{ nix.enable = false; nix.gc.automatic = false; }
