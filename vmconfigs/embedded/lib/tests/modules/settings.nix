# positions.nix names lines and columns of this file.
{ lib, config, ... }:
{
  config = lib.mkMerge [
    {
      ports = [ 22 ];
      old = "x";
      nix.settings = {
        builders = lib.mkDefault "from default";
      };
    }
    (lib.mkIf (config.ports != [ ]) {
      enable = false;
      environment = lib.genAttrs [ "GENERATED" ] (_: "1");
      nix.settings = {
        builders = "ssh://desktop";
        cores = 4;
      };
    })
    {
      enable = lib.mkForce true;
      environment = lib.mkMerge [
        (lib.mkIf true {
          EDITOR = "vi";
        })
        {
          EDITOR = lib.mkDefault "nano";
        }
      ];
    }
    { users.me.shell = "/bin/plain"; }
    { users = lib.mkForce { me.shell = "/bin/forced"; }; }
  ];
}
