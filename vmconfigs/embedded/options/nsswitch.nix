# system.nssModules, system.nssDatabases: nixos/modules/config/nsswitch.nix.
# Units are told of the modules as on NixOS; nsswitch.conf is Debian's.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  sources = mkOption {
    type = types.listOf types.str;
    default = [ ];
    description = "Where names of this kind come from; the guest has Debian's order.";
  };
in
{
  options.system = {
    nssModules = mkOption {
      type = types.listOf types.path;
      internal = true;
      default = [ ];
      apply = list: {
        inherit list;
        path = lib.makeLibraryPath list;
      };
      description = "Packages with modules that look up names.";
    };
    nssDatabases = {
      passwd = sources;
      group = sources;
      shadow = sources;
      sudoers = sources;
      hosts = sources;
      services = sources;
      subuid = sources;
      subgid = sources;
    };
  };

  config.system.nssModules = [ config.systemd.package ];
}
