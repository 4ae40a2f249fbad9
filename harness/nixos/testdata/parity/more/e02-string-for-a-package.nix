# ERROR: a string where a package is due; NixOS numbers the definition among its own.
{ environment.systemPackages = [ "vim" ]; }
